//! From a decoded snapshot to observations, or to the reason why not. Pure functions of their arguments.

use super::{MACHINE_ID_BYTES_MAX, NAME_BYTES_MAX, NormalizeConfig};
use foldhash::fast::FixedState;
use hashbrown::{HashMap, HashTable};
use rollcall_domain::identity::{Directory, Owner, resolve};
use rollcall_domain::observation::{Observation, SnapshotObservations, SourceOffset, TaskCounts};
use rollcall_domain::pipeline::MachineCpu;
use rollcall_domain::process::Process;
use rollcall_domain::snapshot::{Payload, Snapshot};
use rollcall_domain::time::Timestamp;
use rollcall_domain::{RejectionReason, ResolvedUser};
use rollcall_normalize::{
    ApplicationRules, Context, LineError, Listing, NullCount, cpu, decode_text, parse_structured,
    parse_text,
};
use std::borrow::Cow;
use std::hash::BuildHasher;

/// Bytes of a foreign name that a detail repeats.
const DETAIL_NAME_BYTES: usize = 128;

/// Why a whole record is rejected.
#[derive(Debug)]
pub(crate) struct Rejected {
    pub(crate) reason: RejectionReason,
    pub(crate) detail: String,
}

impl Rejected {
    pub(crate) fn new(reason: RejectionReason, detail: impl Into<String>) -> Self {
        Self {
            reason,
            detail: detail.into(),
        }
    }
}

/// The beginning of a text that may be long, for a detail.
fn beginning(text: &str) -> &str {
    &text[..text.floor_char_boundary(DETAIL_NAME_BYTES)]
}

/// Refuses a name that would not fit into the keys and messages made from it.
fn check_name(what: &'static str, name: &str, bytes_max: usize) -> Result<(), Rejected> {
    if name.len() <= bytes_max {
        return Ok(());
    }
    Err(Rejected::new(
        RejectionReason::InvalidField,
        format!(
            "{what} {:?}… has {} bytes; at most {bytes_max} are accepted",
            beginning(name),
            name.len()
        ),
    ))
}

/// Refuses a machine id that is too long, before it is copied anywhere.
pub(crate) fn check_machine(snapshot: &Snapshot<'_>) -> Result<(), Rejected> {
    check_name("the machine id", &snapshot.machine.id, MACHINE_ID_BYTES_MAX)
}

/// Refuses users and faculties that are too long: they become rollup keys. They are the record's or the directory's own: a
/// process' owner or application that is too long has cost its line.
pub(crate) fn check_names(observations: &SnapshotObservations<'_>) -> Result<(), Rejected> {
    observations.users.iter().try_for_each(|user| {
        check_name("the user", &user.user, NAME_BYTES_MAX)?;
        check_name("the faculty", &user.faculty, NAME_BYTES_MAX)
    })
}

/// The key must be the machine id: dedupe and CPU deltas are per partition.
pub(crate) fn check_key(key: Option<&[u8]>, snapshot: &Snapshot<'_>) -> Result<(), Rejected> {
    match key {
        None | Some([]) => Err(Rejected::new(
            RejectionReason::MissingKey,
            format!(
                "the record has no key; its key must be the machine id {:?}",
                beginning(&snapshot.machine.id)
            ),
        )),
        Some(key) if key == snapshot.machine.id.as_bytes() => Ok(()),
        Some(key) => Err(Rejected::new(
            RejectionReason::KeyMismatch,
            format!(
                "the key {:?} is not the machine id {:?}",
                beginning(&String::from_utf8_lossy(key)),
                beginning(&snapshot.machine.id)
            ),
        )),
    }
}

/// The event time, or why the snapshot is too old for the tables.
pub(crate) fn event_time(
    observed_at: Timestamp,
    ingested_at: Timestamp,
    config: &NormalizeConfig,
) -> Result<Timestamp, Rejected> {
    let ahead = observed_at.micros_since(ingested_at);
    let event_at = if ahead > config.future_tolerance_us {
        ingested_at
    } else {
        observed_at
    };
    let age = ingested_at.micros_since(event_at);
    if age > config.acceptance_us {
        return Err(Rejected::new(
            RejectionReason::TooOld,
            format!(
                "observed {} s before it arrived; at most {} s are accepted (normalize.acceptance_days)",
                age / 1_000_000,
                config.acceptance_us / 1_000_000
            ),
        ));
    }
    Ok(event_at)
}

