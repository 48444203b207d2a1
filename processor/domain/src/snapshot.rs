//! A snapshot: what one machine said about its processes at one moment.
//!
//! Text and bytes borrow from the message that they came in, so that decoding copies nothing.

use crate::time::Timestamp;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// A snapshot's own id, a UUID as its producer chose it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SnapshotId(pub u128);

/// An operating system that Rollcall can read.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Os {
    /// Linux with procps or busybox.
    Linux,
    /// macOS.
    Macos,
    /// Windows.
    Windows,
}

impl Os {
    /// Every operating system, in a fixed order.
    pub const ALL: [Os; 3] = [Os::Linux, Os::Macos, Os::Windows];

    /// Its name in topics, tables and settings.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Os::Linux => "linux",
            Os::Macos => "macos",
            Os::Windows => "windows",
        }
    }

    /// The inverse of [`Os::as_str`].
    #[must_use]
    pub fn parse(text: &str) -> Option<Os> {
        Os::ALL.into_iter().find(|os| os.as_str() == text)
    }
}

/// The machine that a snapshot speaks of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Machine<'a> {
    /// Stable id, also the Kafka key of its records. Never empty.
    pub id: Cow<'a, str>,
    /// Name that people know it by.
    pub name: Option<Cow<'a, str>>,
    /// Its operating system.
    pub os: Os,
    /// Version of its operating system, as it prints it.
    pub os_version: Option<Cow<'a, str>>,
    /// Number of logical CPUs.
    pub cpu_count: Option<i32>,
    /// Physical memory in bytes.
    pub memory_bytes: Option<i64>,
}

/// One machine's process list at one moment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Snapshot<'a> {
    /// Id for recognizing a repeated send.
    pub id: SnapshotId,
    /// The producer's clock when the list was taken.
    pub observed_at: Timestamp,
    /// Offset of the machine's local time from UTC in seconds, for local times in its text.
    pub utc_offset_seconds: Option<i32>,
    /// The machine.
    pub machine: Machine<'a>,
    /// Whose machine it is, where it has one user.
    pub user: Option<Cow<'a, str>>,
    /// The faculty (or department), where the producer knows it.
    pub faculty: Option<Cow<'a, str>>,
    /// The command whose output this is.
    pub command: Option<Cow<'a, str>>,
    /// Free attributes.
    pub attributes: BTreeMap<Cow<'a, str>, Cow<'a, str>>,
    /// The list itself.
    pub payload: Payload<'a>,
}

/// The process list, as text or in the operating system's own records.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Payload<'a> {
    /// Output of `ps` or `tasklist`.
    CommandOutput(CommandOutput<'a>),
    /// Records read from Linux's `/proc`.
    Linux(LinuxProcesses<'a>),
    /// Records read with macOS's `proc_pid_rusage` and `proc_pidinfo`.
    Macos(Vec<MacosProcess<'a>>),
    /// Records read with Windows' process functions.
    Windows(Vec<WindowsProcess<'a>>),
}

/// A command's output as bytes, for its encoding is not always UTF-8.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CommandOutput<'a> {
    /// The bytes as printed.
    pub text: Cow<'a, [u8]>,
    /// Encoding or code page label (`utf-8`, `cp850`, `windows-1252`); `None`: found from the bytes.
    pub encoding: Option<Cow<'a, str>>,
}

/// Linux processes in the kernel's units.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LinuxProcesses<'a> {
    /// Clock ticks per second (`sysconf(_SC_CLK_TCK)`).
    pub clock_ticks_per_second: i64,
    /// Bytes per page (`sysconf(_SC_PAGESIZE)`).
    pub page_size_bytes: i64,
    /// Boot time: `btime` of `/proc/stat`, in seconds since the epoch.
    pub boot_time_seconds: Option<i64>,
    /// The processes.
    pub processes: Vec<LinuxProcess<'a>>,
}

/// One process as `/proc/<pid>` gives it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LinuxProcess<'a> {
    /// Process id.
    pub pid: i64,
    /// Parent's process id.
    pub parent_pid: Option<i64>,
    /// `comm` of `/proc/<pid>/stat`, at most 15 bytes.
    pub comm: Cow<'a, str>,
    /// Target of `/proc/<pid>/exe`.
    pub executable_path: Option<Cow<'a, str>>,
    /// Arguments of `/proc/<pid>/cmdline`; empty for kernel threads.
    pub arguments: Vec<Cow<'a, str>>,
    /// Owner's name, or the UID where it has no name.
    pub owner: Option<Cow<'a, str>>,
    /// State letter.
    pub state: Option<Cow<'a, str>>,
    /// User mode time in clock ticks.
    pub utime_ticks: Option<i64>,
    /// Kernel mode time in clock ticks.
    pub stime_ticks: Option<i64>,
    /// Start time in clock ticks after boot.
    pub start_time_ticks: Option<i64>,
    /// Resident set in pages.
    pub resident_pages: Option<i64>,
    /// Virtual size in bytes.
    pub virtual_bytes: Option<i64>,
    /// Number of threads.
    pub thread_count: Option<i64>,
}

/// One process as macOS' `proc_pidinfo` and `proc_pid_rusage` give it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MacosProcess<'a> {
    /// Process id.
    pub pid: i64,
    /// Parent's process id.
    pub parent_pid: Option<i64>,
    /// `pbi_comm` or `pbi_name`.
    pub name: Cow<'a, str>,
    /// `proc_pidpath`.
    pub executable_path: Option<Cow<'a, str>>,
    /// Arguments, argv[0] first.
    pub arguments: Vec<Cow<'a, str>>,
    /// Owner's name, or the UID where it has no name.
    pub owner: Option<Cow<'a, str>>,
    /// State letters as `ps` prints them.
    pub state: Option<Cow<'a, str>>,
    /// User mode time in microseconds.
    pub user_time_us: Option<i64>,
    /// Kernel mode time in microseconds.
    pub system_time_us: Option<i64>,
    /// Start time in microseconds since the epoch.
    pub start_time_us: Option<i64>,
    /// Resident size in bytes.
    pub resident_bytes: Option<i64>,
    /// Virtual size in bytes.
    pub virtual_bytes: Option<i64>,
    /// Number of threads.
    pub thread_count: Option<i64>,
}

/// One process as Windows' process functions give it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WindowsProcess<'a> {
    /// Process id.
    pub pid: i64,
    /// Parent's process id.
    pub parent_pid: Option<i64>,
    /// Image name, as `chrome.exe`.
    pub image_name: Cow<'a, str>,
    /// Full path of the image.
    pub executable_path: Option<Cow<'a, str>>,
    /// The command line as one string.
    pub command_line: Option<Cow<'a, str>>,
    /// Owner as `DOMAIN\user`.
    pub owner: Option<Cow<'a, str>>,
    /// User mode time in units of 100 ns.
    pub user_time_100ns: Option<i64>,
    /// Kernel mode time in units of 100 ns.
    pub kernel_time_100ns: Option<i64>,
    /// Creation time in units of 100 ns since 1601-01-01T00:00:00Z (a FILETIME).
    pub creation_time_100ns: Option<i64>,
    /// Working set in bytes.
    pub working_set_bytes: Option<i64>,
    /// Virtual size in bytes.
    pub virtual_bytes: Option<i64>,
    /// Number of threads.
    pub thread_count: Option<i64>,
}
