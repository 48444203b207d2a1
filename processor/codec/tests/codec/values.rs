//! Any valid value of each message, for property tests.

use proptest::collection::{btree_map, vec};
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;
use rollcall_domain::observation::{Observation, SnapshotObservations, SourceOffset, TaskCounts};
use rollcall_domain::pipeline::{
    ClosedThrough, DeadLetter, DirectoryUser, MachineCpu, NormalizeState, Partial, ProcessCpu,
    Progress, RecentIds, Rejection, RollupPartials, RollupState, RollupUpdate, TaskState,
    UpdateKind, Upstream,
};
use rollcall_domain::snapshot::{
    CommandOutput, LinuxProcess, LinuxProcesses, MacosProcess, WindowsProcess,
};
use rollcall_domain::{
    Accumulator, Contribution, CreationTime, Grain, GroupingSet, LineReason, Machine, Os, Payload,
    Precision, Process, ProcessState, RejectionReason, ResolvedUser, RollupKey, Snapshot,
    SnapshotId, Timestamp, Window,
};
use std::borrow::Cow;

type Text = Cow<'static, str>;

fn text() -> impl Strategy<Value = Text> {
    "\\PC{0,12}".prop_map(Cow::Owned)
}

fn name() -> impl Strategy<Value = Text> {
    "\\PC{1,12}".prop_map(Cow::Owned)
}

fn bytes() -> impl Strategy<Value = Cow<'static, [u8]>> {
    vec(any::<u8>(), 0..40).prop_map(Cow::Owned)
}

fn time() -> impl Strategy<Value = Timestamp> {
    prop_oneof![any::<i64>(), Just(i64::MIN), Just(i64::MAX)].prop_map(Timestamp::from_micros)
}

fn size() -> impl Strategy<Value = Option<i64>> {
    of(0..=i64::MAX)
}

fn os() -> impl Strategy<Value = Os> {
    select(&Os::ALL[..])
}

fn attributes() -> impl Strategy<Value = std::collections::BTreeMap<Text, Text>> {
    btree_map(text(), text(), 0..4)
}

fn utc_offset() -> impl Strategy<Value = Option<i32>> {
    of(-64_800..=64_800)
}

fn machine() -> impl Strategy<Value = Machine<'static>> {
    (
        name(),
        of(text()),
        os(),
        of(text()),
        of(0..=i32::MAX),
        size(),
    )
        .prop_map(
            |(id, name, os, os_version, cpu_count, memory_bytes)| Machine {
                id,
                name,
                os,
                os_version,
                cpu_count,
                memory_bytes,
            },
        )
}

fn command_output() -> impl Strategy<Value = CommandOutput<'static>> {
    (bytes(), of(text())).prop_map(|(text, encoding)| CommandOutput { text, encoding })
}

/// The eight numbers and four texts that any structured process has.
type Fields = (i64, [Option<i64>; 7], Text, [Option<Text>; 3], Vec<Text>);

fn fields() -> impl Strategy<Value = Fields> {
    let number = || of(any::<i64>());
    let numbers = [
        number(),
        number(),
        number(),
        number(),
        number(),
        number(),
        number(),
    ];
    (
        any::<i64>(),
        numbers,
        text(),
        [of(text()), of(text()), of(text())],
        vec(text(), 0..4),
    )
}

fn linux((pid, numbers, comm, texts, arguments): Fields) -> LinuxProcess<'static> {
    let [executable_path, owner, state] = texts;
    let [
        parent_pid,
        utime_ticks,
        stime_ticks,
        start_time_ticks,
        resident_pages,
        rest @ ..,
    ] = numbers;
    let [virtual_bytes, thread_count] = rest;
    LinuxProcess {
        pid,
        parent_pid,
        comm,
        executable_path,
        arguments,
        owner,
        state,
        utime_ticks,
        stime_ticks,
        start_time_ticks,
        resident_pages,
        virtual_bytes,
        thread_count,
    }
}

