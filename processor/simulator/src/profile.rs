//! What a machine is: its operating system, size, zone, users and the form in which it lists its processes.
//!
//! Invariant: a profile never changes while the fleet runs.

use crate::form::{Dialect, Form, Language};
use crate::people::Person;
use crate::random::Random;
use rollcall_domain::Os;
use rollcall_domain::time::{DAY_US, HOUR_US, MINUTE_US};
use std::collections::BTreeMap;

/// An account on a machine.
#[derive(Clone, Debug)]
pub(crate) struct Account {
    /// Its name as the machine prints it in full: `ada`, `UNI\ada`, or a UID.
    pub(crate) owner: String,
    /// Its short name, in paths.
    pub(crate) login: String,
    /// The faculty whose applications it uses.
    pub(crate) faculty: Option<usize>,
}

/// What a machine is.
#[derive(Clone, Debug)]
pub struct MachineProfile {
    /// The machine's id, also the key of its records.
    pub id: String,
    /// The name that people know it by.
    pub name: String,
    /// The operating system.
    pub os: Os,
    /// Its version.
    pub os_version: &'static str,
    /// Logical CPUs.
    pub cpu_count: i32,
    /// Physical memory in bytes.
    pub memory_bytes: i64,
    /// Local time's offset from UTC in seconds.
    pub utc_offset_seconds: i32,
    /// The form in which it lists its processes.
    pub form: Form,
    /// The user that its snapshots name; `None` on a shared host.
    pub user: Option<String>,
    /// The faculty that its snapshots name.
    pub faculty: Option<String>,
    /// Whether many people are logged in at once.
    pub shared: bool,
    /// How far its clock runs ahead of true time, in microseconds.
    pub clock_ahead_us: i64,
    /// Free attributes of its snapshots.
    pub attributes: BTreeMap<&'static str, String>,
    pub(crate) accounts: Vec<Account>,
    /// Digits of its largest process id.
    pub(crate) pid_digits: usize,
    /// How its language and versions colour what it prints.
    pub(crate) dialect: Dialect,
    /// How long before the fleet's start it booted.
    pub(crate) up_us: i64,
    /// How many processes it runs, about.
    pub(crate) processes: usize,
}

/// What all machines of a fleet are made from.
pub(crate) struct Setting<'a> {
    pub(crate) people: &'a [Person],
    pub(crate) faculties: &'a [String],
    pub(crate) os_shares: [f64; 3],
    pub(crate) processes: (u32, u32),
    pub(crate) structured_share: f64,
    pub(crate) shared_host_share: f64,
    pub(crate) decimal_comma_share: f64,
}

impl MachineProfile {
    /// Machine `index` of a fleet.
    pub(crate) fn draw(index: u32, setting: &Setting<'_>, random: &mut Random) -> Self {
        let os = os_of(index, setting.os_shares);
        let shared = os != Os::Macos && random.share(setting.shared_host_share);
        let members = members(setting.people, shared, random);
        let owner = members.first().copied();
        let faculty = owner.and_then(|person| person.faculty);
        let faculty_name = faculty.map(|faculty| setting.faculties[faculty].as_str());
        let (id, name) = names(index, os, shared, faculty_name);
        let utc_offset_seconds =
            *random.weighted(&[(0, 28), (3_600, 38), (19_800, 16), (-18_000, 18)]);
        let size = i64::from(*random.pick(&[1_u8, 2, 2, 4])) * if shared { 8 } else { 1 };
        let accounts = accounts(os, &name, &members, random);
        Self {
            os_version: os_version(os, shared, random),
            cpu_count: (4 * size) as i32,
            memory_bytes: (8 * size) << 30,
            form: form(os, setting.structured_share, random),
            user: owner.filter(|_| !shared).map(|person| person.login.clone()),
            faculty: faculty_name
                .filter(|_| random.chance(500_000))
                .map(str::to_owned),
            attributes: attributes(index, random),
            pid_digits: if random.chance(150_000) { 5 } else { 7 },
            dialect: dialect(index, os, utc_offset_seconds, setting, random),
            up_us: up_us(random),
            processes: random
                .between(
                    i64::from(setting.processes.0),
                    i64::from(setting.processes.1),
                )
                .max(1) as usize,
            clock_ahead_us: 0,
            id,
            name,
            os,
            utc_offset_seconds,
            shared,
            accounts,
        }
    }
}

/// Operating systems in their shares, evenly spread over any stretch of machines.
fn os_of(index: u32, shares: [f64; 3]) -> Os {
    let total: f64 = shares.iter().sum();
    let mut at = (f64::from(index) + 0.5) * 0.618_033_988_749_894_9 % 1.0 * total;
    for (os, share) in Os::ALL.into_iter().zip(shares) {
        if at < share {
            return os;
        }
        at -= share;
    }
    Os::Linux
}

fn members<'a>(people: &'a [Person], shared: bool, random: &mut Random) -> Vec<&'a Person> {
    if people.is_empty() {
        return Vec::new();
    }
    let count = if shared { random.between(4, 14) } else { 1 };
    let mut members: Vec<&Person> = Vec::new();
    for _ in 0..count {
        let person = random.pick(people);
        if members.iter().all(|member| member.login != person.login) {
            members.push(person);
        }
    }
    members
}

