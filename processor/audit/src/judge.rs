//! What becomes of a raw record: accepted, recognized as sent before, or rejected for a reason. From the contract, in
//! its order: it can be decoded, its key is its machine's id, it is not too old, it is new, it can be read, what is made
//! of it fits.

use crate::facts::AuditConfig;
use crate::memory::Memory;
use rollcall_codec::{DecodeError, Encoder, RecordType, SchemaIds};
use rollcall_domain::observation::{Observation, SourceOffset};
use rollcall_domain::snapshot::CommandOutput;
use rollcall_domain::{
    Payload, RejectionReason, ResolvedUser, Snapshot, SnapshotId, SnapshotObservations, TaskCounts,
    Timestamp,
};
use rollcall_normalize::{
    ApplicationRules, Context, Listing, decode_text, parse_structured, parse_text,
};

/// Bytes of a machine id.
const MACHINE_ID_BYTES_MAX: usize = 8 * 1024;
/// Bytes of a user or faculty that a record names. What owners become is shorter: a longer owner costs its line.
const NAME_BYTES_MAX: usize = 16 * 1024;
/// Bytes that a faculty known to the directory alone may take, for the bound on a message's size.
const FACULTY_BYTES: usize = 1024;

/// The raw record's parts that are judged.
pub(crate) struct Evidence<'a> {
    pub(crate) source: SourceOffset,
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) ingested_at: Timestamp,
}

/// The verdict.
pub(crate) enum Verdict<'v> {
    Rejected(Rejected),
    /// Its id is among its machine's latest.
    Repeated,
    Accepted(Accepted<'v>),
}

/// A record rejected whole.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Rejected {
    pub(crate) reason: RejectionReason,
    /// The machine and snapshot, where they could be read.
    pub(crate) origin: Option<(String, SnapshotId)>,
}

/// An accepted snapshot.
pub(crate) struct Accepted<'v> {
    pub(crate) snapshot: &'v Snapshot<'v>,
    pub(crate) event_at: Timestamp,
    /// The text of the command's output.
    pub(crate) text: Option<&'v str>,
    pub(crate) listing: Listing<'v>,
    /// It may have been rejected for this reason instead, which the directory or a setting decided.
    pub(crate) doubt: Option<RejectionReason>,
}

/// Judges a record, and hands the verdict, which borrows from it, to `then`.
pub(crate) fn judge<R>(
    decoded: Result<Snapshot<'_>, DecodeError>,
    evidence: &Evidence<'_>,
    memory: &Memory,
    config: &AuditConfig,
    rules: &ApplicationRules,
    then: impl FnOnce(Verdict<'_>) -> R,
) -> R {
    let bare = |reason| {
        Verdict::Rejected(Rejected {
            reason,
            origin: None,
        })
    };
    let snapshot = match decoded {
        Ok(snapshot) => snapshot,
        Err(error) => return then(bare(error.reason())),
    };
    if snapshot.machine.id.len() > MACHINE_ID_BYTES_MAX {
        return then(bare(RejectionReason::InvalidField));
    }
    let rejected = |reason| {
        Verdict::Rejected(Rejected {
            reason,
            origin: Some((snapshot.machine.id.clone().into_owned(), snapshot.id)),
        })
    };
    match evidence.key {
        None | Some([]) => return then(rejected(RejectionReason::MissingKey)),
        Some(key) if key != snapshot.machine.id.as_bytes() => {
            return then(rejected(RejectionReason::KeyMismatch));
        }
        Some(_) => {}
    }
    let event_at = event_time(snapshot.observed_at, evidence.ingested_at, config);
    if evidence.ingested_at.micros_since(event_at) > config.acceptance_us {
        return then(rejected(RejectionReason::TooOld));
    }
    if memory.is_repeated(&snapshot.machine.id, snapshot.id) {
        return then(Verdict::Repeated);
    }
    let text = match &snapshot.payload {
        Payload::CommandOutput(output) => {
            match decode_text(&output.text, output.encoding.as_deref()) {
                Ok(text) => Some(text),
                Err(error) => return then(rejected(error.reason)),
            }
        }
        _ => None,
    };
    let listing = match read(&snapshot, text.as_deref(), event_at, rules) {
        Ok(listing) => listing,
        Err(reason) => return then(rejected(reason)),
    };
    if !names_fit(&snapshot, &listing) {
        return then(rejected(RejectionReason::InvalidField));
    }
    match size_fits(&snapshot, &listing, event_at, evidence, config) {
        Fits::No => then(rejected(RejectionReason::TooLarge)),
        size => then(Verdict::Accepted(Accepted {
            snapshot: &snapshot,
            event_at,
            text: text.as_deref(),
            listing,
            doubt: (size == Fits::Perhaps).then_some(RejectionReason::TooLarge),
        })),
    }
}

/// The producer's clock, unless it is ahead of the broker's by more than is tolerated.
fn event_time(observed_at: Timestamp, ingested_at: Timestamp, config: &AuditConfig) -> Timestamp {
    if observed_at > ingested_at.plus_micros(config.future_tolerance_us) {
        ingested_at
    } else {
        observed_at
    }
}

fn read<'a>(
    snapshot: &'a Snapshot<'_>,
    text: Option<&'a str>,
    event_at: Timestamp,
    rules: &'a ApplicationRules,
) -> Result<Listing<'a>, RejectionReason> {
    let context = Context {
        os: Some(snapshot.machine.os),
        format: None,
        observed_at: event_at,
        utc_offset_seconds: snapshot.utc_offset_seconds,
    };
    match text {
        Some(text) => parse_text(text, &context, rules).map_err(|error| error.reason),
        None => Ok(parse_structured(&snapshot.payload, &context, rules)),
    }
}

