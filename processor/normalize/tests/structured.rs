//! Structured records: units convert exactly, doubtful values are null, overflow rejects one record.

use rollcall_domain::snapshot::{LinuxProcess, LinuxProcesses, MacosProcess, WindowsProcess};
use rollcall_domain::{
    CreationTime, LineReason, Os, Payload, Precision, Process, ProcessState, Timestamp,
};
use rollcall_normalize::{ApplicationRules, Context, NullReason, parse_structured, parse_text};
use std::borrow::Cow;

const CONTEXT: Context = Context {
    os: None,
    format: None,
    observed_at: Timestamp::from_micros(1_795_181_410_000_000),
    utc_offset_seconds: None,
};

#[track_caller]
fn check(payload: &Payload<'_>, expect: &[Process<'_>], rejected: &[(u32, LineReason)]) {
    let rules = ApplicationRules::builtin();
    let listing = parse_structured(payload, &CONTEXT, &rules);
    assert_eq!(listing.processes, expect);
    let got: Vec<_> = listing
        .rejected
        .iter()
        .map(|error| (error.line, error.reason))
        .collect();
    assert_eq!(got, rejected);
}

fn created(at: i64, precision: Precision) -> Option<CreationTime> {
    Some(CreationTime {
        at: Timestamp::from_micros(at),
        precision,
    })
}

fn linux_process(pid: i64) -> LinuxProcess<'static> {
    LinuxProcess {
        pid,
        parent_pid: Some(1),
        comm: "chrome".into(),
        executable_path: Some("/opt/google/chrome/chrome (deleted)".into()),
        arguments: vec!["/opt/google/chrome/chrome".into(), "--type=renderer".into()],
        owner: Some("ada".into()),
        state: Some("S".into()),
        utime_ticks: Some(123),
        stime_ticks: Some(456),
        start_time_ticks: Some(250),
        resident_pages: Some(10),
        virtual_bytes: Some(1_000_000),
        thread_count: Some(12),
    }
}

fn linux(processes: Vec<LinuxProcess<'static>>) -> Payload<'static> {
    Payload::Linux(LinuxProcesses {
        clock_ticks_per_second: 100,
        page_size_bytes: 4096,
        boot_time_seconds: Some(1_700_000_000),
        processes,
    })
}

fn linux_expect(pid: i32) -> Process<'static> {
    Process {
        pid,
        parent_pid: Some(1),
        created_at: created(1_700_000_002_500_000, Precision::Second),
        executable_name: "chrome".into(),
        executable_path: Some("/opt/google/chrome/chrome".into()),
        command_line: Some("/opt/google/chrome/chrome --type=renderer".into()),
        owner: Some("ada".into()),
        state: Some(ProcessState::Sleeping),
        cpu_time_us: Some(5_790_000),
        memory_usage_bytes: Some(40_960),
        memory_virtual_bytes: Some(1_000_000),
        thread_count: Some(12),
        application: "chrome".into(),
        script: None,
    }
}

#[test]
fn linux_records() {
    let kernel = LinuxProcess {
        parent_pid: Some(2),
        comm: "kworker/0:1".into(),
        executable_path: None,
        arguments: vec![],
        state: Some("I".into()),
        ..linux_process(9)
    };
    let kernel_expect = Process {
        parent_pid: Some(2),
        executable_name: "[kworker/0:1]".into(),
        executable_path: None,
        command_line: None,
        state: Some(ProcessState::Idle),
        application: "kernel".into(),
        ..linux_expect(9)
    };
    let unknown = LinuxProcess {
        utime_ticks: None,
        start_time_ticks: Some(-1),
        resident_pages: Some(-1),
        virtual_bytes: Some(-1),
        thread_count: Some(i64::MAX),
        parent_pid: Some(-1),
        owner: Some("".into()),
        state: None,
        ..linux_process(10)
    };
    let unknown_expect = Process {
        cpu_time_us: None,
        created_at: None,
        memory_usage_bytes: None,
        memory_virtual_bytes: None,
        thread_count: None,
        parent_pid: None,
        owner: None,
        state: None,
        ..linux_expect(10)
    };
    let title = LinuxProcess {
        executable_path: None,
        arguments: vec!["nginx: worker process".into()],
        comm: "nginx".into(),
        ..linux_process(11)
    };
    let title_expect = Process {
        executable_name: "nginx".into(),
        executable_path: None,
        command_line: Some("nginx: worker process".into()),
        application: "nginx".into(),
        ..linux_expect(11)
    };
    check(
        &linux(vec![linux_process(7), kernel, unknown, title]),
        &[linux_expect(7), kernel_expect, unknown_expect, title_expect],
        &[],
    );
}

