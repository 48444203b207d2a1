//! Weighs verdicts against what the tables record of the same raw record.
//!
//! Invariant: where the tables rightly may say something else than the verdict (other rules were in force, a schema was
//! registered since), what they record is followed, and said apart; everywhere else the verdict is followed.

use crate::Pass;
use crate::books::Books;
use crate::cpu::{self, Sighting};
use crate::details::{self, Expected};
use crate::facts::{AuditConfig, DetailsReach, Facts, LettersReach, Vectors};
use crate::fold::{Fold, Share};
use crate::judge::{Accepted, Evidence, Rejected, Verdict};
use crate::letters::{self, ExpectedLetter};
use crate::memory::{IDS_REMEMBERED, Memory};
use crate::names;
use crate::progress;
use crate::recorded::{self, Remember};
use crate::report::{Apart, AuditReport, Subject};
use crate::rollups::{self, Windows};
use crate::stored::{StoredLetter, StoredRollup, StoredSnapshot};
use rollcall_domain::observation::SourceOffset;
use rollcall_domain::{RejectionReason, Timestamp};

/// What the tables hold of one raw record, and what comes after it.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) snapshots: Vec<StoredSnapshot>,
    pub(crate) letters: Vec<StoredLetter>,
    /// Digest of the rules of the partition's next snapshot.
    pub(crate) next_snapshot: Option<u64>,
    /// Whether the partition has further letters.
    pub(crate) more_letters: bool,
}

/// Whether the details must hold an accepted record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Due {
    Stored,
    /// It is beyond what is stored.
    Later,
    /// Retention has dropped it.
    Expired,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Bench {
    facts: Facts,
    vectors: Vectors,
    source_topic: String,
    future_tolerance_us: i64,
    digest: u64,
    report: AuditReport,
    /// What passes after the first say of details: the same again.
    again: AuditReport,
    is_first_pass: bool,
    fold: Fold,
    /// Windows that start before may hold records that are gone.
    whole_from: Timestamp,
    partition: i32,
    is_partition_begun: bool,
    previous_digest: Option<u64>,
    books: Books,
}

impl Bench {
    pub(crate) fn new(config: &AuditConfig, facts: Facts, digest: u64) -> Self {
        let mut report = AuditReport::new(config.examples);
        for subject in Subject::all() {
            report.list(subject);
        }
        Self {
            vectors: Vectors::new(config, &facts),
            source_topic: config.source_topic.clone(),
            future_tolerance_us: config.future_tolerance_us,
            digest,
            report,
            again: AuditReport::new(0),
            is_first_pass: true,
            fold: Fold::new(Share { index: 0, of: 1 }),
            whole_from: Timestamp::MIN,
            partition: 0,
            is_partition_begun: false,
            previous_digest: None,
            books: Books::default(),
            facts,
        }
    }

    pub(crate) fn begin_pass(&mut self, pass: Pass) {
        let Pass { index, of } = pass;
        self.fold = Fold::new(Share { index, of });
        self.is_first_pass = index == 0;
        self.whole_from = Timestamp::MIN;
        if self.is_first_pass {
            progress::compare(&mut self.report, &self.facts);
            progress::tell_orphans(&mut self.report, &self.facts);
        }
    }

    /// Where what is compared beside rollups goes.
    fn out(&mut self) -> &mut AuditReport {
        if self.is_first_pass {
            &mut self.report
        } else {
            &mut self.again
        }
    }

    pub(crate) fn begin_partition(&mut self, partition: i32) {
        self.partition = partition;
        self.is_partition_begun = false;
        self.previous_digest = None;
        self.books = Books::default();
    }

    pub(crate) fn end_partition(&mut self) {
        if !self.is_partition_begun && self.raw_begin(self.partition) > 0 {
            self.whole_from = Timestamp::MAX;
        }
        let partition = self.partition;
        let whole = self.raw_begin(partition) == 0;
        let (reach, found) = (
            self.details_reach(),
            self.facts.ledger.get(&partition).copied(),
        );
        let books = self.books;
        books.compare(self.out(), partition, reach, whole, found.as_ref());
    }

    fn raw_begin(&self, partition: i32) -> i64 {
        self.facts
            .raw_begin
            .get(partition as usize)
            .copied()
            .unwrap_or(0)
    }

