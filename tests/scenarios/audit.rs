//! The audit finds nothing in truthful tables, at work and at rest, and each kind of tampering in others.

use crate::crowd::{Crowd, all_mischief};
use crate::support::{Services, rollcall};
use crate::tables::Tables;
use serde_json::Value;

/// What an audit said.
struct Audited {
    code: Option<i32>,
    report: Value,
}

fn audit(services: &Services, arguments: &[&str]) -> Audited {
    let fixed = ["audit", "--format", "json", "--log-level", "warn"];
    let output = services
        .command(&[&fixed, arguments].concat())
        .output()
        .expect("the binary runs");
    let stderr = String::from_utf8_lossy(&output.stderr);
    let report = serde_json::from_slice(&output.stdout);
    Audited {
        code: output.status.code(),
        report: report.unwrap_or_else(|error| panic!("no report ({error}): {stderr}")),
    }
}

impl Audited {
    /// Tables with differences, and how many rows.
    fn differing(&self) -> Vec<(String, u64)> {
        let tables = self.report["tables"].as_array().expect("tables");
        let count = |table: &Value| {
            let name = table["table"].as_str().expect("a name").to_owned();
            (name, table["differences"].as_u64().expect("a count"))
        };
        let mut differing: Vec<_> = tables.iter().map(count).collect();
        differing.retain(|(_, differences)| *differences > 0);
        differing
    }

    #[track_caller]
    fn assert_truthful(&self) {
        assert_eq!(
            (self.code, self.differing()),
            (Some(0), vec![]),
            "{:#}",
            self.report
        );
    }
}

/// Changes to tables that the audit must find: what it is, how it is done, how it is undone, and in which tables so many
/// rows differ then.
struct Tampering {
    what: &'static str,
    done: &'static [&'static str],
    undone: &'static [&'static str],
    expect: &'static [(&'static str, u64)],
}

