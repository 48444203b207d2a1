//! How many processes per second one core encodes and decodes: `cargo run --release -p rollcall-codec --example throughput`.

use rollcall_codec::{Decoder, Encoder, Message, RecordType, SchemaIds, messages, wire};
use rollcall_domain::observation::{Observation, SnapshotObservations, SourceOffset, TaskCounts};
use rollcall_domain::snapshot::{LinuxProcess, LinuxProcesses};
use rollcall_domain::{
    CreationTime, Machine, Os, Payload, Precision, Process, ProcessState, ResolvedUser, Snapshot,
    SnapshotId, Timestamp,
};
use std::collections::BTreeMap;
use std::hint::black_box;

const PROCESSES: usize = 250;
const ROUNDS: usize = 2_000;

fn machine() -> Machine<'static> {
    Machine {
        id: "machine-0042".into(),
        name: Some("reading-room-42".into()),
        os: Os::Linux,
        os_version: Some("Debian GNU/Linux 13".into()),
        cpu_count: Some(16),
        memory_bytes: Some(32 << 30),
    }
}

fn observations() -> SnapshotObservations<'static> {
    let observation = |at: usize| Observation {
        process: Process {
            pid: 1_000 + at as i32,
            parent_pid: Some(1),
            created_at: Some(CreationTime {
                at: Timestamp::from_micros(1_700_000_000_000_000 + at as i64),
                precision: Precision::Exact,
            }),
            executable_name: "chrome".into(),
            executable_path: Some("/opt/google/chrome/chrome".into()),
            command_line: Some(
                format!("/opt/google/chrome/chrome --type=renderer --id={at}").into(),
            ),
            owner: Some("ada".into()),
            state: Some(ProcessState::Sleeping),
            cpu_time_us: Some(12_340_000),
            memory_usage_bytes: Some(187_654_144),
            memory_virtual_bytes: Some(34_567_890_944),
            thread_count: Some(17),
            application: "chrome".into(),
            script: None,
        },
        cpu_delta_us: Some(120_000),
        user: 0,
    };
    SnapshotObservations {
        snapshot_id: SnapshotId(1 << 100),
        source: SourceOffset {
            partition: 3,
            offset: 123_456,
        },
        observed_at: Timestamp::from_micros(1_700_000_000_000_000),
        ingested_at: Timestamp::from_micros(1_700_000_000_100_000),
        event_at: Timestamp::from_micros(1_700_000_000_000_000),
        utc_offset_seconds: Some(3600),
        machine: machine(),
        command: None,
        attributes: BTreeMap::new(),
        command_output: None,
        users: vec![ResolvedUser {
            user: "ada".into(),
            faculty: "law".into(),
        }],
        rules_digest: 0xfeed_beef_feed_beef,
        lines_rejected: 0,
        counts: TaskCounts::default(),
        observations: (0..PROCESSES).map(observation).collect(),
    }
}

fn snapshot() -> Snapshot<'static> {
    let process = |at: usize| LinuxProcess {
        pid: 1_000 + at as i64,
        parent_pid: Some(1),
        comm: "chrome".into(),
        executable_path: Some("/opt/google/chrome/chrome".into()),
        arguments: vec!["/opt/google/chrome/chrome".into(), "--type=renderer".into()],
        owner: Some("ada".into()),
        state: Some("S".into()),
        utime_ticks: Some(1_000),
        stime_ticks: Some(234),
        start_time_ticks: Some(5_678_901),
        resident_pages: Some(45_000),
        virtual_bytes: Some(34_567_890_944),
        thread_count: Some(17),
    };
    Snapshot {
        id: SnapshotId(1 << 100),
        observed_at: Timestamp::from_micros(1_700_000_000_000_000),
        utc_offset_seconds: Some(3600),
        machine: machine(),
        user: None,
        faculty: None,
        command: None,
        attributes: BTreeMap::new(),
        payload: Payload::Linux(LinuxProcesses {
            clock_ticks_per_second: 100,
            page_size_bytes: 4096,
            boot_time_seconds: Some(1_699_000_000),
            processes: (0..PROCESSES).map(process).collect(),
        }),
    }
}

fn time(what: &str, bytes: usize, mut round: impl FnMut()) {
    (0..ROUNDS / 10).for_each(|_| round());
    #[allow(clippy::disallowed_methods, reason = "a measurement needs a clock")]
    let begin = std::time::Instant::now();
    (0..ROUNDS).for_each(|_| round());
    let seconds = begin.elapsed().as_secs_f64() / ROUNDS as f64;
    println!(
        "{what:<45} {:>6.2} M processes/s {:>7.0} MB/s {:>7.1} us per message of {bytes} bytes",
        PROCESSES as f64 / seconds / 1e6,
        bytes as f64 / seconds / 1e6,
        seconds * 1e6,
    );
}

/// A decoder of the same bytes that takes the resolving path: the writer has one nullable field more, at the end.
fn resolving<M: Message>(datum: &[u8]) -> (Decoder<M>, Vec<u8>) {
    let json = M::RECORD.schema_json();
    let end = json.rfind(']').unwrap_or(json.len());
    let extra = r#", {"name": "extra", "type": ["null", "string"], "default": null}"#;
    let schema = format!("{}{extra}{}", &json[..end], &json[end..]);
    let decoder = Decoder::new(&schema).expect("a field more is compatible");
    assert!(!decoder.reads_in_place());
    (decoder, [datum, &[0]].concat())
}

fn main() {
    let ids = RecordType::ALL.into_iter();
    let ids = ids.fold(SchemaIds::default(), |ids, record| ids.with(record, 1));
    let mut encoder = Encoder::new(&ids);
    let mut out = Vec::new();

    let value = observations();
    encoder
        .encode_observations(&value, &mut out)
        .expect("it fits its schema");
    time("encode SnapshotObservations", out.len(), || {
        out.clear();
        encoder
            .encode_observations(black_box(&value), &mut out)
            .expect("it fits its schema");
    });
    let datum = &out[wire::PREFIX_BYTES..];
    let decoder = Decoder::<messages::SnapshotObservations>::ours();
    time("decode SnapshotObservations", datum.len(), || {
        black_box(decoder.decode(black_box(datum)).expect("it is ours"));
    });
    let (decoder, datum) = resolving::<messages::SnapshotObservations>(datum);
    time(
        "decode SnapshotObservations, resolving",
        datum.len(),
        || {
            black_box(decoder.decode(black_box(&datum)).expect("it is compatible"));
        },
    );

    let value = snapshot();
    out.clear();
    encoder
        .encode_snapshot(&value, &mut out)
        .expect("it fits its schema");
    time("encode ProcessSnapshot (Linux)", out.len(), || {
        out.clear();
        encoder
            .encode_snapshot(black_box(&value), &mut out)
            .expect("it fits its schema");
    });
    let datum = &out[wire::PREFIX_BYTES..];
    let decoder = Decoder::<messages::ProcessSnapshot>::ours();
    time("decode ProcessSnapshot (Linux)", datum.len(), || {
        black_box(decoder.decode(black_box(datum)).expect("it is ours"));
    });
    let (decoder, datum) = resolving::<messages::ProcessSnapshot>(datum);
    time(
        "decode ProcessSnapshot (Linux), resolving",
        datum.len(),
        || {
            black_box(decoder.decode(black_box(&datum)).expect("it is compatible"));
        },
    );
}
