//! Accepted snapshots and their processes against `process_snapshots`, `process_observations` and what these point to;
//! and whom the processes count for, as the tables record it.

use crate::fold::{Contributed, Counted};
use crate::judge::{Accepted, Evidence};
use crate::names;
use crate::report::{AuditReport, Comparison, Subject};
use crate::stored::{StoredProcess, StoredSnapshot};
use crate::users::{self, User};
use hashbrown::HashMap;
use rollcall_domain::observation::SourceOffset;
use rollcall_domain::snapshot::CommandOutput;
use rollcall_domain::{Payload, Process, Snapshot};
use std::collections::BTreeMap;

/// An accepted snapshot with the CPU deltas of its processes.
pub(crate) struct Expected<'a, 'v> {
    pub(crate) accepted: &'a Accepted<'v>,
    pub(crate) evidence: &'a Evidence<'a>,
    pub(crate) deltas: &'a HashMap<i32, i64>,
    pub(crate) rules_digest: u64,
}

pub(crate) fn label(source: SourceOffset) -> String {
    format!("partition {} offset {}", source.partition, source.offset)
}

impl Expected<'_, '_> {
    /// Compares a snapshot's row, and its processes' rows.
    pub(crate) fn compare(&self, report: &mut AuditReport, found: &StoredSnapshot) {
        self.compare_snapshot(report, found);
        self.compare_processes(report, &found.processes);
    }

    fn compare_snapshot(&self, report: &mut AuditReport, found: &StoredSnapshot) {
        let Accepted {
            snapshot,
            event_at,
            listing,
            ..
        } = self.accepted;
        let ingested_at = names::time(self.evidence.ingested_at);
        let mut row = Comparison::new(Subject::Snapshots, || label(self.evidence.source));
        row.column("snapshot_id", snapshot.id, found.snapshot_id);
        row.column(
            "observed_at",
            names::time(snapshot.observed_at),
            found.observed_at,
        );
        row.column("event_at", names::time(*event_at), found.event_at);
        row.column("ingested_at", ingested_at, found.ingested_at);
        row.column("rules_digest", self.rules_digest, found.rules_digest);
        row.column(
            "lines_rejected",
            listing.rejected.len() as i64,
            found.lines_rejected,
        );
        row.column(
            "process_count",
            listing.processes.len() as i32,
            found.process_count,
        );
        let machine = names::name(&snapshot.machine.id);
        row.column("machine_id", Some(&*machine), found.machine_id.as_deref());
        row.column(
            "utc_offset_seconds",
            snapshot.utc_offset_seconds,
            found.utc_offset_seconds,
        );
        let command = names::optional(snapshot.command.as_deref());
        row.column("command", command.as_deref(), found.command.as_deref());
        let attributes: BTreeMap<String, String> = (snapshot.attributes.iter())
            .map(|(name, value)| {
                (
                    names::text(name).into_owned(),
                    names::text(value).into_owned(),
                )
            })
            .collect();
        row.column(
            "attributes",
            (!attributes.is_empty()).then_some(attributes),
            found.attributes.clone(),
        );
        // The day that the number names is the partition that the row stands in, and what retention goes by.
        row.column(
            "snapshot_number's day",
            ingested_at.day(),
            found.number >> 40,
        );
        self.compare_output(&mut row, found);
        self.compare_user(&mut row, found);
        report.compare(row);
    }

    /// Whether the output is stored is a setting: it is, or it is not.
    fn compare_output<R>(&self, row: &mut Comparison<R>, found: &StoredSnapshot) {
        if found.command_output.is_none() && found.command_output_encoding.is_none() {
            return;
        }
        let encoding = match &self.accepted.snapshot.payload {
            Payload::CommandOutput(CommandOutput { encoding, .. }) => encoding.as_deref(),
            _ => None,
        };
        let text = names::optional(self.accepted.text);
        row.column(
            "command_output",
            text.as_deref(),
            found.command_output.as_deref(),
        );
        let encoding = names::optional(encoding);
        row.column(
            "command_output_encoding",
            encoding.as_deref(),
            found.command_output_encoding.as_deref(),
        );
    }

