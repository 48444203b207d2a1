//! A model of PostgreSQL: tables, transactions with row locks, server processes, a log that a standby may lag behind.
//!
//! It holds what the server does; that requests and answers get lost on the way is the network's affair ([`crate::ports`]).
//!
//! - What a transaction writes is there for others once it is committed; a server process that ends rolls its own back.
//! - A row that a transaction has moved or claimed is locked until it ends; who wants it meanwhile waits.
//! - A standby that takes over has everything up to some commit, and gives out the keys after it again.

use rollcall_domain::pipeline::Progress;
use rollcall_domain::{Accumulator, GroupingSet, RollupKey, Window};
use rollcall_driver::ports::{Backend, BookEntry, Claim, OffsetAdvance, Owner, Place};
use rollcall_simulator::random::Random;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// A row of `sink_offsets`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct OffsetRow {
    pub(crate) epoch: i64,
    pub(crate) next_offset: i64,
    pub(crate) backend: Option<Backend>,
}

/// A stored snapshot: texts by their keys.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct StoredSnapshot {
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) machine: i32,
    /// Command line, owner and resident memory of each process.
    pub(crate) processes: Vec<(i32, i32, i64)>,
}

/// A stored letter.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct StoredLetter {
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) reason: &'static str,
}

/// The books of a raw partition.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Books {
    pub(crate) stored_snapshots: i64,
    pub(crate) stored_lines: i64,
    /// As the last stored snapshot says: read, accepted, duplicate, rejected, lines accepted.
    pub(crate) counts: [i64; 5],
}

impl Books {
    fn add(&mut self, entry: &BookEntry) {
        self.stored_snapshots += entry.stored.snapshots;
        self.stored_lines += entry.stored.lines;
        let counts = &entry.counts;
        self.counts = [
            counts.snapshots_read,
            counts.snapshots_accepted,
            counts.snapshots_duplicate,
            counts.snapshots_rejected,
            counts.lines_accepted,
        ];
    }

    /// What is lacking: snapshots unaccounted for, snapshots, lines.
    pub(crate) fn lacking(&self) -> [i64; 3] {
        let [read, accepted, duplicate, rejected, lines] = self.counts;
        [
            read - accepted - duplicate - rejected,
            accepted - self.stored_snapshots,
            lines - self.stored_lines,
        ]
    }
}

/// What a statement writes.
#[derive(Clone, Debug)]
pub(crate) enum Write {
    Offset(Place, OffsetRow),
    Text(String, i32),
    Snapshot(Rc<StoredSnapshot>),
    Letter(Rc<StoredLetter>),
    Rollup(RollupId, Rc<(Accumulator, bool)>),
    Progress(Place, Rc<Progress>),
    Books(i32, BookEntry),
}

/// A row of rollups.
pub(crate) type RollupId = (GroupingSet, RollupKey<'static>, Window);

/// What is committed.
#[derive(Debug, Default)]
pub(crate) struct Tables {
    pub(crate) offsets: BTreeMap<Place, OffsetRow>,
    pub(crate) texts: BTreeMap<String, i32>,
    pub(crate) snapshots: Vec<Rc<StoredSnapshot>>,
    pub(crate) letters: Vec<Rc<StoredLetter>>,
    pub(crate) rollups: BTreeMap<RollupId, Rc<(Accumulator, bool)>>,
    pub(crate) progress: BTreeMap<Place, Rc<Progress>>,
    pub(crate) books: BTreeMap<i32, Books>,
}

impl Tables {
    fn apply(&mut self, write: &Write) {
        match write.clone() {
            Write::Offset(place, row) => drop(self.offsets.insert(place, row)),
            Write::Text(text, key) => drop(self.texts.insert(text, key)),
            Write::Snapshot(snapshot) => self.snapshots.push(snapshot),
            Write::Letter(letter) => self.letters.push(letter),
            Write::Rollup(id, value) => drop(self.rollups.insert(id, value)),
            Write::Progress(place, progress) => drop(self.progress.insert(place, progress)),
            Write::Books(partition, entry) => self.books.entry(partition).or_default().add(&entry),
        }
    }
}

/// An open transaction.
#[derive(Debug, Default)]
pub(crate) struct Txn {
    pub(crate) writes: Vec<Write>,
    locks: BTreeSet<Place>,
    /// When the server ends it, if it may not idle.
    idle_out_us: Option<i64>,
    /// Offsets that it moves: from where to where.
    pub(crate) moved: Vec<(Place, i64, i64)>,
}

/// A server process.
#[derive(Debug)]
struct Process {
    started_us: i64,
    /// When it ends, if it is to end.
    ends_us: Option<i64>,
    txn: Option<Txn>,
}

/// What a request meets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Refusal {
    /// The connection's server process is gone.
    Gone,
    /// Somebody else holds a lock.
    Locked,
}