/// The text of a command's output; structured payloads have none.
pub(crate) fn payload_text<'a>(payload: &'a Payload<'_>) -> Result<Option<Cow<'a, str>>, Rejected> {
    match payload {
        Payload::CommandOutput(output) => decode_text(&output.text, output.encoding.as_deref())
            .map(Some)
            .map_err(|error| Rejected::new(error.reason, error.detail)),
        _ => Ok(None),
    }
}

/// Parses the listing. Local times are read relative to the snapshot's event time.
pub(crate) fn parse<'a>(
    snapshot: &'a Snapshot<'_>,
    text: Option<&'a str>,
    event_at: Timestamp,
    rules: &'a ApplicationRules,
) -> Result<Listing<'a>, Rejected> {
    let context = Context {
        os: Some(snapshot.machine.os),
        format: None,
        observed_at: event_at,
        utc_offset_seconds: snapshot.utc_offset_seconds,
    };
    match text {
        Some(text) => parse_text(text, &context, rules)
            .map_err(|error| Rejected::new(error.reason, error.detail)),
        None => Ok(parse_structured(&snapshot.payload, &context, rules)),
    }
}

/// What one accepted snapshot becomes.
pub(crate) struct Accepted<'a> {
    pub(crate) observations: SnapshotObservations<'a>,
    pub(crate) rejected_lines: Vec<LineError<'a>>,
    pub(crate) nulls: Vec<NullCount>,
    pub(crate) next_cpu: Option<MachineCpu>,
}

/// Everything that an accepted snapshot's observations are made from.
pub(crate) struct Material<'a, 'b> {
    pub(crate) snapshot: &'a Snapshot<'a>,
    pub(crate) listing: Listing<'a>,
    pub(crate) source: SourceOffset,
    pub(crate) ingested_at: Timestamp,
    pub(crate) event_at: Timestamp,
    pub(crate) counts: TaskCounts,
    pub(crate) previous_cpu: Option<&'b MachineCpu>,
    pub(crate) rules_digest: u64,
    pub(crate) store_command_output: bool,
}

/// Puts an accepted snapshot together: CPU deltas, users, counts.
pub(crate) fn assemble<'a>(material: Material<'a, '_>, directory: &dyn Directory) -> Accepted<'a> {
    let Material {
        snapshot,
        listing,
        event_at,
        ..
    } = material;
    let machine = &snapshot.machine;
    let deltas = cpu::deltas(
        material.previous_cpu,
        event_at,
        machine.cpu_count,
        &listing.processes,
    );
    let lines_rejected = listing.rejected.len() as i64;
    let mut counts = material.counts;
    counts.snapshots_accepted += 1;
    counts.lines_accepted += listing.processes.len() as i64;
    counts.lines_rejected += lines_rejected;
    let mut users = Users::of(snapshot, directory);
    let observations = listing
        .processes
        .into_iter()
        .zip(deltas.deltas)
        .map(|(process, cpu_delta_us)| {
            let user = users.index_of(&process);
            Observation {
                process,
                cpu_delta_us,
                user,
            }
        })
        .collect();
    let command_output = match &snapshot.payload {
        Payload::CommandOutput(output) if material.store_command_output => Some(output.clone()),
        _ => None,
    };
    Accepted {
        observations: SnapshotObservations {
            snapshot_id: snapshot.id,
            source: material.source,
            observed_at: snapshot.observed_at,
            ingested_at: material.ingested_at,
            event_at,
            utc_offset_seconds: snapshot.utc_offset_seconds,
            machine: machine.clone(),
            command: snapshot.command.clone(),
            attributes: snapshot.attributes.clone(),
            command_output,
            users: users.resolved_or_empty(),
            rules_digest: material.rules_digest,
            lines_rejected,
            counts,
            observations,
        },
        rejected_lines: listing.rejected,
        nulls: listing.nulls,
        next_cpu: deltas.next,
    }
}

/// The users of one snapshot, resolved once per distinct owner.
///
/// How many owners there are is the machine's choice: neither step may look at all that are known.
struct Users<'a, 'd> {
    snapshot: &'a Snapshot<'a>,
    directory: &'d dyn Directory,
    known: HashMap<Owner<'a>, u32, FixedState>,
    resolved: Vec<ResolvedUser<'a>>,
    /// Positions in `resolved`, by user: two owners may be the same one.
    index: HashTable<u32>,
}

impl<'a, 'd> Users<'a, 'd> {
    fn of(snapshot: &'a Snapshot<'a>, directory: &'d dyn Directory) -> Self {
        Self {
            snapshot,
            directory,
            known: HashMap::default(),
            resolved: Vec::new(),
            index: HashTable::new(),
        }
    }

