//! The driver's database, filled with PostgreSQL: each call is one statement of this room's other files, or a few.

use super::connect::{PostgresSettings, Session};
use super::details::DetailKeys;
use super::memory::Memory;
use super::migrate::pending_migrations;
use super::partitions::{lock_horizons, rollup_table};
use super::{claim, dead_letters, details, ledger, offsets, progress, rollups};
use rollcall_domain::pipeline::{DeadLetter, Progress};
use rollcall_domain::{Accumulator, GroupingSet, RollupKey, SnapshotObservations, Window};
use rollcall_driver::ports::{
    Aging, Backend, BackendEnd, BookEntry, Claim, ClaimRequest, CommitError, Connection, Copied,
    Database, DatabaseError, Horizons, LedgerDifference, OffsetAdvance, Owner, RollupRow,
    TopicPartition,
};
use rollcall_stages::sink::Flush;
use std::time::Duration;

/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(5);
/// How long a backend that was asked to end is left in peace.
const ENDING: Duration = Duration::from_millis(10);

/// The database of a deployment's SINK.
#[derive(Clone, Debug)]
pub struct SinkDatabase {
    settings: PostgresSettings,
    deployment: String,
}

impl SinkDatabase {
    /// How a deployment's lanes connect.
    #[must_use]
    pub fn new(settings: &PostgresSettings, deployment: &str) -> Self {
        Self {
            settings: settings.clone(),
            deployment: deployment.to_owned(),
        }
    }
}

impl Database for SinkDatabase {
    type Connection = Session;

    async fn connect(&self, lane: &'static str) -> Result<Session, DatabaseError> {
        let settings = PostgresSettings {
            application_name: format!("rollcall {} {lane}", self.deployment),
            ..self.settings.clone()
        };
        let connecting = Session::connect(&settings);
        let Ok(connected) = tokio::time::timeout(CONNECT, connecting).await else {
            return Err(DatabaseError {
                message: format!("can't connect to PostgreSQL: no answer within {CONNECT:?}"),
                is_retriable: true,
            });
        };
        let mut session = connected?;
        let pending = pending_migrations(&mut session).await?;
        if pending.is_empty() {
            return Ok(session);
        }
        Err(DatabaseError {
            message: format!(
                "the database lacks {} migrations; run `rollcall bootstrap`",
                pending.len()
            ),
            is_retriable: true,
        })
    }

    fn memory(&self) -> Memory {
        Memory::new(&self.settings)
    }
}

impl Connection for Session {
    type Memory = Memory;
    type Resolved = DetailKeys;

    async fn close(self) {
        Session::close(self).await;
    }

    async fn ping(&mut self) -> Result<(), DatabaseError> {
        Ok(Session::ping(self).await?)
    }

    async fn owner(&mut self, request: &ClaimRequest<'_>) -> Result<Option<Owner>, DatabaseError> {
        Ok(claim::read_owner(self, request).await?)
    }

    async fn end_backend(&mut self, backend: Backend) -> Result<BackendEnd, DatabaseError> {
        Ok(claim::end_backend(self, backend).await?)
    }

    async fn await_backend(&mut self) {
        tokio::time::sleep(ENDING).await;
    }

    async fn begin_claim(&mut self) -> Result<(), DatabaseError> {
        Ok(claim::begin_claim(self).await?)
    }

    async fn claim_first(
        &mut self,
        request: &ClaimRequest<'_>,
    ) -> Result<Option<Claim>, DatabaseError> {
        claim::insert_claim(self, request).await
    }

    async fn claim_next(
        &mut self,
        request: &ClaimRequest<'_>,
        epoch: i64,
    ) -> Result<Option<Claim>, DatabaseError> {
        Ok(claim::update_claim(self, request, epoch).await?)
    }

    async fn release(
        &mut self,
        topic: &str,
        partition: i32,
        epoch: i64,
    ) -> Result<(), DatabaseError> {
        Ok(claim::release(self, topic, partition, epoch).await?)
    }

    async fn begin(&mut self) -> Result<(), DatabaseError> {
        Ok(offsets::begin(self).await?)
    }

    async fn commit(&mut self) -> Result<(), CommitError> {
        offsets::commit_or_tell(self).await
    }

    async fn rollback(&mut self) -> Result<(), DatabaseError> {
        Ok(offsets::rollback(self).await?)
    }

    async fn move_offsets(
        &mut self,
        advances: &[OffsetAdvance<'_>],
    ) -> Result<Vec<TopicPartition>, DatabaseError> {
        Ok(offsets::compare_and_set(self, advances).await?)
    }

    async fn lock_horizons(&mut self, table: Aging) -> Result<Horizons, DatabaseError> {
        let table = match table {
            Aging::Details => "process_snapshots",
            Aging::RejectedRecords => "rejected_records",
            Aging::Rollups(set) => rollup_table(set),
        };
        Ok(lock_horizons(self, table).await?)
    }

    async fn resolve_details(
        &mut self,
        memory: &mut Memory,
        snapshots: &[&SnapshotObservations<'_>],
    ) -> Result<DetailKeys, DatabaseError> {
        Ok(details::prepare(self, memory, snapshots).await?)
    }

    fn machines_moved(resolved: &DetailKeys) -> u64 {
        resolved.machines_moved()
    }

    async fn copy_details(
        &mut self,
        snapshots: &[&SnapshotObservations<'_>],
        resolved: &DetailKeys,
        kept: &[bool],
    ) -> Result<Copied, DatabaseError> {
        Ok(details::copy_details(self, snapshots, resolved, kept).await?)
    }

    async fn add_to_books(
        &mut self,
        topic: &str,
        raw_partition: i32,
        entry: &BookEntry,
    ) -> Result<Option<LedgerDifference>, DatabaseError> {
        Ok(ledger::add_to_books(self, topic, raw_partition, entry).await?)
    }

    async fn read_books(
        &mut self,
        topic: &str,
        raw_partition: i32,
    ) -> Result<Option<LedgerDifference>, DatabaseError> {
        Ok(ledger::read_books(self, topic, raw_partition).await?)
    }

    async fn prepare_dead_letters(
        &mut self,
        memory: &mut Memory,
        letters: &[&DeadLetter<'_>],
    ) -> Result<(), DatabaseError> {
        Ok(dead_letters::prepare(self, memory, letters).await?)
    }

    async fn copy_dead_letters(
        &mut self,
        letters: &[&DeadLetter<'_>],
    ) -> Result<Copied, DatabaseError> {
        Ok(dead_letters::copy_letters(self, letters).await?)
    }

    async fn prepare_rollups(
        &mut self,
        memory: &mut Memory,
        flush: &Flush<'_>,
    ) -> Result<(), DatabaseError> {
        Ok(rollups::prepare(self, memory, flush).await?)
    }

    async fn read_rollups(
        &mut self,
        set: GroupingSet,
        rows: &[(&RollupKey<'static>, Window)],
    ) -> Result<Vec<Option<(Accumulator, bool)>>, DatabaseError> {
        Ok(rollups::read(self, set, rows).await?)
    }

    async fn write_rollups(
        &mut self,
        set: GroupingSet,
        rows: &[RollupRow<'_>],
    ) -> Result<Copied, DatabaseError> {
        Ok(rollups::write(self, set, rows).await?)
    }

    async fn write_progress(
        &mut self,
        advance: &OffsetAdvance<'_>,
        progress: &Progress,
    ) -> Result<(), DatabaseError> {
        Ok(progress::write_progress(self, advance, progress).await?)
    }
}
