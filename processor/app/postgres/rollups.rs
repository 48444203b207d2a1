//! Rollups: the rows that a flush of one grouping set reads and writes.

use super::connect::Session;
use super::copy::CopyStream;
use super::error::{Doing, PostgresError};
use super::memory::Memory;
use super::partitions::{TimeTable, ensure_partitions};
use super::rollup_rows as rows;
use super::types::Time;
use rollcall_domain::{Accumulator, Grain, GroupingSet, RollupKey, Window};
use rollcall_driver::ports::{Copied, RollupRow};
use rollcall_stages::sink::Flush;
use sqlx::{AssertSqlSafe, Row};

/// Rows that are read for merging by one statement.
const ROWS_PER_STATEMENT: usize = 2_000;

/// Makes the partitions and the temporary table that a flush needs.
pub(super) async fn prepare(
    session: &mut Session,
    memory: &mut Memory,
    flush: &Flush<'_>,
) -> Result<(), PostgresError> {
    let set = flush.grouping_set;
    for grain in Grain::ALL {
        let times = flush
            .rollups
            .iter()
            .filter(|rollup| rollup.window.grain == grain)
            .map(|rollup| rollup.window.start);
        let table = TimeTable::Rollups(set, grain);
        ensure_partitions(session, &mut memory.partitions, table, times).await?;
    }
    if !memory.pending_tables.contains(&set) {
        sqlx::query(AssertSqlSafe(rows::create_pending_table(set)))
            .execute(&mut session.connection)
            .await
            .doing("create a temporary table")?;
        memory.pending_tables.push(set);
    }
    Ok(())
}

/// Stores rows, each instead of what stands there.
pub(super) async fn write(
    session: &mut Session,
    set: GroupingSet,
    rollups: &[RollupRow<'_>],
) -> Result<Copied, PostgresError> {
    let statement = rows::copy_pending(set);
    let mut copy = CopyStream::begin(&mut session.connection, &statement, "store rollups").await?;
    for row in rollups {
        rows::write_row(copy.rows(), row.key, row.window, row.value, row.closed);
        copy.send_full().await?;
    }
    let (_, bytes) = copy.finish().await?;
    let written = sqlx::query(AssertSqlSafe(rows::upsert_pending(set)))
        .execute(&mut session.connection)
        .await
        .doing("store rollups")?;
    Ok(Copied {
        rows: written.rows_affected(),
        bytes,
        ..Copied::default()
    })
}

/// The rows that stand there for these keys and windows, in their order, and whether they are closed.
pub(super) async fn read(
    session: &mut Session,
    set: GroupingSet,
    wanted: &[(&RollupKey<'static>, Window)],
) -> Result<Vec<Option<(Accumulator, bool)>>, PostgresError> {
    let mut found = Vec::with_capacity(wanted.len());
    for chunk in wanted.chunks(ROWS_PER_STATEMENT) {
        let keys: Vec<_> = chunk.iter().map(|(key, _)| rows::key_values(key)).collect();
        let mut query = sqlx::query(AssertSqlSafe(rows::select_existing(set)));
        for column in 0..rows::key_columns(set).len() {
            query = query.bind(keys.iter().map(|key| &*key[column]).collect::<Vec<&str>>());
        }
        let grains: Vec<&str> = chunk.iter().map(|(_, w)| w.grain.as_str()).collect();
        let starts: Vec<Time> = chunk.iter().map(|(_, w)| Time(w.start)).collect();
        let existing = query
            .bind(grains)
            .bind(starts)
            .fetch_all(&mut session.connection)
            .await
            .doing("read rollups to correct")?;
        let begin = found.len();
        found.resize(begin + chunk.len(), None);
        for row in &existing {
            let place: i64 = row.try_get("place").doing("read a stored rollup")?;
            let value = rows::read_row(set, row).doing("read a stored rollup")?;
            found[begin + (place - 1) as usize] = Some(value);
        }
    }
    Ok(found)
}
