//! What is remembered of each machine while one raw partition is read: its latest ids and its latest CPU times.

use crate::cpu::Sighting;
use hashbrown::{HashMap, HashSet};
use rollcall_domain::SnapshotId;
use std::collections::VecDeque;

/// A repeated id is recognized among so many of its machine's latest accepted ids.
pub(crate) const IDS_REMEMBERED: usize = 1024;

/// One machine.
#[derive(Debug, Default)]
struct Machine {
    order: VecDeque<SnapshotId>,
    known: HashSet<SnapshotId>,
    cpu: Option<Sighting>,
}

/// All machines of one raw partition.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    machines: HashMap<String, Machine>,
}

impl Memory {
    pub(crate) fn is_repeated(&self, machine: &str, id: SnapshotId) -> bool {
        self.machines
            .get(machine)
            .is_some_and(|machine| machine.known.contains(&id))
    }

    pub(crate) fn cpu(&self, machine: &str) -> Option<&Sighting> {
        self.machines.get(machine)?.cpu.as_ref()
    }

    /// How many ids of a machine are remembered.
    pub(crate) fn ids(&self, machine: &str) -> usize {
        self.machines
            .get(machine)
            .map_or(0, |machine| machine.order.len())
    }

    /// Remembers an accepted snapshot; `cpu` is `None` where it is not later than the one that is remembered.
    pub(crate) fn accept(&mut self, machine: &str, id: SnapshotId, cpu: Option<Sighting>) {
        let machine = self.machines.entry_ref(machine).or_default();
        if machine.known.insert(id) {
            machine.order.push_back(id);
        }
        if machine.order.len() > IDS_REMEMBERED
            && let Some(oldest) = machine.order.pop_front()
        {
            machine.known.remove(&oldest);
        }
        if cpu.is_some() {
            machine.cpu = cpu;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_the_latest_1024_ids_are_remembered() {
        for count in [1, 63, 64, 65, 1023, 1024, 1025, 1087, 1088, 1089, 5000] {
            let mut memory = Memory::default();
            for id in 0..count {
                assert!(!memory.is_repeated("m", SnapshotId(id)));
                memory.accept("m", SnapshotId(id), None);
            }
            for id in 0..count {
                let expect = id + 1024 >= count;
                assert_eq!(
                    memory.is_repeated("m", SnapshotId(id)),
                    expect,
                    "{id} of {count}"
                );
                assert!(!memory.is_repeated("n", SnapshotId(id)));
            }
        }
    }
}
