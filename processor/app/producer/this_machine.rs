//! What this machine is: an id that stays the same from run to run, and what its snapshots say of it.
//!
//! Invariant: nothing is invented. An id comes from the operating system, else from the host name; what can't be found
//! out is left out.

use rollcall_domain::{Machine, Os, Timestamp};
use std::borrow::Cow;
use std::process::Command;
use uuid::Uuid;

/// Namespace of ids that are derived from a machine's own.
const NAMESPACE: Uuid = Uuid::from_u128(0x9d3c_1f52_7f0e_4c5b_9a51_7d1f_36e2_0b84);

/// This machine; `None` where it has neither an id nor a name.
pub(super) fn describe(machine_id: Option<&str>) -> Option<Machine<'static>> {
    let name = host_name();
    let id = match machine_id {
        Some(id) => id.to_owned(),
        None => derived_id(own_id().as_deref(), name.as_deref())?,
    };
    Some(Machine {
        id: Cow::Owned(id),
        name: name.map(Cow::Owned),
        os: if cfg!(windows) {
            Os::Windows
        } else if cfg!(target_os = "macos") {
            Os::Macos
        } else {
            Os::Linux
        },
        os_version: os_version().map(Cow::Owned),
        cpu_count: cpu_count(),
        memory_bytes: memory_bytes(),
    })
}

/// The id for the records of a machine with this id of its own and this name. The own id is hashed, for
/// machine-id(5) asks not to show it on networks.
fn derived_id(own: Option<&str>, name: Option<&str>) -> Option<String> {
    match (own, name) {
        (Some(own), _) => Some(Uuid::new_v5(&NAMESPACE, own.as_bytes()).to_string()),
        (None, Some(name)) => Some(format!("host-{name}")),
        (None, None) => None,
    }
}

/// The operating system's own id of this machine.
fn own_id() -> Option<String> {
    if cfg!(target_os = "linux") {
        ["/etc/machine-id", "/var/lib/dbus/machine-id"]
            .iter()
            .filter_map(|path| std::fs::read_to_string(path).ok())
            .map(|id| id.trim().to_owned())
            // "uninitialized" stands there during the first boot.
            .find(|id| id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()))
    } else if cfg!(target_os = "macos") {
        let said = said("ioreg", &["-rd1", "-c", "IOPlatformExpertDevice"])?;
        let line = said.lines().find(|line| line.contains("IOPlatformUUID"))?;
        line.split('"').nth(3).map(str::to_owned)
    } else {
        let key = r"HKLM\SOFTWARE\Microsoft\Cryptography";
        let said = said("reg", &["query", key, "/v", "MachineGuid"])?;
        said.split_whitespace().last().map(str::to_owned)
    }
}

fn host_name() -> Option<String> {
    let name = if cfg!(windows) {
        std::env::var("COMPUTERNAME").ok()
    } else {
        let kernel = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
        kernel.or_else(|| said("uname", &["-n"]))
    };
    not_blank(name)
}

fn os_version() -> Option<String> {
    if cfg!(target_os = "linux") {
        let release = std::fs::read_to_string("/etc/os-release")
            .or_else(|_| std::fs::read_to_string("/usr/lib/os-release"));
        pretty_name(&release.ok()?)
    } else if cfg!(target_os = "macos") {
        not_blank(said("sw_vers", &["-productVersion"]))
    } else {
        not_blank(said("cmd", &["/c", "ver"]))
    }
}

fn pretty_name(os_release: &str) -> Option<String> {
    let value = os_release
        .lines()
        .find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
    not_blank(Some(value.trim_matches(['"', '\'']).to_owned()))
}

/// Logical CPUs of the machine, not only those that this process may use: the listing shows all that run.
fn cpu_count() -> Option<i32> {
    let listed = std::fs::read_to_string("/proc/cpuinfo").map_or(0, |info| processors(&info));
    match listed {
        0 => {
            let usable = std::thread::available_parallelism().ok()?;
            i32::try_from(usable.get()).ok()
        }
        listed => i32::try_from(listed).ok(),
    }
}

fn processors(cpuinfo: &str) -> usize {
    let is_one = |line: &&str| {
        line.split(':')
            .next()
            .is_some_and(|key| key.trim() == "processor")
    };
    cpuinfo.lines().filter(is_one).count()
}

fn memory_bytes() -> Option<i64> {
    if cfg!(target_os = "macos") {
        return said("sysctl", &["-n", "hw.memsize"])?.trim().parse().ok();
    }
    total_memory(&std::fs::read_to_string("/proc/meminfo").ok()?)
}

fn total_memory(meminfo: &str) -> Option<i64> {
    let total = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: i64 = total.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

/// Offset of local time from UTC in seconds at this moment, which is what the tool's start times are in.
pub(super) fn utc_offset_seconds(now: Timestamp) -> Option<i32> {
    let now = jiff::Timestamp::from_microsecond(now.as_micros()).ok()?;
    let zone = jiff::tz::TimeZone::try_system().ok()?;
    Some(zone.to_offset(now).seconds())
}

/// The label of the encoding that console tools print in; `None`: to be found from the bytes.
pub(super) fn console_encoding() -> Option<String> {
    if !cfg!(windows) {
        return None;
    }
    let said = said("cmd", &["/c", "chcp"])?;
    let digits: String = said.chars().filter(char::is_ascii_digit).collect();
    (!digits.is_empty()).then(|| format!("cp{digits}"))
}

/// What a program prints.
fn said(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

fn not_blank(text: Option<String>) -> Option<String> {
    let text = text?.trim().to_owned();
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_the_machines_own_hashed_else_its_name() {
        let derived = |own, name| derived_id(own, name);
        let id = derived(Some("0123456789abcdef0123456789abcdef"), Some("a"));
        assert_eq!(id, derived(Some("0123456789abcdef0123456789abcdef"), None));
        assert_eq!(id.as_deref(), Some("e749ccf8-122e-5b27-ae9f-1902c6e12c5b"));
        assert_eq!(derived(None, Some("a")).as_deref(), Some("host-a"));
        assert_eq!(derived(None, None), None);
    }

    #[test]
    fn files_of_linux() {
        assert_eq!(
            processors("processor\t: 0\nmodel name\t: x\n\nprocessor\t: 1\n"),
            2
        );
        assert_eq!(
            total_memory("MemTotal:       16384 kB\nMemFree: 1 kB\n"),
            Some(16_777_216)
        );
        assert_eq!(
            pretty_name("ID=debian\nPRETTY_NAME=\"Debian GNU/Linux 13 (trixie)\"\n").as_deref(),
            Some("Debian GNU/Linux 13 (trixie)")
        );
    }
}
