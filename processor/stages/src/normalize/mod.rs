//! NORMALIZE: raw snapshots to observations, partial rollups and dead letters.
//!
//! Per record: decode, check the key and the clock, drop repeated ids, parse, take CPU deltas, resolve users,
//! emit. Per transaction: the partial rollups, the changed state, the task's own state.
//!
//! Invariants: `read = accepted + duplicate + rejected` after every record; a record that is rejected changes
//! nothing but counts; every raw record ends as exactly one of the three.

mod accept;
mod memory;
mod partials;

use crate::layout::{self, Partitions};
use crate::schemas::StageReaders;
use crate::stage::{Counted, Stage, StageError};
use crate::task_state;
use accept::{Accepted, Material, Rejected};
use memory::Memory;
use partials::Partials;
use rollcall_codec::{Encoder, messages};
use rollcall_defects::{Defect, is_on};
use rollcall_domain::observation::SourceOffset;
use rollcall_domain::pipeline::{DeadLetter, Partial, Rejection, RollupPartials, TaskState};
use rollcall_domain::snapshot::{Snapshot, SnapshotId};
use rollcall_domain::time::Timestamp;
use rollcall_domain::window::Grain;
use rollcall_domain::{Directory, RejectionReason, RollupKey};
use rollcall_engine::Processor;
use rollcall_engine::batch::Batch;
use rollcall_engine::record::{InputRecord, OutputRecord, TopicIndex};
use rollcall_engine::stage_time::StageTime;
use rollcall_normalize::limits::MAX_NAME_BYTES;
use rollcall_normalize::{ApplicationRules, LineError, NullReason};
use std::borrow::Cow;
use std::sync::Arc;

/// Bytes of a rejected record or line that a dead letter keeps.
pub const DEAD_LETTER_RAW_BYTES: usize = 4096;
/// Bytes of partials that one message holds, about.
pub const PARTIALS_MESSAGE_BYTES: usize = 384 * 1024;
/// Dead letters for lines of one snapshot; further ones are counted only.
pub const LINE_LETTERS_PER_SNAPSHOT: usize = 1000;
/// Bytes of a machine id, user, faculty or application. They are keys, and stand in several messages.
pub const NAME_BYTES_MAX: usize = 16 * 1024;
/// Bytes of a machine id, which stands behind an owner where that is no user known elsewhere.
pub const MACHINE_ID_BYTES_MAX: usize = 8 * 1024;

const _: () = assert!(
    MACHINE_ID_BYTES_MAX + 1 + MAX_NAME_BYTES <= NAME_BYTES_MAX,
    "no owner or application of a process costs more than its line"
);

const _: () = assert!(
    PARTIALS_MESSAGE_BYTES + 4 * NAME_BYTES_MAX < 512 * 1024,
    "a batch of partials stays below 512 KiB"
);

/// Settings of a NORMALIZE task.
#[derive(Clone, Debug)]
pub struct NormalizeConfig {
    /// The deployment's id.
    pub deployment: String,
    /// The raw partition that the task reads.
    pub partition: i32,
    /// Partition counts.
    pub partitions: Partitions,
    /// The raw topic's full name, for dead letters.
    pub source_topic: String,
    /// A clock may be this far ahead of the broker's.
    pub future_tolerance_us: i64,
    /// How old a snapshot may be when it arrives.
    pub acceptance_us: i64,
    /// Whether the command output goes to the tables.
    pub store_command_output: bool,
    /// The finest grain of each grouping set, in the order of `GroupingSet::ALL`.
    pub finest_grains: [Grain; 3],
    /// The largest message that a derived topic takes.
    pub max_message_bytes: usize,
}

/// One NORMALIZE task's logic and state.
pub struct NormalizeStage {
    config: NormalizeConfig,
    rules: Arc<ApplicationRules>,
    encoder: Encoder,
    readers: StageReaders<messages::ProcessSnapshot, messages::MachineState>,
    directory: Arc<dyn Directory + Send + Sync>,
    memory: Memory,
    partials: Partials,
    time: StageTime,
    state: TaskState,
    /// Records rejected whole since this task was restored, by reason.
    rejected: Vec<(RejectionReason, u64)>,
    /// Rows since then with a value that is null for a reason, by [`NullReason::ALL`].
    nulls: [u64; NullReason::ALL.len()],
}