    fn details_reach(&self) -> DetailsReach {
        let reach = self.facts.details.get(self.partition as usize);
        reach.copied().unwrap_or(DetailsReach::Nothing)
    }

    fn letters_reach(&self) -> LettersReach {
        let reach = self.facts.letters.get(self.partition as usize);
        reach.copied().unwrap_or(LettersReach::Nothing)
    }

    /// A row without a raw record. What is older than the raw topic is remembered, as dedupe and CPU deltas go on from it.
    pub(crate) fn stray_snapshot(
        &mut self,
        row: &StoredSnapshot,
        memory: &Memory,
    ) -> Option<Remember> {
        if row.source.offset < self.raw_begin(row.source.partition) {
            self.out().set_apart(Apart::SnapshotsBeforeRaw, 1);
            self.previous_digest = Some(row.rules_digest);
            return recorded::remember(row, memory);
        }
        let subject = Subject::Snapshots;
        let label = || details::label(row.source);
        self.out()
            .one_sided(subject, false, label, "a row that no raw record stands for");
        None
    }

    pub(crate) fn stray_letter(&mut self, row: &StoredLetter) {
        if row.source.offset < self.raw_begin(row.source.partition) {
            self.out().set_apart(Apart::LettersBeforeRaw, 1);
        } else {
            letters::unexpected(self.out(), row);
        }
    }

    /// Compares what a record came to with what is recorded of it. Returns what its machine's memory gets.
    pub(crate) fn weigh(
        &mut self,
        verdict: Verdict<'_>,
        evidence: &Evidence<'_>,
        value: Option<&[u8]>,
        found: Found,
        memory: &Memory,
    ) -> Option<Remember> {
        self.begin_record(evidence);
        let remember = self.decide(verdict, evidence, value, &found, memory);
        if let Some(row) = found.snapshots.last() {
            self.previous_digest = Some(row.rules_digest);
        }
        self.books
            .counted(self.details_reach(), evidence.source.offset);
        remember
    }

    fn begin_record(&mut self, evidence: &Evidence<'_>) {
        if self.is_first_pass {
            self.report.records += 1;
        }
        if !self.is_partition_begun && self.raw_begin(self.partition) > 0 {
            // A gone record's event time lies at most this far behind its append time, which is not later than this one's.
            let bound = evidence
                .ingested_at
                .plus_micros(self.future_tolerance_us + 1);
            self.whole_from = self.whole_from.max(bound);
        }
        self.is_partition_begun = true;
    }

    fn decide(
        &mut self,
        verdict: Verdict<'_>,
        evidence: &Evidence<'_>,
        value: Option<&[u8]>,
        found: &Found,
        memory: &Memory,
    ) -> Option<Remember> {
        if let Some(apart) = self.rejected_for_a_reason_that_is_gone(&verdict, found) {
            self.out().set_apart(apart, 1);
            self.books.rejected();
            return None;
        }
        match verdict {
            Verdict::Repeated => {
                self.no_snapshots(found);
                self.compare_letters(evidence, Vec::new(), found);
                self.books.repeated();
                None
            }
            Verdict::Rejected(rejected) => self.rejected(&rejected, evidence, value, found, memory),
            Verdict::Accepted(accepted) => match decided_against(&accepted, found) {
                Some(rejected) => self.rejected(&rejected, evidence, value, found, memory),
                None => self.accepted(&accepted, evidence, found, memory),
            },
        }
    }

    /// Whether the tables say that the whole record was rejected, where the verdict can't be that any more.
    fn rejected_for_a_reason_that_is_gone(
        &self,
        verdict: &Verdict<'_>,
        found: &Found,
    ) -> Option<Apart> {
        let letter = found.letters.iter().find(|letter| letter.line.is_none())?;
        let own = match verdict {
            Verdict::Rejected(rejected) => Some(rejected.reason),
            Verdict::Accepted(accepted) => accepted.doubt,
            Verdict::Repeated => None,
        };
        if !found.snapshots.is_empty() || own.is_some_and(|own| own.as_str() == letter.reason) {
            None
        } else if letter.reason == RejectionReason::UnknownSchema.as_str() {
            Some(Apart::SchemaRegisteredSince)
        } else if self.other_rules_near(found) && !matches!(verdict, Verdict::Repeated) {
            Some(Apart::JudgedByOtherRules)
        } else {
            None
        }
    }

