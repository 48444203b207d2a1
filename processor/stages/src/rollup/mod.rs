//! ROLLUP: partial rollups to windows per user, faculty and application.
//!
//! Per record: note how far its upstream has come, merge its partials into the windows of every grain. Per
//! transaction: close what is due, write what changed (updates to SINK, absolute values and tombstones to the
//! state topic), one PROGRESS per updates topic, the task's own state.
//!
//! Invariants: a NORMALIZE transaction is folded whole or not at all, however its messages fall into ROLLUP's own
//! transactions, and once, however often they are read; stage time is the minimum over all upstream partitions; each updates topic partition gets its
//! PROGRESS last in every transaction, so that a reader who stops at one holds whole transactions.

mod grains;
mod seal;
mod state_key;

use crate::layout::{self, Partitions};
use crate::schemas::StageReaders;
use crate::stage::{Counted, Stage, StageError};
use crate::task_state;
use rollcall_codec::{Encoder, messages};
use rollcall_defects::{Defect, is_on};
use rollcall_domain::pipeline::{Partial, RollupPartials, RollupState, TaskState, Upstream};
use rollcall_domain::rollup::{Accumulator, GroupingSet};
use rollcall_domain::time::Timestamp;
use rollcall_domain::window::{Grain, Window};
use rollcall_engine::Processor;
use rollcall_engine::batch::Batch;
use rollcall_engine::record::{InputRecord, TopicIndex};
use rollcall_engine::stage_time::UpstreamTimes;
use rollcall_engine::windows::{Aggregate, GrainSpec, WindowLimits, Windows};
use state_key::parse_state_key;

/// Settings of a ROLLUP task.
#[derive(Clone, Debug)]
pub struct RollupConfig {
    /// The deployment's id.
    pub deployment: String,
    /// The partition of `rollup-partials` that the task reads.
    pub partition: i32,
    /// Partition counts.
    pub partitions: Partitions,
    /// The grains of each grouping set, finest first, in the order of `GroupingSet::ALL`.
    pub grains: [Vec<Grain>; 3],
    /// How long after its end a window of each grain stays open, in the order of `Grain::ALL`.
    pub grace_us: [i64; 3],
    /// Bounds on what is held and closed.
    pub limits: WindowLimits,
}

/// The engine's view of an accumulator.
#[derive(Clone, Debug, Default)]
struct Value(Accumulator);

impl Aggregate for Value {
    fn merge(&mut self, other: &Self) {
        self.0.merge(&other.0);
    }

    fn heap_bytes(&self) -> usize {
        self.0.heap_bytes()
    }
}

/// One ROLLUP task's logic and state.
pub struct RollupStage {
    config: RollupConfig,
    encoder: Encoder,
    readers: StageReaders<messages::RollupPartials, messages::RollupState>,
    windows: [Windows<Value>; 3],
    upstream: UpstreamTimes,
    /// Per upstream: messages of a transaction whose last message is not here yet.
    open: Vec<Option<OpenRun>>,
    /// Per grouping set and grain: the latest end of a window that was restored.
    restored_through: [[Timestamp; 3]; 3],
    state: TaskState,
}

/// The beginning of a NORMALIZE transaction.
struct OpenRun {
    /// The offset of its first message: a restored task must read from there again.
    first_offset: i64,
    partials: Vec<Partial<'static>>,
}

impl RollupStage {
    /// A task that has yet to be restored.
    #[must_use]
    pub fn new(config: RollupConfig, encoder: Encoder) -> Self {
        let mut state = task_state::fresh(
            &config.deployment,
            layout::ROLLUP,
            config.partition,
            config.partitions.rollups,
        );
        let upstreams = config.partitions.snapshots;
        state.upstream = (0..upstreams)
            .map(|partition| Upstream {
                partition,
                stage_time: Timestamp::MIN,
                next_offset: -1,
            })
            .collect();
        let windows = GroupingSet::ALL.map(|set| {
            let specs = config.grains[set as usize].iter().map(|grain| GrainSpec {
                length_us: grain.length_us(),
                grace_us: config.grace_us[*grain as usize],
                closed_through_us: None,
                counted_from_us: i64::MIN,
            });
            Windows::new(specs.collect(), config.limits)
        });
        Self {
            upstream: UpstreamTimes::new(upstreams as usize),
            open: (0..upstreams).map(|_| None).collect(),
            restored_through: [[Timestamp::MIN; 3]; 3],
            readers: StageReaders::new(layout::STATE_ROLLUP.index),
            config,
            encoder,
            windows,
            state,
        }
    }