impl NormalizeStage {
    /// A task that has yet to be restored.
    pub fn new(
        config: NormalizeConfig,
        rules: Arc<ApplicationRules>,
        encoder: Encoder,
        directory: Arc<dyn Directory + Send + Sync>,
    ) -> Self {
        let state = task_state::fresh(
            &config.deployment,
            layout::NORMALIZE,
            config.partition,
            config.partitions.snapshots,
        );
        Self {
            partials: Partials::new(config.finest_grains),
            readers: StageReaders::new(layout::STATE_NORMALIZE.index),
            memory: Memory::new(),
            time: StageTime::default(),
            rejected: Vec::new(),
            nulls: [0; NullReason::ALL.len()],
            config,
            rules,
            encoder,
            directory,
            state,
        }
    }

    /// Takes a newer directory from here on.
    pub fn set_directory(&mut self, directory: Arc<dyn Directory + Send + Sync>) {
        self.directory = directory;
    }

    fn decode<'a>(&self, record: &InputRecord<'a>) -> Result<Snapshot<'a>, Rejected> {
        self.readers
            .inputs
            .read(record.value, record.schema_header)
            .map_err(|error| Rejected::new(error.reason(), error.detail()))
    }

    /// One record up to its place in the batch.
    fn take(&mut self, record: &InputRecord<'_>, batch: &mut Batch) -> Result<(), NotTaken> {
        let bare = |rejected| NotTaken::Rejected(rejected, Origin::default());
        let ingested_at = Timestamp::from_micros(record.timestamp_us);
        let snapshot = self.decode(record).map_err(bare)?;
        accept::check_machine(&snapshot).map_err(bare)?;
        let origin = || Origin {
            machine_id: Some(snapshot.machine.id.clone().into_owned()),
            snapshot_id: Some(snapshot.id),
        };
        let with_origin = |rejected| NotTaken::Rejected(rejected, origin());
        accept::check_key(record.key, &snapshot).map_err(with_origin)?;
        let event_at = accept::event_time(snapshot.observed_at, ingested_at, &self.config)
            .map_err(with_origin)?;
        if self.memory.is_duplicate(&snapshot.machine.id, snapshot.id) {
            return Err(NotTaken::Duplicate);
        }
        let rules = Arc::clone(&self.rules);
        let text = accept::payload_text(&snapshot.payload).map_err(with_origin)?;
        let listing =
            accept::parse(&snapshot, text.as_deref(), event_at, &rules).map_err(with_origin)?;
        let accepted = accept::assemble(
            Material {
                snapshot: &snapshot,
                listing,
                source: SourceOffset {
                    partition: record.partition,
                    offset: record.offset,
                },
                ingested_at,
                event_at,
                counts: self.state.counts,
                previous_cpu: self.memory.cpu(&snapshot.machine.id),
                rules_digest: rules.digest(),
                store_command_output: self.config.store_command_output,
            },
            &*self.directory,
        );
        self.emit(&accepted, batch).map_err(with_origin)?;
        self.emit_line_letters(&snapshot, &accepted, batch)
            .map_err(NotTaken::Failed)?;
        for null in &accepted.nulls {
            self.nulls[null.reason as usize] += u64::from(null.rows);
        }
        self.memory
            .accept(&snapshot.machine.id, snapshot.id, accepted.next_cpu);
        Ok(())
    }

    fn emit(&mut self, accepted: &Accepted<'_>, batch: &mut Batch) -> Result<(), Rejected> {
        let observations = &accepted.observations;
        accept::check_names(observations)?;
        let mut value = Vec::with_capacity(1024 + observations.observations.len() * 128);
        self.encoder
            .encode_observations(observations, &mut value)
            .map_err(|error| Rejected::new(RejectionReason::InvalidField, error.to_string()))?;
        if value.len() > self.config.max_message_bytes {
            return Err(Rejected::new(
                RejectionReason::TooLarge,
                format!(
                    "its observations take {} bytes; a message holds {}",
                    value.len(),
                    self.config.max_message_bytes
                ),
            ));
        }
        self.state.counts = observations.counts;
        self.partials.add(observations);
        batch.push(OutputRecord {
            topic: layout::OBSERVATIONS.index,
            partition: self.config.partition,
            key: Some(observations.machine.id.as_bytes().to_vec()),
            value: Some(value),
        });
        Ok(())
    }

    fn emit_line_letters(
        &mut self,
        snapshot: &Snapshot<'_>,
        accepted: &Accepted<'_>,
        batch: &mut Batch,
    ) -> Result<(), StageError> {
        let observations = &accepted.observations;
        for line in accepted
            .rejected_lines
            .iter()
            .take(LINE_LETTERS_PER_SNAPSHOT)
        {
            let LineError {
                line,
                reason,
                detail,
                raw,
            } = line;
            self.push_letter(
                &DeadLetter {
                    rejection: Rejection::Line(*reason, i64::from(*line)),
                    detail: Cow::Borrowed(detail),
                    source_topic: Cow::Owned(self.config.source_topic.clone()),
                    source: observations.source,
                    ingested_at: observations.ingested_at,
                    machine_id: Some(snapshot.machine.id.clone()),
                    snapshot_id: Some(snapshot.id),
                    raw: Cow::Borrowed(&raw[..raw.len().min(DEAD_LETTER_RAW_BYTES)]),
                    raw_length: raw.len() as i64,
                },
                batch,
            )?;
        }
        Ok(())
    }

    fn reject(
        &mut self,
        record: &InputRecord<'_>,
        rejected: &Rejected,
        origin: Origin,
        batch: &mut Batch,
    ) -> Result<(), StageError> {
        self.state.counts.snapshots_rejected += 1;
        match self
            .rejected
            .iter_mut()
            .find(|(reason, _)| *reason == rejected.reason)
        {
            Some((_, count)) => *count += 1,
            None => self.rejected.push((rejected.reason, 1)),
        }
        let raw = record.value.unwrap_or_default();
        self.push_letter(
            &DeadLetter {
                rejection: Rejection::Record(rejected.reason),
                detail: Cow::Borrowed(&rejected.detail),
                source_topic: Cow::Owned(self.config.source_topic.clone()),
                source: SourceOffset {
                    partition: record.partition,
                    offset: record.offset,
                },
                ingested_at: Timestamp::from_micros(record.timestamp_us),
                machine_id: origin.machine_id.map(Cow::Owned),
                snapshot_id: origin.snapshot_id,
                raw: Cow::Borrowed(&raw[..raw.len().min(DEAD_LETTER_RAW_BYTES)]),
                raw_length: raw.len() as i64,
            },
            batch,
        )
    }

    fn push_letter(
        &mut self,
        letter: &DeadLetter<'_>,
        batch: &mut Batch,
    ) -> Result<(), StageError> {
        let mut value = Vec::with_capacity(256 + letter.raw.len());
        self.encoder
            .encode_dead_letter(letter, &mut value)
            .map_err(StageError::unencodable)?;
        let SourceOffset { partition, offset } = letter.source;
        batch.push(OutputRecord {
            topic: layout::DEAD_LETTERS.index,
            partition: self.config.partition,
            key: Some(format!("{partition}/{offset}").into_bytes()),
            value: Some(value),
        });
        Ok(())
    }

    fn seal_partials(&mut self, next_offset: i64, batch: &mut Batch) -> Result<(), StageError> {
        let stage_time = self.state.stage_time;
        for (target, partials) in self
            .partials
            .take(self.config.partitions.rollups)
            .into_iter()
            .enumerate()
        {
            if partials.is_empty() && is_on(Defect::EmptyPartialsLeftOut) {
                continue;
            }
            let runs = split(partials);
            let last = runs.len() - 1;
            for (index, partials) in runs.into_iter().enumerate() {
                let message = RollupPartials {
                    source_partition: self.config.partition,
                    next_offset,
                    stage_time,
                    more: index < last,
                    partials,
                };
                let mut value = Vec::new();
                self.encoder
                    .encode_partials(&message, &mut value)
                    .map_err(StageError::unencodable)?;
                batch.push(OutputRecord {
                    topic: layout::PARTIALS.index,
                    partition: target as i32,
                    key: Some(self.config.partition.to_string().into_bytes()),
                    value: Some(value),
                });
            }
        }
        Ok(())
    }

    fn seal_state(&mut self, batch: &mut Batch) -> Result<(), StageError> {
        for (key, state) in self.memory.changes() {
            let mut value = Vec::new();
            self.encoder
                .encode_normalize_state(&state, &mut value)
                .map_err(StageError::unencodable)?;
            batch.push(OutputRecord {
                topic: layout::STATE_NORMALIZE.index,
                partition: self.config.partition,
                key: Some(key.into_bytes()),
                value: Some(value),
            });
        }
        let partition = layout::normalize_task_partition(self.config.partition);
        task_state::write(&self.state, partition, &mut self.encoder, batch)
    }
}

