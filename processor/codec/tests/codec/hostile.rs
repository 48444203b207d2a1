//! Bytes that mean harm or nothing: refused at once, whatever lengths they announce.

use crate::oracle;
use crate::round_trips::{EncodeState, encoder};
use crate::values;
use apache_avro::types::Value;
use proptest::prelude::*;
use rollcall_codec::{DecodeError, Decoder, Message, RecordType, messages, wire};
use rollcall_domain::RejectionReason;
use rollcall_domain::pipeline::{NormalizeState, RecentIds};
use serde_json::json;

fn decoders<M: Message>() -> [Decoder<M>; 2] {
    [
        Decoder::ours(),
        Decoder::new(&oracle::reversed(M::RECORD)).unwrap(),
    ]
}

/// Decodes as each of the nine, in place and resolving; nothing may panic, hang or allocate without bounds.
fn decode_as_all(datum: &[u8]) {
    macro_rules! decode {
        ($($message:ident)*) => {$(
            for decoder in decoders::<messages::$message>() {
                let _ = decoder.decode(datum);
            }
        )*};
    }
    decode!(ProcessSnapshot SnapshotObservations RollupPartials RollupUpdate MachineState);
    decode!(RollupState TaskState DeadLetter DirectoryUser);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes(datum in prop::collection::vec(any::<u8>(), 0..300)) {
        decode_as_all(&datum);
    }

    #[test]
    fn broken_snapshots(
        snapshot in values::snapshot(),
        at in any::<prop::sample::Index>(),
        with in prop::collection::vec(any::<u8>(), 0..12),
    ) {
        let mut value = vec![];
        encoder().encode_snapshot(&snapshot, &mut value).unwrap();
        let mut datum = value.split_off(wire::PREFIX_BYTES);
        let at = at.index(datum.len());
        let to = (at + with.len()).min(datum.len());
        datum.splice(at..to, with);
        decode_as_all(&datum);
    }

    #[test]
    fn a_datum_cut_anywhere_is_undecodable(snapshot in values::snapshot()) {
        let mut value = vec![];
        encoder().encode_snapshot(&snapshot, &mut value).unwrap();
        let datum = &value[wire::PREFIX_BYTES..];
        let ours = oracle::parse(RecordType::ProcessSnapshot.schema_json());
        let reversed = oracle::parse(&oracle::reversed(RecordType::ProcessSnapshot));
        let other = oracle::write(&reversed, oracle::reverse(oracle::read(&ours, datum), "extra"));
        let [in_place, resolving] = decoders::<messages::ProcessSnapshot>();
        check_cuts(&in_place, datum);
        check_cuts(&resolving, &other);
    }
}

fn check_cuts(decoder: &Decoder<messages::ProcessSnapshot>, datum: &[u8]) {
    assert!(decoder.decode(datum).is_ok());
    for cut in 0..datum.len() {
        let error = decoder.decode(&datum[..cut]).unwrap_err();
        assert_eq!(
            error.reason(),
            RejectionReason::Undecodable,
            "{cut}: {error}"
        );
    }
    let longer = [datum, &[0]].concat();
    let error = decoder.decode(&longer).unwrap_err();
    assert!(error.detail().contains("1 bytes follow"), "{error}");
}

/// The schema of `DirectoryUser` with one field more, of this type.
fn with_extra(schema: &serde_json::Value) -> String {
    oracle::edited(RecordType::DirectoryUser, &|record, fields| {
        if record == "DirectoryUser" {
            fields.push(json!({"name": "extra", "type": schema}));
        }
    })
}

/// Avro's zigzag numbers of variable length, one after the other.
fn numbers(numbers: &[i64]) -> Vec<u8> {
    let schema = oracle::parse("\"long\"");
    numbers
        .iter()
        .flat_map(|&number| oracle::write(&schema, number.into()))
        .collect()
}