    /// The user and faculty of a snapshot that has one of each.
    fn compare_user<R>(&self, row: &mut Comparison<R>, found: &StoredSnapshot) {
        if found.processes.len() != self.accepted.listing.processes.len() {
            // A process that is missing or too many is told of itself.
            return;
        }
        let recorded = |owner: &StoredProcess| {
            let owner = owner.owner.as_ref()?;
            Some((owner.user_name.clone(), owner.faculty.clone()))
        };
        let mut users: Vec<_> = found.processes.iter().filter_map(recorded).collect();
        users.sort_unstable();
        users.dedup();
        let stored = (found.user_name.as_deref(), found.faculty.as_deref());
        match (users.as_slice(), &self.accepted.snapshot.user) {
            ([(user, faculty)], _) => {
                row.column(
                    "user_name, faculty",
                    (Some(&**user), Some(&**faculty)),
                    stored,
                );
            }
            ([], Some(user)) if self.accepted.listing.processes.is_empty() => {
                row.column("user_name", Some(&*names::name(user)), stored.0);
                if let Some(faculty) = &self.accepted.snapshot.faculty {
                    row.column("faculty", Some(&*names::name(faculty)), stored.1);
                }
            }
            _ => row.column("user_name, faculty", (None::<&str>, None::<&str>), stored),
        }
    }

    fn compare_processes(&self, report: &mut AuditReport, found: &[StoredProcess]) {
        let mut by_pid: HashMap<i32, Vec<&StoredProcess>> = HashMap::with_capacity(found.len());
        for process in found {
            by_pid.entry(process.pid).or_default().push(process);
        }
        let source = self.evidence.source;
        let named = |pid: i32| format!("{} pid {pid}", label(source));
        for process in &self.accepted.listing.processes {
            let pid = process.pid;
            match by_pid.get_mut(&pid).and_then(Vec::pop) {
                Some(found) => self.compare_process(report, process, found),
                None => report.one_sided(
                    Subject::Processes,
                    true,
                    || named(pid),
                    &*process.executable_name,
                ),
            }
        }
        let mut left: Vec<&StoredProcess> = by_pid.into_values().flatten().collect();
        left.sort_unstable_by_key(|process| process.pid);
        for process in left {
            report.one_sided(Subject::Processes, false, || named(process.pid), "a row");
        }
    }

    fn compare_process(
        &self,
        report: &mut AuditReport,
        process: &Process<'_>,
        found: &StoredProcess,
    ) {
        let source = self.evidence.source;
        let mut row = Comparison::new(Subject::Processes, || {
            format!("{} pid {}", label(source), process.pid)
        });
        let created = process.created_at;
        let (usage_bytes, usage_kib) = split(process.memory_usage_bytes);
        let (virtual_bytes, virtual_kib) = split(process.memory_virtual_bytes);
        row.column("parent_pid", process.parent_pid, found.parent_pid);
        row.column(
            "created_at",
            created.map(|created| names::time(created.at)),
            found.created_at,
        );
        let precision = created.map(|created| created.precision.code());
        row.column("created_precision", precision, found.created_precision);
        row.column("cpu_time_us", process.cpu_time_us, found.cpu_time_us);
        row.column(
            "cpu_delta_us",
            self.deltas.get(&process.pid).copied(),
            found.cpu_delta_us,
        );
        row.column("memory_usage_bytes", usage_bytes, found.memory_usage_bytes);
        row.column("memory_usage_kib", usage_kib, found.memory_usage_kib);
        row.column(
            "memory_virtual_bytes",
            virtual_bytes,
            found.memory_virtual_bytes,
        );
        row.column("memory_virtual_kib", virtual_kib, found.memory_virtual_kib);
        row.column("thread_count", process.thread_count, found.thread_count);
        row.column(
            "state",
            process.state.map(|state| state.code()),
            found.state,
        );
        compare_command(&mut row, process, found);
        self.compare_owner(&mut row, process, found);
        report.compare(row);
    }

    /// The owner as printed, unless the snapshot has one user for all: then the owner's own name is not kept apart.
    fn compare_owner<R>(
        &self,
        row: &mut Comparison<R>,
        process: &Process<'_>,
        found: &StoredProcess,
    ) {
        let Some(recorded) = &found.owner else {
            row.differ("owner_key", "an owner", "none");
            return;
        };
        let owner = names::optional(process.owner.as_deref());
        row.column("owner", owner.as_deref(), recorded.owner.as_deref());
        let snapshot = self.accepted.snapshot;
        let owner = process.owner.as_deref();
        if users::identify(snapshot, owner, &recorded.user_name, &recorded.faculty).is_none() {
            let allowed = users::candidates(snapshot, owner).join(" or ");
            let faculty = snapshot.faculty.as_deref().unwrap_or("any faculty");
            row.differ(
                "user_name, faculty",
                format!("{allowed} of {faculty}"),
                format!("{} of {}", recorded.user_name, recorded.faculty),
            );
        }
    }