/// A server.
#[derive(Debug, Default)]
pub(crate) struct Postgres {
    pub(crate) tables: Tables,
    /// Every commit.
    log: Vec<Vec<Write>>,
    processes: BTreeMap<i32, Process>,
}

impl Postgres {
    /// A connection. Ids are used again as soon as they are free.
    pub(crate) fn connect(&mut self, now_us: i64) -> Backend {
        let pid = (1..).find(|pid| !self.processes.contains_key(pid));
        let pid = pid.expect("there are fewer connections than numbers");
        let process = Process {
            started_us: now_us,
            ends_us: None,
            txn: None,
        };
        self.processes.insert(pid, process);
        Backend {
            pid,
            started_at: rollcall_domain::Timestamp::from_micros(now_us),
        }
    }

    fn process(&mut self, backend: Backend) -> Result<&mut Process, Refusal> {
        let process = self.processes.get_mut(&backend.pid);
        process
            .filter(|process| process.started_us == backend.started_at.as_micros())
            .ok_or(Refusal::Gone)
    }

    /// Its client is gone, or it was told to end: it ends at that time.
    pub(crate) fn end_at(&mut self, backend: Backend, at_us: i64) {
        if let Ok(process) = self.process(backend) {
            process.ends_us = Some(process.ends_us.map_or(at_us, |before| before.min(at_us)));
        }
    }

    /// Whether a server process lives.
    pub(crate) fn lives(&mut self, backend: Backend) -> bool {
        self.process(backend).is_ok()
    }

    /// Ends what is to end.
    pub(crate) fn housekeep(&mut self, now_us: i64) {
        let is_over = |process: &Process| {
            let idle_out_us = process.txn.as_ref().and_then(|txn| txn.idle_out_us);
            let mut ends = process.ends_us.into_iter().chain(idle_out_us);
            ends.any(|at_us| at_us <= now_us)
        };
        self.processes.retain(|_, process| !is_over(process));
    }

    /// Every server process ends, and with it what it has not committed.
    pub(crate) fn restart(&mut self) {
        self.processes.clear();
    }

    /// A standby takes over that lacks the last commits.
    pub(crate) fn fail_over(&mut self, lacking: usize) {
        self.restart();
        self.log.truncate(self.log.len().saturating_sub(lacking));
        self.tables = Tables::default();
        for write in self.log.iter().flatten() {
            self.tables.apply(write);
        }
    }

    fn lock(&mut self, backend: Backend, places: &[Place]) -> Result<(), Refusal> {
        self.process(backend)?;
        let others = self
            .processes
            .iter()
            .filter(|(pid, _)| **pid != backend.pid);
        let held = |txn: &Txn| places.iter().any(|place| txn.locks.contains(place));
        if others.filter_map(|(_, other)| other.txn.as_ref()).any(held) {
            return Err(Refusal::Locked);
        }
        if let Some(txn) = &mut self.process(backend)?.txn {
            txn.locks.extend(places);
        }
        Ok(())
    }

    /// Writes, within the transaction if there is one.
    pub(crate) fn write(&mut self, backend: Backend, write: Write) -> Result<(), Refusal> {
        match &mut self.process(backend)?.txn {
            Some(txn) => txn.writes.push(write),
            None => {
                self.tables.apply(&write);
                self.log.push(vec![write]);
            }
        }
        Ok(())
    }

    pub(crate) fn begin(
        &mut self,
        backend: Backend,
        idle_out_us: Option<i64>,
    ) -> Result<(), Refusal> {
        self.process(backend)?.txn = Some(Txn {
            idle_out_us,
            ..Txn::default()
        });
        Ok(())
    }

    pub(crate) fn rollback(&mut self, backend: Backend) -> Result<(), Refusal> {
        self.process(backend)?.txn = None;
        Ok(())
    }

    /// Commits, and returns what was committed.
    pub(crate) fn commit(&mut self, backend: Backend) -> Result<Txn, Refusal> {
        let txn = self.process(backend)?.txn.take().unwrap_or_default();
        for write in &txn.writes {
            self.tables.apply(write);
        }
        self.log.push(txn.writes.clone());
        Ok(txn)
    }

