//! What one per cent of poison costs: the same fleet's traffic with and without, in turn, in one run.

use super::{Row, median};
use crate::crowd::{Crowd, Ready};
use crate::metrics::{Metrics, run};
use crate::poison::{Ids, KINDS, PoisonKind, Verdict};
use crate::support::{Services, Setup, eventually};
use crate::tables::Tables;
use rollcall_codec::RecordType;
use rollcall_simulator::MischiefConfig;
use std::net::SocketAddr;
use std::time::Instant;

/// Records of a round.
const RECORDS: usize = 6_000;
/// Rounds with poison, and as many without.
const ROUNDS: usize = 5;
/// One record of so many is poison.
const EVERY: usize = 100;
/// A schema id that no registry gives here.
const NEVER: u32 = 999_998;

/// What a round took, per record.
struct Round {
    records_per_second: f64,
    /// CPU time of the processor.
    cpu_us_per_record: f64,
}

pub fn measure() -> Vec<Row> {
    let services = Services::start_with(Setup {
        hard_working: true,
        ..Setup::default()
    });
    let mut crowd = Crowd::new(&services, 100, 1_000, MischiefConfig::none());
    let mut tables = Tables::new(&services.database_url);
    let known = services.registry.schema_ids().expect("our schemas");
    let ids = Ids {
        of_another_topic: known.get(RecordType::DirectoryUser).expect("an id"),
        registered_later: NEVER,
    };
    let mut kinds = KINDS.iter().cycle();
    let (processor, address) = run(&services, &[]);
    let mut rounds: [Vec<Round>; 2] = Default::default();
    let mut stored = Stored::default();
    // The first of each warms up.
    for at in 0..2 * (ROUNDS + 1) {
        let every = if at % 2 == 0 { usize::MAX } else { EVERY };
        let ready = crowd.prepare(RECORDS, every, &mut kinds, ids);
        for ready in &ready {
            let whole = |kind: &PoisonKind| matches!(kind.verdict, Verdict::Record(_));
            stored.snapshots += i64::from(!ready.kind().is_some_and(whole));
            stored.letters += i64::from(ready.kind().is_some());
        }
        let round = round(&mut crowd, ready, &mut tables, &stored, address);
        if at >= 2 {
            rounds[at % 2].push(round);
        }
    }
    let ledger = crowd.ledger();
    tables.await_everything(&crowd.ends(), &ledger);
    tables.assert_equal(&ledger);
    assert_eq!(processor.terminate(), Some(0));
    rows(&rounds)
}

/// What the tables must hold so far.
#[derive(Default)]
struct Stored {
    snapshots: i64,
    letters: i64,
}

fn round(
    crowd: &mut Crowd,
    ready: Vec<Ready>,
    tables: &mut Tables,
    stored: &Stored,
    address: SocketAddr,
) -> Round {
    let cpu = || Metrics::scrape(address).sum("process_cpu_seconds_total", "");
    let (begun, before) = (Instant::now(), cpu());
    crowd.send_ready(ready);
    let ends = crowd.ends();
    eventually("the round is stored", || {
        tables.number("SELECT sum(stored_snapshots)::bigint FROM rollcall.ledger")
            == Some(stored.snapshots)
            && tables.number("SELECT count(*) FROM rollcall.rejected_records")
                == Some(stored.letters)
            && tables.has_folded(&ends)
    });
    let elapsed = begun.elapsed().as_secs_f64();
    Round {
        records_per_second: RECORDS as f64 / elapsed,
        cpu_us_per_record: (cpu() - before) * 1e6 / RECORDS as f64,
    }
}

fn rows(rounds: &[Vec<Round>; 2]) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut add = |what: &str, unit: &str, of: fn(&Round) -> f64| {
        let [without, with] = rounds
            .each_ref()
            .map(|rounds| median(rounds.iter().map(of).collect()));
        let change = (with / without - 1.0) * 100.0;
        let figure = format!("{without:.0} without, {with:.0} with: {change:+.1} %");
        rows.push((format!("{what}, {unit} (median of {ROUNDS})"), figure));
    };
    add("records stored, rollups too", "1/s", |round| {
        round.records_per_second
    });
    add("CPU time of the processor", "us per record", |round| {
        round.cpu_us_per_record
    });
    rows
}
