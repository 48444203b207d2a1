//! Every reason for which a whole record is rejected: one dead letter, and nothing else changes.

use crate::harness::{
    DAY, Driven, HOUR, MINUTE, Normalizer, Row, SECOND, T0, encoded, normalize_config,
    normalize_stage, normalize_stage_with, normalizer, schema_id, snapshot, with_text,
};
use rollcall_codec::{Encoder, RecordType, SchemaIds, wire};
use rollcall_domain::pipeline::Rejection;
use rollcall_domain::snapshot::CommandOutput;
use rollcall_domain::{LineReason, Payload, RejectionReason, Snapshot};
use rollcall_normalize::limits::MAX_NAME_BYTES;
use rollcall_stages::normalize::{DEAD_LETTER_RAW_BYTES, MACHINE_ID_BYTES_MAX, NAME_BYTES_MAX};
use rollcall_stages::{StageError, layout};

const ROW: [Row; 1] = [(1, "sh", "ada", 10, 1)];

fn good() -> Vec<u8> {
    encoded(&snapshot(2, "m1", T0 + MINUTE, &ROW))
}

/// Sends a record between two good ones; it must be rejected for `reason` and leave no other trace.
#[track_caller]
fn check_with(
    mut normalizer: Normalizer,
    key: Option<&[u8]>,
    value: Option<&[u8]>,
    reason: RejectionReason,
) {
    normalizer.take(&snapshot(1, "m1", T0, &ROW));
    let before = normalizer.stage.task_state_counts();
    let at = T0 + MINUTE + SECOND;
    normalizer
        .feed_at(41, at, key, value)
        .expect("bad input is no error");
    let outputs = normalizer.commit();

    let letters = outputs.letters();
    assert_eq!(letters.len(), 1);
    let letter = &letters[0];
    assert_eq!(
        letter.rejection,
        Rejection::Record(reason),
        "{}",
        letter.detail
    );
    assert_eq!(letter.source_topic, "x.process-snapshots");
    assert_eq!((letter.source.partition, letter.source.offset), (1, 41));
    assert_eq!(letter.ingested_at.as_micros(), at);
    let value = value.unwrap_or_default();
    assert_eq!(*letter.raw, value[..value.len().min(DEAD_LETTER_RAW_BYTES)]);
    assert_eq!(letter.raw_length, value.len() as i64);
    assert!(letter.detail.len() < 1024, "{} bytes", letter.detail.len());
    let bytes: usize = outputs
        .of(layout::DEAD_LETTERS.index)
        .map(|r| r.bytes())
        .sum();
    assert!(bytes < 32 * 1024, "a dead letter of {bytes} bytes");

    assert!(outputs.observations().is_empty());
    assert_eq!(outputs.of(layout::STATE_NORMALIZE.index).count(), 0);
    assert!(
        outputs
            .partials()
            .iter()
            .all(|(_, m)| m.partials.is_empty())
    );
    let mut expect = before;
    expect.snapshots_read += 1;
    expect.snapshots_rejected += 1;
    assert_eq!(outputs.task_state().counts, expect);
    assert!(expect.balanced());

    // Neither its id nor its CPU times were taken: a good snapshot of the same id is taken, with its delta.
    let next = normalizer.take(&snapshot(2, "m1", T0 + MINUTE, &[(1, "sh", "ada", 30, 1)]));
    assert_eq!(
        next.observations()[0].observations[0].cpu_delta_us,
        Some(200_000)
    );
}

#[track_caller]
fn check(key: Option<&[u8]>, value: Option<&[u8]>, reason: RejectionReason) {
    check_with(normalizer(), key, value, reason);
}

#[track_caller]
fn check_snapshot(snapshot: &Snapshot<'_>, reason: RejectionReason) {
    check(Some(b"m1"), Some(&encoded(snapshot)), reason);
}

trait Counts {
    fn task_state_counts(&self) -> rollcall_domain::TaskCounts;
}

impl<S: rollcall_stages::Stage> Counts for S {
    fn task_state_counts(&self) -> rollcall_domain::TaskCounts {
        self.task_state().counts
    }
}