fn macos((pid, numbers, name, texts, arguments): Fields) -> MacosProcess<'static> {
    let [executable_path, owner, state] = texts;
    let [
        parent_pid,
        user_time_us,
        system_time_us,
        start_time_us,
        resident_bytes,
        rest @ ..,
    ] = numbers;
    let [virtual_bytes, thread_count] = rest;
    MacosProcess {
        pid,
        parent_pid,
        name,
        executable_path,
        arguments,
        owner,
        state,
        user_time_us,
        system_time_us,
        start_time_us,
        resident_bytes,
        virtual_bytes,
        thread_count,
    }
}

fn windows((pid, numbers, image_name, texts, _): Fields) -> WindowsProcess<'static> {
    let [executable_path, command_line, owner] = texts;
    let [
        parent_pid,
        user_time_100ns,
        kernel_time_100ns,
        creation_time_100ns,
        rest @ ..,
    ] = numbers;
    let [working_set_bytes, virtual_bytes, thread_count] = rest;
    WindowsProcess {
        pid,
        parent_pid,
        image_name,
        executable_path,
        command_line,
        owner,
        user_time_100ns,
        kernel_time_100ns,
        creation_time_100ns,
        working_set_bytes,
        virtual_bytes,
        thread_count,
    }
}

fn payload() -> impl Strategy<Value = Payload<'static>> {
    let positive = || 1..=i64::MAX;
    let linux_list = (
        positive(),
        positive(),
        of(any::<i64>()),
        vec(fields(), 0..4),
    );
    prop_oneof![
        command_output().prop_map(Payload::CommandOutput),
        linux_list.prop_map(|(ticks, page, boot_time_seconds, processes)| {
            Payload::Linux(LinuxProcesses {
                clock_ticks_per_second: ticks,
                page_size_bytes: page,
                boot_time_seconds,
                processes: processes.into_iter().map(linux).collect(),
            })
        }),
        vec(fields(), 0..4)
            .prop_map(|processes| Payload::Macos(processes.into_iter().map(macos).collect())),
        vec(fields(), 0..4)
            .prop_map(|processes| Payload::Windows(processes.into_iter().map(windows).collect())),
    ]
}

pub fn snapshot() -> impl Strategy<Value = Snapshot<'static>> {
    let head = (any::<u128>(), time(), utc_offset(), machine());
    (
        head,
        of(name()),
        of(name()),
        of(text()),
        attributes(),
        payload(),
    )
        .prop_map(
            |(
                (id, observed_at, utc_offset_seconds, machine),
                user,
                faculty,
                command,
                attributes,
                payload,
            )| {
                Snapshot {
                    id: SnapshotId(id),
                    observed_at,
                    utc_offset_seconds,
                    machine,
                    user,
                    faculty,
                    command,
                    attributes,
                    payload,
                }
            },
        )
}

fn created_at() -> impl Strategy<Value = Option<CreationTime>> {
    of((time(), select(&Precision::ALL[..])))
        .prop_map(|created| created.map(|(at, precision)| CreationTime { at, precision }))
}

fn process() -> impl Strategy<Value = Process<'static>> {
    let texts = (
        name(),
        of(text()),
        of(text()),
        of(text()),
        name(),
        of(text()),
    );
    let numbers = (0..=i32::MAX, of(any::<i32>()), of(any::<i32>()));
    (
        numbers,
        texts,
        created_at(),
        of(select(&ProcessState::ALL[..])),
        [size(), size(), size()],
    )
        .prop_map(
            |((pid, parent_pid, thread_count), texts, created_at, state, sizes)| {
                let (executable_name, executable_path, command_line, owner, application, script) =
                    texts;
                let [cpu_time_us, memory_usage_bytes, memory_virtual_bytes] = sizes;
                Process {
                    pid,
                    parent_pid,
                    created_at,
                    executable_name,
                    executable_path,
                    command_line,
                    owner,
                    state,
                    cpu_time_us,
                    memory_usage_bytes,
                    memory_virtual_bytes,
                    thread_count,
                    application,
                    script,
                }
            },
        )
}

