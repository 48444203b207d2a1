//! The database as a process sees it: connections over the model of PostgreSQL, which break, and answers that get lost.

use super::{DEPLOYMENT, World};
use crate::database::{Postgres, Refusal, StoredLetter, StoredSnapshot, Write};
use crate::load::command_line;
use crate::oracle;
use rollcall_domain::pipeline::{DeadLetter, Progress};
use rollcall_domain::{Accumulator, GroupingSet, RollupKey, SnapshotObservations, Window};
use rollcall_driver::ports::{
    Aging, Backend, BackendEnd, BookEntry, Claim, ClaimRequest, CommitError, Connection, Copied,
    Database, DatabaseError, Horizons, LedgerDifference, OffsetAdvance, Owner, Place, RollupRow,
    TopicPartition,
};
use rollcall_engine::record::TopicIndex;
use rollcall_simulator::random::mix;
use rollcall_stages::layout::TOPICS;
use rollcall_stages::sink::Flush;
use std::collections::BTreeMap;
use std::rc::Rc;

/// How long a client waits for a server that says nothing, until its operating system gives the connection up.
const SILENCE_US: i64 = 20_000_000;

fn lost(why: &str) -> DatabaseError {
    DatabaseError {
        message: why.to_owned(),
        is_retriable: true,
    }
}

fn place(topic: &str, partition: i32) -> Place {
    let at = TOPICS.iter().position(|known| known.name == topic);
    let at = at.expect("only our topics are claimed");
    (TopicIndex(at as u16), partition)
}

/// A connection.
pub(crate) struct Session {
    world: World,
    backend: Backend,
}

/// Keys of texts that a connection has seen.
pub(crate) type Memory = BTreeMap<String, i32>;

impl World {
    /// One way of a message between this process and the database; `false`: the connection is lost.
    async fn travel_to_database(&self) -> bool {
        let (delay_us, is_lost) = {
            let weather = self.shared.weather.borrow();
            let mut random = self.shared.random.borrow_mut();
            let delay_us = random.below(weather.delay_us.max(1)) as i64;
            (delay_us, random.chance(weather.loss / 4))
        };
        self.pause(delay_us).await;
        let begun_us = self.now_us();
        // What TCP could not deliver it sends again.
        while self.shared.is_cut_from_database(self.process) {
            if self.now_us() - begun_us > SILENCE_US {
                return false;
            }
            self.pause(200_000).await;
        }
        !is_lost
    }
}

impl Database for World {
    type Connection = Session;

    async fn connect(&self, _lane: &'static str) -> Result<Session, DatabaseError> {
        let away = || lost("the server is away");
        if !self.travel_to_database().await || self.shared.is_database_away() {
            return Err(away());
        }
        let now_us = self.now_us();
        let backend = self.shared.database.borrow_mut().connect(now_us);
        let session = Session {
            world: self.clone(),
            backend,
        };
        if !self.travel_to_database().await {
            return Err(away());
        }
        Ok(session)
    }

    fn memory(&self) -> Memory {
        Memory::new()
    }
}

impl Drop for Session {
    /// The server notices sooner or later; never where the client's machine is gone with it, or can't be reached.
    fn drop(&mut self) {
        let shared = &self.world.shared;
        let now_us = shared.executor.now_us();
        // Who ends the process may be in the middle of a draw.
        let chance = mix(now_us as u64 ^ u64::from(self.backend.pid.unsigned_abs()) << 40);
        let is_killed = !shared.executor.is_alive(self.world.process);
        let is_silent = shared.is_cut_from_database(self.world.process);
        if (is_killed && chance % 5 < 2) || is_silent {
            return;
        }
        let ends_us = now_us + (chance >> 8) as i64 % 500_000;
        shared.database.borrow_mut().end_at(self.backend, ends_us);
    }
}

impl Session {
    /// A request and its answer. `Err`: the connection is lost, and whether the request had its effect is unknown.
    async fn ask<T>(
        &self,
        mut effect: impl FnMut(&mut Postgres, Backend) -> Result<T, Refusal>,
    ) -> Result<T, DatabaseError> {
        if !self.world.travel_to_database().await {
            return Err(lost("the connection broke"));
        }
        let shared = &self.world.shared;
        let answer = loop {
            if shared.is_database_away() {
                return Err(lost("the server is away"));
            }
            let tried = effect(&mut shared.database.borrow_mut(), self.backend);
            match tried {
                Ok(answer) => break answer,
                Err(Refusal::Gone) => return Err(lost("the connection was terminated")),
                Err(Refusal::Locked) => self.world.pause(5_000).await,
            }
        };
        if self.world.travel_to_database().await {
            Ok(answer)
        } else {
            Err(lost("the connection broke"))
        }
    }

