//! Rollups as rows: which columns each grouping set's table has, and accumulators to and from them.
//!
//! Invariants: a row holds the whole accumulator, so that it can be read back and merged; the distinct counts that a
//! table lacks are those of its own key, which nobody fills.

use super::copy::CopyBuffer;
use super::partitions::rollup_table;
use super::text::stored_name;
use super::types::Time;
use rollcall_domain::ddsketch::DdSketch;
use rollcall_domain::hll::Hll;
use rollcall_domain::rollup::MemoryStatistics;
use rollcall_domain::{Accumulator, GroupingSet, RollupKey, Window};
use sqlx::Row;
use sqlx::postgres::PgRow;
use std::borrow::Cow;

/// Columns that every table of rollups has, after its key and window.
const COMMON: &[&str] = &[
    "closed",
    "snapshots",
    "processes",
    "cpu_time_us",
    "memory_count",
    "memory_sum_bytes",
    "memory_min_bytes",
    "memory_max_bytes",
    "memory_p50_bytes",
    "memory_p95_bytes",
    "memory_p99_bytes",
    "memory_sketch_indexes",
    "memory_sketch_counts",
    "first_event_at",
    "last_event_at",
];

/// A distinct count: its column, its sketch's column, and where it stands in an accumulator.
struct Distinct {
    column: &'static str,
    sketch: &'static str,
    of: fn(&Accumulator) -> &Hll,
    of_mut: fn(&mut Accumulator) -> &mut Hll,
}

macro_rules! distinct {
    ($($name:ident $field:ident $column:literal $sketch:literal,)*) => {
        $(const $name: Distinct = Distinct {
            column: $column,
            sketch: $sketch,
            of: |value| &value.$field,
            of_mut: |value| &mut value.$field,
        };)*
    };
}

distinct! {
    MACHINES machines "machines" "machines_hll",
    USERS users "users" "users_hll",
    APPLICATIONS applications "applications" "applications_hll",
    MACHINE_MINUTES machine_minutes "machine_minutes" "machine_minutes_hll",
}

/// The distinct counts of a table.
const fn distincts(set: GroupingSet) -> &'static [Distinct] {
    match set {
        GroupingSet::User => &[MACHINES, APPLICATIONS, MACHINE_MINUTES],
        GroupingSet::Faculty => &[MACHINES, USERS, APPLICATIONS, MACHINE_MINUTES],
        GroupingSet::Application => &[MACHINES, USERS, MACHINE_MINUTES],
    }
}

/// The key columns of a table, grain and window apart.
pub(crate) const fn key_columns(set: GroupingSet) -> &'static [&'static str] {
    match set {
        GroupingSet::User => &["user_name"],
        GroupingSet::Faculty => &["faculty"],
        GroupingSet::Application => &["faculty", "os", "application"],
    }
}

/// The values of [`key_columns`].
pub(crate) fn key_values<'k>(key: &'k RollupKey<'_>) -> Vec<Cow<'k, str>> {
    match key {
        RollupKey::User(name) | RollupKey::Faculty(name) => vec![stored_name(name)],
        RollupKey::Application {
            faculty,
            os,
            application,
        } => vec![
            stored_name(faculty),
            Cow::Borrowed(os.as_str()),
            stored_name(application),
        ],
    }
}

/// The columns that hold the value.
fn value_columns(set: GroupingSet) -> Vec<&'static str> {
    let distinct = distincts(set).iter();
    COMMON
        .iter()
        .copied()
        .chain(distinct.flat_map(|distinct| [distinct.column, distinct.sketch]))
        .collect()
}

fn all_columns(set: GroupingSet) -> Vec<&'static str> {
    let mut columns = key_columns(set).to_vec();
    columns.extend(["grain", "window_start"]);
    columns.extend(value_columns(set));
    columns
}

/// Makes the temporary table that a flush fills.
pub(crate) fn create_pending_table(set: GroupingSet) -> String {
    let table = rollup_table(set);
    format!(
        "CREATE TEMPORARY TABLE IF NOT EXISTS pending_{table} \
         (LIKE rollcall.{table} INCLUDING STORAGE) ON COMMIT DELETE ROWS"
    )
}

/// Fills it.
pub(crate) fn copy_pending(set: GroupingSet) -> String {
    format!(
        "COPY pg_temp.pending_{} ({}) FROM STDIN (FORMAT binary)",
        rollup_table(set),
        all_columns(set).join(", ")
    )
}

/// Moves its rows into the table.
pub(crate) fn upsert_pending(set: GroupingSet) -> String {
    let table = rollup_table(set);
    let columns = all_columns(set).join(", ");
    let keys = key_columns(set).join(", ");
    let assignments: Vec<String> = value_columns(set)
        .iter()
        .map(|column| format!("{column} = excluded.{column}"))
        .collect();
    format!(
        "INSERT INTO rollcall.{table} ({columns}) SELECT {columns} FROM pg_temp.pending_{table} \
         ON CONFLICT ({keys}, grain, window_start) DO UPDATE SET {}",
        assignments.join(", ")
    )
}

