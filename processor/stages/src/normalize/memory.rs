//! What NORMALIZE remembers of each machine: its latest CPU times and its latest snapshot ids.

use rollcall_defects::{Defect, is_on};
use rollcall_domain::hll::hash_bytes;
use rollcall_domain::pipeline::{MachineCpu, NormalizeState, RecentIds};
use rollcall_domain::snapshot::SnapshotId;
use rollcall_engine::overlay::Overlay;
use std::sync::Arc;

/// The latest accepted snapshot ids of one machine, in runs of [`RecentIds::CAPACITY`].
///
/// Runs are shared with the base until they change, so that a snapshot copies only the active one.
#[derive(Clone, Debug, Default)]
pub(crate) struct IdRing {
    /// How many ids were ever accepted.
    accepted: i64,
    /// Runs in ascending order of their first id; at most [`RecentIds::SLOTS`].
    runs: Vec<Arc<RecentIds>>,
}

impl IdRing {
    /// Whether `hash` is among the latest [`RecentIds::REMEMBERED`] ids.
    fn remembers(&self, hash: u64) -> bool {
        let oldest = self.accepted - RecentIds::REMEMBERED as i64;
        self.runs.iter().any(|run| {
            let skip = usize::try_from(oldest - run.first).unwrap_or(0);
            run.hashes
                .get(skip..)
                .is_some_and(|hashes| hashes.contains(&hash))
        })
    }

    /// Remembers `hash`; returns the slot whose run changed.
    fn push(&mut self, hash: u64) -> usize {
        let within = (self.accepted % RecentIds::CAPACITY as i64) as usize;
        if within == 0 || self.runs.is_empty() {
            if self.runs.len() == RecentIds::SLOTS {
                self.runs.remove(0);
            }
            let run = RecentIds {
                first: self.accepted,
                hashes: Vec::with_capacity(4),
            };
            self.runs.push(Arc::new(run));
        }
        if let Some(run) = self.runs.last_mut() {
            Arc::make_mut(run).hashes.push(hash);
        }
        self.accepted += 1;
        slot_of(self.accepted - 1)
    }

    fn restore(&mut self, run: RecentIds) {
        self.runs
            .retain(|known| slot_of(known.first) != slot_of(run.first));
        let end = run.first + run.hashes.len() as i64;
        self.accepted = self.accepted.max(end);
        let at = self.runs.partition_point(|known| known.first < run.first);
        self.runs.insert(at, Arc::new(run));
    }
}

/// The slot that the run holding the `index`th id of a machine is stored under.
fn slot_of(index: i64) -> usize {
    (index / RecentIds::CAPACITY as i64) as usize % RecentIds::SLOTS
}

/// All machines of one NORMALIZE task.
#[derive(Debug)]
pub(crate) struct Memory {
    cpu: Overlay<String, Arc<MachineCpu>>,
    ids: Overlay<String, IdRing>,
    /// Id runs changed in this transaction.
    changed_runs: Vec<(String, usize)>,
    /// Bytes of what is committed, about.
    committed_bytes: usize,
}

impl Memory {
    pub(crate) fn new() -> Self {
        Self {
            cpu: Overlay::new(),
            ids: Overlay::new(),
            changed_runs: Vec::new(),
            committed_bytes: 0,
        }
    }

    pub(crate) fn is_duplicate(&self, machine: &str, id: SnapshotId) -> bool {
        self.ids
            .get(machine)
            .is_some_and(|ring| ring.remembers(hash_of(id)))
    }

    pub(crate) fn cpu(&self, machine: &str) -> Option<&MachineCpu> {
        self.cpu.get(machine).map(|cpu| &**cpu)
    }

    /// Remembers an accepted snapshot. `cpu` is `None` where the snapshot came out of order.
    pub(crate) fn accept(&mut self, machine: &str, id: SnapshotId, cpu: Option<MachineCpu>) {
        let slot = self
            .ids
            .get_mut_or_insert_with(machine, IdRing::default)
            .push(hash_of(id));
        let is_last =
            |(known, known_slot): &(String, usize)| &**known == machine && *known_slot == slot;
        if !self.changed_runs.last().is_some_and(is_last) {
            self.changed_runs.push((machine.into(), slot));
        }
        if let Some(cpu) = cpu {
            self.cpu.insert(machine.into(), Arc::new(cpu));
        }
    }

