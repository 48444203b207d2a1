//! `rollcall query` on what a fleet sent: its figures are those of the simulator's ledger, and where there is no answer
//! it says what there is.

use crate::crowd::Crowd;
use crate::support::{Services, rollcall};
use crate::tables::Tables;
use rollcall::cli::query::four_answers;
use rollcall::postgres::{PostgresSettings, Session};
use rollcall_domain::time::HOUR_US;
use rollcall_domain::{Grain, GroupingSet, Timestamp};
use rollcall_simulator::{ExpectedRollup, Ledger, MischiefConfig, RollupId};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::process::Output;

#[test]
fn the_questions_get_the_ledgers_answers() {
    let services = Services::start();
    let empty = table(&services, "top");
    assert!(empty.contains("Nothing is stored at all yet"), "{empty}");

    let mut crowd = Crowd::new(&services, 40, 60, MischiefConfig::default());
    let processor = services.run("normalize,rollup,sink");
    crowd.send(800);
    let ledger = crowd.ledger();
    let mut tables = Tables::new(&services.database_url);
    tables.await_everything(&crowd.ends(), &ledger);
    assert_eq!(processor.terminate(), Some(0));

    let asked = Asked {
        services: &services,
        ledger: &ledger,
    };
    asked.top_applications();
    asked.memory();
    asked.machine();
    asked.user();
    what_there_is_is_said(&services, &ledger);
    four_answers_have_four_tables(&services);
}

#[test]
fn wrong_questions_exit_with_2() {
    for (arguments, expect) in [
        ("top", "setting database-url = \"\" is wrong"),
        ("top --os beos", "[possible values: linux, macos, windows]"),
        ("top --last 2", "a number with s, m, h, d or w"),
        (
            "user ada --from 2026-03-02 --to 2026-03-01",
            "a time before the period's end",
        ),
        ("machine m --limit 0", "is not in 1..=100000"),
    ] {
        let arguments: Vec<&str> = ["query"].into_iter().chain(arguments.split(' ')).collect();
        let output = rollcall(&arguments).output().expect("the binary runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(said.contains(expect), "{arguments:?}: {said}");
    }
}

struct Asked<'a> {
    services: &'a Services,
    ledger: &'a Ledger,
}

fn ask(services: &Services, question: &str, period: &[&str]) -> Output {
    let arguments: Vec<&str> = ["query"]
        .into_iter()
        .chain(question.split(' '))
        .chain(period.iter().copied())
        .collect();
    let output = services.command(&arguments).output();
    let output = output.expect("the binary runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{question}: {said}");
    output
}

fn table(services: &Services, question: &str) -> String {
    let output = ask(services, question, &[]);
    String::from_utf8(output.stdout).expect("plain text")
}