    /// Whether this record, or one of its stored neighbours, was judged by other rules.
    fn other_rules_near(&self, found: &Found) -> bool {
        let own = found.snapshots.first().map(|row| row.rules_digest);
        let mut near = [self.previous_digest, own, found.next_snapshot]
            .into_iter()
            .flatten();
        near.any(|digest| digest != self.digest)
    }

    fn no_snapshots(&mut self, found: &Found) {
        for row in &found.snapshots {
            self.out().one_sided(
                Subject::Snapshots,
                false,
                || details::label(row.source),
                "a row",
            );
        }
    }

    fn rejected(
        &mut self,
        rejected: &Rejected,
        evidence: &Evidence<'_>,
        value: Option<&[u8]>,
        found: &Found,
        memory: &Memory,
    ) -> Option<Remember> {
        if let Some(row) = found.snapshots.first()
            && row.rules_digest != self.digest
        {
            self.out().set_apart(Apart::JudgedByOtherRules, 1);
            return self.as_recorded(row, evidence, memory);
        }
        self.no_snapshots(found);
        self.compare_letters(evidence, letters::of_record(rejected, value), found);
        self.books.rejected();
        None
    }

    fn compare_letters(
        &mut self,
        evidence: &Evidence<'_>,
        mut expected: Vec<ExpectedLetter<'_>>,
        found: &Found,
    ) {
        let more = found.more_letters || !found.letters.is_empty();
        let due = match self.is_settled(evidence) {
            true => expected.len(),
            false => letters::stored_of(
                self.letters_reach(),
                evidence.source.offset,
                &expected,
                more,
            ),
        };
        expected.truncate(due);
        if letters::is_expired(evidence.ingested_at, self.facts.horizons.rejected) {
            let gone = expected.len() as u64;
            self.out().set_apart(Apart::Expired, gone);
            expected.clear();
        }
        let topic = self.source_topic.clone();
        letters::compare(
            self.out(),
            evidence,
            &topic,
            &expected,
            found.letters.clone(),
        );
    }

    fn is_settled(&self, evidence: &Evidence<'_>) -> bool {
        evidence.source.offset < self.facts.settled(self.partition)
    }

    fn due(&self, evidence: &Evidence<'_>) -> Due {
        let is_within = match self.details_reach() {
            DetailsReach::Nothing => false,
            DetailsReach::Through(last) => evidence.source.offset <= last,
            DetailsReach::FirstRecords(records) => self.books.counts.snapshots_read < records,
            // Rows that follow stand for it; without one, nothing is known.
            DetailsReach::LastRow => false,
        };
        match is_within || self.is_settled(evidence) {
            false => Due::Later,
            true if names::time(evidence.ingested_at) < self.facts.horizons.details => Due::Expired,
            true => Due::Stored,
        }
    }

    fn accepted(
        &mut self,
        accepted: &Accepted<'_>,
        evidence: &Evidence<'_>,
        found: &Found,
        memory: &Memory,
    ) -> Option<Remember> {
        let snapshot = accepted.snapshot;
        let machine = &*snapshot.machine.id;
        if let Some(row) = found.snapshots.first()
            && row.rules_digest != self.digest
        {
            return self.as_recorded(row, evidence, memory);
        }
        let due = self.due(evidence);
        let memory_is_whole =
            self.raw_begin(self.partition) == 0 || self.facts.horizons.details == Timestamp::MIN;
        if due == Due::Stored
            && found.snapshots.is_empty()
            && !memory_is_whole
            && memory.ids(machine) < IDS_REMEMBERED
        {
            self.out().set_apart(Apart::PerhapsRepeated, 1);
            self.books.repeated();
            return None;
        }
        let now = Sighting::of(accepted.event_at, &accepted.listing.processes);
        let before = memory.cpu(machine);
        let deltas = match (before, found.snapshots.first()) {
            (None, Some(row)) if !memory_is_whole => Some(recorded::deltas(row)),
            _ => cpu::deltas(before, &now, snapshot.machine.cpu_count),
        };
        let is_latest = deltas.is_some();
        let deltas = deltas.unwrap_or_default();
        let digest = self.digest;
        let expected = Expected {
            accepted,
            evidence,
            deltas: &deltas,
            rules_digest: digest,
        };
        self.compare_details(&expected, due, found);
        let lines = letters::of_lines(machine, snapshot.id, &accepted.listing.rejected);
        self.compare_letters(evidence, lines, found);
        match expected.contributed(found.snapshots.first()) {
            Some(contributed) => self.fold.add(&contributed, &self.vectors),
            None => self.unrecorded(evidence.source, accepted.event_at),
        }
        let listing = &accepted.listing;
        let (processes, rejected) = (
            listing.processes.len() as i64,
            listing.rejected.len() as i64,
        );
        self.books
            .accepted(processes, rejected, evidence.ingested_at);
        Some(Remember {
            machine: machine.to_owned(),
            id: snapshot.id,
            cpu: is_latest.then_some(now),
        })
    }