/// Gives a datum each to the decoder that reads in place and to the one that resolves.
#[track_caller]
fn check_refused<M: Message>(in_place: &[i64], resolving: &[i64]) {
    let [reads_in_place, resolves] = decoders::<M>();
    for (decoder, datum) in [(reads_in_place, in_place), (resolves, resolving)] {
        match decoder.decode(&numbers(datum)) {
            Ok(_) => panic!("decoded: {datum:?}"),
            Err(error) => assert_eq!(error.reason(), RejectionReason::Undecodable, "{error}"),
        }
    }
}

#[test]
fn lengths_and_counts_that_are_not_there() {
    for huge in [i64::MAX, 1 << 60, 1 << 40, 1_000_000, -1, i64::MIN] {
        // A text of that size: the faculty, and the field more.
        check_refused::<messages::DirectoryUser>(&[1, huge], &[1, huge]);
        // An array of that many: the partials come last here and first there, after the field more.
        check_refused::<messages::RollupPartials>(&[0, 0, 0, 0, huge], &[0, huge]);
        check_refused::<messages::RollupPartials>(&[0, 0, 0, 0, huge, 9, 9], &[0, huge, 9, 9]);
        // And deeper within a record.
        check_refused::<messages::TaskState>(
            &[0, 0, 0, 0, 0, 0, 0, huge],
            &[0, 0, 0, 0, 0, 0, 0, huge],
        );
    }
}

#[test]
fn elements_that_take_no_bytes_take_no_time() {
    let extra = |items: serde_json::Value| with_extra(&json!({"type": "array", "items": items}));
    let empty = json!({"type": "record", "name": "Empty", "fields": []});
    let nothing = json!({"type": "fixed", "name": "Nothing", "size": 0});
    for items in [json!("null"), empty, nothing] {
        let decoder = Decoder::<messages::DirectoryUser>::new(&extra(items)).unwrap();
        let datum = numbers(&[0, i64::MAX, i64::MAX, 1 << 60, 0]);
        assert_eq!(decoder.decode(&datum).unwrap().faculty, None);
    }
}

#[test]
fn empty_records_within_empty_records_are_left_out() {
    let mut inner = json!("null");
    for level in 0..25 {
        let fields = [
            json!({"name": "a", "type": inner}),
            json!({"name": "b", "type": format!("E{level}")}),
        ];
        let fields = if level == 0 {
            &fields[..1]
        } else {
            &fields[..]
        };
        let mut fields = fields.to_vec();
        if let Some(b) = fields.get_mut(1) {
            b["type"] = json!(format!("E{}", level - 1));
        }
        inner = json!({"type": "record", "name": format!("E{level}"), "fields": fields});
    }
    let schema = with_extra(&inner);
    let decoder = Decoder::<messages::DirectoryUser>::new(&schema).unwrap();
    assert_eq!(decoder.decode(&[0]).unwrap().faculty, None);
}

#[test]
fn deep_nesting_ends_at_the_limit() {
    let tree = json!({"type": "record", "name": "Tree", "fields": [
        {"name": "children", "type": {"type": "array", "items": "Tree"}}
    ]});
    let schema = with_extra(&tree);
    let decoder = Decoder::<messages::DirectoryUser>::new(&schema).unwrap();
    let nested = |depth: usize| {
        let mut datum = numbers(&[0]);
        datum.extend(std::iter::repeat_n(2, depth));
        datum.extend(std::iter::repeat_n(0, depth + 1));
        datum
    };
    // The user's record is one level, each tree two: itself and its array.
    let deepest = (rollcall_codec::limits::DATUM_DEPTH_MAX - 1) / 2 - 1;
    assert!(decoder.decode(&nested(deepest)).is_ok());
    for depth in [deepest + 1, 1_000_000] {
        let error = decoder.decode(&nested(depth)).unwrap_err();
        assert!(error.detail().contains("levels deep"), "{error}");
    }
    let endless = json!({"type": "record", "name": "Endless", "fields": [
        {"name": "a", "type": "Endless"}, {"name": "b", "type": "Endless"}
    ]});
    if let Ok(decoder) = Decoder::<messages::DirectoryUser>::new(&with_extra(&endless)) {
        assert!(decoder.decode(&[0]).is_err());
    }
}