/// Why a record does not end as an accepted snapshot.
enum NotTaken {
    /// Its snapshot was accepted before.
    Duplicate,
    /// It becomes a dead letter.
    Rejected(Rejected, Origin),
    /// The task can't go on.
    Failed(StageError),
}

/// What is known of a rejected record's origin.
#[derive(Default)]
struct Origin {
    machine_id: Option<String>,
    snapshot_id: Option<SnapshotId>,
}

/// Bytes of a key's names.
fn name_bytes(key: &RollupKey<'_>) -> usize {
    match key {
        RollupKey::User(name) | RollupKey::Faculty(name) => name.len(),
        RollupKey::Application {
            faculty,
            application,
            ..
        } => faculty.len() + application.len(),
    }
}

/// Cuts partials into messages of bounded size; always at least one, perhaps empty.
fn split(partials: Vec<Partial<'static>>) -> Vec<Vec<Partial<'static>>> {
    let mut runs = vec![Vec::new()];
    let mut bytes = 0;
    for partial in partials {
        // The accumulator's heap bytes are an upper bound of what it takes on the wire, but for its fixed part.
        let size = partial.accumulator.heap_bytes() + name_bytes(&partial.key) + 192;
        if bytes + size > PARTIALS_MESSAGE_BYTES && bytes > 0 {
            runs.push(Vec::new());
            bytes = 0;
        }
        bytes += size;
        if let Some(run) = runs.last_mut() {
            run.push(partial);
        }
    }
    runs
}

impl Processor for NormalizeStage {
    type Error = StageError;

    fn restore(
        &mut self,
        source: TopicIndex,
        key: &[u8],
        value: Option<&[u8]>,
    ) -> Result<(), StageError> {
        let text = String::from_utf8_lossy(key);
        if source == layout::TASK_STATE.index {
            let found = task_state::read(&self.readers.task_states, &text, value, &self.state)?;
            if let Some(found) = found {
                self.state = found;
            }
            if is_on(Defect::CountsLostOnRestore) {
                self.state.counts = Default::default();
            }
            return Ok(());
        }
        let state = match value {
            Some(value) => Some(
                self.readers
                    .states
                    .read(Some(value), None)
                    .map_err(|error| StageError::unreadable(&text, error))?,
            ),
            None => None,
        };
        if is_on(Defect::DedupeLostOnRestore) && text.contains("/ids/") {
            return Ok(());
        }
        self.memory.restore(&text, state);
        Ok(())
    }

    fn restored(&mut self) -> Result<i64, StageError> {
        self.memory.finish_restore();
        if self.state.stage_time != Timestamp::MIN {
            self.time.handle_record(self.state.stage_time.as_micros());
        }
        Ok(self.state.next_offset)
    }

    fn process(&mut self, record: &InputRecord<'_>, batch: &mut Batch) -> Result<(), StageError> {
        self.time.handle_record(record.timestamp_us);
        self.state.counts.snapshots_read += 1;
        match self.take(record, batch) {
            Ok(()) => {}
            Err(NotTaken::Duplicate) => self.state.counts.snapshots_duplicate += 1,
            Err(NotTaken::Rejected(rejected, origin)) => {
                self.reject(record, &rejected, origin, batch)?;
            }
            Err(NotTaken::Failed(error)) => return Err(error),
        }
        if !self.state.counts.balanced() {
            return Err(StageError::Invariant(format!(
                "the books of a task don't balance: {:?}",
                self.state.counts
            )));
        }
        Ok(())
    }

    fn seal(&mut self, next_offset: i64, batch: &mut Batch) -> Result<(), StageError> {
        self.state.sequence += 1;
        self.state.next_offset = next_offset;
        self.state.stage_time = self
            .time
            .now()
            .map_or(Timestamp::MIN, Timestamp::from_micros);
        self.seal_partials(next_offset, batch)?;
        self.seal_state(batch)
    }

    fn committed(&mut self) {
        self.memory.commit();
    }

    fn idle_append(&mut self, append_time_us: i64) {
        if !is_on(Defect::IdleTimeForgotten) {
            self.time.handle_idle_append(append_time_us);
        }
    }
}

impl Stage for NormalizeStage {
    type Input = messages::ProcessSnapshot;
    type State = messages::MachineState;

    fn readers(&self) -> &StageReaders<Self::Input, Self::State> {
        &self.readers
    }

    fn readers_mut(&mut self) -> &mut StageReaders<Self::Input, Self::State> {
        &mut self.readers
    }

    fn task_state(&self) -> &TaskState {
        &self.state
    }

    fn state_entries(&self) -> usize {
        self.memory.machines()
    }

    fn state_bytes(&self) -> usize {
        self.memory.bytes()
    }

    fn counters(&self) -> Vec<(Counted, u64)> {
        let rejected = self
            .rejected
            .iter()
            .map(|(reason, count)| (Counted::Rejected(*reason), *count));
        let nulls = NullReason::ALL.into_iter().zip(self.nulls);
        let nulls = nulls.filter(|(_, count)| *count > 0);
        rejected
            .chain(nulls.map(|(reason, count)| (Counted::Null(reason), count)))
            .collect()
    }
}