#[test]
fn a_link_of_proc_names_no_file() {
    let record = |pid, comm: &'static str, arguments: &[&'static str]| LinuxProcess {
        comm: comm.into(),
        executable_path: None,
        arguments: arguments
            .iter()
            .map(|argument| (*argument).into())
            .collect(),
        ..linux_process(pid)
    };
    let expect = |pid, name: &'static str, application: &'static str| Process {
        executable_name: name.into(),
        executable_path: None,
        command_line: Some("/proc/self/exe --type=utility".into()),
        application: application.into(),
        ..linux_expect(pid)
    };
    check(
        &linux(vec![
            record(7, "code", &["/proc/self/exe", "--type=utility"]),
            record(8, "exe", &["/proc/self/exe", "--type=utility"]),
            record(9, "exe", &["/proc/self/exe --type=utility"]),
        ]),
        &[
            expect(7, "code", "vscode"),
            expect(8, "(unknown)", "(unknown)"),
            expect(9, "(unknown)", "(unknown)"),
        ],
        &[],
    );
}

#[test]
fn linux_records_that_are_rejected() {
    let records = vec![
        linux_process(-1),
        linux_process(1 << 31),
        LinuxProcess {
            utime_ticks: Some(i64::MAX),
            ..linux_process(3)
        },
        LinuxProcess {
            resident_pages: Some(i64::MAX),
            ..linux_process(4)
        },
        LinuxProcess {
            start_time_ticks: Some(i64::MAX),
            ..linux_process(5)
        },
        LinuxProcess {
            comm: "".into(),
            executable_path: None,
            arguments: vec![],
            ..linux_process(6)
        },
        linux_process(7),
        linux_process(7),
    ];
    let reasons = [
        (1, LineReason::BadPid),
        (2, LineReason::BadPid),
        (3, LineReason::Overflow),
        (4, LineReason::Overflow),
        (5, LineReason::Overflow),
        (6, LineReason::MissingName),
        (8, LineReason::DuplicatePid),
    ];
    check(&linux(records), &[linux_expect(7)], &reasons);
}

#[test]
fn a_machine_without_units() {
    let payload = Payload::Linux(LinuxProcesses {
        clock_ticks_per_second: 0,
        page_size_bytes: -1,
        boot_time_seconds: None,
        processes: vec![linux_process(7)],
    });
    let expect = Process {
        cpu_time_us: None,
        memory_usage_bytes: None,
        created_at: None,
        ..linux_expect(7)
    };
    check(&payload, &[expect], &[]);
}

#[test]
fn macos_records() {
    let path = "/Applications/Microsoft Edge.app/Contents/MacOS/Microsoft Edge";
    let record = MacosProcess {
        pid: 501,
        parent_pid: Some(1),
        name: "Microsoft Edge".into(),
        executable_path: Some(path.into()),
        arguments: vec![path.into()],
        owner: Some("grace".into()),
        state: Some("U".into()),
        user_time_us: Some(1_000_001),
        system_time_us: Some(2),
        start_time_us: Some(1_700_000_000_000_001),
        resident_bytes: Some(5),
        virtual_bytes: Some(6),
        thread_count: Some(7),
    };
    let expect = Process {
        pid: 501,
        parent_pid: Some(1),
        created_at: created(1_700_000_000_000_001, Precision::Exact),
        executable_name: "Microsoft Edge".into(),
        executable_path: Some(path.into()),
        command_line: Some(path.into()),
        owner: Some("grace".into()),
        state: Some(ProcessState::Waiting),
        cpu_time_us: Some(1_000_003),
        memory_usage_bytes: Some(5),
        memory_virtual_bytes: Some(6),
        thread_count: Some(7),
        application: "edge".into(),
        script: None,
    };
    let overflow = MacosProcess {
        pid: 502,
        user_time_us: Some(i64::MAX),
        ..record.clone()
    };
    check(
        &Payload::Macos(vec![record, overflow]),
        &[expect],
        &[(2, LineReason::Overflow)],
    );
}

