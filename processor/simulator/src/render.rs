//! Prints a machine's processes as `ps`, `tasklist` or the system's own records would, and says what it printed.
//!
//! Invariant: a row of text and its [`TruthRow`] come from one place, so that a form's precision is stated once.

mod linux;
mod macos;
mod windows;

use self::windows::powershell::{self, Command};
use self::windows::tasklist::{self, Columns};
use crate::form::Form;
use crate::machine::{Machine, SimulatedProcess};
use crate::truth::TruthRow;
use jiff::civil;
use rollcall_domain::snapshot::{CommandOutput, Payload};
use rollcall_domain::time::SECOND_US;
use rollcall_domain::{ProcessState, Timestamp};
use std::borrow::Cow;

/// A machine as its own tools see it at a moment of its own clock.
pub(crate) struct View<'a> {
    pub(crate) machine: &'a Machine,
    /// The machine's clock.
    pub(crate) observed_at: Timestamp,
}

impl View<'_> {
    /// When a process began, by the machine's clock.
    fn started_at(&self, process: &SimulatedProcess) -> Timestamp {
        process
            .started_at
            .plus_micros(self.observed_at.micros_since(self.machine.now))
    }

    fn booted_at(&self) -> Timestamp {
        self.machine
            .booted_at
            .plus_micros(self.observed_at.micros_since(self.machine.now))
    }

    /// A moment in the machine's local time.
    fn local(&self, at: Timestamp) -> civil::DateTime {
        let local_us =
            at.as_micros() + i64::from(self.machine.profile.utc_offset_seconds) * SECOND_US;
        jiff::Timestamp::from_microsecond(local_us)
            .map(|local| jiff::tz::Offset::UTC.to_datetime(local))
            .unwrap_or_default()
    }

    /// Resident memory in thousandths of the machine's.
    fn memory_permille(&self, process: &SimulatedProcess) -> i64 {
        process.resident_kib * 1_000 / (self.machine.profile.memory_bytes / 1_024).max(1)
    }

    /// A row with what every form shows.
    fn row(&self, process: &SimulatedProcess, name: &str) -> TruthRow {
        TruthRow {
            identity: process.identity,
            pid: process.pid,
            parent_pid: None,
            executable_name: name.to_owned(),
            application: process.program.application.to_owned(),
            owner: None,
            state: None,
            started_at: self.started_at(process),
            cpu_time_us: None,
            memory_usage_bytes: None,
            memory_virtual_bytes: None,
            thread_count: None,
            command_line: None,
        }
    }

    /// A row with all that a Unix machine knows of a process; each form shows a part of it.
    fn unix_row(
        &self,
        process: &SimulatedProcess,
        name: &str,
        stat: &str,
        command_line: Option<String>,
    ) -> TruthRow {
        TruthRow {
            parent_pid: Some(process.parent_pid),
            owner: Some(self.machine.owner(process).to_owned()),
            state: stat.chars().next().map(unix_state),
            cpu_time_us: Some(process.cpu_us),
            memory_usage_bytes: Some(process.resident_kib * 1024),
            memory_virtual_bytes: Some(process.virtual_kib * 1024),
            thread_count: Some(process.threads),
            command_line,
            ..self.row(process, name)
        }
    }
}

/// The list of `view`'s machine in its own form, and what it says.
pub(crate) fn render(view: &View<'_>) -> (Payload<'static>, Vec<TruthRow>) {
    match view.machine.profile.form {
        Form::LinuxPsAux => linux::procps::ps_aux(view),
        Form::LinuxPsEf => linux::procps::ps_ef(view),
        Form::LinuxColumns => linux::columns::everything(view),
        Form::LinuxColumnsSeconds => linux::columns::seconds(view),
        Form::LinuxColumnsStart => linux::columns::start(view),
        Form::Busybox => linux::busybox::ps(view),
        Form::BusyboxSmall => linux::busybox::small_ps(view),
        Form::LinuxStructured => linux::structured(view),
        Form::MacosPsAux => macos::ps_aux(view),
        Form::MacosPsEf => macos::columns::ps_ef(view),
        Form::MacosColumns => macos::columns::everything(view),
        Form::MacosStructured => macos::structured(view),
        Form::Tasklist => tasklist::table(view, Columns::Plain),
        Form::TasklistVerbose => tasklist::table(view, Columns::Verbose),
        Form::TasklistServices => tasklist::table(view, Columns::Services),
        Form::TasklistCsv => tasklist::csv(view, Columns::Plain),
        Form::TasklistVerboseCsv => tasklist::csv(view, Columns::Verbose),
        Form::TasklistServicesCsv => tasklist::csv(view, Columns::Services),
        Form::TasklistList => tasklist::list(view, Columns::Plain),
        Form::TasklistVerboseList => tasklist::list(view, Columns::Verbose),
        Form::TasklistServicesList => tasklist::list(view, Columns::Services),
        Form::GetProcessCsv => powershell::csv(view, Command::GetProcess, false),
        Form::GetProcessCultureCsv => powershell::csv(view, Command::GetProcess, true),
        Form::GetProcessJson => powershell::json(view, Command::GetProcess),
        Form::CimCsv => powershell::csv(view, Command::GetCimInstance, false),
        Form::CimJson => powershell::json(view, Command::GetCimInstance),
        Form::WindowsStructured => windows::structured(view),
    }
}

