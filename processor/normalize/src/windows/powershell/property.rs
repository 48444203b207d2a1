//! The properties of process objects that are read, by their names.

/// What a property says of a process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(super) enum Property {
    /// The process id.
    Pid,
    /// The parent's.
    ParentPid,
    /// Its name, with or without `.exe`.
    Name,
    /// The path of its executable.
    Path,
    /// Its command line.
    CommandLine,
    /// `DOMAIN\user` (`Get-Process -IncludeUserName`).
    Owner,
    /// Whether its windows answer.
    Responding,
    /// When it began.
    Created,
    /// CPU seconds, a decimal number.
    CpuSeconds,
    /// User and kernel time, a time span.
    TotalProcessorTime,
    /// User time, a time span.
    UserProcessorTime,
    /// Kernel time, a time span.
    PrivilegedProcessorTime,
    /// User time in 100 ns.
    UserModeTime,
    /// Kernel time in 100 ns.
    KernelModeTime,
    /// Resident bytes.
    WorkingSet,
    /// Virtual bytes.
    VirtualSize,
    /// Resident bytes in 32 bits, which wrap at 4 GiB.
    WorkingSet32,
    /// Virtual bytes in 32 bits.
    VirtualSize32,
    /// The number of threads.
    ThreadCount,
    /// The threads themselves.
    Threads,
}

/// Number of properties.
pub(super) const PROPERTIES: usize = Property::Threads as usize + 1;

/// Names of properties in lower case: of `System.Diagnostics.Process` (with PowerShell's aliases) and of `Win32_Process`.
const NAMES: [(&str, Property); 28] = [
    ("id", Property::Pid),
    ("processid", Property::Pid),
    ("parentprocessid", Property::ParentPid),
    ("processname", Property::Name),
    ("name", Property::Name),
    ("path", Property::Path),
    ("executablepath", Property::Path),
    ("commandline", Property::CommandLine),
    ("username", Property::Owner),
    ("responding", Property::Responding),
    ("starttime", Property::Created),
    ("creationdate", Property::Created),
    ("cpu", Property::CpuSeconds),
    ("totalprocessortime", Property::TotalProcessorTime),
    ("userprocessortime", Property::UserProcessorTime),
    ("privilegedprocessortime", Property::PrivilegedProcessorTime),
    ("usermodetime", Property::UserModeTime),
    ("kernelmodetime", Property::KernelModeTime),
    ("ws", Property::WorkingSet),
    ("workingset64", Property::WorkingSet),
    ("workingsetsize", Property::WorkingSet),
    ("vm", Property::VirtualSize),
    ("virtualmemorysize64", Property::VirtualSize),
    ("virtualsize", Property::VirtualSize),
    ("workingset", Property::WorkingSet32),
    ("virtualmemorysize", Property::VirtualSize32),
    ("threadcount", Property::ThreadCount),
    ("threads", Property::Threads),
];

impl Property {
    /// The property with this name, in whatever case it was selected.
    pub(super) fn of(name: &str) -> Option<Self> {
        NAMES
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, property)| *property)
    }
}