const TAMPERINGS: &[Tampering] = &[
    Tampering {
        what: "a deleted process",
        done: &[
            "CREATE TABLE public.kept AS SELECT * FROM rollcall.process_observations ORDER BY snapshot_number, pid LIMIT 1",
            "DELETE FROM rollcall.process_observations WHERE (snapshot_number, pid) IN (SELECT snapshot_number, pid FROM public.kept)",
        ],
        undone: &[
            "INSERT INTO rollcall.process_observations SELECT * FROM public.kept",
            "DROP TABLE public.kept",
        ],
        expect: &[("process_observations", 1)],
    },
    Tampering {
        what: "a changed value",
        done: &[
            "CREATE TABLE public.kept AS SELECT * FROM rollcall.process_observations WHERE cpu_time_us > 0 ORDER BY snapshot_number DESC, pid LIMIT 1",
            "UPDATE rollcall.process_observations SET cpu_time_us = cpu_time_us + 1 WHERE (snapshot_number, pid) IN (SELECT snapshot_number, pid FROM public.kept)",
        ],
        undone: &[
            "UPDATE rollcall.process_observations SET cpu_time_us = cpu_time_us - 1 WHERE (snapshot_number, pid) IN (SELECT snapshot_number, pid FROM public.kept)",
            "DROP TABLE public.kept",
        ],
        expect: &[("process_observations", 1)],
    },
    Tampering {
        what: "a doubled process",
        done: &[
            "CREATE TABLE public.kept AS SELECT * FROM rollcall.process_observations ORDER BY snapshot_number, pid LIMIT 1",
            "INSERT INTO rollcall.process_observations SELECT * FROM public.kept",
        ],
        undone: &[
            "DELETE FROM rollcall.process_observations WHERE (snapshot_number, pid) IN (SELECT snapshot_number, pid FROM public.kept)",
            "INSERT INTO rollcall.process_observations SELECT * FROM public.kept",
            "DROP TABLE public.kept",
        ],
        expect: &[("process_observations", 1)],
    },
    Tampering {
        what: "a changed snapshot",
        done: &[
            "UPDATE rollcall.process_snapshots SET event_at = event_at + interval '1 second' \
             WHERE snapshot_number = (SELECT max(snapshot_number) FROM rollcall.process_snapshots)",
        ],
        undone: &[
            "UPDATE rollcall.process_snapshots SET event_at = event_at - interval '1 second' \
             WHERE snapshot_number = (SELECT max(snapshot_number) FROM rollcall.process_snapshots)",
        ],
        expect: &[("process_snapshots", 1)],
    },
    Tampering {
        what: "a changed number of a rollup",
        done: &[
            "UPDATE rollcall.user_rollups SET processes = processes + 1 WHERE grain = 'day' \
             AND (user_name, window_start) = (SELECT user_name, window_start FROM rollcall.user_rollups \
                 WHERE grain = 'day' ORDER BY 2, 1 LIMIT 1)",
        ],
        undone: &[
            "UPDATE rollcall.user_rollups SET processes = processes - 1 WHERE grain = 'day' \
             AND (user_name, window_start) = (SELECT user_name, window_start FROM rollcall.user_rollups \
                 WHERE grain = 'day' ORDER BY 2, 1 LIMIT 1)",
        ],
        expect: &[("user_rollups/day", 1)],
    },
    Tampering {
        what: "a deleted rollup",
        done: &[
            "CREATE TABLE public.kept AS SELECT * FROM rollcall.application_rollups WHERE grain = 'hour' \
             ORDER BY window_start DESC, application, os, faculty LIMIT 1",
            "DELETE FROM rollcall.application_rollups AS r USING public.kept AS k \
             WHERE r.grain = k.grain AND r.window_start = k.window_start AND r.application = k.application \
                 AND r.os = k.os AND r.faculty = k.faculty",
        ],
        undone: &[
            "INSERT INTO rollcall.application_rollups SELECT * FROM public.kept",
            "DROP TABLE public.kept",
        ],
        expect: &[("application_rollups/hour", 1)],
    },
    Tampering {
        what: "an extra rollup",
        done: &[
            "CREATE TABLE public.kept AS SELECT * FROM rollcall.user_rollups WHERE grain = 'hour' \
             ORDER BY window_start DESC, user_name LIMIT 1",
            "UPDATE public.kept SET user_name = 'nobody at all'",
            "INSERT INTO rollcall.user_rollups SELECT * FROM public.kept",
        ],
        undone: &[
            "DELETE FROM rollcall.user_rollups WHERE user_name = 'nobody at all'",
            "DROP TABLE public.kept",
        ],
        expect: &[("user_rollups/hour", 1)],
    },
    Tampering {
        what: "a wrong count in the ledger, which still balances",
        done: &[
            "UPDATE rollcall.ledger SET snapshots_read = snapshots_read + 1, \
             snapshots_duplicate = snapshots_duplicate + 1 WHERE partition = 0",
        ],
        undone: &[
            "UPDATE rollcall.ledger SET snapshots_read = snapshots_read - 1, \
             snapshots_duplicate = snapshots_duplicate - 1 WHERE partition = 0",
        ],
        expect: &[("ledger", 1)],
    },
    Tampering {
        what: "an altered HyperLogLog",
        done: &[
            "CREATE TABLE public.kept AS SELECT faculty, window_start FROM rollcall.faculty_rollups \
             WHERE grain = 'minute' ORDER BY window_start DESC, faculty LIMIT 1",
            "UPDATE rollcall.faculty_rollups AS r SET machines_hll = set_byte(machines_hll, 4, get_byte(machines_hll, 4) # 1) \
             FROM public.kept AS k WHERE r.grain = 'minute' AND r.faculty = k.faculty AND r.window_start = k.window_start",
        ],
        undone: &[
            "UPDATE rollcall.faculty_rollups AS r SET machines_hll = set_byte(machines_hll, 4, get_byte(machines_hll, 4) # 1) \
             FROM public.kept AS k WHERE r.grain = 'minute' AND r.faculty = k.faculty AND r.window_start = k.window_start",
            "DROP TABLE public.kept",
        ],
        expect: &[("faculty_rollups/minute", 1)],
    },
    Tampering {
        // The last one of its partition, behind which only the stored offset says how far the table reaches.
        what: "a lost rejected record",
        done: &[
            "CREATE TABLE public.kept AS SELECT * FROM rollcall.rejected_records \
             ORDER BY source_partition, source_offset DESC, line DESC NULLS LAST LIMIT 1",
            "DELETE FROM rollcall.rejected_records AS r USING public.kept AS k \
             WHERE r.source_partition = k.source_partition AND r.source_offset = k.source_offset \
                 AND r.line IS NOT DISTINCT FROM k.line",
        ],
        undone: &[
            "INSERT INTO rollcall.rejected_records SELECT * FROM public.kept",
            "DROP TABLE public.kept",
        ],
        expect: &[("rejected_records", 1)],
    },
];