#[test]
fn values_that_are_no_messages() {
    check(Some(b"m1"), None, RejectionReason::EmptyValue);
    check(Some(b"m1"), Some(b""), RejectionReason::EmptyValue);
    check(Some(b"m1"), Some(&[7; 9000]), RejectionReason::BadMagic);
    check(Some(b"m1"), Some(&[0, 0, 0]), RejectionReason::BadMagic);
    let mut unknown = Vec::new();
    wire::prefix(9, &mut unknown);
    check(Some(b"m1"), Some(&unknown), RejectionReason::UnknownSchema);
    let value = good();
    let cut = &value[..value.len() - 3];
    check(Some(b"m1"), Some(cut), RejectionReason::Undecodable);
}

#[test]
fn schemas_of_another_kind() {
    let mut normalizer = normalizer();
    normalizer.registry.insert(9, "\"string\"".to_owned());
    let mut value = Vec::new();
    wire::prefix(9, &mut value);
    let reason = RejectionReason::IncompatibleSchema;
    check_with(normalizer, Some(b"m1"), Some(&value), reason);
}

#[test]
fn an_operating_system_of_the_future() {
    let ours = RecordType::ProcessSnapshot.schema_json();
    let theirs = ours.replace("\"LINUX\"", "\"HAIKU\"");
    assert_ne!(ours, theirs, "the symbol is in the schema");
    let mut normalizer = normalizer();
    normalizer.registry.insert(9, theirs);
    let mut value = Vec::new();
    wire::prefix(9, &mut value);
    value.extend_from_slice(&good()[wire::PREFIX_BYTES..]);
    check_with(
        normalizer,
        Some(b"m1"),
        Some(&value),
        RejectionReason::UnknownOs,
    );
}

#[test]
fn keys() {
    let value = good();
    check(None, Some(&value), RejectionReason::MissingKey);
    check(Some(b""), Some(&value), RejectionReason::MissingKey);
    check(Some(b"m2"), Some(&value), RejectionReason::KeyMismatch);
}

/// A key of a megabyte went into the detail in full, escaped: the dead letter was too large to be sent, and the
/// partition stood still.
#[test]
fn a_long_key_leaves_a_short_letter() {
    let key = vec![0xfe; 900_000];
    check(Some(&key), Some(&good()), RejectionReason::KeyMismatch);
}

/// A machine id, user or faculty of a megabyte became keys and states larger than any message.
#[test]
fn names_that_fit_into_no_key() {
    let fits: &'static str = "x".repeat(NAME_BYTES_MAX).leak();
    let long: &'static str = "x".repeat(NAME_BYTES_MAX + 1).leak();
    let of_user = |user: &'static str| Snapshot {
        user: Some(user.into()),
        ..snapshot(2, "m1", T0 + MINUTE, &ROW)
    };
    let reason = RejectionReason::InvalidField;
    check_snapshot(&of_user(long), reason);
    check_snapshot(
        &Snapshot {
            faculty: Some(long.into()),
            ..of_user("ada")
        },
        reason,
    );
    let id: &'static str = "x".repeat(MACHINE_ID_BYTES_MAX + 1).leak();
    let machine = encoded(&snapshot(2, id, T0 + MINUTE, &ROW));
    check(Some(id.as_bytes()), Some(&machine), reason);

    let mut normalizer = normalizer();
    normalizer.send(&of_user(fits));
    normalizer.send(&snapshot(3, &id[1..], T0, &ROW));
    assert_eq!(normalizer.commit().observations().len(), 2);
}

