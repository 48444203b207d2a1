//! The stored rollups against the ledger's.
//!
//! Sums and limits must be equal, distinct counts too as long as sketches keep every member, quantiles within the
//! sketch's accuracy.

use super::Tables;
use crate::support::ROLLUP_PARTITIONS;
use rollcall_domain::hash::partition_for;
use rollcall_domain::time::MINUTE_US;
use rollcall_domain::{Grain, GroupingSet, Os, RollupKey, Timestamp};
use rollcall_simulator::{ExpectedRollup, Ledger, RollupId};
use rollcall_stages::layout::updates_topic;
use sqlx::Row;
use sqlx::postgres::PgRow;
use std::collections::BTreeMap;

/// Up to so many members a distinct count is exact.
const EXACT_MEMBERS: usize = 160;
/// Beyond them: four standard errors of HyperLogLog with 2,048 registers.
const DISTINCT_ERROR: f64 = 0.092;
/// How far a sketch's quantile may be from the value it stands for.
const QUANTILE_ERROR: f64 = 0.0101;

impl Tables {
    /// What retention has dropped: late minutes may be older than a week.
    fn horizons(&mut self) -> BTreeMap<(GroupingSet, Grain), Timestamp> {
        let mut horizons = BTreeMap::new();
        for set in GroupingSet::ALL {
            for row in self.rows(&format!(
                "SELECT grain, CASE WHEN isfinite(horizon) THEN (extract(epoch FROM horizon) * 1000000)::bigint END AS horizon \
                 FROM rollcall.retention_horizon WHERE table_name = '{}_rollups'",
                set.as_str()
            )) {
                let grain = Grain::parse(row.get("grain")).expect("a grain");
                let horizon: Option<i64> = row.get("horizon");
                horizons.insert((set, grain), horizon.map_or(Timestamp::MIN, Timestamp::from_micros));
            }
        }
        horizons
    }

    pub(super) fn rollups(&mut self, ledger: &Ledger) -> Vec<String> {
        let mut differences = Vec::new();
        let horizons = self.horizons();
        let kept = |id: &RollupId| id.start >= horizons[&(id.set, id.grain)];
        let mut expected: BTreeMap<&RollupId, &ExpectedRollup> =
            ledger.rollups().iter().filter(|(id, _)| kept(id)).collect();
        for set in GroupingSet::ALL {
            for row in &self.rollup_rows(set) {
                let id = RollupId {
                    set,
                    dimensions: row.get("dimensions"),
                    grain: Grain::parse(row.get("grain")).expect("a grain"),
                    start: Timestamp::from_micros(row.get("start")),
                };
                match expected.remove(&id) {
                    None => differences.push(format!("{id:?} is stored and not expected")),
                    Some(rollup) => differences.extend(compare(&id, rollup, row)),
                }
            }
        }
        let missing = expected.keys().map(|id| format!("{id:?} is not stored"));
        differences.extend(missing);
        differences
    }

    /// A table's rows, each with the stage times of all of the topic's partitions. One statement, so one snapshot:
    /// windows go on closing while we look.
    fn rollup_rows(&mut self, set: GroupingSet) -> Vec<PgRow> {
        let (key, distinct) = match set {
            GroupingSet::User => ("ARRAY[user_name]", "machines, applications"),
            GroupingSet::Faculty => ("ARRAY[faculty]", "machines, users, applications"),
            GroupingSet::Application => ("ARRAY[faculty, os, application]", "machines, users"),
        };
        self.rows(&format!(
            "SELECT {key} AS dimensions, grain, (extract(epoch FROM window_start) * 1000000)::bigint AS start, closed, \
                 snapshots, processes, cpu_time_us, memory_count, memory_sum_bytes, memory_min_bytes, \
                 memory_max_bytes, memory_p50_bytes, memory_p95_bytes, memory_p99_bytes, machine_minutes, {distinct}, \
                 (extract(epoch FROM first_event_at) * 1000000)::bigint AS first_event, \
                 (extract(epoch FROM last_event_at) * 1000000)::bigint AS last_event, \
                 ARRAY(SELECT CASE WHEN isfinite(stage_time) THEN (extract(epoch FROM stage_time) * 1000000)::bigint ELSE 0 END \
                     FROM rollcall.rollup_progress WHERE topic = '{}' ORDER BY partition) AS stage_times \
             FROM rollcall.{}_rollups",
            updates_topic(set).name,
            set.as_str()
        ))
    }
}