    fn grain_index(&self, set: GroupingSet, grain: Grain) -> Option<usize> {
        self.config.grains[set as usize]
            .iter()
            .position(|known| *known == grain)
    }

    /// The raw partition count is part of what the state is of, too.
    fn check_upstreams(&self, found: &TaskState) -> Result<(), StageError> {
        let expected = self.config.partitions.snapshots;
        if found.upstream.iter().map(|u| u.partition).eq(0..expected) {
            return Ok(());
        }
        Err(StageError::ForeignState {
            stage: found.stage.clone(),
            partition: found.partition,
            what: "raw partition count",
            found: found.upstream.len().to_string(),
            expected: expected.to_string(),
        })
    }

    /// Refuses partials of another grain than the settings' finest.
    fn check_grains(&self, message: &RollupPartials<'_>, offset: i64) -> Result<(), StageError> {
        for partial in &message.partials {
            let set = partial.key.grouping_set();
            let grains = &self.config.grains[set as usize];
            if partial.window.grain != grains[0] {
                return Err(StageError::UnreadableInternal {
                    topic: layout::PARTIALS.name,
                    offset,
                    detail: format!(
                        "a partial of grain {} where rollup.grains.{} begins with {}; NORMALIZE and ROLLUP need the same settings",
                        partial.window.grain.as_str(),
                        set.as_str(),
                        grains[0].as_str()
                    ),
                });
            }
        }
        Ok(())
    }

    fn handle(&mut self, message: RollupPartials<'_>, offset: i64) -> Result<(), StageError> {
        let index = self.upstream_index(&message, offset)?;
        self.check_grains(&message, offset)?;
        // Partials come of raw records, so they move the offset: those that don't were folded before the restore.
        let is_new = message.next_offset > self.state.upstream[index].next_offset;
        if message.more {
            if is_new {
                let run = self.open[index].get_or_insert_with(|| OpenRun {
                    first_offset: offset,
                    partials: Vec::new(),
                });
                run.partials.extend(message.partials.into_iter().map(owned));
            }
            return Ok(());
        }
        if let Some(run) = self.open[index].take() {
            self.fold(run.partials);
        }
        let (next_offset, stage_time) = (message.next_offset, message.stage_time);
        if is_new {
            self.fold(message.partials);
        }
        self.report(index, next_offset, stage_time)
    }

    fn fold(&mut self, partials: Vec<Partial<'_>>) {
        let mut text = String::new();
        for partial in partials {
            text.clear();
            partial.key.write_text(&mut text);
            let windows = &mut self.windows[partial.key.grouping_set() as usize];
            let value = Value(partial.accumulator);
            windows.add(&text, partial.window.start.as_micros(), &value);
        }
    }

    /// The place of a message's upstream; `upstream`, `open` and the state's list have as many each.
    fn upstream_index(
        &self,
        message: &RollupPartials<'_>,
        offset: i64,
    ) -> Result<usize, StageError> {
        let unknown = || StageError::UnreadableInternal {
            topic: layout::PARTIALS.name,
            offset,
            detail: format!(
                "it comes from raw partition {}, of {}",
                message.source_partition, self.config.partitions.snapshots
            ),
        };
        usize::try_from(message.source_partition)
            .ok()
            .filter(|index| *index < self.state.upstream.len())
            .ok_or_else(unknown)
    }

    /// Notes how far an upstream has come.
    fn report(
        &mut self,
        index: usize,
        next_offset: i64,
        stage_time: Timestamp,
    ) -> Result<(), StageError> {
        let upstream = &mut self.state.upstream[index];
        upstream.next_offset = upstream.next_offset.max(next_offset);
        // An upstream that never saw a record has no stage time yet: it goes on counting as −∞.
        if stage_time != Timestamp::MIN {
            upstream.stage_time = upstream.stage_time.max(stage_time);
            self.upstream
                .observe(index, stage_time.as_micros())
                .map_err(|error| StageError::Invariant(error.to_string()))?;
        }
        Ok(())
    }
}