/// Reads the rows of some keys: parameters are the key columns' arrays, grains and window starts.
///
/// Without a lock: all of a key's updates come through one topic partition, whose offset the flush has locked already.
/// Locking each row would write it once more.
///
/// One index look-up per key, in the one partition that can hold it: `LIMIT` keeps the planner from joining.
pub(crate) fn select_existing(set: GroupingSet) -> String {
    let keys = key_columns(set);
    let arrays: Vec<String> = (1..=keys.len() + 1)
        .map(|n| format!("${n}::text[]"))
        .chain([format!("${}::timestamptz[]", keys.len() + 2)])
        .collect();
    let conditions: Vec<String> = keys
        .iter()
        .chain(&["grain", "window_start"])
        .map(|column| format!("r.{column} = k.{column}"))
        .collect();
    format!(
        "SELECT k.place, {values} FROM unnest({arrays}) WITH ORDINALITY AS k({keys}, grain, window_start, place), \
         LATERAL (SELECT * FROM rollcall.{table} AS r WHERE {conditions} LIMIT 1) AS existing",
        values = value_columns(set).join(", "),
        arrays = arrays.join(", "),
        keys = keys.join(", "),
        table = rollup_table(set),
        conditions = conditions.join(" AND "),
    )
}

/// Writes one row with the columns of [`copy_pending`].
pub(crate) fn write_row(
    rows: &mut CopyBuffer,
    key: &RollupKey<'_>,
    window: Window,
    value: &Accumulator,
    closed: bool,
) {
    let set = key.grouping_set();
    let keys = key_values(key);
    let distincts = distincts(set);
    rows.row((keys.len() + 2 + COMMON.len() + 2 * distincts.len()) as i16);
    for key in &keys {
        rows.text(key);
    }
    rows.text(window.grain.as_str());
    rows.time(window.start);
    rows.bool(closed);
    rows.int8(value.snapshots);
    rows.int8(value.processes);
    rows.int8(value.cpu_time_us);
    write_memory(rows, &value.memory);
    rows.optional(value.first_event_at, CopyBuffer::time);
    rows.optional(value.last_event_at, CopyBuffer::time);
    for distinct in distincts {
        let sketch = (distinct.of)(value);
        rows.int8(sketch.cardinality());
        rows.bytea_with(|bytes| sketch.to_bytes(bytes));
    }
}

fn write_memory(rows: &mut CopyBuffer, memory: &MemoryStatistics) {
    rows.int8(memory.count);
    rows.int8(memory.sum_bytes);
    rows.optional(memory.min_bytes, CopyBuffer::int8);
    rows.optional(memory.max_bytes, CopyBuffer::int8);
    for q in [0.5, 0.95, 0.99] {
        rows.optional(memory.sketch.quantile(q), |rows, bytes| {
            rows.int8(bytes.round() as i64);
        });
    }
    rows.int4_array(memory.sketch.buckets().map(|(index, _)| index));
    rows.int8_array(memory.sketch.buckets().map(|(_, count)| count));
}

/// The value of a row that [`select_existing`] has read, and whether its window is closed.
pub(crate) fn read_row(set: GroupingSet, row: &PgRow) -> Result<(Accumulator, bool), sqlx::Error> {
    let time = |column: &str| -> Result<_, sqlx::Error> {
        Ok(row.try_get::<Option<Time>, _>(column)?.map(|time| time.0))
    };
    let indexes: Vec<i32> = row.try_get("memory_sketch_indexes")?;
    let counts: Vec<i64> = row.try_get("memory_sketch_counts")?;
    if indexes.len() != counts.len() {
        return Err(sqlx::Error::Decode(
            "a sketch with more indexes than counts, or fewer".into(),
        ));
    }
    let mut value = Accumulator {
        snapshots: row.try_get("snapshots")?,
        processes: row.try_get("processes")?,
        cpu_time_us: row.try_get("cpu_time_us")?,
        memory: MemoryStatistics {
            count: row.try_get("memory_count")?,
            sum_bytes: row.try_get("memory_sum_bytes")?,
            min_bytes: row.try_get("memory_min_bytes")?,
            max_bytes: row.try_get("memory_max_bytes")?,
            sketch: DdSketch::from_buckets(indexes.into_iter().zip(counts))
                .map_err(|error| sqlx::Error::Decode(error.into()))?,
        },
        first_event_at: time("first_event_at")?,
        last_event_at: time("last_event_at")?,
        ..Accumulator::default()
    };
    for distinct in distincts(set) {
        *(distinct.of_mut)(&mut value) = read_sketch(row, distinct.sketch)?;
    }
    Ok((value, row.try_get("closed")?))
}

/// A HyperLogLog column.
pub(crate) fn read_sketch(row: &PgRow, column: &str) -> Result<Hll, sqlx::Error> {
    let bytes: &[u8] = row.try_get(column)?;
    Hll::from_bytes(bytes).map_err(|error| sqlx::Error::Decode(error.into()))
}