    /// A statement of a transaction, which may fail as statements do: the disk is full, a row is in the way.
    async fn execute<T>(
        &self,
        effect: impl FnMut(&mut Postgres, Backend) -> Result<T, Refusal>,
    ) -> Result<T, DatabaseError> {
        let shared = &self.world.shared;
        let loss = shared.weather.borrow().loss;
        if shared.random.borrow_mut().chance(loss / 4) {
            self.ask(|database, backend| database.rollback(backend))
                .await?;
            return Err(lost("the disk is full"));
        }
        self.ask(effect).await
    }

    async fn write_all(&self, writes: Vec<Write>) -> Result<(), DatabaseError> {
        self.execute(|database, backend| {
            for write in &writes {
                database.write(backend, write.clone())?;
            }
            Ok(())
        })
        .await
    }
}

impl Connection for Session {
    type Memory = Memory;
    type Resolved = Vec<Rc<StoredSnapshot>>;

    async fn close(self) {}

    async fn ping(&mut self) -> Result<(), DatabaseError> {
        self.ask(|database, backend| match database.lives(backend) {
            true => Ok(()),
            false => Err(Refusal::Gone),
        })
        .await
    }

    async fn owner(&mut self, request: &ClaimRequest<'_>) -> Result<Option<Owner>, DatabaseError> {
        let place = place(request.topic, request.partition);
        let row = self.ask(|database, _| Ok(database.owner(place))).await?;
        Ok(row.map(|row| row.owner(DEPLOYMENT)))
    }

    async fn end_backend(&mut self, backend: Backend) -> Result<BackendEnd, DatabaseError> {
        let own = self.backend;
        let now_us = self.world.now_us();
        let takes_us = self.world.shared.random.borrow_mut().between(0, 50_000);
        self.ask(|database, _| {
            if backend == own || !database.lives(backend) {
                return Ok(BackendEnd::Gone);
            }
            database.end_at(backend, now_us + takes_us);
            Ok(BackendEnd::Ending)
        })
        .await
    }

    async fn await_backend(&mut self) {
        self.world.pause(10_000).await;
    }

    async fn begin_claim(&mut self) -> Result<(), DatabaseError> {
        let idle_out_us = self.world.now_us() + 10_000_000;
        self.ask(|database, backend| database.begin(backend, Some(idle_out_us)))
            .await
    }

    async fn claim_first(
        &mut self,
        request: &ClaimRequest<'_>,
    ) -> Result<Option<Claim>, DatabaseError> {
        let place = place(request.topic, request.partition);
        let begin = request.initial_offset;
        self.ask(|database, backend| database.claim_first(backend, place, begin))
            .await
    }

    async fn claim_next(
        &mut self,
        request: &ClaimRequest<'_>,
        epoch: i64,
    ) -> Result<Option<Claim>, DatabaseError> {
        let place = place(request.topic, request.partition);
        self.ask(|database, backend| database.claim_next(backend, place, epoch))
            .await
    }

    async fn release(
        &mut self,
        topic: &str,
        partition: i32,
        epoch: i64,
    ) -> Result<(), DatabaseError> {
        let place = place(topic, partition);
        self.ask(|database, backend| database.release(backend, place, epoch))
            .await
    }

    async fn begin(&mut self) -> Result<(), DatabaseError> {
        self.ask(|database, backend| database.begin(backend, None))
            .await
    }

    async fn commit(&mut self) -> Result<(), CommitError> {
        let shared = &self.world.shared;
        let commit = |database: &mut Postgres, backend| {
            let txn = database.commit(backend)?;
            if let Err(fault) = oracle::check_commit(&shared.broker.borrow(), backend, &txn) {
                shared.watch.borrow_mut().fail(fault);
            }
            let mut watch = shared.watch.borrow_mut();
            watch.count("database commits");
            for ((topic, partition), from, to) in txn.moved {
                let topic = TOPICS[usize::from(topic.0)].name;
                let text = format!("stored {topic}[{partition}] from {from} to {to}");
                watch.note(shared.executor.now_us(), self.world.process, &text);
            }
            Ok(())
        };
        let committed = self.ask(commit).await;
        committed.map_err(|error| {
            shared
                .watch
                .borrow_mut()
                .count("database commits of unknown outcome");
            CommitError::Unknown(error)
        })
    }

    async fn rollback(&mut self) -> Result<(), DatabaseError> {
        self.ask(Postgres::rollback).await
    }