fn text_payload(text: Vec<u8>, encoding: Option<&'static str>) -> Payload<'static> {
    Payload::CommandOutput(CommandOutput {
        text: Cow::Owned(text),
        encoding: encoding.map(Cow::Borrowed),
    })
}

fn owned(texts: &[String]) -> Vec<Cow<'static, str>> {
    texts.iter().map(|text| Cow::Owned(text.clone())).collect()
}

/// `Sat Nov 21 13:30:15 2026`, as C's `ctime` prints a local time.
fn ctime(at: civil::DateTime) -> String {
    const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
    format!(
        "{} {} {:2} {:02}:{:02}:{:02} {}",
        DAYS[at.weekday().to_monday_zero_offset() as usize % 7],
        month(at),
        at.day(),
        at.hour(),
        at.minute(),
        at.second(),
        at.year()
    )
}

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

fn month(date: civil::DateTime) -> &'static str {
    MONTHS[(date.month() - 1) as usize % 12]
}

/// A letter of `STAT` on Linux and macOS as the domain's state.
fn unix_state(letter: char) -> ProcessState {
    match letter {
        'R' => ProcessState::Running,
        'D' | 'U' => ProcessState::Waiting,
        'I' => ProcessState::Idle,
        'T' => ProcessState::Stopped,
        'Z' => ProcessState::Zombie,
        _ => ProcessState::Sleeping,
    }
}

#[cfg(test)]
pub(crate) mod testing {
    //! A machine with hand-picked processes, for tests of single forms.

    use super::*;
    use crate::catalogue::{Kind, Program};
    use crate::form::Dialect;
    use crate::machine::Activity;
    use crate::profile::{Account, MachineProfile};
    use crate::random::Random;
    use rollcall_domain::Os;
    use std::collections::BTreeMap;

    /// 2026-11-21T13:30:15Z.
    pub(crate) const NOW: Timestamp = Timestamp::from_micros(1_795_267_815_000_000);

    pub(crate) fn machine(os: Os, form: Form, utc_offset_seconds: i32) -> Machine {
        let profile = MachineProfile {
            id: "machine-0001".into(),
            name: "LAW-PC0001".into(),
            os,
            os_version: "1",
            cpu_count: 4,
            memory_bytes: 8 << 30,
            utc_offset_seconds,
            form,
            user: None,
            faculty: None,
            shared: false,
            clock_ahead_us: 0,
            attributes: BTreeMap::new(),
            accounts: vec![Account {
                owner: if os == Os::Windows {
                    "UNI\\ada"
                } else {
                    "ada.lovelace"
                }
                .into(),
                login: "ada".into(),
                faculty: None,
            }],
            pid_digits: 7,
            dialect: Dialect::PLAIN,
            up_us: 400 * 86_400 * SECOND_US,
            processes: 1,
        };
        let mut machine = Machine::new(profile, NOW, Random::new(1, 1), 1);
        machine.processes.clear();
        machine
    }

    /// A process of `program` that started `ago_s` seconds before [`NOW`].
    pub(crate) fn process(
        machine: &mut Machine,
        program: &'static Program,
        pid: i32,
        ago_s: i64,
        cpu_us: i64,
    ) -> usize {
        let path = program.path.to_owned();
        let arguments = match program.arguments {
            [] if path.is_empty() => Vec::new(),
            [] => vec![path.clone()],
            arguments => arguments.iter().map(|text| (*text).to_owned()).collect(),
        };
        machine.processes.push(SimulatedProcess {
            identity: pid as u64,
            parent_pid: if program.kind == Kind::Kernel { 2 } else { 1 },
            account: program.owner.is_empty().then_some(0),
            started_at: NOW.plus_micros(-ago_s * SECOND_US),
            resident_kib: program.resident_kib,
            virtual_kib: program.resident_kib * 10,
            threads: program.threads,
            activity: Activity::Sleeping,
            terminal: 3,
            window_title: "",
            recent_permille: 0,
            program,
            pid,
            path,
            arguments,
            cpu_us,
            ..SimulatedProcess::blank(program)
        });
        machine.processes.len() - 1
    }

    pub(crate) fn text(machine: &Machine) -> (String, Vec<TruthRow>) {
        let (payload, rows) = render(&View {
            machine,
            observed_at: NOW,
        });
        let Payload::CommandOutput(output) = payload else {
            panic!("no text")
        };
        (
            String::from_utf8(output.text.into_owned()).expect("plain text"),
            rows,
        )
    }
}