#[test]
fn windows_records() {
    let record = WindowsProcess {
        pid: 4400,
        parent_pid: Some(900),
        image_name: "chrome.exe".into(),
        executable_path: Some("C:\\Program Files\\Google\\Chrome\\Application\\chrome.exe".into()),
        command_line: Some(
            "\"C:\\Program Files\\Google\\Chrome\\Application\\chrome.exe\" --type=gpu".into(),
        ),
        owner: Some("LAW\\ada".into()),
        user_time_100ns: Some(15),
        kernel_time_100ns: Some(14),
        creation_time_100ns: Some(116_444_736_000_000_019),
        working_set_bytes: Some(1),
        virtual_bytes: Some(2),
        thread_count: Some(3),
    };
    let expect = Process {
        pid: 4400,
        parent_pid: Some(900),
        created_at: created(1, Precision::Exact),
        executable_name: "chrome.exe".into(),
        executable_path: record.executable_path.clone(),
        command_line: record.command_line.clone(),
        owner: Some("LAW\\ada".into()),
        state: None,
        cpu_time_us: Some(2),
        memory_usage_bytes: Some(1),
        memory_virtual_bytes: Some(2),
        thread_count: Some(3),
        application: "chrome".into(),
        script: None,
    };
    let idle = WindowsProcess {
        pid: 0,
        image_name: "System Idle Process".into(),
        creation_time_100ns: Some(0),
        ..record.clone()
    };
    let idle_expect = Process {
        pid: 0,
        executable_name: "System Idle Process".into(),
        application: "idle".into(),
        created_at: None,
        cpu_time_us: None,
        ..expect.clone()
    };
    let nameless = WindowsProcess {
        pid: 8,
        image_name: "".into(),
        executable_path: None,
        ..record.clone()
    };
    check(
        &Payload::Windows(vec![record, idle, nameless]),
        &[expect, idle_expect],
        &[(3, LineReason::MissingName)],
    );
}

#[test]
fn what_is_borrowed_stays_borrowed() {
    let rules = ApplicationRules::builtin();
    let payload = linux(vec![linux_process(7)]);
    let listing = parse_structured(&payload, &CONTEXT, &rules);
    assert!(matches!(
        listing.processes[0].executable_name,
        Cow::Borrowed(_)
    ));
    assert!(matches!(
        listing.processes[0].executable_path,
        Some(Cow::Borrowed(_))
    ));
    assert!(matches!(listing.processes[0].application, Cow::Borrowed(_)));
}

/// The same machine as text and as records gives the same rows, but for what `ps` does not print.
#[test]
fn text_and_records_agree() {
    let rules = ApplicationRules::builtin();
    let text = "ada 7 0.0 0.1 976 40 ? Sl 10:00 0:05 /opt/google/chrome/chrome --type=renderer\n";
    let context = Context {
        os: Some(Os::Linux),
        ..CONTEXT
    };
    let listing = parse_text(text, &context, &rules).expect("listing");
    let expect = Process {
        parent_pid: None,
        created_at: None,
        cpu_time_us: Some(5_000_000),
        memory_virtual_bytes: Some(976 * 1024),
        thread_count: None,
        ..linux_expect(7)
    };
    assert_eq!(listing.processes, [expect]);
}

/// Found by the fuzz target `structured`: a start in the year 12789.
#[test]
fn a_start_in_the_future_is_null_with_its_reason() {
    let rules = ApplicationRules::builtin();
    let observed_us = CONTEXT.observed_at.as_micros();
    let read = |start_time_us| {
        let listing = parse_structured(
            &Payload::Macos(vec![MacosProcess {
                pid: 7,
                parent_pid: None,
                name: "zsh".into(),
                executable_path: None,
                arguments: Vec::new(),
                owner: None,
                state: None,
                user_time_us: None,
                system_time_us: None,
                start_time_us: Some(start_time_us),
                resident_bytes: None,
                virtual_bytes: None,
                thread_count: None,
            }]),
            &CONTEXT,
            &rules,
        );
        let reasons: Vec<_> = listing.nulls.iter().map(|null| null.reason).collect();
        (listing.processes[0].created_at, reasons)
    };
    let day_us = 86_400_000_000;
    let last = observed_us + day_us;
    assert_eq!(read(last), (created(last, Precision::Exact), vec![]));
    assert_eq!(read(last + 1), (None, vec![NullReason::StartInFuture]));
    assert_eq!(read(i64::MAX), (None, vec![NullReason::StartInFuture]));
}
