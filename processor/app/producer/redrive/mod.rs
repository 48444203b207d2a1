//! Sending again what was rejected whole: the records are read where they stand in the raw topic, and appended to it
//! once each.
//!
//! Once, because a row is written before a record is sent and completed when the broker has it. A redrive that was
//! killed in between leaves rows of which nobody knows; the next one looks in the topic for the header that names the
//! rejected record's place, and completes or removes them before anything else. Should a request of the killed one
//! still be on its way then, NORMALIZE drops the second copy by its snapshot id.
//!
//! Must not know: SQL, Kafka's client library, command-line flags.

mod books;
mod plan;
mod raw_log;

use self::books::Books;
use self::plan::{rejected_for_key, unfit};
use self::raw_log::{REDRIVEN_FROM, RawLog, RawRecord};
use super::link::{self, ProducerError};
use crate::clock::elapsed_us;
use crate::driver::{Control, Signal};
use crate::kafka::KafkaSettings;
use crate::kafka::registry::{Registry, RegistryError};
use crate::kafka::sender::Sender;
use crate::postgres::redriven::{Candidate, RedriveClaim};
use crate::postgres::{PostgresError, PostgresSettings};
use rollcall_codec::messages;
use rollcall_domain::hash::partition_for;
use rollcall_domain::observation::SourceOffset;
use rollcall_stages::Reader;
use rollcall_stages::layout;
use std::collections::BTreeSet;
use std::time::Duration;

pub use self::plan::{LeftOut, RedrivePlan, RedriveSummary};
pub use self::raw_log::parse_place;

/// Records between two entries in the books: at most 128 MiB of them.
const BATCH: usize = 32;
/// How long acknowledgements of a batch are waited for.
const ACKNOWLEDGED_US: i64 = 60_000_000;
/// How often signals are looked for.
const STEP: Duration = Duration::from_millis(50);

