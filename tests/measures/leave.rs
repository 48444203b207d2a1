//! Three instances share the work, one leaves in order: how long each partition stands still.

use super::commits::{self, Part};
use super::{Row, median, seconds};
use crate::crowd::Crowd;
use crate::metrics::run;
use crate::support::{Services, eventually};
use crate::tables::Tables;
use rollcall_simulator::MischiefConfig;
use rollcall_stages::layout;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const INSTANCES: usize = 3;
/// How often one of the instances leaves and another joins.
const LEAVES: usize = 3;
/// Before and after an instance leaves: what is looked at.
const BEFORE: Duration = Duration::from_secs(5);
const AFTER: Duration = Duration::from_secs(10);
/// Records of a step of the load, and how often there is one.
const STEP_RECORDS: usize = 20;
const STEP: Duration = Duration::from_millis(50);
/// Partitions of NORMALIZE, ROLLUP, details, dead letters, and three topics of rollups.
const PARTS: usize = 4 + 2 + 4 + 4 + 3 * 2;

/// The longest gaps of one leave, by whether a partition changed hands.
#[derive(Default)]
struct Gaps {
    before: Duration,
    unmoved: Duration,
    moved: Duration,
    moved_parts: usize,
}

pub fn measure() -> Vec<Row> {
    let services = Services::start();
    let mut crowd = Crowd::new(&services, 24, 60, MischiefConfig::default());
    let mut tables = Tables::new(&services.database_url);
    let mut instances: Vec<_> = (0..INSTANCES).map(|_| run(&services, &[])).collect();
    let mut leaves = Vec::new();
    for _ in 0..LEAVES {
        let addresses: Vec<_> = instances.iter().map(|(_, address)| *address).collect();
        let owned = || -> Vec<BTreeSet<Part>> {
            addresses.iter().map(|at| commits::parts_of(*at)).collect()
        };
        let mut owners = Vec::new();
        eventually("the instances share everything", || {
            crowd.send(STEP_RECORDS);
            owners = owned();
            let parts: usize = owners.iter().map(BTreeSet::len).sum();
            parts == PARTS && owners.iter().all(|parts| !parts.is_empty())
        });
        let (leaver, _) = instances.remove(0);
        let stop = AtomicBool::new(false);
        let (commits, left, end) = std::thread::scope(|scope| {
            let tasks = scope.spawn(|| commits::watch_tasks(&services, &stop));
            let sink = scope.spawn(|| commits::watch_sink(&services, &stop));
            work(&mut crowd, BEFORE);
            let left = Instant::now();
            let leaving = scope.spawn(|| leaver.terminate());
            work(&mut crowd, AFTER);
            let end = Instant::now();
            assert_eq!(leaving.join().expect("it leaves"), Some(0));
            stop.store(true, Ordering::Relaxed);
            let mut commits = tasks.join().expect("commits of tasks");
            commits.extend(sink.join().expect("commits of SINK"));
            (commits, left, end)
        });
        let now: Vec<_> = instances
            .iter()
            .map(|(_, address)| commits::parts_of(*address))
            .collect();
        let stayed = |part: &Part| {
            let mut instances = owners[1..].iter().zip(&now);
            instances.any(|(then, now)| then.contains(part) && now.contains(part))
        };
        leaves.push(gaps(&commits, left, end, |part| {
            stayed(part) && fed_by(part).is_none_or(|upstream| stayed(&upstream))
        }));
        instances.push(run(&services, &[]));
    }
    let ledger = crowd.ledger();
    tables.await_everything(&crowd.ends(), &ledger);
    tables.assert_equal(&ledger);
    rows(&leaves)
}

/// Sends a steady stream of records.
fn work(crowd: &mut Crowd, time: Duration) {
    let begun = Instant::now();
    while begun.elapsed() < time {
        crowd.send(STEP_RECORDS);
        std::thread::sleep(STEP);
    }
}

/// Whose commits a partition of SINK has nothing to store without.
fn fed_by(part: &Part) -> Option<Part> {
    let (stage, partition) = part;
    let upstream = match stage.as_str() {
        "sink-details" => layout::NORMALIZE,
        lane if lane.starts_with("sink-rollups") => layout::ROLLUP,
        _ => return None,
    };
    Some((upstream.to_owned(), *partition))
}

fn gaps(
    commits: &BTreeMap<Part, Vec<Instant>>,
    left: Instant,
    end: Instant,
    stayed: impl Fn(&Part) -> bool,
) -> Gaps {
    let mut gaps = Gaps::default();
    for (part, moments) in commits {
        let begun = left - BEFORE + Duration::from_secs(1);
        let before = commits::longest_gap(moments, begun, left);
        // Dead letters are rare: their partitions have nothing to commit.
        if part.0 == "dead-letters" {
            continue;
        }
        let after = commits::longest_gap(moments, left - before, end);
        eprintln!(
            "{part:?}: {before:?} before, {after:?} after, stayed: {}",
            stayed(part)
        );
        gaps.before = gaps.before.max(before);
        if stayed(part) {
            gaps.unmoved = gaps.unmoved.max(after);
        } else {
            gaps.moved = gaps.moved.max(after);
            gaps.moved_parts += 1;
        }
    }
    gaps
}

fn rows(leaves: &[Gaps]) -> Vec<Row> {
    let longest = |of: fn(&Gaps) -> Duration| {
        let all: Vec<f64> = leaves.iter().map(|gaps| of(gaps).as_secs_f64()).collect();
        let worst = all.iter().copied().fold(0.0, f64::max);
        format!(
            "{:.2} s; the worst of {LEAVES} leaves {worst:.2} s",
            median(all)
        )
    };
    let moved: usize = leaves.iter().map(|gaps| gaps.moved_parts).sum();
    vec![
        (
            "such partitions (moved, or fed by one that did)".to_owned(),
            format!("{:.1} of {PARTS} each time", moved as f64 / LEAVES as f64),
        ),
        (
            "longest time without a commit, all at peace".to_owned(),
            longest(|gaps| gaps.before),
        ),
        (
            "longest of a partition that stayed, as did what feeds it".to_owned(),
            longest(|gaps| gaps.unmoved),
        ),
        (
            "longest of a partition that moved, or that one feeds".to_owned(),
            longest(|gaps| gaps.moved),
        ),
        (
            "the load".to_owned(),
            format!("{STEP_RECORDS} records every {}", seconds(STEP)),
        ),
    ]
}