    fn index_of(&mut self, process: &Process<'a>) -> u32 {
        // The snapshot's own user owns everything on it: the owner is not looked at.
        let owner = if self.snapshot.user.is_some() {
            &None
        } else {
            &process.owner
        };
        if let Some(index) = self.known.get(owner) {
            return *index;
        }
        let index = self.index_of_user(resolve(self.snapshot, owner, self.directory));
        self.known.insert(owner.clone(), index);
        index
    }

    fn index_of_user(&mut self, user: ResolvedUser<'a>) -> u32 {
        let hash_of = |user: &ResolvedUser<'_>| FixedState::default().hash_one(user);
        let resolved = &mut self.resolved;
        let entry = self.index.entry(
            hash_of(&user),
            |&at| resolved[at as usize] == user,
            |&at| hash_of(&resolved[at as usize]),
        );
        *entry
            .or_insert_with(|| {
                resolved.push(user);
                resolved.len() as u32 - 1
            })
            .get()
    }

    /// A snapshot without processes still counts for its user, where it has one.
    fn resolved_or_empty(self) -> Vec<ResolvedUser<'a>> {
        if self.resolved.is_empty() && self.snapshot.user.is_some() {
            return vec![resolve(self.snapshot, &None, self.directory)];
        }
        self.resolved
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rollcall_domain::snapshot::{Machine, Os, SnapshotId};
    use rollcall_normalize::limits::MAX_PROCESSES;
    use std::collections::BTreeMap;

    /// Knows one user, whose name is what a local name becomes on the machine.
    struct Twin;
    impl Directory for Twin {
        fn faculty_of(&self, user: &str) -> Option<Option<&str>> {
            (user == "ada@m").then_some(Some("law"))
        }
    }

    fn snapshot(user: Option<&'static str>) -> Snapshot<'static> {
        Snapshot {
            id: SnapshotId(1),
            observed_at: Timestamp::from_micros(0),
            utc_offset_seconds: None,
            machine: Machine {
                id: "m".into(),
                name: None,
                os: Os::Windows,
                os_version: None,
                cpu_count: None,
                memory_bytes: None,
            },
            user: user.map(Cow::Borrowed),
            faculty: None,
            command: None,
            attributes: BTreeMap::new(),
            payload: Payload::Windows(Vec::new()),
        }
    }

    fn owned_by(owner: Option<String>) -> Process<'static> {
        Process {
            pid: 1,
            parent_pid: None,
            created_at: None,
            executable_name: "sh".into(),
            executable_path: None,
            command_line: None,
            owner: owner.map(Cow::Owned),
            state: None,
            cpu_time_us: None,
            memory_usage_bytes: None,
            memory_virtual_bytes: None,
            thread_count: None,
            application: "sh".into(),
            script: None,
        }
    }

    #[track_caller]
    fn check(
        user: Option<&'static str>,
        owners: &[Option<String>],
        expect: &[u32],
        users: &[&str],
    ) {
        let snapshot = snapshot(user);
        let mut known = Users::of(&snapshot, &Twin);
        let of = |owner: &Option<String>| known.index_of(&owned_by(owner.clone()));
        assert_eq!(owners.iter().map(of).collect::<Vec<_>>(), expect);
        let resolved = known.resolved_or_empty();
        assert!(
            resolved
                .iter()
                .map(|user| &*user.user)
                .eq(users.iter().copied())
        );
    }

    #[test]
    fn two_owners_may_be_one_user() {
        let name = |name: &str| Some(name.to_owned());
        let owners = [name("ada"), None, name("bob"), name("ada@m"), name("ada")];
        check(
            None,
            &owners,
            &[0, 1, 2, 0, 0],
            &["ada@m", "(unknown)", "bob@m"],
        );
        check(Some("eve"), &owners, &[0; 5], &["eve"]);
        check(Some("eve"), &[], &[], &["eve"]);
        check(None, &[], &[], &[]);
    }

    /// Each owner was compared with all before it, twice: a snapshot of 3 MB took more than a minute.
    #[test]
    fn as_many_owners_as_processes_are_no_more_work_each() {
        let owners: Vec<_> = (0..MAX_PROCESSES)
            .map(|at| Some(format!("u{at}")))
            .collect();
        let users: Vec<_> = (0..MAX_PROCESSES).map(|at| format!("u{at}@m")).collect();
        let expect: Vec<_> = (0..MAX_PROCESSES as u32).collect();
        let users: Vec<&str> = users.iter().map(|user| &**user).collect();
        check(None, &owners, &expect, &users);
    }
}
