//! What the stored rollups contain, as ROLLUP's PROGRESS says: for the audit and for people.

use super::connect::Session;
use super::error::{Doing, PostgresError};
use super::text::stored_time;
use super::types::Time;
use rollcall_domain::observation::SourceOffset;
use rollcall_domain::pipeline::{ClosedThrough, Progress};
use rollcall_domain::{Grain, GroupingSet, Timestamp};
use rollcall_driver::ports::OffsetAdvance;

/// The stored progress of one partition of rollup updates.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredProgress {
    /// The topic of rollup updates.
    pub topic: String,
    /// Its partition.
    pub partition: i32,
    /// What the stored rows of this partition contain.
    pub progress: Progress,
}

/// The calendar's limits, but "never" and "always" stay what they are.
fn stored_bound(time: Timestamp) -> Time {
    match time {
        Timestamp::MIN | Timestamp::MAX => Time(time),
        time => Time(stored_time(time)),
    }
}

pub(crate) async fn write_progress(
    session: &mut Session,
    advance: &OffsetAdvance<'_>,
    progress: &Progress,
) -> Result<(), PostgresError> {
    let closed = &progress.closed_through;
    let grain = |closed: &ClosedThrough| {
        format!("{}/{}", closed.grouping_set.as_str(), closed.grain.as_str())
    };
    sqlx::query(
        "INSERT INTO rollcall.rollup_progress (topic, partition, stage_time, raw_partitions, folded_offsets, \
             closed_grains, closed_through, counted_from) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8) \
         ON CONFLICT (topic, partition) DO UPDATE SET stage_time = excluded.stage_time, \
             raw_partitions = excluded.raw_partitions, folded_offsets = excluded.folded_offsets, \
             closed_grains = excluded.closed_grains, closed_through = excluded.closed_through, \
             counted_from = excluded.counted_from",
    )
    .bind(advance.topic)
    .bind(advance.partition)
    .bind(stored_bound(progress.stage_time))
    .bind(progress.folded.iter().map(|at| at.partition).collect::<Vec<_>>())
    .bind(progress.folded.iter().map(|at| at.offset).collect::<Vec<_>>())
    .bind(closed.iter().map(grain).collect::<Vec<_>>())
    .bind(closed.iter().map(|c| stored_bound(c.through)).collect::<Vec<_>>())
    .bind(closed.iter().map(|c| stored_bound(c.counted_from)).collect::<Vec<_>>())
    .execute(&mut session.connection)
    .await
    .doing("store the rollups' progress")?;
    Ok(())
}

type ProgressRow = (
    String,
    i32,
    Time,
    Vec<i32>,
    Vec<i64>,
    Vec<String>,
    Vec<Time>,
    Vec<Time>,
);

/// The stored progress of every partition, by topic and partition.
///
/// # Errors
/// If the database fails.
pub async fn read_progress(session: &mut Session) -> Result<Vec<StoredProgress>, PostgresError> {
    let rows: Vec<ProgressRow> = sqlx::query_as(
        "SELECT topic, partition, stage_time, raw_partitions, folded_offsets, closed_grains, closed_through, \
             counted_from \
         FROM rollcall.rollup_progress ORDER BY topic, partition",
    )
    .fetch_all(&mut session.connection)
    .await
    .doing("read the rollups' progress")?;
    Ok(rows.into_iter().map(progress_of).collect())
}

/// Grains that this version doesn't know are left out.
fn progress_of(row: ProgressRow) -> StoredProgress {
    let (topic, partition, stage_time, partitions, offsets, grains, through, counted_from) = row;
    let folded = partitions
        .into_iter()
        .zip(offsets)
        .map(|(partition, offset)| SourceOffset { partition, offset })
        .collect();
    let closed_through = grains
        .iter()
        .zip(through.iter().zip(&counted_from))
        .filter_map(|(name, (through, counted_from))| {
            let (set, grain) = name.split_once('/')?;
            Some(ClosedThrough {
                grouping_set: GroupingSet::parse(set)?,
                grain: Grain::parse(grain)?,
                through: through.0,
                counted_from: counted_from.0,
            })
        })
        .collect();
    StoredProgress {
        topic,
        partition,
        progress: Progress {
            stage_time: stage_time.0,
            folded,
            closed_through,
        },
    }
}