    fn compare_details(&mut self, expected: &Expected<'_, '_>, due: Due, found: &Found) {
        let source = expected.evidence.source;
        let label = || details::label(source);
        match (due, found.snapshots.split_first()) {
            (Due::Later, None) => {}
            (Due::Expired, None) => self.out().set_apart(Apart::Expired, 1),
            (Due::Stored, None) => {
                let listing = &expected.accepted.listing;
                let processes = listing.processes.len() as u64;
                let what = format!("a row, with {processes} processes");
                self.out().one_sided(Subject::Snapshots, true, label, what);
                self.out().compare_further(Subject::Processes, processes);
            }
            (Due::Later, Some(_)) if self.details_reach() != DetailsReach::LastRow => {
                self.no_snapshots(found)
            }
            (Due::Expired, Some(_)) => self.no_snapshots(found),
            (_, Some((row, further))) => {
                expected.compare(self.out(), row);
                for row in further {
                    let what = "a row besides the first";
                    self.out().one_sided(Subject::Snapshots, false, label, what);
                    self.out()
                        .compare_further(Subject::Processes, row.processes.len() as u64);
                }
            }
        }
    }

    fn unrecorded(&mut self, source: SourceOffset, event_at: Timestamp) {
        if self.fold.add_unknown(source, event_at, &self.vectors) {
            self.out().set_apart(Apart::Unrecorded, 1);
        }
    }

    /// Follows what the tables record of a snapshot that other rules made.
    fn as_recorded(
        &mut self,
        row: &StoredSnapshot,
        evidence: &Evidence<'_>,
        memory: &Memory,
    ) -> Option<Remember> {
        self.out().set_apart(Apart::OtherRules, 1);
        self.books.accepted(
            i64::from(row.process_count),
            row.lines_rejected,
            evidence.ingested_at,
        );
        match recorded::contribution(row) {
            Some(contributed) => self.fold.add(&contributed, &self.vectors),
            None => self.unrecorded(evidence.source, row.event_at),
        }
        recorded::remember(row, memory)
    }

    pub(crate) fn handle_rollup(&mut self, row: &StoredRollup) {
        let windows = Windows {
            facts: &self.facts,
            vectors: &self.vectors,
            whole_from: self.whole_from,
        };
        rollups::compare(&mut self.report, &mut self.fold, &windows, row);
    }

    pub(crate) fn end_pass(&mut self) {
        let windows = Windows {
            facts: &self.facts,
            vectors: &self.vectors,
            whole_from: self.whole_from,
        };
        rollups::missing(&mut self.report, &mut self.fold, &windows);
    }

    pub(crate) fn expected_rollups(&self) -> usize {
        self.fold.rows.len()
    }

    pub(crate) fn finish(mut self) -> AuditReport {
        self.report.pending = self.facts.pending();
        self.report
    }
}

/// Whether what the raw record leaves open was decided against it, as the tables say.
fn decided_against(accepted: &Accepted<'_>, found: &Found) -> Option<Rejected> {
    let reason = accepted.doubt?;
    let says_so = |letter: &StoredLetter| letter.line.is_none() && letter.reason == reason.as_str();
    let snapshot = accepted.snapshot;
    (found.snapshots.is_empty() && found.letters.iter().any(says_so)).then(|| Rejected {
        reason,
        origin: Some((snapshot.machine.id.clone().into_owned(), snapshot.id)),
    })
}