fn compare(id: &RollupId, expected: &ExpectedRollup, row: &PgRow) -> Vec<String> {
    let mut differences = exact_numbers(id, expected, row);
    differences.extend(distinct_counts(id, expected, row));
    differences.extend(quantiles(id, expected, row));
    let closed: bool = row.get("closed");
    let stage_time = stage_time(id, row);
    if is_closed(id, stage_time) != closed {
        differences.push(format!(
            "{id:?}: closed is {closed} at stage time {stage_time:?}"
        ));
    }
    differences
}

fn exact_numbers(id: &RollupId, expected: &ExpectedRollup, row: &PgRow) -> Vec<String> {
    [
        ("snapshots", Some(expected.snapshots)),
        ("processes", Some(expected.processes)),
        ("cpu_time_us", Some(expected.cpu_time_us)),
        ("memory_count", Some(expected.memory_count)),
        ("memory_sum_bytes", Some(expected.memory_sum_bytes)),
        ("memory_min_bytes", expected.memory_min_bytes),
        ("memory_max_bytes", expected.memory_max_bytes),
        ("first_event", Some(expected.first_event_at.as_micros())),
        ("last_event", Some(expected.last_event_at.as_micros())),
    ]
    .into_iter()
    .filter_map(|(column, expect)| {
        let found: Option<i64> = row.get(column);
        (found != expect).then(|| format!("{id:?}: {column} is {found:?}, expected {expect:?}"))
    })
    .collect()
}

/// What a set's key holds is no column of its table.
fn distinct_counts(id: &RollupId, expected: &ExpectedRollup, row: &PgRow) -> Vec<String> {
    let mut counts = vec![
        ("machines", expected.machines.len()),
        ("machine_minutes", expected.machine_minutes.len()),
    ];
    if id.set != GroupingSet::User {
        counts.push(("users", expected.users.len()));
    }
    if id.set != GroupingSet::Application {
        counts.push(("applications", expected.applications.len()));
    }
    counts
        .into_iter()
        .filter_map(|(column, expect)| {
            let found: i64 = row.get(column);
            let allowed = match expect <= EXACT_MEMBERS {
                true => 0.0,
                false => expect as f64 * DISTINCT_ERROR,
            };
            let differs = (found as f64 - expect as f64).abs() > allowed;
            differs.then(|| {
                format!(
                    "{id:?}: {column} is {found}, expected {expect} and at most {allowed} beside it"
                )
            })
        })
        .collect()
}

fn quantiles(id: &RollupId, expected: &ExpectedRollup, row: &PgRow) -> Vec<String> {
    [
        ("memory_p50_bytes", 0.50),
        ("memory_p95_bytes", 0.95),
        ("memory_p99_bytes", 0.99),
    ]
    .into_iter()
    .filter_map(|(column, share)| {
        let found: Option<i64> = row.get(column);
        let expect = expected.memory_quantile(share);
        let near = match (found, expect) {
            (Some(found), Some(expect)) => {
                (found - expect).abs() as f64 <= expect as f64 * QUANTILE_ERROR + 1.0
            }
            (found, expect) => found == expect,
        };
        (!near).then(|| format!("{id:?}: {column} is {found:?}, expected about {expect:?}"))
    })
    .collect()
}

/// How far ROLLUP's time had come where the rollup is kept, by the tables: the ledger can't know, for it goes on with
/// the broker's clock when nothing is sent.
fn stage_time(id: &RollupId, row: &PgRow) -> Timestamp {
    let text = |at: usize| id.dimensions[at].as_str().into();
    let key = match id.set {
        GroupingSet::User => RollupKey::User(text(0)),
        GroupingSet::Faculty => RollupKey::Faculty(text(0)),
        GroupingSet::Application => RollupKey::Application {
            faculty: text(0),
            os: Os::parse(&id.dimensions[1]).expect("an operating system"),
            application: text(2),
        },
    };
    let stage_times: Vec<i64> = row.get("stage_times");
    let partition = partition_for(key.to_text().as_bytes(), ROLLUP_PARTITIONS);
    Timestamp::from_micros(stage_times[partition as usize])
}

/// A window is closed once stage time is past its end by the grain's grace, which the tests leave as it is.
fn is_closed(id: &RollupId, stage_time: Timestamp) -> bool {
    let grace_us = MINUTE_US
        * match id.grain {
            Grain::Minute => 5,
            Grain::Hour => 30,
            Grain::Day => 120,
        };
    id.start.plus_micros(id.grain.length_us() + grace_us) <= stage_time
}