fn counts() -> impl Strategy<Value = TaskCounts> {
    any::<[i64; 6]>().prop_map(
        |[read, accepted, duplicate, rejected, lines, bad]| TaskCounts {
            snapshots_read: read,
            snapshots_accepted: accepted,
            snapshots_duplicate: duplicate,
            snapshots_rejected: rejected,
            lines_accepted: lines,
            lines_rejected: bad,
        },
    )
}

fn place() -> impl Strategy<Value = SourceOffset> {
    any::<(i32, i64)>().prop_map(|(partition, offset)| SourceOffset { partition, offset })
}

pub fn observations() -> impl Strategy<Value = SnapshotObservations<'static>> {
    let user = (text(), text()).prop_map(|(user, faculty)| ResolvedUser { user, faculty });
    let observation =
        (process(), of(any::<i64>()), 0..3u32).prop_map(|(process, cpu_delta_us, user)| {
            Observation {
                process,
                cpu_delta_us,
                user,
            }
        });
    let head = (
        any::<u128>(),
        place(),
        [time(), time(), time()],
        utc_offset(),
        machine(),
    );
    let body = (
        of(text()),
        attributes(),
        of(command_output()),
        vec(user, 3..5),
    );
    let tail = (any::<u64>(), 0..=i64::MAX, counts(), vec(observation, 0..6));
    (head, body, tail).prop_map(|(head, body, tail)| {
        let (id, source, [observed_at, ingested_at, event_at], utc_offset_seconds, machine) = head;
        let (command, attributes, command_output, users) = body;
        let (rules_digest, lines_rejected, counts, observations) = tail;
        SnapshotObservations {
            snapshot_id: SnapshotId(id),
            source,
            observed_at,
            ingested_at,
            event_at,
            utc_offset_seconds,
            machine,
            command,
            attributes,
            command_output,
            users,
            rules_digest,
            lines_rejected,
            counts,
            observations,
        }
    })
}

fn key() -> impl Strategy<Value = RollupKey<'static>> {
    prop_oneof![
        text().prop_map(RollupKey::User),
        text().prop_map(RollupKey::Faculty),
        (text(), os(), text()).prop_map(|(faculty, os, application)| RollupKey::Application {
            faculty,
            os,
            application
        }),
    ]
}

fn window() -> impl Strategy<Value = Window> {
    // Not the very first instants: no window of theirs starts within the range.
    (select(&Grain::ALL[..]), i64::MIN / 2..=i64::MAX)
        .prop_map(|(grain, at)| grain.window_of(Timestamp::from_micros(at)))
}

pub fn accumulator() -> impl Strategy<Value = Accumulator> {
    let row = || {
        (
            any::<u8>(),
            any::<u16>(),
            of(any::<u32>()),
            of(any::<u32>()),
        )
    };
    prop_oneof![vec(row(), 0..4), vec(row(), 0..400)].prop_map(|rows| {
        let mut accumulator = Accumulator::default();
        for (machine, minute, cpu, memory) in rows {
            let at = Timestamp::from_micros(i64::from(minute) * 1_000_003);
            let contribution = Contribution::new(&format!("m{machine}"), at);
            accumulator.add_snapshot(&contribution);
            accumulator.users.insert_hash(contribution.machine);
            accumulator
                .applications
                .insert_hash(contribution.machine_minute);
            accumulator.add_process(cpu.map(i64::from), memory.map(i64::from));
        }
        accumulator
    })
}

pub fn partials() -> impl Strategy<Value = RollupPartials<'static>> {
    let partial = (key(), window(), accumulator()).prop_map(|(key, window, accumulator)| Partial {
        key,
        window,
        accumulator,
    });
    (any::<(i32, i64, bool)>(), time(), vec(partial, 0..4)).prop_map(
        |((source_partition, next_offset, more), stage_time, partials)| RollupPartials {
            source_partition,
            next_offset,
            stage_time,
            more,
            partials,
        },
    )
}