#[test]
fn it_finds_nothing_in_truthful_tables_and_each_tampering_in_others() {
    let services = Services::start();
    let mut crowd = Crowd::new(&services, 40, 60, all_mischief());
    audit(&services, &[]).assert_truthful();
    crowd.send(50);
    assert_lagging(&services);
    let processor = services.run("normalize,rollup,sink");
    for _ in 0..4 {
        crowd.send(200);
        audit(&services, &[]).assert_truthful();
    }
    let whole = audit(&services, &["--wait-seconds", "120"]);
    whole.assert_truthful();
    let records: i64 = crowd.ends().iter().sum();
    assert_eq!(whole.report["raw_records"], records);
    assert_eq!(processor.terminate(), Some(0));
    let drained = audit(&services, &[]);
    drained.assert_truthful();
    let apart = drained.report["not_compared"].as_object().expect("a map");
    let beside_expired = apart
        .keys()
        .filter(|name| *name != "rollups_expired")
        .count();
    assert_eq!(beside_expired, 0, "{apart:?}");
    for tampering in TAMPERINGS {
        tamper(&services, tampering);
    }
    audit(&services, &[]).assert_truthful();
}

/// Nobody works: waiting for the tables ends, and says what they lack.
fn assert_lagging(services: &Services) {
    let waiting = ["audit", "--wait-seconds", "1", "--log-level", "warn"];
    let output = services
        .command(&waiting)
        .output()
        .expect("the binary runs");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(
        stderr.contains("not caught up within 1s: user rollups 0 hold 0 of"),
        "{stderr}"
    );
}

fn tamper(services: &Services, tampering: &Tampering) {
    let mut tables = Tables::new(&services.database_url);
    for statement in tampering.done {
        tables.rows(statement);
    }
    let audited = audit(services, &["--show", "3"]);
    for statement in tampering.undone {
        tables.rows(statement);
    }
    let expect = tampering.expect.iter();
    let expect: Vec<_> = expect
        .map(|(table, rows)| ((*table).to_owned(), *rows))
        .collect();
    assert_eq!(
        (audited.code, audited.differing()),
        (Some(1), expect),
        "{}: {:#}",
        tampering.what,
        audited.report
    );
}

#[test]
fn wrong_settings_are_told_apart_from_differences() {
    let check = |arguments: &[&str], expect: &str| {
        let output = rollcall(&[&["audit"], arguments].concat())
            .output()
            .expect("the binary runs");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert!(stderr.contains(expect), "{stderr}");
    };
    check(&[], "database-url");
    let database = ["--database-url", "postgres://localhost/x"];
    check(
        &[&database[..], &["--show", "100001"]].concat(),
        "0 to 100000",
    );
    check(
        &[&database[..], &["--partitions-rollups", "0"]].concat(),
        "1 to 4096",
    );
}