/// Why a redrive can't go on.
#[derive(Debug, thiserror::Error)]
pub enum RedriveError {
    /// Someone else is at it.
    #[error("another redrive is running on this database; wait until it has ended")]
    Busy,
    /// Told to stop.
    #[error("stopped; what was begun is completed by the next redrive")]
    Stopped,
    /// Kafka does not do what it is asked.
    #[error(
        "can't {doing} at {brokers}: {detail}; run the same command again, nothing is sent twice"
    )]
    Kafka {
        /// As in "can't …".
        doing: &'static str,
        /// Where.
        brokers: String,
        /// What the client says.
        detail: String,
    },
    /// The producer can't be set up or a record is refused.
    #[error(transparent)]
    Producer(#[from] ProducerError),
    /// The database fails.
    #[error(transparent)]
    Postgres(#[from] PostgresError),
    /// The registry is away.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// A thread's runtime can't be made.
    #[error("the runtime for the database can't be made")]
    Runtime(#[from] std::io::Error),
}

/// Runs a redrive on the caller's thread, which must be no async one.
///
/// # Errors
/// See [`RedriveError`]. What was begun is completed by the next redrive.
pub fn run_redrive(
    kafka: &KafkaSettings,
    registry: &Registry,
    postgres: &PostgresSettings,
    plan: &RedrivePlan,
    control: &Control,
    on_progress: &mut dyn FnMut(&RedriveSummary),
) -> Result<RedriveSummary, RedriveError> {
    let topic = kafka.topic(layout::SNAPSHOTS.name);
    let mut redrive = Redrive {
        log: RawLog::new(kafka, &topic, control)?,
        sender: link::sender(kafka, "redrive")?,
        readers: Reader::new(),
        summary: RedriveSummary::default(),
        books: Books::open(postgres, &topic)?,
        brokers: &kafka.brokers,
        registry,
        plan,
        control,
    };
    redrive.complete_earlier()?;
    redrive.log.remember_ends(plan.partitions)?;
    redrive.go_on(on_progress)?;
    Ok(redrive.summary)
}

/// A record on its way back.
struct Letter {
    claim: RedriveClaim,
    key: Option<Vec<u8>>,
    record: RawRecord,
}

struct Redrive<'a> {
    books: Books<'a>,
    log: RawLog<'a>,
    sender: Sender,
    readers: Reader<messages::ProcessSnapshot>,
    registry: &'a Registry,
    brokers: &'a str,
    plan: &'a RedrivePlan,
    control: &'a Control,
    summary: RedriveSummary,
}

impl Redrive<'_> {
    /// Finds out what an earlier redrive that was ended has sent.
    fn complete_earlier(&mut self) -> Result<(), RedriveError> {
        let open = self.books.unconfirmed()?;
        let partitions: BTreeSet<i32> = open.iter().map(|claim| claim.target_partition).collect();
        for partition in partitions {
            let claims = || {
                open.iter()
                    .filter(|claim| claim.target_partition == partition)
            };
            let begin = self.log.begin(partition)?;
            let from = claims().map(|claim| claim.scan_from).min().unwrap_or(begin);
            let end = self.log.end(partition)?;
            let appended = self.log.redriven_between(partition, from.max(begin), end)?;
            let mut found = Vec::new();
            let mut unsent = Vec::new();
            for claim in claims() {
                match appended.get(&claim.source) {
                    Some(offset) => found.push((claim.source, *offset)),
                    None if claim.scan_from >= begin => unsent.push(claim.source),
                    None => self.summary.undecided += 1,
                }
            }
            self.summary.found += found.len() as u64;
            self.summary.unsent += unsent.len() as u64;
            self.books.confirm(&found)?;
            self.books.release(&unsent)?;
        }
        Ok(())
    }

    fn go_on(&mut self, on_progress: &mut dyn FnMut(&RedriveSummary)) -> Result<(), RedriveError> {
        let mut after = None;
        loop {
            on_progress(&self.summary);
            if self.control.signal() != Signal::Run {
                return Err(RedriveError::Stopped);
            }
            let mut candidates = self.books.candidates(self.plan, after)?;
            let Some(last) = candidates.last() else {
                return Ok(());
            };
            after = Some(last.source);
            // What this very run sends may be rejected again before it has ended.
            candidates.retain(|candidate| self.log.was_there(candidate.source));
            candidates.retain(|candidate| match unfit(candidate, self.plan.rekey) {
                None => true,
                Some(why) => {
                    *self.summary.left_out.entry(why).or_default() += 1;
                    false
                }
            });
            let mut letters = self.letters(&candidates)?;
            let room = self.plan.limit.saturating_sub(self.summary.sent);
            letters.truncate(usize::try_from(room).unwrap_or(usize::MAX));
            if !self.plan.dry_run {
                self.send(&letters)?;
            }
            self.summary.sent += letters.len() as u64;
            self.summary.rekeyed +=
                letters.iter().filter(|letter| letter.claim.rekeyed).count() as u64;
            if self.summary.sent >= self.plan.limit {
                on_progress(&self.summary);
                return Ok(());
            }
        }
    }

    fn leave_out(&mut self, why: LeftOut) {
        *self.summary.left_out.entry(why).or_default() += 1;
    }

    /// The records that stand where these were rejected, ready to be sent.
    fn letters(&mut self, candidates: &[Candidate]) -> Result<Vec<Letter>, RedriveError> {
        let places: Vec<SourceOffset> = candidates
            .iter()
            .map(|candidate| candidate.source)
            .collect();
        let records = self.log.read(&places)?;
        let mut letters = Vec::with_capacity(records.len());
        for (candidate, record) in candidates.iter().zip(records) {
            match record {
                Some(record) if record.timestamp_us == candidate.ingested_at.as_micros() => {
                    match self.letter(candidate, record)? {
                        Some(letter) => letters.push(letter),
                        None => self.leave_out(LeftOut::Unreadable),
                    }
                }
                Some(_) => self.leave_out(LeftOut::Replaced),
                None => {
                    let partition = candidate.source.partition;
                    let begin = self.log.begin(partition)?;
                    if candidate.source.offset < begin {
                        self.summary.begins.insert(partition, begin);
                        self.leave_out(LeftOut::Expired);
                    } else {
                        self.leave_out(LeftOut::Replaced);
                    }
                }
            }
        }
        Ok(letters)
    }

    /// `None`: a new key is wanted and can't be told.
    fn letter(
        &mut self,
        candidate: &Candidate,
        record: RawRecord,
    ) -> Result<Option<Letter>, RedriveError> {
        let rekeyed = rejected_for_key(&candidate.reason);
        let (key, target_partition) = if rekeyed {
            let Some(machine) = self.machine_id(&record)? else {
                return Ok(None);
            };
            let partition = partition_for(&machine, self.plan.partitions);
            (Some(machine), partition)
        } else {
            // Where the machine's other records are, whatever its producer's partitioner is.
            (record.key.clone(), candidate.source.partition)
        };
        let claim = RedriveClaim {
            source: candidate.source,
            target_partition,
            scan_from: self.log.end(target_partition)?,
            rekeyed,
        };
        Ok(Some(Letter { claim, key, record }))
    }

    fn machine_id(&mut self, record: &RawRecord) -> Result<Option<Vec<u8>>, RedriveError> {
        let (value, header) = (record.value.as_deref(), record.schema_header());
        while let Some(schema) = self.readers.needed(value, header) {
            let lookup = self.registry.lookup(&layout::SNAPSHOTS, schema)?;
            self.readers.learn(schema, &lookup);
        }
        let snapshot = self.readers.read(value, header).ok();
        Ok(snapshot.map(|snapshot| snapshot.machine.id.as_bytes().to_vec()))
    }

    /// Sends a batch: into the books, to the broker, into the books.
    fn send(&mut self, letters: &[Letter]) -> Result<(), RedriveError> {
        if letters.is_empty() {
            return Ok(());
        }
        let claims: Vec<RedriveClaim> = letters.iter().map(|letter| letter.claim).collect();
        self.books.claim(&claims)?;
        let mut refused = None;
        let mut unsent = Vec::new();
        for (tag, letter) in letters.iter().enumerate() {
            if let Err(error) = self.hand_over(letter, tag) {
                unsent.push(letter.claim.source);
                refused = Some(error);
            }
        }
        self.books.release(&unsent)?;
        let mut open = letters.len() - unsent.len();
        let deadline_us = elapsed_us() + ACKNOWLEDGED_US;
        while open > 0 {
            self.sender.poll(STEP);
            let mut appended = Vec::new();
            for delivery in self.sender.take_reports() {
                open -= 1;
                match delivery.place {
                    Ok(place) => appended.push((letters[delivery.tag].claim.source, place.offset)),
                    Err(detail) => refused = Some(self.trouble(detail)),
                }
            }
            self.books.confirm(&appended)?;
            if elapsed_us() >= deadline_us && open > 0 {
                return Err(self.trouble(format!("{open} records are not acknowledged")));
            }
        }
        refused.map_or(Ok(()), Err)
    }

    fn hand_over(&self, letter: &Letter, tag: usize) -> Result<(), RedriveError> {
        let SourceOffset { partition, offset } = letter.claim.source;
        let origin = format!("{}/{partition}/{offset}", self.books.topic);
        let mut headers = letter.record.headers.clone();
        headers.retain(|(key, _)| key != REDRIVEN_FROM);
        headers.push((REDRIVEN_FROM.to_owned(), Some(origin.into_bytes())));
        loop {
            let taken = self.sender.offer_with_headers(
                self.books.topic,
                Some(letter.claim.target_partition),
                letter.key.as_deref(),
                letter.record.value.as_deref(),
                &headers,
                tag,
            );
            match taken {
                Ok(true) => return Ok(()),
                Ok(false) => self.sender.poll(STEP),
                Err(error) => return Err(self.trouble(error.to_string())),
            }
        }
    }

    fn trouble(&self, detail: String) -> RedriveError {
        RedriveError::Kafka {
            doing: "send rejected records again",
            brokers: self.brokers.to_owned(),
            detail,
        }
    }
}