fn names(index: u32, os: Os, shared: bool, faculty: Option<&str>) -> (String, String) {
    let short: String = faculty
        .unwrap_or("uni")
        .chars()
        .filter(char::is_ascii_alphabetic)
        .collect();
    let short = &short[..short.len().min(4)];
    let id = format!("machine-{index:04}");
    let name = match (os, shared) {
        (Os::Windows, false) => format!("{}-PC{index:04}", short.to_uppercase()),
        (Os::Windows, true) => format!("{}-TS{index:04}", short.to_uppercase()),
        (Os::Macos, _) => format!("{short}-mac-{index:04}.local"),
        (Os::Linux, false) => format!("{short}-ws-{index:04}"),
        (Os::Linux, true) => format!("login{index}.{short}.uni.example"),
    };
    (id, name)
}

fn accounts(os: Os, machine: &str, members: &[&Person], random: &mut Random) -> Vec<Account> {
    // A host that has lost its directory service prints UIDs; a PC outside the domain has local accounts.
    let lost = random.chance(60_000);
    let account = |(index, person): (usize, &&Person)| {
        let owner = match os {
            Os::Windows if lost => format!("{machine}\\{}", person.login),
            Os::Windows => format!("UNI\\{}", person.login),
            Os::Linux if lost => format!("{}", 10_200 + index * 7),
            _ => person.login.clone(),
        };
        Account {
            owner,
            login: person.login.clone(),
            faculty: person.faculty,
        }
    };
    members.iter().enumerate().map(account).collect()
}

/// All forms but [`Form::LinuxColumnsSeconds`], of whose cut names it can't be said which applications' they are.
fn form(os: Os, structured_share: f64, random: &mut Random) -> Form {
    let structured = random.share(structured_share);
    match (os, structured) {
        (Os::Linux, true) => Form::LinuxStructured,
        (Os::Macos, true) => Form::MacosStructured,
        (Os::Windows, true) => Form::WindowsStructured,
        (Os::Linux, false) => *random.weighted(&[
            (Form::LinuxPsAux, 60),
            (Form::LinuxPsEf, 26),
            (Form::LinuxColumns, 5),
            (Form::LinuxColumnsStart, 3),
            (Form::Busybox, 3),
            (Form::BusyboxSmall, 3),
        ]),
        (Os::Macos, false) => *random.weighted(&[
            (Form::MacosPsAux, 86),
            (Form::MacosPsEf, 7),
            (Form::MacosColumns, 7),
        ]),
        (Os::Windows, false) => *random.weighted(&[
            (Form::TasklistVerbose, 30),
            (Form::TasklistVerboseCsv, 30),
            (Form::Tasklist, 12),
            (Form::TasklistCsv, 12),
            (Form::TasklistServices, 1),
            (Form::TasklistServicesCsv, 1),
            (Form::TasklistList, 1),
            (Form::TasklistVerboseList, 3),
            (Form::TasklistServicesList, 1),
            (Form::GetProcessCsv, 2),
            (Form::GetProcessCultureCsv, 2),
            (Form::GetProcessJson, 2),
            (Form::CimCsv, 2),
            (Form::CimJson, 2),
        ]),
    }
}

/// Every ninth machine speaks another language, each in its turn.
fn dialect(
    index: u32,
    os: Os,
    utc_offset_seconds: i32,
    setting: &Setting<'_>,
    random: &mut Random,
) -> Dialect {
    let decimal_comma = os == Os::Macos && random.share(setting.decimal_comma_share);
    Dialect {
        language: match utc_offset_seconds {
            19_800 => Language::EnglishIndia,
            _ if index % 9 == 4 => Language::ALL[index as usize / 9 % Language::ALL.len()],
            _ => Language::English,
        },
        decimal_comma,
        hours_24: decimal_comma || index % 7 == 3,
        powershell_7: index.is_multiple_of(2),
    }
}

fn os_version(os: Os, shared: bool, random: &mut Random) -> &'static str {
    let versions: &[&'static str] = match (os, shared) {
        (Os::Linux, _) => &[
            "Ubuntu 24.04.3 LTS",
            "Debian GNU/Linux 13 (trixie)",
            "Fedora Linux 43",
        ],
        (Os::Macos, _) => &["14.8.1", "15.7.1", "26.1"],
        (Os::Windows, false) => &["10.0.19045", "10.0.22631", "10.0.26200"],
        (Os::Windows, true) => &["10.0.20348", "10.0.26100"],
    };
    versions[random.below(versions.len() as u64) as usize]
}

fn attributes(index: u32, random: &mut Random) -> BTreeMap<&'static str, String> {
    let site = random.pick(&["main campus", "hospital", "old town", "remote"]);
    BTreeMap::from([
        ("site", (*site).to_owned()),
        (
            "room",
            format!("{}.{:03}", random.between(0, 5), index % 400),
        ),
    ])
}

/// Some were switched on today, most this week, a few have run for more than a year.
fn up_us(random: &mut Random) -> i64 {
    let (low, high) = *random.weighted(&[
        ((20 * MINUTE_US, 20 * HOUR_US), 35),
        ((DAY_US, 6 * DAY_US), 35),
        ((7 * DAY_US, 60 * DAY_US), 20),
        ((300 * DAY_US, 700 * DAY_US), 10),
    ]);
    random.between(low, high)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operating_systems_come_in_their_shares_at_once() {
        let count = |machines, shares, os| {
            (0..machines)
                .filter(|index| os_of(*index, shares) == os)
                .count()
        };
        assert_eq!(Os::ALL.map(|os| count(3, [1.0, 1.0, 1.0], os)), [1, 1, 1]);
        let hundred = Os::ALL.map(|os| count(100, [0.2, 0.3, 0.5], os));
        for (found, expect) in hundred.into_iter().zip([20_i64, 30, 50]) {
            assert!((found as i64 - expect).abs() <= 2, "{hundred:?}");
        }
        assert_eq!(count(50, [0.0, 0.0, 1.0], Os::Windows), 50);
    }
}