    /// The state records that this transaction has to write, each key once.
    pub(crate) fn changes(&mut self) -> Vec<(String, NormalizeState)> {
        self.changed_runs.sort_unstable();
        self.changed_runs.dedup();
        if is_on(Defect::DedupeRunLost) {
            let last = self.changed_runs.len().saturating_sub(1);
            self.changed_runs.drain(..last);
        }
        let runs = self.changed_runs.iter().filter_map(|(machine, slot)| {
            let ring = self.ids.get(machine)?;
            let run = ring.runs.iter().find(|run| slot_of(run.first) == *slot)?;
            Some((
                ids_key(machine, *slot),
                NormalizeState::RecentIds(RecentIds::clone(run)),
            ))
        });
        let cpu = self.cpu.dirty().filter_map(|(machine, cpu)| {
            Some((
                cpu_key(machine),
                NormalizeState::Cpu(MachineCpu::clone(cpu?)),
            ))
        });
        runs.chain(cpu).collect()
    }

    pub(crate) fn commit(&mut self) {
        let added = grown(&self.cpu, cpu_bytes) + grown(&self.ids, ids_bytes);
        self.committed_bytes = self.committed_bytes.saturating_add_signed(added);
        self.cpu.commit();
        self.ids.commit();
        self.changed_runs.clear();
    }

    /// Takes a record of the state topic back; `None` is a tombstone.
    pub(crate) fn restore(&mut self, key: &str, state: Option<NormalizeState>) {
        match (parse_key(key), state) {
            (StateKey::Cpu(machine), Some(NormalizeState::Cpu(cpu))) => {
                self.cpu.restore(machine.into(), Some(Arc::new(cpu)));
            }
            (StateKey::Cpu(machine), _) => self.cpu.restore(machine.into(), None),
            (StateKey::Ids(machine, slot), state) => {
                let mut ring = self.ids.get(machine).cloned().unwrap_or_default();
                match state {
                    Some(NormalizeState::RecentIds(run)) => ring.restore(run),
                    _ => ring.runs.retain(|run| slot_of(run.first) != slot),
                }
                let ring = (!ring.runs.is_empty()).then_some(ring);
                self.ids.restore(machine.into(), ring);
            }
        }
    }

    /// The restore is over: what was taken back counts.
    pub(crate) fn finish_restore(&mut self) {
        let cpu = self
            .cpu
            .iter_committed()
            .map(|(key, cpu)| cpu_bytes(key, cpu));
        let ids = self
            .ids
            .iter_committed()
            .map(|(key, ids)| ids_bytes(key, ids));
        self.committed_bytes = cpu.chain(ids).sum();
    }

    pub(crate) fn machines(&self) -> usize {
        self.ids.len()
    }

    /// Bytes of what is committed, about.
    pub(crate) fn bytes(&self) -> usize {
        self.committed_bytes
    }
}

fn cpu_bytes(machine: &str, cpu: &Arc<MachineCpu>) -> usize {
    machine.len() + size_of::<MachineCpu>() + size_of_val(&*cpu.processes)
}

fn ids_bytes(machine: &str, ring: &IdRing) -> usize {
    let run = |run: &Arc<RecentIds>| size_of::<RecentIds>() + size_of_val(&*run.hashes);
    machine.len() + size_of::<IdRing>() + ring.runs.iter().map(run).sum::<usize>()
}

/// How many bytes the open transaction adds to what is committed.
fn grown<V: Clone>(state: &Overlay<String, V>, bytes: fn(&str, &V) -> usize) -> isize {
    let of =
        |key: &str, value: Option<&V>| value.map_or(0, |value| bytes(key, value)).cast_signed();
    let change =
        |(key, value): (&String, Option<&V>)| of(key, value) - of(key, state.committed(key));
    state.dirty().map(change).sum()
}