    /// What the snapshot contributes to rollups; `None` where the tables don't say whom its processes count for.
    pub(crate) fn contributed(&self, recorded: Option<&StoredSnapshot>) -> Option<Contributed<'_>> {
        let Accepted {
            snapshot,
            event_at,
            listing,
            ..
        } = self.accepted;
        let mut users = Users::default();
        let by_pid: HashMap<i32, &StoredProcess> = (recorded.iter())
            .flat_map(|recorded| &recorded.processes)
            .map(|process| (process.pid, process))
            .collect();
        let mut processes = Vec::with_capacity(listing.processes.len());
        let mut by_owner: HashMap<Option<&str>, User> = HashMap::new();
        for process in &listing.processes {
            let owner = process.owner.as_deref();
            if let Some(found) = by_pid
                .get(&process.pid)
                .and_then(|found| found.owner.as_ref())
                && let Some(user) =
                    users::identify(snapshot, owner, &found.user_name, &found.faculty)
            {
                by_owner.entry(owner).or_insert(user);
            }
        }
        for process in &listing.processes {
            let owner = process.owner.as_deref();
            let found = by_pid
                .get(&process.pid)
                .and_then(|found| found.owner.as_ref());
            // A row that is missing: another process of the same owner tells.
            let user = (users::known(snapshot, owner))
                .or_else(|| {
                    let found = found?;
                    users::identify(snapshot, owner, &found.user_name, &found.faculty)
                })
                .or_else(|| by_owner.get(&owner).cloned())
                .or_else(|| only_user(snapshot, owner, recorded?))?;
            processes.push(Counted {
                user: users.index_of(user),
                application: &process.application,
                cpu_delta_us: self.deltas.get(&process.pid).copied(),
                memory_bytes: process.memory_usage_bytes,
            });
        }
        if processes.is_empty() && snapshot.user.is_some() {
            let user =
                users::known(snapshot, None).or_else(|| only_user(snapshot, None, recorded?))?;
            users.index_of(user);
        }
        Some(Contributed {
            source: self.evidence.source,
            machine: &snapshot.machine.id,
            os: snapshot.machine.os,
            event_at: *event_at,
            users: users.into_vec(),
            processes,
        })
    }
}

/// The user of a snapshot whose row names one for all of it.
fn only_user(snapshot: &Snapshot<'_>, owner: Option<&str>, row: &StoredSnapshot) -> Option<User> {
    users::identify(
        snapshot,
        owner,
        row.user_name.as_deref()?,
        row.faculty.as_deref()?,
    )
}

/// Distinct users and their places. How many there are is the machine's choice, so none is compared with all.
#[derive(Default)]
pub(crate) struct Users(HashMap<User, usize>);

impl Users {
    pub(crate) fn index_of(&mut self, user: User) -> usize {
        let next = self.0.len();
        *self.0.entry(user).or_insert(next)
    }

    /// Each in its place.
    pub(crate) fn into_vec(self) -> Vec<User> {
        let mut users: Vec<_> = self.0.into_iter().collect();
        users.sort_unstable_by_key(|(_, place)| *place);
        users.into_iter().map(|(user, _)| user).collect()
    }
}

/// Bytes, or KiB where they are whole and an `integer` holds them.
fn split(bytes: Option<i64>) -> (Option<i64>, Option<i32>) {
    let kib = bytes
        .filter(|bytes| bytes % 1024 == 0)
        .map(|bytes| bytes / 1024);
    match kib.and_then(|kib| i32::try_from(kib).ok()) {
        Some(kib) => (None, Some(kib)),
        None => (bytes, None),
    }
}

/// What runs: the application, the executable, the command line and its script.
fn compare_command<R>(row: &mut Comparison<R>, process: &Process<'_>, found: &StoredProcess) {
    let Some(command) = &found.command else {
        row.differ("command_line_key", "a command line", "none");
        return;
    };
    let path = names::optional(process.executable_path.as_deref());
    let line = names::optional(process.command_line.as_deref());
    row.column(
        "application",
        &*names::name(&process.application),
        &*command.application,
    );
    row.column(
        "executable_name",
        &*names::text(&process.executable_name),
        &*command.executable_name,
    );
    row.column(
        "executable_path",
        path.as_deref(),
        command.executable_path.as_deref(),
    );
    row.column(
        "command_line",
        line.as_deref(),
        command.command_line.as_deref(),
    );
    let script = names::optional(process.script.as_deref());
    row.column("script", script.as_deref(), command.script.as_deref());
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each user was compared with all before it: minutes for a snapshot of as many owners as it may have.
    #[test]
    fn as_many_users_as_processes_are_no_more_work_each() {
        let user = |at: usize| User {
            name: format!("u{at}"),
            faculty: "law".to_owned(),
        };
        let mut users = Users::default();
        let count = rollcall_normalize::limits::MAX_PROCESSES;
        for at in (0..count).chain(0..count) {
            assert_eq!(users.index_of(user(at)), at);
        }
        assert!(users.into_vec().into_iter().eq((0..count).map(user)));
    }
}