/// Whether something fits, as far as the raw record tells.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fits {
    Yes,
    No,
    Perhaps,
}

fn within(least: usize, most: usize, max: usize) -> Fits {
    if most <= max {
        Fits::Yes
    } else if least > max {
        Fits::No
    } else {
        Fits::Perhaps
    }
}

/// Whether the record names no user or faculty that is too long for a key.
fn names_fit(snapshot: &Snapshot<'_>, listing: &Listing<'_>) -> bool {
    let has_users = snapshot.user.is_some() || !listing.processes.is_empty();
    let mut given = [&snapshot.user, &snapshot.faculty].into_iter().flatten();
    !has_users || given.all(|name| name.len() <= NAME_BYTES_MAX)
}

/// Whether the normalized snapshot fits into a message. Whose processes they are, and whether the command's output is
/// stored, is left open here, so that its size is known between two bounds.
fn size_fits(
    snapshot: &Snapshot<'_>,
    listing: &Listing<'_>,
    event_at: Timestamp,
    evidence: &Evidence<'_>,
    config: &AuditConfig,
) -> Fits {
    let output = match &snapshot.payload {
        Payload::CommandOutput(output) => Some(output),
        _ => None,
    };
    let output_bytes = output.map_or(0, |output| output.text.len() + 64);
    if rough_bytes(snapshot, listing) + output_bytes <= config.message_bytes_max {
        return Fits::Yes;
    }
    let least = encoded_bytes(snapshot, listing, event_at, evidence, None);
    let with_output = encoded_bytes(snapshot, listing, event_at, evidence, output);
    let mut owners: Vec<_> = listing
        .processes
        .iter()
        .map(|process| &process.owner)
        .collect();
    owners.sort_unstable();
    owners.dedup();
    let per_user = |owner: &Option<std::borrow::Cow<'_, str>>| {
        owner.as_ref().map_or(0, |owner| owner.len()) + snapshot.machine.id.len() + FACULTY_BYTES
    };
    let users: usize = owners.into_iter().map(per_user).sum();
    let given = [&snapshot.user, &snapshot.faculty]
        .into_iter()
        .flatten()
        .map(|name| name.len())
        .sum::<usize>();
    // Counters and the index of each process' user are of variable length.
    let rest = 128 + 5 * listing.processes.len();
    within(
        least,
        with_output + users + given + rest,
        config.message_bytes_max,
    )
}

/// More than a snapshot takes without its command's output, quickly.
fn rough_bytes(snapshot: &Snapshot<'_>, listing: &Listing<'_>) -> usize {
    let texts = |process: &rollcall_domain::Process<'_>| {
        let optional = [
            &process.executable_path,
            &process.command_line,
            &process.owner,
            &process.script,
        ];
        let optional: usize = optional.into_iter().flatten().map(|text| text.len()).sum();
        // An owner may stand among the users, too, qualified and with a faculty.
        let user = process.owner.as_ref().map_or(0, |owner| {
            owner.len() + snapshot.machine.id.len() + FACULTY_BYTES
        });
        optional + user + process.executable_name.len() + process.application.len() + 160
    };
    let processes: usize = listing.processes.iter().map(texts).sum();
    let attributes: usize = snapshot
        .attributes
        .iter()
        .map(|(name, value)| name.len() + value.len() + 16)
        .sum();
    let machine = &snapshot.machine;
    let header = [
        &machine.name,
        &machine.os_version,
        &snapshot.user,
        &snapshot.faculty,
        &snapshot.command,
    ];
    let header: usize = header.into_iter().flatten().map(|text| text.len()).sum();
    processes + attributes + header + machine.id.len() + 1024
}

fn encoded_bytes<'a>(
    snapshot: &'a Snapshot<'_>,
    listing: &'a Listing<'_>,
    event_at: Timestamp,
    evidence: &Evidence<'_>,
    output: Option<&CommandOutput<'_>>,
) -> usize {
    let observations = SnapshotObservations {
        snapshot_id: snapshot.id,
        source: evidence.source,
        observed_at: snapshot.observed_at,
        ingested_at: evidence.ingested_at,
        event_at,
        utc_offset_seconds: snapshot.utc_offset_seconds,
        machine: snapshot.machine.clone(),
        command: snapshot.command.clone(),
        attributes: snapshot.attributes.clone(),
        command_output: output.cloned(),
        users: vec![ResolvedUser {
            user: "-".into(),
            faculty: "-".into(),
        }],
        rules_digest: u64::MAX,
        lines_rejected: listing.rejected.len() as i64,
        counts: TaskCounts::default(),
        observations: listing
            .processes
            .iter()
            .map(|process| Observation {
                process: process.clone(),
                cpu_delta_us: None,
                user: 0,
            })
            .collect(),
    };
    let ids = SchemaIds::default().with(RecordType::SnapshotObservations, u32::MAX);
    let mut bytes = Vec::new();
    match Encoder::new(&ids).encode_observations(&observations, &mut bytes) {
        Ok(()) => bytes.len(),
        Err(_) => 0,
    }
}