const IDS: &str = "/ids/";
const CPU: &str = "/cpu";

/// What a state key stands for.
enum StateKey<'a> {
    Cpu(&'a str),
    Ids(&'a str, usize),
}

fn ids_key(machine: &str, slot: usize) -> String {
    format!("{machine}{IDS}{slot}")
}

/// The machine's id; one that could be read as a key of ids gets an ending that no such key has.
fn cpu_key(machine: &str) -> String {
    let ending = if machine.contains(IDS) { CPU } else { "" };
    format!("{machine}{ending}")
}

/// The inverse of [`ids_key`] and [`cpu_key`].
fn parse_key(key: &str) -> StateKey<'_> {
    let Some((machine, slot)) = key.rsplit_once(IDS) else {
        return StateKey::Cpu(key);
    };
    match (slot.parse(), key.strip_suffix(CPU)) {
        (_, Some(machine)) => StateKey::Cpu(machine),
        (Ok(slot), None) => StateKey::Ids(machine, slot),
        (Err(_), None) => StateKey::Cpu(key),
    }
}

fn hash_of(id: SnapshotId) -> u64 {
    hash_bytes(&id.0.to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(count: u128) -> Memory {
        let mut memory = Memory::new();
        for id in 0..count {
            assert!(
                !memory.is_duplicate("m", SnapshotId(id)),
                "{id} was never sent"
            );
            memory.accept("m", SnapshotId(id), None);
        }
        memory
    }

    #[test]
    fn exactly_the_latest_1024_ids_are_remembered() {
        for count in [1, 63, 64, 65, 1023, 1024, 1025, 1087, 1088, 1089, 5000] {
            let memory = filled(count);
            for id in 0..count {
                let expect = id + 1024 >= count;
                assert_eq!(
                    memory.is_duplicate("m", SnapshotId(id)),
                    expect,
                    "id {id} of {count}"
                );
            }
        }
    }

    #[test]
    fn a_restored_ring_remembers_the_same() {
        for count in [1u128, 64, 65, 1100, 2400] {
            let mut memory = Memory::new();
            let mut topic = std::collections::BTreeMap::new();
            for id in 0..count {
                memory.accept("m", SnapshotId(id), None);
                if id % 7 == 0 || id + 1 == count {
                    topic.extend(memory.changes());
                    memory.commit();
                }
            }
            let mut restored = Memory::new();
            for (key, state) in topic {
                restored.restore(&key, Some(state));
            }
            for id in 0..count + 1 {
                assert_eq!(
                    restored.is_duplicate("m", SnapshotId(id)),
                    memory.is_duplicate("m", SnapshotId(id)),
                    "id {id} of {count}"
                );
            }
        }
    }

    #[test]
    fn bytes_after_commits_and_after_a_restore_are_the_same() {
        let mut memory = Memory::new();
        let mut topic = std::collections::BTreeMap::new();
        for id in 0..1500 {
            let cpu = MachineCpu {
                event_at: rollcall_domain::Timestamp::from_micros(0),
                processes: vec![
                    rollcall_domain::pipeline::ProcessCpu {
                        pid: 1,
                        name_hash: 0,
                        created_at: None,
                        cpu_time_us: 0,
                    };
                    id as usize % 3
                ],
            };
            memory.accept(["m", "n"][id as usize % 2], SnapshotId(id), Some(cpu));
            topic.extend(memory.changes());
            memory.commit();
        }
        let mut restored = Memory::new();
        for (key, state) in topic {
            restored.restore(&key, Some(state));
        }
        restored.finish_restore();
        assert!(memory.bytes() > 1500 * 8);
        assert_eq!(memory.bytes(), restored.bytes());
    }

    #[test]
    fn a_transaction_writes_only_the_runs_that_it_changed() {
        let mut memory = filled(100);
        memory.commit();
        memory.accept("m", SnapshotId(1000), None);
        let keys: Vec<_> = memory.changes().into_iter().map(|(key, _)| key).collect();
        assert_eq!(keys, ["m/ids/1"]);
    }
}