    async fn move_offsets(
        &mut self,
        advances: &[OffsetAdvance<'_>],
    ) -> Result<Vec<TopicPartition>, DatabaseError> {
        let placed: Vec<(Place, OffsetAdvance<'_>)> = advances
            .iter()
            .map(|advance| (place(advance.topic, advance.partition), *advance))
            .collect();
        let moved = self
            .ask(|database, backend| database.move_offsets(backend, &placed))
            .await?;
        let moved = placed.iter().filter(|(place, _)| moved.contains(place));
        let named = |(_, advance): &(Place, OffsetAdvance<'_>)| TopicPartition {
            topic: advance.topic.to_owned(),
            partition: advance.partition,
        };
        Ok(moved.map(named).collect())
    }

    async fn lock_horizons(&mut self, _table: Aging) -> Result<Horizons, DatabaseError> {
        Ok(Horizons::new())
    }

    async fn resolve_details(
        &mut self,
        memory: &mut Memory,
        snapshots: &[&SnapshotObservations<'_>],
    ) -> Result<Self::Resolved, DatabaseError> {
        let mut resolved = Vec::with_capacity(snapshots.len());
        for snapshot in snapshots {
            let machine = self.key(memory, &snapshot.machine.id).await?;
            let mut processes = Vec::new();
            for observation in &snapshot.observations {
                let user = &snapshot.users[observation.user as usize];
                let memory_bytes = observation.process.memory_usage_bytes.unwrap_or(-1);
                let line = command_line(&observation.process.application, memory_bytes);
                let line = self.key(memory, &line).await?;
                let owner = format!("{} of {}", user.user, user.faculty);
                let owner = self.key(memory, &owner).await?;
                processes.push((line, owner, memory_bytes));
            }
            resolved.push(Rc::new(StoredSnapshot {
                partition: snapshot.source.partition,
                offset: snapshot.source.offset,
                machine,
                processes,
            }));
        }
        Ok(resolved)
    }

    fn machines_moved(_resolved: &Self::Resolved) -> u64 {
        0
    }

    async fn copy_details(
        &mut self,
        _snapshots: &[&SnapshotObservations<'_>],
        resolved: &Self::Resolved,
        kept: &[bool],
    ) -> Result<Copied, DatabaseError> {
        let kept = resolved.iter().zip(kept).filter(|(_, kept)| **kept);
        let writes: Vec<Write> = kept
            .map(|(row, _)| Write::Snapshot(Rc::clone(row)))
            .collect();
        let rows = writes.len() as u64;
        self.write_all(writes).await?;
        Ok(Copied {
            rows,
            ..Copied::default()
        })
    }

    async fn add_to_books(
        &mut self,
        _topic: &str,
        raw_partition: i32,
        entry: &BookEntry,
    ) -> Result<Option<LedgerDifference>, DatabaseError> {
        self.write_all(vec![Write::Books(raw_partition, *entry)])
            .await?;
        Ok(None)
    }

    async fn read_books(
        &mut self,
        _topic: &str,
        _raw_partition: i32,
    ) -> Result<Option<LedgerDifference>, DatabaseError> {
        Ok(None)
    }

    async fn prepare_dead_letters(
        &mut self,
        _memory: &mut Memory,
        _letters: &[&DeadLetter<'_>],
    ) -> Result<(), DatabaseError> {
        Ok(())
    }

    async fn copy_dead_letters(
        &mut self,
        letters: &[&DeadLetter<'_>],
    ) -> Result<Copied, DatabaseError> {
        let stored = |letter: &&DeadLetter<'_>| {
            Write::Letter(Rc::new(StoredLetter {
                partition: letter.source.partition,
                offset: letter.source.offset,
                reason: letter.rejection.as_str(),
            }))
        };
        self.write_all(letters.iter().map(stored).collect()).await?;
        Ok(Copied::default())
    }

    async fn prepare_rollups(
        &mut self,
        _memory: &mut Memory,
        _flush: &Flush<'_>,
    ) -> Result<(), DatabaseError> {
        Ok(())
    }

    async fn read_rollups(
        &mut self,
        set: GroupingSet,
        rows: &[(&RollupKey<'static>, Window)],
    ) -> Result<Vec<Option<(Accumulator, bool)>>, DatabaseError> {
        self.ask(|database, _| {
            let stored = |(key, window): &(&RollupKey<'static>, Window)| {
                let row = database.tables.rollups.get(&(set, (*key).clone(), *window));
                row.map(|row| (**row).clone())
            };
            Ok(rows.iter().map(stored).collect())
        })
        .await
    }

    async fn write_rollups(
        &mut self,
        set: GroupingSet,
        rows: &[RollupRow<'_>],
    ) -> Result<Copied, DatabaseError> {
        let write = |row: &RollupRow<'_>| {
            let id = (set, row.key.clone(), row.window);
            Write::Rollup(id, Rc::new((row.value.clone(), row.closed)))
        };
        self.write_all(rows.iter().map(write).collect()).await?;
        Ok(Copied::default())
    }

    async fn write_progress(
        &mut self,
        advance: &OffsetAdvance<'_>,
        progress: &Progress,
    ) -> Result<(), DatabaseError> {
        let place = place(advance.topic, advance.partition);
        self.write_all(vec![Write::Progress(place, Rc::new(progress.clone()))])
            .await
    }
}

impl Session {
    /// A text's key: as it is remembered, or from the table.
    async fn key(&self, memory: &mut Memory, text: &str) -> Result<i32, DatabaseError> {
        if let Some(key) = memory.get(text) {
            return Ok(*key);
        }
        let key = self
            .ask(|database, backend| database.key(backend, text))
            .await?;
        memory.insert(text.to_owned(), key);
        Ok(key)
    }
}