fn owned(partial: Partial<'_>) -> Partial<'static> {
    Partial {
        key: partial.key.into_owned(),
        window: partial.window,
        accumulator: partial.accumulator,
    }
}

impl Processor for RollupStage {
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
                self.check_upstreams(&found)?;
                self.state = found;
            }
            if is_on(Defect::ClosedThroughForgotten) {
                for closed in &mut self.state.closed_through {
                    closed.through = Timestamp::MIN;
                }
            }
            return Ok(());
        }
        let (set, grain, start, rollup_key) = parse_state_key(&text)
            .ok_or_else(|| StageError::unreadable(&text, "its key is of no known form"))?;
        let end = Window {
            grain,
            start: Timestamp::from_micros(start),
        }
        .end();
        let through = &mut self.restored_through[set as usize][grain as usize];
        *through = end.max(*through);
        // A grain that settings no longer name is forgotten; its rows stay as they are.
        let Some(grain) = self.grain_index(set, grain) else {
            return Ok(());
        };
        let value = match value {
            Some(value) => {
                let RollupState { accumulator, .. } =
                    self.readers
                        .states
                        .read(Some(value), None)
                        .map_err(|error| StageError::unreadable(&text, error))?;
                Some(Value(accumulator))
            }
            None => None,
        };
        self.windows[set as usize].restore(grain, start, rollup_key, value);
        Ok(())
    }

    fn restored(&mut self) -> Result<i64, StageError> {
        self.restore_grains();
        for windows in &self.windows {
            windows
                .finish_restore()
                .map_err(|error| StageError::Invariant(error.to_string()))?;
        }
        for upstream in &self.state.upstream {
            if upstream.stage_time != Timestamp::MIN {
                self.upstream
                    .observe(upstream.partition as usize, upstream.stage_time.as_micros())
                    .map_err(|error| StageError::Invariant(error.to_string()))?;
            }
        }
        Ok(self.state.next_offset)
    }

    fn process(&mut self, record: &InputRecord<'_>, _batch: &mut Batch) -> Result<(), StageError> {
        let message = self
            .readers
            .inputs
            .read(record.value, record.schema_header)
            .map_err(|error| StageError::UnreadableInternal {
                topic: layout::PARTIALS.name,
                offset: record.offset,
                detail: error.to_string(),
            })?;
        self.handle(message, record.offset)
    }

    fn seal(&mut self, next_offset: i64, batch: &mut Batch) -> Result<(), StageError> {
        let stage_time = self.upstream.now();
        self.state.sequence += 1;
        let open = self.open.iter().flatten().map(|run| run.first_offset);
        self.state.next_offset = open.fold(next_offset, i64::min);
        self.state.stage_time = stage_time.map_or(Timestamp::MIN, Timestamp::from_micros);
        for set in GroupingSet::ALL {
            let windows = &mut self.windows[set as usize];
            windows.advance(stage_time);
            if !is_on(Defect::EarlyClosingNotNoted) {
                windows.enforce_limit();
            }
            for closed in self
                .state
                .closed_through
                .iter_mut()
                .filter(|closed| closed.grouping_set == set)
            {
                let grain = self.config.grains[set as usize]
                    .iter()
                    .position(|grain| *grain == closed.grain);
                if let Some(through) =
                    grain.and_then(|grain| self.windows[set as usize].closed_through(grain))
                {
                    closed.through = Timestamp::from_micros(through);
                }
            }
            if is_on(Defect::EarlyClosingNotNoted) {
                self.windows[set as usize].enforce_limit();
            }
            if !is_on(Defect::ProgressTooEarly) {
                self.seal_set(set, batch)?;
            }
        }
        self.seal_progress(batch)?;
        if is_on(Defect::ProgressTooEarly) {
            for set in GroupingSet::ALL {
                self.seal_set(set, batch)?;
            }
        }
        Ok(())
    }

    fn committed(&mut self) {
        for windows in &mut self.windows {
            windows.commit();
        }
    }

    fn idle_append(&mut self, _append_time_us: i64) {
        // ROLLUP's time is its upstreams'; they report at least once a second.
    }

    fn pending_records(&self) -> usize {
        self.windows
            .iter()
            .map(|windows| 2 * windows.pending_changes())
            .sum()
    }
}

impl Stage for RollupStage {
    type Input = messages::RollupPartials;
    type State = messages::RollupState;

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
        self.windows.iter().map(Windows::live_entries).sum()
    }

    fn state_bytes(&self) -> usize {
        self.windows.iter().map(Windows::live_bytes).sum()
    }

    fn counters(&self) -> Vec<(Counted, u64)> {
        let sum = |of: fn(rollcall_engine::WindowCounters) -> u64| {
            self.windows.iter().map(|w| of(w.counters())).sum()
        };
        vec![
            (Counted::Corrections, sum(|c| c.corrections)),
            (Counted::EarlyClosings, sum(|c| c.early_closings)),
            (Counted::NotCounted, sum(|c| c.not_counted)),
        ]
    }
}