fn closed_through() -> impl Strategy<Value = ClosedThrough> {
    (
        select(&GroupingSet::ALL[..]),
        select(&Grain::ALL[..]),
        time(),
        time(),
    )
        .prop_map(
            |(grouping_set, grain, through, counted_from)| ClosedThrough {
                grouping_set,
                grain,
                through,
                counted_from,
            },
        )
}

pub fn update() -> impl Strategy<Value = RollupUpdate<'static>> {
    let kind = select(
        &[
            UpdateKind::Update,
            UpdateKind::Closed,
            UpdateKind::Correction,
        ][..],
    );
    prop_oneof![
        (kind, key(), window(), accumulator()).prop_map(|(kind, key, window, accumulator)| {
            RollupUpdate::Value {
                kind,
                key,
                window,
                accumulator,
            }
        }),
        (time(), vec(place(), 0..4), vec(closed_through(), 0..4)).prop_map(
            |(stage_time, folded, closed_through)| RollupUpdate::Progress(Progress {
                stage_time,
                folded,
                closed_through
            })
        ),
    ]
}

pub fn normalize_state() -> impl Strategy<Value = NormalizeState> {
    let process = (any::<(i32, u64, i64)>(), created_at()).prop_map(
        |((pid, name_hash, cpu_time_us), created_at)| ProcessCpu {
            pid,
            name_hash,
            created_at,
            cpu_time_us,
        },
    );
    prop_oneof![
        (time(), vec(process, 0..5)).prop_map(|(event_at, processes)| NormalizeState::Cpu(
            MachineCpu {
                event_at,
                processes
            }
        )),
        (any::<i64>(), vec(any::<u64>(), 0..=RecentIds::CAPACITY))
            .prop_map(|(first, hashes)| NormalizeState::RecentIds(RecentIds { first, hashes })),
    ]
}

pub fn rollup_state() -> impl Strategy<Value = RollupState<'static>> {
    (key(), window(), accumulator()).prop_map(|(key, window, accumulator)| RollupState {
        key,
        window,
        accumulator,
    })
}

pub fn task_state() -> impl Strategy<Value = TaskState> {
    let upstream =
        (any::<(i32, i64)>(), time()).prop_map(|((partition, next_offset), stage_time)| Upstream {
            partition,
            stage_time,
            next_offset,
        });
    let lists = (vec(upstream, 0..4), vec(closed_through(), 0..4));
    (
        name(),
        name(),
        any::<(i32, i32, i64, i64)>(),
        time(),
        lists,
        counts(),
    )
        .prop_map(
            |(deployment, stage, numbers, stage_time, (upstream, closed_through), counts)| {
                TaskState {
                    deployment: deployment.into_owned(),
                    stage: stage.into_owned(),
                    partition: numbers.0,
                    input_partitions: numbers.1,
                    sequence: numbers.2,
                    next_offset: numbers.3,
                    stage_time,
                    upstream,
                    closed_through,
                    counts,
                }
            },
        )
}

pub fn dead_letter() -> impl Strategy<Value = DeadLetter<'static>> {
    let rejection = prop_oneof![
        select(RejectionReason::ALL).prop_map(Rejection::Record),
        (select(LineReason::ALL), any::<i64>())
            .prop_map(|(reason, line)| Rejection::Line(reason, line)),
    ];
    let ids = (of(text()), of(any::<u128>()));
    (
        rejection,
        text(),
        text(),
        place(),
        time(),
        ids,
        bytes(),
        0..=i64::MAX,
    )
        .prop_map(
            |(rejection, detail, source_topic, source, ingested_at, ids, raw, raw_length)| {
                DeadLetter {
                    rejection,
                    detail,
                    source_topic,
                    source,
                    ingested_at,
                    machine_id: ids.0,
                    snapshot_id: ids.1.map(SnapshotId),
                    raw,
                    raw_length,
                }
            },
        )
}

pub fn directory_user() -> impl Strategy<Value = DirectoryUser<'static>> {
    of(name()).prop_map(|faculty| DirectoryUser { faculty })
}
