//! What was done, how fresh the tables were meanwhile and afterwards, and what was compared in the end.

use super::freshness::Sample;
use super::plan::Kind;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

/// What is stored counts as fresh again once all of it is younger than this.
pub const FRESH: Duration = Duration::from_secs(5);

/// A fault that was injected.
#[derive(Clone, Debug)]
pub struct Injected {
    pub kind: Kind,
    pub begun: Instant,
    pub ended: Instant,
    /// What the kind counts.
    pub hits: u64,
}

/// What was compared with the ledger.
#[derive(Clone, Copy, Default, Debug)]
pub struct Checked {
    pub sent: usize,
    pub snapshots: u64,
    pub details: usize,
    pub rollups: usize,
    pub rejected: u64,
}

/// One kind's figures.
#[derive(Default)]
struct Row {
    faults: usize,
    hits: u64,
    /// The worst age of details and of rollups while faults lasted, and until all was fresh again.
    during: [Duration; 2],
    after: [Duration; 2],
    fresh_again: Duration,
}

/// The table of faults by kind.
pub fn table(faults: &[Injected], samples: &[Sample]) -> String {
    let mut rows: BTreeMap<Kind, Row> = BTreeMap::new();
    for fault in faults {
        let row = rows.entry(fault.kind).or_default();
        let fresh = samples
            .iter()
            .find(|sample| sample.at > fault.ended && sample.is_fresher_than(FRESH));
        let fresh_at = fresh.map_or(fault.ended, |sample| sample.at);
        row.faults += 1;
        row.hits += fault.hits;
        row.during = worst(row.during, samples, fault.begun, fault.ended);
        row.after = worst(row.after, samples, fault.ended, fresh_at);
        row.fresh_again = row.fresh_again.max(fresh_at - fault.ended);
    }
    let mut text = format!(
        "{:<44} {:>6}  {:<24} {:>15}  {:>15}  {:>11}\n{:<44} {:>6}  {:<24} {:>15}  {:>15}  {:>11}\n",
        "fault",
        "faults",
        "of which each did",
        "oldest during",
        "oldest after",
        "fresh again",
        "",
        "",
        "",
        "details rollups",
        "details rollups",
        "after"
    );
    for kind in Kind::ALL {
        let (name, unit) = kind.words();
        let row = rows.remove(&kind).unwrap_or_default();
        let _ = writeln!(
            text,
            "{name:<44} {:>6}  {:<24} {}  {}  {:>9.1} s",
            row.faults,
            format!("{} {unit}", row.hits),
            pair(row.during),
            pair(row.after),
            row.fresh_again.as_secs_f64()
        );
    }
    text
}

fn pair(ages: [Duration; 2]) -> String {
    let [details, rollups] = ages.map(|age| age.as_secs_f64());
    format!("{details:>5.1} s {rollups:>5.1} s")
}

fn worst(mut ages: [Duration; 2], samples: &[Sample], from: Instant, to: Instant) -> [Duration; 2] {
    for sample in samples
        .iter()
        .filter(|sample| sample.at >= from && sample.at <= to)
    {
        for (worst, age) in ages.iter_mut().zip(sample.ages) {
            *worst = age.max(*worst);
        }
    }
    ages
}

/// One sentence on what was compared.
pub fn checked(checked: Checked) -> String {
    let Checked {
        sent,
        snapshots,
        details,
        rollups,
        rejected,
    } = checked;
    format!(
        "{sent} records sent; {details} details of {snapshots} snapshots, {rollups} rollups and {rejected} rejections \
         compared with the generator's ledger: nothing lost, duplicated or wrong"
    )
}