/// Encodes a snapshot that breaks a contract, and expects it refused for that field.
#[track_caller]
fn check_invalid(field: &str, break_it: impl Fn(&mut rollcall_domain::Snapshot<'static>)) {
    let mut snapshot = rollcall_domain::Snapshot {
        id: rollcall_domain::SnapshotId(1),
        observed_at: rollcall_domain::Timestamp::from_micros(0),
        utc_offset_seconds: None,
        machine: rollcall_domain::Machine {
            id: "m".into(),
            name: None,
            os: rollcall_domain::Os::Linux,
            os_version: None,
            cpu_count: None,
            memory_bytes: None,
        },
        user: None,
        faculty: None,
        command: None,
        attributes: Default::default(),
        payload: rollcall_domain::Payload::Linux(rollcall_domain::snapshot::LinuxProcesses {
            clock_ticks_per_second: 100,
            page_size_bytes: 4096,
            boot_time_seconds: None,
            processes: vec![],
        }),
    };
    let decode = |snapshot: &rollcall_domain::Snapshot<'_>| {
        let mut value = vec![];
        encoder().encode_snapshot(snapshot, &mut value).unwrap();
        let datum = &value[wire::PREFIX_BYTES..];
        Decoder::<messages::ProcessSnapshot>::ours()
            .decode(datum)
            .map(|_| ())
    };
    decode(&snapshot).unwrap();
    break_it(&mut snapshot);
    match decode(&snapshot).unwrap_err() {
        DecodeError::InvalidField { field: found, .. } => assert_eq!(found, field),
        other => panic!("{other:?}"),
    }
}

#[test]
fn fields_that_break_their_contract() {
    use rollcall_domain::Payload;
    check_invalid("machine.id", |snapshot| snapshot.machine.id = "".into());
    check_invalid("machine.cpu_count", |snapshot| {
        snapshot.machine.cpu_count = Some(-1)
    });
    check_invalid("machine.memory_bytes", |snapshot| {
        snapshot.machine.memory_bytes = Some(-1)
    });
    check_invalid("utc_offset_seconds", |snapshot| {
        snapshot.utc_offset_seconds = Some(64_801)
    });
    check_invalid("utc_offset_seconds", |snapshot| {
        snapshot.utc_offset_seconds = Some(i32::MIN)
    });
    check_invalid("clock_ticks_per_second", |snapshot| {
        if let Payload::Linux(linux) = &mut snapshot.payload {
            linux.clock_ticks_per_second = 0;
        }
    });
    check_invalid("page_size_bytes", |snapshot| {
        if let Payload::Linux(linux) = &mut snapshot.payload {
            linux.page_size_bytes = -4096;
        }
    });
}

#[test]
fn an_id_that_is_no_uuid_is_an_invalid_field() {
    let mut value = vec![];
    let letter = rollcall_domain::pipeline::DeadLetter {
        rejection: rollcall_domain::pipeline::Rejection::Record(RejectionReason::Undecodable),
        detail: "".into(),
        source_topic: "".into(),
        source: rollcall_domain::observation::SourceOffset {
            partition: 0,
            offset: 0,
        },
        ingested_at: rollcall_domain::Timestamp::from_micros(0),
        machine_id: None,
        snapshot_id: Some(rollcall_domain::SnapshotId(0)),
        raw: vec![].into(),
        raw_length: 0,
    };
    encoder().encode_dead_letter(&letter, &mut value).unwrap();
    let zero = value
        .windows(8)
        .position(|window| window == b"00000000")
        .unwrap();
    value[zero] = b'x';
    let decoder = Decoder::<messages::DeadLetter>::ours();
    let error = decoder.decode(&value[wire::PREFIX_BYTES..]).unwrap_err();
    assert_eq!(error.reason(), RejectionReason::InvalidField, "{error}");
    assert!(
        error
            .detail()
            .starts_with("snapshot_id: no UUID: \"x0000000-"),
        "{error}"
    );
}

