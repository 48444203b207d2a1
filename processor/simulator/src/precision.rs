//! What each form holds of a process, and how exactly: one table, by which texts are compared with records.
//!
//! Invariant: a value that a form holds is right up to the precision stated here; all others are `None`.

use crate::form::Form;
use crate::truth::TruthRow;
use rollcall_domain::ProcessState;
use rollcall_domain::time::SECOND_US;

/// Whose name a form shows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Owner {
    /// None.
    No,
    /// As it is.
    Whole,
    /// Of more than 8 letters, 7 and a plus.
    Plus8,
    /// The first 8 letters.
    First8,
    /// A number that stands for it.
    Number,
}

/// What a form shows of a process' state.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// Nothing.
    No,
    /// That it has ended (`<defunct>`).
    Zombie,
    /// All that the system knows.
    Whole,
}

/// How exactly CPU time is shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CpuTime {
    /// Not at all.
    No,
    /// Rounded down to so many microseconds.
    Quantum(i64),
    /// To the second below an hour; beyond, not exactly enough to be a value.
    SecondsOfAnHour,
}

/// When a process began.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Start {
    /// Not shown.
    No,
    /// Shown, in a form that gets coarser with age or whose meaning may be in doubt.
    Sometimes,
    /// To the second, or better.
    Second,
    /// To the second, from the time that has passed since: an observation is dated within a minute of it.
    Minute,
}

/// What a form shows of an executable's name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Name {
    /// All of it.
    Whole,
    /// So many bytes; all of a kernel thread's.
    First(usize),
    /// All of it, but so many bytes of a kernel thread's.
    KernelFirst(usize),
    /// All but `.exe`, unless a path is shown too.
    Stem,
}

/// What a form holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Holds {
    /// The executable's name.
    pub name: Name,
    /// The parent's process id.
    pub parent: bool,
    /// The owner.
    pub owner: Owner,
    /// The state.
    pub state: State,
    /// The start time.
    pub start: Start,
    /// CPU time.
    pub cpu_time: CpuTime,
    /// Resident memory, to the KiB.
    pub resident: bool,
    /// The largest virtual memory that is shown to the KiB, in KiB.
    pub virtual_kib: i64,
    /// Threads.
    pub threads: bool,
    /// The command line.
    pub command_line: bool,
}

const SECOND: CpuTime = CpuTime::Quantum(SECOND_US);
const CENTISECOND: CpuTime = CpuTime::Quantum(10_000);
/// 100 ns.
const TICK: CpuTime = CpuTime::Quantum(1);
/// No virtual memory is shown.
const NO: i64 = -1;
/// All virtual memory is shown.
const ANY: i64 = i64::MAX;

impl Holds {
    /// What `form` holds.
    #[must_use]
    #[rustfmt::skip]
    pub const fn of(form: Form) -> Holds {
        use {Form as F, Name as N, Owner as O, Start as S, State as T};
        // name, parent, owner, state, start, CPU time, resident, virtual, threads, command line
        let (name, parent, owner, state, start, cpu_time, resident, virtual_kib, threads, command_line) = match form {
            F::LinuxPsAux           => (N::Whole,     false, O::Plus8,  T::Whole,  S::Sometimes, SECOND,      true,  ANY,    false, true),
            F::LinuxPsEf            => (N::Whole,     true,  O::Plus8,  T::Zombie, S::Sometimes, SECOND,      false, NO,     false, true),
            F::LinuxColumns         => (N::Whole,     true,  O::Plus8,  T::Whole,  S::Second,    SECOND,      true,  ANY,    true,  true),
            F::LinuxColumnsSeconds  => (N::First(15), false, O::Plus8,  T::Zombie, S::Minute,    SECOND,      false, NO,     false, false),
            F::LinuxColumnsStart    => (N::Whole,     true,  O::No,     T::Zombie, S::Sometimes, SECOND,      false, NO,     false, true),
            F::Busybox              => (N::KernelFirst(15), false, O::First8, T::No,     S::No,        CpuTime::SecondsOfAnHour, false, NO, false, true),
            F::BusyboxSmall         => (N::KernelFirst(15), false, O::First8, T::Whole,  S::No,        CpuTime::No, false, 99_999, false, true),
            F::LinuxStructured      => (N::KernelFirst(15), true,  O::Whole,  T::Whole,  S::Second,    CENTISECOND, true,  ANY,    true,  true),
            F::MacosPsAux           => (N::Whole,     false, O::Whole,  T::Whole,  S::Sometimes, CENTISECOND, true,  ANY,    false, true),
            F::MacosPsEf            => (N::Whole,     true,  O::Number, T::No,     S::Sometimes, CENTISECOND, false, NO,     false, true),
            F::MacosColumns         => (N::Whole,     true,  O::Whole,  T::Whole,  S::Second,    CENTISECOND, true,  ANY,    false, true),
            F::MacosStructured      => (N::Whole,     true,  O::Whole,  T::Whole,  S::Second,    TICK,        true,  ANY,    true,  true),
            F::Tasklist             => (N::First(25), false, O::No,     T::No,     S::No,        CpuTime::No, true,  NO,     false, false),
            F::TasklistVerbose      => (N::First(25), false, O::Whole,  T::Whole,  S::No,        SECOND,      true,  NO,     false, false),
            F::TasklistServices     => (N::First(25), false, O::No,     T::No,     S::No,        CpuTime::No, false, NO,     false, false),
            F::TasklistCsv
            | F::TasklistList       => (N::Whole,     false, O::No,     T::No,     S::No,        CpuTime::No, true,  NO,     false, false),
            F::TasklistVerboseCsv
            | F::TasklistVerboseList => (N::Whole,    false, O::Whole,  T::Whole,  S::No,        SECOND,      true,  NO,     false, false),
            F::TasklistServicesCsv
            | F::TasklistServicesList => (N::Whole,   false, O::No,     T::No,     S::No,        CpuTime::No, false, NO,     false, false),
            F::GetProcessCsv
            | F::GetProcessCultureCsv
            | F::GetProcessJson     => (N::Stem,      false, O::No,     T::No,     S::Sometimes, TICK,        true,  ANY,    false, false),
            F::CimCsv
            | F::CimJson            => (N::Whole,     true,  O::No,     T::No,     S::Sometimes, TICK,        true,  ANY,    true,  true),
            F::WindowsStructured    => (N::Whole,     true,  O::Whole,  T::No,     S::Second,    TICK,        true,  ANY,    true,  true),
        };
        Holds { name, parent, owner, state, start, cpu_time, resident, virtual_kib, threads, command_line }
    }

