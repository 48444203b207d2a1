//! What follows from a snapshot as the tables record it, where its raw record is gone or was read by other rules.

use crate::cpu::Sighting;
use crate::details::Users;
use crate::fold::{Contributed, Counted};
use crate::memory::Memory;
use crate::stored::{StoredProcess, StoredSnapshot};
use crate::users::User;
use hashbrown::HashMap;
use rollcall_domain::{Os, SnapshotId};

/// What is to be remembered of an accepted snapshot.
#[derive(Debug)]
pub(crate) struct Remember {
    pub(crate) machine: String,
    pub(crate) id: SnapshotId,
    pub(crate) cpu: Option<Sighting>,
}

/// The CPU deltas that are recorded, by pid.
pub(crate) fn deltas(row: &StoredSnapshot) -> HashMap<i32, i64> {
    let delta = |process: &StoredProcess| Some((process.pid, process.cpu_delta_us?));
    row.processes.iter().filter_map(delta).collect()
}

/// What a recorded snapshot leaves in its machine's memory.
pub(crate) fn remember(row: &StoredSnapshot, memory: &Memory) -> Option<Remember> {
    let machine = row.machine_id.clone()?;
    let is_later = memory
        .cpu(&machine)
        .is_none_or(|before| row.event_at > before.event_at);
    Some(Remember {
        cpu: is_later.then(|| Sighting::recorded(row.event_at, &row.processes)),
        id: row.snapshot_id,
        machine,
    })
}

/// What a recorded snapshot contributes; `None` where a key points nowhere, or only the machine's table knows its system.
pub(crate) fn contribution(row: &StoredSnapshot) -> Option<Contributed<'_>> {
    let mut users = Users::default();
    let mut processes = Vec::with_capacity(row.processes.len());
    for process in &row.processes {
        let (owner, command) = (process.owner.as_ref()?, process.command.as_ref()?);
        let user = User {
            name: owner.user_name.clone(),
            faculty: owner.faculty.clone(),
        };
        let kib = process.memory_usage_kib.map(|kib| i64::from(kib) * 1024);
        processes.push(Counted {
            user: users.index_of(user),
            application: &command.application,
            cpu_delta_us: process.cpu_delta_us,
            memory_bytes: process.memory_usage_bytes.or(kib),
        });
    }
    if let (true, Some(name), Some(faculty)) = (processes.is_empty(), &row.user_name, &row.faculty)
    {
        users.index_of(User {
            name: name.clone(),
            faculty: faculty.clone(),
        });
    }
    Some(Contributed {
        source: row.source,
        machine: row.machine_id.as_deref()?,
        os: Os::parse(row.os.as_deref()?)?,
        event_at: row.event_at,
        users: users.into_vec(),
        processes,
    })
}