#[test]
fn a_run_of_ids_ends_at_its_capacity() {
    let check = |ids: usize| {
        let state = NormalizeState::RecentIds(RecentIds {
            first: 0,
            hashes: vec![1; ids],
        });
        let mut value = vec![];
        encoder()
            .encode_normalize_state(&state, &mut value)
            .unwrap();
        Decoder::<messages::MachineState>::ours()
            .decode(&value[wire::PREFIX_BYTES..])
            .is_ok()
    };
    assert!(check(RecentIds::CAPACITY));
    assert!(!check(RecentIds::CAPACITY + 1));
}

#[test]
fn symbols_and_branches_beyond_the_last() {
    // RollupUpdate.kind has five symbols.
    let decoder = Decoder::<messages::RollupUpdate>::ours();
    for kind in [5, 1 << 40, -1] {
        let error = decoder.decode(&numbers(&[kind, 0, 0])).unwrap_err();
        assert_eq!(error.reason(), RejectionReason::Undecodable, "{error}");
    }
    let error = decoder.decode(&numbers(&[0, 0, 0])).unwrap_err();
    assert_eq!(error.reason(), RejectionReason::InvalidField, "{error}");
    check_refused::<messages::DirectoryUser>(&[2, 0], &[0, 2]);
}

/// Replaces fields of an accumulator that is otherwise empty, and gives the error.
fn broken_rollup(change: &[(&str, Value)], start: i64) -> DecodeError {
    let state = rollcall_domain::pipeline::RollupState {
        key: rollcall_domain::RollupKey::User("ada".into()),
        window: rollcall_domain::Grain::Hour.window_of(rollcall_domain::Timestamp::from_micros(0)),
        accumulator: rollcall_domain::Accumulator::default(),
    };
    let mut value = vec![];
    encoder().encode_rollup_state(&state, &mut value).unwrap();
    let ours = oracle::parse(RecordType::RollupState.schema_json());
    let mut value = oracle::read(&ours, &value[wire::PREFIX_BYTES..]);
    set(&mut value, "start", &Value::TimestampMicros(start));
    for (field, with) in change {
        set(&mut value, field, with);
    }
    let datum = oracle::write(&ours, value);
    Decoder::<messages::RollupState>::ours()
        .decode(&datum)
        .unwrap_err()
}

fn set(value: &mut Value, field: &str, with: &Value) {
    if let Value::Record(fields) = value {
        for (name, value) in fields {
            if name == field {
                *value = with.clone();
            } else {
                set(value, field, with);
            }
        }
    }
}

#[test]
fn sketches_and_windows_that_are_none() {
    let ints = |ints: &[i32]| Value::Array(ints.iter().map(|&int| Value::Int(int)).collect());
    let longs = |longs: &[i64]| Value::Array(longs.iter().map(|&long| Value::Long(long)).collect());
    let sketch = |indexes: &[i32], counts: &[i64]| {
        let fields = [
            ("memory_sketch_indexes", ints(indexes)),
            ("memory_sketch_counts", longs(counts)),
        ];
        broken_rollup(&fields, 0).reason()
    };
    let invalid = RejectionReason::InvalidField;
    assert_eq!(sketch(&[1, 2], &[1]), invalid);
    assert_eq!(sketch(&[1], &[0]), invalid);
    assert_eq!(sketch(&[1], &[-1]), invalid);
    assert_eq!(sketch(&[2, 1], &[1, 1]), invalid);
    assert_eq!(sketch(&[1, 1], &[1, 1]), invalid);
    assert_eq!(sketch(&[i32::MIN, i32::MAX], &[1, 1]), invalid);
    assert_eq!(broken_rollup(&[], 1).reason(), invalid);
    let nothing = broken_rollup(&[("machines", Value::Bytes(vec![]))], 0);
    assert_eq!(nothing.reason(), RejectionReason::Undecodable);
    let unknown = Value::Enum(0, "UNKNOWN".to_owned());
    assert_eq!(
        broken_rollup(&[("grouping_set", unknown.clone())], 0).reason(),
        invalid
    );
    assert_eq!(broken_rollup(&[("grain", unknown)], 0).reason(), invalid);
    let law = Value::Union(1, Box::new(Value::String("law".to_owned())));
    assert_eq!(broken_rollup(&[("faculty", law)], 0).reason(), invalid);
}