impl Asked<'_> {
    /// The rows of an answer, for all hours that the fleet was at work.
    fn rows(&self, question: &str) -> Vec<Value> {
        let times = || self.ledger.details().iter().map(|detail| detail.event_at);
        let first = times().min().expect("details");
        let last = times().max().expect("details");
        let text = |time: Timestamp| {
            let time = jiff::Timestamp::from_microsecond(time.as_micros());
            time.expect("a time of our days").to_string()
        };
        let from = text(Grain::Hour.window_of(first).start);
        let to = text(Grain::Hour.window_of(last).end());
        let period = ["--format", "json", "--from", &from, "--to", &to];
        let output = ask(self.services, question, &period);
        let answer: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!(
            (&answer["from"], &answer["to"]),
            (&Value::from(from), &Value::from(to))
        );
        answer["rows"].as_array().expect("rows").clone()
    }

    /// The ledger's hours of a grouping set.
    fn hours(&self, set: GroupingSet) -> impl Iterator<Item = (&RollupId, &ExpectedRollup)> {
        let rollups = self.ledger.rollups().iter();
        rollups.filter(move |(id, _)| id.set == set && id.grain == Grain::Hour)
    }

    fn top_applications(&self) {
        let hours = || self.hours(GroupingSet::Application);
        let (id, _) = hours()
            .filter(|(id, _)| id.dimensions[1] == "windows")
            .max_by_key(|(_, rollup)| rollup.cpu_time_us)
            .expect("somebody uses Windows");
        let faculty = &id.dimensions[0];
        let mut expect: BTreeMap<&str, (i64, i64, i64, BTreeSet<&String>)> = BTreeMap::new();
        for (id, rollup) in hours() {
            if id.dimensions[0] == *faculty && id.dimensions[1] == "windows" {
                let total = expect.entry(&id.dimensions[2]).or_default();
                total.0 += rollup.cpu_time_us;
                total.1 += rollup.memory_sum_bytes;
                total.2 += rollup.snapshots;
                total.3.extend(&rollup.users);
            }
        }
        let mut order: Vec<(&str, i64)> = expect
            .iter()
            .map(|(name, total)| (*name, total.0))
            .collect();
        order.sort_by_key(|(name, cpu)| (-cpu, *name));
        order.truncate(3);
        let question = format!("top --faculty {faculty} --os windows --limit 3");
        let rows = self.rows(&question);
        let found: Vec<(&str, i64)> = rows
            .iter()
            .map(|row| (text(row, "application"), number(row, "cpu_time_us")))
            .collect();
        assert_eq!(found, order);
        assert!(found[0].1 > 0, "{found:?}");
        for row in &rows {
            let (_, sum, snapshots, users) = &expect[text(row, "application")];
            assert_eq!(number(row, "memory_bytes_per_machine"), sum / snapshots);
            near(number(row, "users"), users.len(), row);
        }
        let by_users = self.rows(&format!("top --faculty {faculty} --by users --limit 100"));
        let users: Vec<i64> = by_users.iter().map(|row| number(row, "users")).collect();
        assert!(users.is_sorted_by(|a, b| a >= b), "{users:?}");
    }

    fn memory(&self) {
        let mut expect: BTreeMap<&str, (i64, i64, BTreeSet<&String>)> = BTreeMap::new();
        let hours = || self.hours(GroupingSet::Application);
        let (id, _) = hours()
            .max_by_key(|(_, rollup)| rollup.memory_count)
            .expect("memory");
        let application = &id.dimensions[2];
        for (id, rollup) in hours().filter(|(id, _)| id.dimensions[2] == *application) {
            let total = expect.entry(&id.dimensions[1]).or_default();
            total.0 += rollup.memory_count;
            total.1 = total.1.max(rollup.memory_max_bytes.unwrap_or(0));
            total.2.extend(&rollup.machines);
        }
        let rows = self.rows(&format!("memory {application}"));
        let found: Vec<(&str, i64, i64)> = rows
            .iter()
            .map(|row| {
                (
                    text(row, "os"),
                    number(row, "processes"),
                    number(row, "memory_max_bytes"),
                )
            })
            .collect();
        let exact: Vec<(&str, i64, i64)> = expect
            .iter()
            .map(|(os, total)| (*os, total.0, total.1))
            .collect();
        assert_eq!(found, exact);
        for row in &rows {
            near(
                number(row, "machines"),
                expect[text(row, "os")].2.len(),
                row,
            );
            assert!(number(row, "memory_p50_bytes") <= number(row, "memory_p95_bytes"));
        }
    }

    fn machine(&self) {
        let details = self.ledger.details();
        let machine = &details[0].machine_id;
        let mut expect: BTreeMap<(String, i64, String), (i64, i64)> = BTreeMap::new();
        for detail in details
            .iter()
            .filter(|detail| detail.machine_id == *machine)
        {
            let row = &detail.row;
            let name = (row.application.clone(), row.pid.into(), detail.user.clone());
            let total = expect.entry(name).or_default();
            total.0 += 1;
            total.1 += detail.cpu_delta_us.unwrap_or(0);
        }
        let mut found: BTreeMap<(String, i64, String), (i64, i64)> = BTreeMap::new();
        for row in self.rows(&format!("machine {machine} --limit 10000")) {
            let name = (
                text(&row, "application").to_owned(),
                number(&row, "pid"),
                text(&row, "user").to_owned(),
            );
            let total = found.entry(name).or_default();
            total.0 += number(&row, "snapshots");
            total.1 += row["cpu_time_us"].as_i64().unwrap_or(0);
        }
        assert_eq!(found, expect);
        assert_eq!(self.rows(&format!("machine {machine} --limit 2")).len(), 2);
    }

    fn user(&self) {
        let (id, _) = self
            .hours(GroupingSet::User)
            .max_by_key(|(_, rollup)| rollup.snapshots)
            .expect("users");
        let user = &id.dimensions[0];
        let exact: Vec<(i64, i64, i64)> = self
            .hours(GroupingSet::User)
            .filter(|(id, _)| id.dimensions[0] == *user)
            .map(|(_, rollup)| (rollup.snapshots, rollup.processes, rollup.cpu_time_us))
            .collect();
        let rows = self.rows(&format!("user {user} --grain hour"));
        let found: Vec<(i64, i64, i64)> = rows
            .iter()
            .map(|row| {
                (
                    number(row, "snapshots"),
                    number(row, "processes"),
                    number(row, "cpu_time_us"),
                )
            })
            .collect();
        assert_eq!(found, exact);
    }
}