    /// What is seen of `whole` through this form.
    #[must_use]
    pub fn seen(&self, whole: &TruthRow) -> TruthRow {
        let name = self.name.of(whole);
        TruthRow {
            application: application(whole, &name, self.name),
            executable_name: name,
            parent_pid: whole.parent_pid.filter(|_| self.parent),
            owner: whole
                .owner
                .as_deref()
                .and_then(|owner| self.owner.of(owner)),
            state: whole.state.filter(|state| match self.state {
                State::No => false,
                State::Zombie => *state == ProcessState::Zombie,
                State::Whole => true,
            }),
            cpu_time_us: whole.cpu_time_us.and_then(|us| self.cpu_time.of(us)),
            memory_usage_bytes: whole.memory_usage_bytes.filter(|_| self.resident),
            memory_virtual_bytes: whole
                .memory_virtual_bytes
                .filter(|bytes| bytes / 1024 <= self.virtual_kib),
            thread_count: whole.thread_count.filter(|_| self.threads),
            command_line: whole.command_line.clone().filter(|_| self.command_line),
            ..whole.clone()
        }
    }
}

/// A name that has lost more than its `.exe` is no longer any program's that is known.
fn application(whole: &TruthRow, shown: &str, name: Name) -> String {
    let full = &whole.executable_name;
    let stem = full.strip_suffix(".exe").unwrap_or(full);
    match name {
        Name::First(_) if !shown.starts_with('[') && shown.len() < stem.len() => {
            shown.to_lowercase()
        }
        _ => whole.application.clone(),
    }
}

impl Name {
    fn of(self, whole: &TruthRow) -> String {
        let name = whole.executable_name.as_str();
        match self {
            Name::Whole => name.to_owned(),
            Name::First(_) if name.starts_with('[') => name.to_owned(),
            Name::KernelFirst(bytes) if name.starts_with('[') => {
                let inner = name.trim_matches(['[', ']']);
                format!("[{}]", &inner[..inner.len().min(bytes)])
            }
            Name::KernelFirst(_) => name.to_owned(),
            Name::First(bytes) => name[..name.len().min(bytes)].to_owned(),
            Name::Stem => name.strip_suffix(".exe").unwrap_or(name).to_owned(),
        }
    }
}

impl Owner {
    fn of(self, owner: &str) -> Option<String> {
        let first = |count: usize| owner.chars().take(count).collect::<String>();
        match self {
            Owner::No | Owner::Number => None,
            Owner::Whole => Some(owner.to_owned()),
            Owner::Plus8 if owner.chars().count() > 8 => Some(first(7) + "+"),
            Owner::Plus8 | Owner::First8 => Some(first(8)),
        }
    }
}

impl CpuTime {
    fn of(self, us: i64) -> Option<i64> {
        match self {
            CpuTime::No => None,
            CpuTime::Quantum(quantum) => Some(us / quantum * quantum),
            CpuTime::SecondsOfAnHour => {
                (us < 3_600 * SECOND_US).then_some(us / SECOND_US * SECOND_US)
            }
        }
    }
}