/// One process with an owner or a name that is too long made its whole snapshot a dead letter.
#[test]
fn a_name_of_a_process_that_is_too_long_costs_its_line() {
    let fits: &'static str = "x".repeat(MAX_NAME_BYTES).leak();
    let long: &'static str = "x".repeat(MAX_NAME_BYTES + 1).leak();
    let id: &'static str = "m".repeat(MACHINE_ID_BYTES_MAX).leak();
    let rows = [
        (1, "sh", "eve", 10, 1),
        (2, long, "eve", 10, 1),
        (3, "sh", long, 10, 1),
        (4, fits, "eve", 10, 1),
        (5, "sh", fits, 10, 1),
    ];
    let mut normalizer = normalizer();
    let outputs = normalizer.take(&snapshot(1, id, T0, &rows));
    let observations = &outputs.observations()[0];
    let pids = observations.observations.iter().map(|o| o.process.pid);
    assert_eq!(pids.collect::<Vec<_>>(), [1, 4, 5]);
    assert_eq!(observations.lines_rejected, 2);
    let letters = outputs.letters();
    let said: Vec<_> = letters
        .iter()
        .map(|letter| (letter.rejection, &*letter.detail))
        .collect();
    let expect = [
        (2, "the executable's name is longer than 4 KiB"),
        (3, "the owner is longer than 4 KiB"),
    ];
    assert_eq!(
        said,
        expect.map(|(line, detail)| (Rejection::Line(LineReason::TooLong, line), detail))
    );
}

#[test]
fn too_old_and_the_oldest_accepted() {
    let at = T0 + MINUTE + SECOND - 30 * DAY;
    check_snapshot(&snapshot(2, "m1", at - 1, &ROW), RejectionReason::TooOld);
    check_snapshot(&snapshot(2, "m1", i64::MIN, &ROW), RejectionReason::TooOld);
    let mut normalizer = normalizer();
    normalizer.send_late(&snapshot(2, "m1", T0, &ROW), 30 * DAY);
    assert_eq!(normalizer.commit().observations().len(), 1);
    normalizer.send_late(&snapshot(3, "m1", T0 + HOUR, &ROW), 30 * DAY + 1);
    assert_eq!(normalizer.commit().letters().len(), 1);
}

#[test]
fn outputs_that_are_no_listings() {
    check_snapshot(&with_text(2, b" \n"), RejectionReason::EmptyOutput);
    check_snapshot(
        &with_text(2, b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0"),
        RejectionReason::BinaryOutput,
    );
    check_snapshot(
        &with_text(2, b"bash: ps: command not found\n"),
        RejectionReason::UnknownFormat,
    );
    let unknown = Snapshot {
        payload: Payload::CommandOutput(CommandOutput {
            text: b"x"[..].into(),
            encoding: Some("klingon".into()),
        }),
        ..with_text(2, b"")
    };
    check_snapshot(&unknown, RejectionReason::UnknownEncoding);
}

#[test]
fn too_large_for_a_message() {
    let mut config = normalize_config();
    config.max_message_bytes = 400;
    let normalizer = Driven::new(normalize_stage(config), layout::SNAPSHOTS.index);
    let rows: Vec<Row> = (1..100).map(|pid| (pid, "sh", "ada", 0, 1)).collect();
    let value = encoded(&snapshot(2, "m1", T0 + MINUTE, &rows));
    check_with(
        normalizer,
        Some(b"m1"),
        Some(&value),
        RejectionReason::TooLarge,
    );
}

#[test]
fn ids_of_our_schemas_are_made_up_and_distinct() {
    let ids: std::collections::BTreeSet<_> = RecordType::ALL.into_iter().map(schema_id).collect();
    assert_eq!(ids.len(), RecordType::COUNT);
}

/// A letter that could not be encoded was left out in silence: the books said rejected, and the topic held nothing.
#[test]
fn a_letter_that_cannot_be_written_stops_the_task() {
    let no_letters = RecordType::ALL
        .into_iter()
        .filter(|record| *record != RecordType::DeadLetter)
        .fold(SchemaIds::default(), |ids, record| {
            ids.with(record, schema_id(record))
        });
    let broken_line = b"USER PID %CPU %MEM VSZ RSS TTY STAT START TIME COMMAND\nada x 0 0 1 1 ? S 08:00 0:00 sh\n";
    for value in [b"no message".to_vec(), encoded(&with_text(1, broken_line))] {
        let stage = normalize_stage_with(normalize_config(), Encoder::new(&no_letters));
        let mut normalizer = Driven::new(stage, layout::SNAPSHOTS.index);
        let result = normalizer.feed_at(0, T0, Some(b"m1"), Some(&value));
        assert!(
            matches!(result, Err(StageError::Invariant(_))),
            "{result:?}"
        );
    }
}