    pub(crate) fn owner(&mut self, place: Place) -> Option<OffsetRow> {
        self.tables.offsets.get(&place).copied()
    }

    /// `INSERT … ON CONFLICT DO NOTHING`.
    pub(crate) fn claim_first(
        &mut self,
        backend: Backend,
        place: Place,
        initial_offset: i64,
    ) -> Result<Option<Claim>, Refusal> {
        self.lock(backend, &[place])?;
        if self.tables.offsets.contains_key(&place) {
            return Ok(None);
        }
        self.give(backend, place, 1, initial_offset).map(Some)
    }

    /// `UPDATE … SET epoch = epoch + 1 WHERE epoch = …`.
    pub(crate) fn claim_next(
        &mut self,
        backend: Backend,
        place: Place,
        epoch: i64,
    ) -> Result<Option<Claim>, Refusal> {
        self.lock(backend, &[place])?;
        match self.tables.offsets.get(&place).copied() {
            Some(row) if row.epoch == epoch => {
                let claim = self.give(backend, place, epoch + 1, row.next_offset)?;
                Ok(Some(claim))
            }
            _ => Ok(None),
        }
    }

    fn give(
        &mut self,
        backend: Backend,
        place: Place,
        epoch: i64,
        next_offset: i64,
    ) -> Result<Claim, Refusal> {
        let row = OffsetRow {
            epoch,
            next_offset,
            backend: Some(backend),
        };
        self.write(backend, Write::Offset(place, row))?;
        Ok(Claim { epoch, next_offset })
    }

    pub(crate) fn release(
        &mut self,
        backend: Backend,
        place: Place,
        epoch: i64,
    ) -> Result<(), Refusal> {
        self.lock(backend, &[place])?;
        let row = self.tables.offsets.get(&place).copied();
        let is_ours = |row: &OffsetRow| row.epoch == epoch && row.backend == Some(backend);
        if let Some(row) = row.filter(is_ours) {
            let row = OffsetRow {
                backend: None,
                ..row
            };
            self.write(backend, Write::Offset(place, row))?;
        }
        Ok(())
    }

    /// `UPDATE … SET next_offset WHERE epoch = … AND next_offset = … RETURNING`.
    pub(crate) fn move_offsets(
        &mut self,
        backend: Backend,
        advances: &[(Place, OffsetAdvance<'_>)],
    ) -> Result<Vec<Place>, Refusal> {
        let places: Vec<Place> = advances.iter().map(|(place, _)| *place).collect();
        self.lock(backend, &places)?;
        let mut moved = Vec::new();
        for (place, advance) in advances {
            let row = self.tables.offsets.get(place).copied();
            let is_as_said = |row: &OffsetRow| {
                row.epoch == advance.epoch && row.next_offset == advance.from_offset
            };
            let Some(row) = row.filter(is_as_said) else {
                continue;
            };
            let next_offset = advance.to_offset;
            self.write(
                backend,
                Write::Offset(*place, OffsetRow { next_offset, ..row }),
            )?;
            if let Some(txn) = &mut self.process(backend)?.txn {
                txn.moved.push((*place, advance.from_offset, next_offset));
            }
            moved.push(*place);
        }
        Ok(moved)
    }

    /// A text's key, which is given out if it has none, outside of transactions.
    pub(crate) fn key(&mut self, backend: Backend, text: &str) -> Result<i32, Refusal> {
        self.process(backend)?;
        if let Some(key) = self.tables.texts.get(text) {
            return Ok(*key);
        }
        let key = self.tables.texts.len() as i32 + 1;
        self.write(backend, Write::Text(text.to_owned(), key))?;
        Ok(key)
    }

    /// What the stored rows say whose texts these are.
    pub(crate) fn text(&self, key: i32) -> Option<&str> {
        let found = self.tables.texts.iter().find(|(_, known)| **known == key);
        found.map(|(text, _)| text.as_str())
    }
}

impl OffsetRow {
    /// As the driver sees it.
    pub(crate) fn owner(self, deployment: &str) -> Owner {
        Owner {
            epoch: self.epoch,
            deployment: deployment.to_owned(),
            backend: self.backend,
        }
    }
}

/// How many commits a standby lacks.
pub(crate) fn lag(random: &mut Random) -> usize {
    random.below(30) as usize
}
