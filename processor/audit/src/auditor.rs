//! The order of the audit: records and rows come in, side by side; what they come to goes into the report.

use crate::ahead::Ahead;
use crate::bench::{Bench, Found};
use crate::facts::{AuditConfig, Facts};
use crate::judge::{Evidence, judge};
use crate::memory::Memory;
use crate::report::AuditReport;
use crate::stored::{StoredRollup, Tables};
use rollcall_codec::DecodeError;
use rollcall_domain::observation::SourceOffset;
use rollcall_domain::{Snapshot, Timestamp};
use rollcall_normalize::ApplicationRules;

/// A raw record.
#[derive(Clone, Copy, Debug)]
pub struct RawRecord<'a> {
    /// Its place.
    pub source: SourceOffset,
    /// The broker's append time.
    pub ingested_at: Timestamp,
    /// The key.
    pub key: Option<&'a [u8]>,
    /// The value.
    pub value: Option<&'a [u8]>,
}

/// One of several passes over all records and rows, which folds its share of the keys.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pass {
    /// From 0.
    pub index: u64,
    /// How many there are.
    pub of: u64,
}

impl Pass {
    /// The only one.
    pub const ONLY: Pass = Pass { index: 0, of: 1 };
}

/// The audit. See the crate for the order of calls.
#[derive(Debug)]
pub struct Auditor<'r> {
    config: AuditConfig,
    rules: &'r ApplicationRules,
    ahead: Ahead,
    memory: Memory,
    bench: Bench,
}

impl<'r> Auditor<'r> {
    /// An audit of what `facts` say is stored, by these rules.
    #[must_use]
    pub fn new(config: AuditConfig, facts: Facts, rules: &'r ApplicationRules) -> Self {
        Self {
            bench: Bench::new(&config, facts, rules.digest()),
            ahead: Ahead::default(),
            memory: Memory::default(),
            config,
            rules,
        }
    }

    /// Begins a pass. Details are compared in the first, rollups in each.
    pub fn begin_pass(&mut self, pass: Pass) {
        self.ahead = Ahead::default();
        self.bench.begin_pass(pass);
    }

    /// Begins a raw partition.
    pub fn begin_partition(&mut self, partition: i32) {
        self.memory = Memory::default();
        self.bench.begin_partition(partition);
    }

    /// Takes the next record of the partition, as `codec` decodes it.
    ///
    /// # Errors
    /// If rows can't be read.
    pub fn handle_record<T: Tables>(
        &mut self,
        record: &RawRecord<'_>,
        decoded: Result<Snapshot<'_>, DecodeError>,
        tables: &mut T,
    ) -> Result<(), T::Error> {
        let SourceOffset { partition, offset } = record.source;
        self.take_strays(
            tables,
            SourceOffset {
                partition,
                offset: offset - 1,
            },
        )?;
        let mut found = Found::default();
        while let Some(row) = self.ahead.snapshot(tables, Some(record.source))? {
            found.snapshots.push(row);
        }
        while let Some(row) = self.ahead.letter(tables, Some(record.source))? {
            found.letters.push(row);
        }
        found.next_snapshot = (self.ahead.next_snapshot())
            .filter(|row| row.source.partition == partition)
            .map(|row| row.rules_digest);
        found.more_letters =
            (self.ahead.next_letter()).is_some_and(|row| row.source.partition == partition);
        let evidence = Evidence {
            source: record.source,
            key: record.key,
            ingested_at: record.ingested_at,
        };
        let (bench, memory) = (&mut self.bench, &self.memory);
        let remember = judge(
            decoded,
            &evidence,
            memory,
            &self.config,
            self.rules,
            |verdict| bench.weigh(verdict, &evidence, record.value, found, memory),
        );
        if let Some(accepted) = remember {
            self.memory
                .accept(&accepted.machine, accepted.id, accepted.cpu);
        }
        Ok(())
    }

    /// Rows up to and with this place that no raw record stands at.
    fn take_strays<T: Tables>(
        &mut self,
        tables: &mut T,
        last: SourceOffset,
    ) -> Result<(), T::Error> {
        while let Some(row) = self.ahead.snapshot(tables, Some(last))? {
            if let Some(gone) = self.bench.stray_snapshot(&row, &self.memory) {
                self.memory.accept(&gone.machine, gone.id, gone.cpu);
            }
        }
        while let Some(row) = self.ahead.letter(tables, Some(last))? {
            self.bench.stray_letter(&row);
        }
        Ok(())
    }

    /// Ends a raw partition: there are no further records of it that anything stored can come from.
    ///
    /// # Errors
    /// If rows can't be read.
    pub fn end_partition<T: Tables>(
        &mut self,
        partition: i32,
        tables: &mut T,
    ) -> Result<(), T::Error> {
        let offset = i64::MAX;
        self.take_strays(tables, SourceOffset { partition, offset })?;
        self.bench.end_partition();
        Ok(())
    }

    /// Ends the records. Rows that are left belong to no raw partition.
    ///
    /// # Errors
    /// If rows can't be read.
    pub fn end_records<T: Tables>(&mut self, tables: &mut T) -> Result<(), T::Error> {
        while let Some(row) = self.ahead.snapshot(tables, None)? {
            self.bench.stray_snapshot(&row, &self.memory);
        }
        while let Some(row) = self.ahead.letter(tables, None)? {
            self.bench.stray_letter(&row);
        }
        Ok(())
    }

    /// Takes a row of rollups, in any order.
    pub fn handle_rollup(&mut self, row: &StoredRollup) {
        self.bench.handle_rollup(row);
    }

    /// Ends a pass: all rows of rollups were given.
    pub fn end_pass(&mut self) {
        self.bench.end_pass();
    }

    /// Rows of rollups that are expected and were not given yet: what is held in memory.
    #[must_use]
    pub fn expected_rollups(&self) -> usize {
        self.bench.expected_rollups()
    }

    /// The result.
    #[must_use]
    pub fn finish(self) -> AuditReport {
        self.bench.finish()
    }
}
