//! What is encoded decodes to the same value: by us in place, by us through resolution, and by Apache Avro.

use crate::{oracle, values};
use proptest::prelude::*;
use rollcall_codec::{
    Decoder, EncodeError, Encoder, Message, RecordType, SchemaIds, SchemaRef, messages, wire,
};
use rollcall_domain::pipeline::{RollupState, UpdateKind};
use std::sync::LazyLock;

const ID: u32 = 7;

pub fn encoder() -> Encoder {
    let ids = RecordType::ALL.into_iter();
    Encoder::new(&ids.fold(SchemaIds::default(), |ids, record| ids.with(record, ID)))
}

/// State is written with an update only: of any kind, behind what stands there.
pub trait EncodeState {
    fn encode_rollup_state(
        &mut self,
        state: &RollupState<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError>;
}

impl EncodeState for Encoder {
    fn encode_rollup_state(
        &mut self,
        state: &RollupState<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        let mut update = vec![9];
        let (key, accumulator) = (&state.key, &state.accumulator);
        self.encode_rollup(
            UpdateKind::Correction,
            key,
            state.window,
            accumulator,
            &mut update,
            None,
        )?;
        let mut again = vec![9];
        self.encode_rollup(
            UpdateKind::Correction,
            key,
            state.window,
            accumulator,
            &mut again,
            Some(out),
        )?;
        assert_eq!(update, again);
        Ok(())
    }
}

/// What the checks of one kind of message share.
struct Sides {
    ours: apache_avro::Schema,
    reversed: apache_avro::Schema,
    reversed_json: String,
}

static SIDES: LazyLock<Vec<Sides>> = LazyLock::new(|| {
    let sides = RecordType::ALL.map(|record| {
        let reversed_json = oracle::reversed(record);
        Sides {
            ours: oracle::parse(record.schema_json()),
            reversed: oracle::parse(&reversed_json),
            reversed_json,
        }
    });
    sides.into()
});

/// The same value thrice: as we wrote it, as Apache Avro writes it, and as another producer writes it.
fn written_thrice(record: RecordType, wire_value: &[u8]) -> [Vec<u8>; 3] {
    let sides = &SIDES[record as usize];
    let (schema, datum) = wire::split(wire_value, None).unwrap();
    assert_eq!(schema, SchemaRef::Id(ID));
    let value = oracle::read(&sides.ours, datum);
    let by_apache = oracle::write(&sides.ours, value.clone());
    let by_other = oracle::write(&sides.reversed, oracle::reverse(value, "not ours"));
    [datum.to_vec(), by_apache, by_other]
}

/// The decoders of our schema and of the other producer's.
fn decoders<M: Message>() -> [Decoder<M>; 2] {
    let in_place = Decoder::new(M::RECORD.schema_json()).unwrap();
    let resolving = Decoder::new(&SIDES[M::RECORD as usize].reversed_json).unwrap();
    assert!(in_place.reads_in_place() && !resolving.reads_in_place());
    [in_place, resolving]
}

macro_rules! round_trips {
    ($($name:ident: $message:ident, $values:ident, $encode:ident;)*) => {
        proptest! {
            #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]
            $(#[test]
            fn $name(value in values::$values()) {
                let mut wire_value = vec![];
                encoder().$encode(&value, &mut wire_value).unwrap();
                let [ours, by_apache, by_other] =
                    written_thrice(RecordType::$message, &wire_value);
                let [in_place, resolving] = decoders::<messages::$message>();
                prop_assert_eq!(&in_place.decode(&ours).unwrap(), &value);
                prop_assert_eq!(&in_place.decode(&by_apache).unwrap(), &value);
                prop_assert_eq!(&resolving.decode(&by_other).unwrap(), &value);
            })*
        }
    };
}

round_trips! {
    snapshots: ProcessSnapshot, snapshot, encode_snapshot;
    observations: SnapshotObservations, observations, encode_observations;
    partials: RollupPartials, partials, encode_partials;
    updates: RollupUpdate, update, encode_update;
    normalize_state: MachineState, normalize_state, encode_normalize_state;
    rollup_state: RollupState, rollup_state, encode_rollup_state;
    task_state: TaskState, task_state, encode_task_state;
    dead_letters: DeadLetter, dead_letter, encode_dead_letter;
    directory_users: DirectoryUser, directory_user, encode_directory_user;
}

#[test]
fn an_encoder_appends_and_names_the_schema() {
    let user = rollcall_domain::pipeline::DirectoryUser {
        faculty: Some("law".into()),
    };
    let mut out = vec![9];
    encoder().encode_directory_user(&user, &mut out).unwrap();
    assert_eq!(out, [9, 0, 0, 0, 0, 7, 2, 6, b'l', b'a', b'w']);
}

#[test]
fn an_encoder_without_the_id_writes_nothing() {
    let user = rollcall_domain::pipeline::DirectoryUser { faculty: None };
    let mut out = vec![9];
    let error = Encoder::new(&SchemaIds::default()).encode_directory_user(&user, &mut out);
    assert_eq!(
        error.unwrap_err().to_string(),
        "no schema id is known for rollcall.v1.DirectoryUser"
    );
    assert_eq!(out, [9]);
}

#[test]
fn decoding_ours_borrows() {
    let user = rollcall_domain::pipeline::DirectoryUser {
        faculty: Some("law".into()),
    };
    let mut out = vec![];
    encoder().encode_directory_user(&user, &mut out).unwrap();
    let decoder = Decoder::<messages::DirectoryUser>::ours();
    let read = decoder.decode(&out[wire::PREFIX_BYTES..]).unwrap();
    assert!(matches!(
        read.faculty,
        Some(std::borrow::Cow::Borrowed("law"))
    ));
}

/// Written with our schema by the Python library fastavro 1.13.
#[test]
fn what_python_writes_we_read_and_write() {
    use rollcall_domain::snapshot::{CommandOutput, MacosProcess};
    use rollcall_domain::{Machine, Os, Payload, Snapshot, SnapshotId, Timestamp};
    let mut expect = Snapshot {
        id: SnapshotId(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef),
        observed_at: Timestamp::from_micros(1_795_176_000_250_000),
        utc_offset_seconds: None,
        machine: Machine {
            id: "m1".into(),
            name: None,
            os: Os::Macos,
            os_version: None,
            cpu_count: None,
            memory_bytes: None,
        },
        user: None,
        faculty: None,
        command: None,
        attributes: [].into(),
        payload: Payload::CommandOutput(CommandOutput {
            text: b"USER PID\n".into(),
            encoding: Some("utf-8".into()),
        }),
    };
    let head = "4830313233343536372d383961622d636465662d303132332d343536373839616263646566a082efbcffacb006";
    let tail = "00046d31000400000000000000001255534552205049440a020a7574662d38";
    check_golden(&expect, &format!("{head}{tail}"));

    expect.utc_offset_seconds = Some(3600);
    expect.user = Some("ada".into());
    expect.attributes = [("site".into(), "north".into())].into();
    expect.payload = Payload::Macos(vec![MacosProcess {
        pid: 7,
        parent_pid: None,
        name: "sh".into(),
        executable_path: None,
        arguments: vec![],
        owner: None,
        state: None,
        user_time_us: Some(12),
        system_time_us: None,
        start_time_us: None,
        resident_bytes: None,
        virtual_bytes: None,
        thread_count: None,
    }]);
    let tail = "02a038046d310004000000020661646100000208736974650a6e6f7274680004020e00047368000000000218000000000000";
    check_golden(&expect, &format!("{head}{tail}"));
}

#[track_caller]
fn check_golden(expect: &rollcall_domain::Snapshot<'_>, hex: &str) {
    let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    let golden: Vec<u8> = (0..hex.len()).step_by(2).map(byte).collect();
    let decoder = Decoder::<messages::ProcessSnapshot>::ours();
    assert_eq!(&decoder.decode(&golden).unwrap(), expect);
    let mut ours = vec![];
    encoder().encode_snapshot(expect, &mut ours).unwrap();
    assert_eq!(&ours[wire::PREFIX_BYTES..], golden);
}