fn text<'a>(row: &'a Value, key: &str) -> &'a str {
    row[key]
        .as_str()
        .unwrap_or_else(|| panic!("{key} of {row}"))
}

fn number(row: &Value, key: &str) -> i64 {
    row[key]
        .as_i64()
        .unwrap_or_else(|| panic!("{key} of {row}"))
}

/// A distinct count is an estimate.
fn near(found: i64, expect: usize, row: &Value) {
    let allowed = (expect as f64 * 0.092).max(1.0);
    assert!(
        (found as f64 - expect as f64).abs() <= allowed,
        "{expect} expected: {row}"
    );
}

fn what_there_is_is_said(services: &Services, ledger: &Ledger) {
    let faculty = &ledger.details()[0].faculty;
    let machine = &ledger.details()[0].machine_id;
    for (question, expect) in [
        (
            format!("top --faculty {}", faculty.to_uppercase()),
            format!("did you mean {faculty}"),
        ),
        (
            "memory zzzzzz".to_owned(),
            "applications that are: ".to_owned(),
        ),
        ("user zzzzzz".to_owned(), "users that are: ".to_owned()),
        (
            "machine zzzzzz".to_owned(),
            "machines that are: ".to_owned(),
        ),
        (
            format!("machine {machine} --last 1h --to 2026-01-01"),
            "it was seen between ".to_owned(),
        ),
        (
            format!("top --faculty {faculty} --last 1h --to 2026-01-01"),
            "what is stored lies between ".to_owned(),
        ),
    ] {
        let said = table(services, &question);
        assert!(said.contains(&expect), "{question}: {said}");
    }
}

fn four_answers_have_four_tables(services: &Services) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let now = Timestamp::from_micros(jiff::Timestamp::now().as_microsecond());
    let answers = |now| {
        runtime.block_on(async {
            let settings = PostgresSettings::new(services.database_url.as_str(), "test");
            let mut session = Session::connect(&settings).await.expect("a connection");
            let text = four_answers(&mut session, now, None)
                .await
                .expect("answers");
            session.close().await;
            text
        })
    };
    let text = answers(now);
    eprintln!("{text}");
    let tables = text.lines().filter(|line| line.starts_with("──")).count();
    assert_eq!(tables, 4, "{text}");
    // Each is what its command prints, but for the time that has passed.
    for command in text
        .lines()
        .filter_map(|line| line.strip_prefix("$ rollcall query "))
    {
        let said = table(services, command);
        let last = said.lines().last().expect("an answer");
        assert!(text.contains(last), "{command} says {said}");
    }
    let later = answers(now.plus_micros(48 * HOUR_US));
    assert!(later.contains("Nothing is stored that matches"), "{later}");
}
