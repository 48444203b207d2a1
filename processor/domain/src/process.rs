//! One process in the field's standard terms (OpenTelemetry `process.*`), whatever machine it ran on.

use crate::time::Timestamp;
use std::borrow::Cow;

/// A process as a snapshot shows it. What the listing does not say, or says doubtfully, is `None`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Process<'a> {
    /// `process.pid`, 0 or more.
    pub pid: i32,
    /// `process.parent_pid`.
    pub parent_pid: Option<i32>,
    /// `process.creation.time`, with how exactly it is known.
    pub created_at: Option<CreationTime>,
    /// `process.executable.name`: the file's name, never empty. Kernel threads keep their brackets.
    pub executable_name: Cow<'a, str>,
    /// `process.executable.path`, where the listing shows a path.
    pub executable_path: Option<Cow<'a, str>>,
    /// `process.command_line`.
    pub command_line: Option<Cow<'a, str>>,
    /// `process.owner` as printed: perhaps cut, or a UID.
    pub owner: Option<Cow<'a, str>>,
    /// `process.state`.
    pub state: Option<ProcessState>,
    /// Cumulative CPU time, user and kernel, in microseconds. Never negative.
    pub cpu_time_us: Option<i64>,
    /// `process.memory.usage`: resident bytes. Never negative.
    pub memory_usage_bytes: Option<i64>,
    /// `process.memory.virtual` in bytes. Never negative.
    pub memory_virtual_bytes: Option<i64>,
    /// `process.thread.count`.
    pub thread_count: Option<i32>,
    /// The canonical application name over all operating systems, as `chrome`. Never empty.
    pub application: Cow<'a, str>,
    /// What an interpreter runs, as `http.server` of `python3 -m http.server`: a file's name without its folder, a
    /// module or a class. `None` for other applications, for code on the command line, and where there is doubt.
    pub script: Option<Cow<'a, str>>,
}

/// When a process began, and how exactly that is known.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct CreationTime {
    /// The start of the interval in which it began.
    pub at: Timestamp,
    /// The interval's length.
    pub precision: Precision,
}

/// How exactly a creation time is known.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Precision {
    /// To the microsecond or clock tick.
    Exact,
    /// To the second.
    Second,
    /// To the minute.
    Minute,
    /// To the hour.
    Hour,
    /// To the day.
    Day,
    /// To the year.
    Year,
}

impl Precision {
    /// Every precision, finest first.
    pub const ALL: [Precision; 6] = [
        Precision::Exact,
        Precision::Second,
        Precision::Minute,
        Precision::Hour,
        Precision::Day,
        Precision::Year,
    ];

    /// Its name in tables and listings.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Precision::Exact => "exact",
            Precision::Second => "second",
            Precision::Minute => "minute",
            Precision::Hour => "hour",
            Precision::Day => "day",
            Precision::Year => "year",
        }
    }

    /// A stable one-letter code for tables: `x s m h d y`.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Precision::Exact => b'x',
            Precision::Second => b's',
            Precision::Minute => b'm',
            Precision::Hour => b'h',
            Precision::Day => b'd',
            Precision::Year => b'y',
        }
    }
}

/// What a process is doing, over all operating systems.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum ProcessState {
    /// On a CPU or ready (`R`; Windows `Running`).
    Running,
    /// Interruptible sleep (`S`).
    Sleeping,
    /// Uninterruptible wait (`D` on Linux, `U` on macOS).
    Waiting,
    /// Idle kernel thread, or asleep for over 20 s on macOS (`I`).
    Idle,
    /// Stopped or traced (`T`, `t`; Windows `Suspended`).
    Stopped,
    /// Ended and not yet waited for (`Z`, `X`).
    Zombie,
    /// A Windows process that does not answer its window messages (`Not Responding`).
    Unresponsive,
}

impl ProcessState {
    /// Every state, in a fixed order.
    pub const ALL: [ProcessState; 7] = [
        ProcessState::Running,
        ProcessState::Sleeping,
        ProcessState::Waiting,
        ProcessState::Idle,
        ProcessState::Stopped,
        ProcessState::Zombie,
        ProcessState::Unresponsive,
    ];

    /// Its name in tables and listings.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            ProcessState::Running => "running",
            ProcessState::Sleeping => "sleeping",
            ProcessState::Waiting => "waiting",
            ProcessState::Idle => "idle",
            ProcessState::Stopped => "stopped",
            ProcessState::Zombie => "zombie",
            ProcessState::Unresponsive => "unresponsive",
        }
    }

    /// A stable one-letter code for tables: `R S D I T Z U`.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            ProcessState::Running => b'R',
            ProcessState::Sleeping => b'S',
            ProcessState::Waiting => b'D',
            ProcessState::Idle => b'I',
            ProcessState::Stopped => b'T',
            ProcessState::Zombie => b'Z',
            ProcessState::Unresponsive => b'U',
        }
    }
}
