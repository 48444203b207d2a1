//! Linux: what start times, states and commands mean in `ps` of procps and of busybox.
//!
//! Invariants: what stands in brackets is no command line but the name of a kernel thread, or of a process whose arguments
//! can't be read, as of one that has ended (`<defunct>`). A short name is the kernel's, of at most 15 bytes; it may hold
//! blanks. Busybox puts a short name that differs from the command's in braces before it.

use super::argv0::{argument_start, goes_on_with_folder, is_in_program_folder, may_be_cut};
use super::columns::{CommandLine, first_word, without_branches};
use super::{CommandText, Meaning, PsRow, StartText, System};
use crate::applications::{ApplicationRules, Runs};
use crate::executable::{executable, executable_named};
use crate::listing::{Accepted, RowError, Slot};
use crate::local_clock::LocalClock;
use crate::notes::NullReason;
use crate::state::linux_state;
use rollcall_domain::identity::UNKNOWN;
use rollcall_domain::{LineReason, ProcessState};
use std::borrow::Cow;

/// Of a process that has ended and was not waited for.
const DEFUNCT: &str = " <defunct>";
/// Pid of `kthreadd`, the parent of all kernel threads.
const KTHREADD: i32 = 2;

/// procps and busybox.
pub(crate) struct Linux<'c, 'a> {
    pub(crate) clock: &'c LocalClock,
    pub(crate) rules: &'a ApplicationRules,
    pub(crate) is_busybox: bool,
}

impl<'a> System<'a> for Linux<'_, 'a> {
    #[inline(always)]
    fn process(&self, row: PsRow<'a>, mut slot: Slot<'_, 'a>) -> Accepted {
        let notes = &mut slot.notes;
        let mut command = Command::read(&row.command, self.is_busybox);
        if row.is_cut {
            command = command.cut();
        }
        if command.name.is_empty() {
            return Err(no_command());
        }
        let state = match row.stat {
            Some(_) => linux_state(row.stat),
            None => command.defunct.then_some(ProcessState::Zombie),
        };
        if command.name == UNKNOWN {
            notes.add(NullReason::ExecutableUncertain);
        }
        let kernel = command.kind != Kind::Line
            && state != Some(ProcessState::Zombie)
            && is_of_kernel(&row, command.name);
        if command.kind == Kind::Bracketed && !kernel && is_title(command.name) {
            command = Command::title(command.whole);
        }
        let created_at = notes.value(match row.start {
            StartText::Word(word) => self.clock.linux_start(word, false),
            StartText::Recent(word) => self.clock.linux_start(word, true),
            StartText::Date(date) => self.clock.date(date),
            StartText::Elapsed(elapsed) => self.clock.elapsed(elapsed),
        });
        let name = match command.kind {
            Kind::Bracketed if kernel => Cow::Borrowed(command.whole),
            Kind::Name if kernel => Cow::Owned(format!("[{}]", command.name)),
            _ => Cow::Borrowed(command.name),
        };
        let runs = if kernel {
            Runs::kernel()
        } else {
            self.rules.runs(command.name, command.path, command.line)
        };
        let meaning = Meaning {
            created_at,
            state,
            name,
            path: command.path,
            line: command.line,
            runs,
        };
        row.accept(meaning, slot)
    }
}

/// Kernel threads are the children of `kthreadd`; where no parents are printed: they have no memory of their own, nor
/// have zombies; where neither is: they are named like one.
#[inline]
fn is_of_kernel(row: &PsRow<'_>, name: &str) -> bool {
    match (row.parent_pid, row.memory_virtual_bytes) {
        (Some(parent_pid), _) => row.pid == KTHREADD || parent_pid == KTHREADD,
        (None, Some(bytes)) => bytes == 0,
        (None, None) => is_named_like_kernel(name),
    }
}

/// `kworker/0:1` and its like, and names that no other program has (Linux' own sources start them).
#[cold]
fn is_named_like_kernel(name: &str) -> bool {
    if let Some((base, _)) = name.split_once('/') {
        return KERNEL_FAMILIES.contains(&base);
    }
    let base = name.trim_end_matches(|c: char| c.is_ascii_digit());
    let is = |known: &&str| {
        *known == base || (name.len() == SHORT_NAME_BYTES && known.starts_with(name))
    };
    KERNEL_THREADS.iter().any(is)
}

/// Bytes of a name that the kernel keeps; where it keeps more, busybox cuts it.
pub(super) const SHORT_NAME_BYTES: usize = 15;
/// Threads that there are several of: their names go on with a slash and a number.
const KERNEL_FAMILIES: [&str; 13] = [
    "cpuhp",
    "idle_inject",
    "irq",
    "jbd2",
    "ksoftirqd",
    "ktimers",
    "kworker",
    "migration",
    "rcuc",
    "rcuog",
    "rcuop",
    "rcuos",
    "xfsaild",
];
/// Others, without the number that they may end in.
const KERNEL_THREADS: [&str; 49] = [
    "ata_sff",
    "blkcg_punt_bio",
    "charger_manager",
    "devfreq_wq",
    "edac-poller",
    "ext4-rsv-conver",
    "inet_frag_wq",
    "ipv6_addrconf",
    "kaluad",
    "kauditd",
    "kblockd",
    "kcompactd",
    "kdevtmpfs",
    "khugepaged",
    "khungtaskd",
    "kintegrityd",
    "kmpath_handlerd",
    "kmpath_rdacd",
    "kmpathd",
    "ksmd",
    "kswapd",
    "kthreadd",
    "kthrotld",
    "mm_percpu_wq",
    "nfsiod",
    "nvme-auth-wq",
    "nvme-delete-wq",
    "nvme-reset-wq",
    "nvme-wq",
    "oom_reaper",
    "pool_workqueue_release",
    "psimon",
    "rcu_bh",
    "rcu_exp_gp_kthread_worker",
    "rcu_exp_par_gp_kthread_worker",
    "rcu_gp",
    "rcu_par_gp",
    "rcu_preempt",
    "rcu_sched",
    "rcu_tasks_kthread",
    "rcu_tasks_rude_kthread",
    "rcu_tasks_trace_kthread",
    "rpciod",
    "scsi_eh_",
    "scsi_tmf_",
    "slub_flushwq",
    "tpm_dev_wq",
    "xprtiod",
    "zswap-shrink",
];

/// What a listing says of what a process runs, taken apart. Without a name it says nothing.
#[derive(PartialEq, Eq, Debug)]
struct Command<'a> {
    /// As it stands, without `<defunct>`.
    whole: &'a str,
    name: &'a str,
    path: Option<&'a str>,
    /// `None` where a name stands for it.
    line: Option<&'a str>,
    kind: Kind,
    defunct: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    /// A command with its arguments.
    Line,
    /// A name in brackets in place of a command.
    Bracketed,
    /// A short name.
    Name,
}

impl<'a> Command<'a> {
    #[inline(always)]
    fn read(text: &CommandText<'a>, is_busybox: bool) -> Self {
        match *text {
            CommandText::Line(command) if is_busybox => {
                Self::line(CommandLine::new(without_braces(command.line)))
            }
            CommandText::Line(command) => Self::line(command),
            CommandText::Name(name) => Self::name(name),
            CommandText::Either(text) => Self::either(text),
        }
    }

    #[inline(always)]
    fn line(command: CommandLine<'a>) -> Self {
        if command.line.starts_with(' ') {
            return Self::branch(command.line);
        }
        let (whole, defunct) = without_defunct(command.line);
        if let [b'[', _, .., b']'] = whole.as_bytes() {
            let name = &whole[1..whole.len() - 1];
            return Self {
                whole,
                name,
                path: None,
                line: None,
                kind: Kind::Bracketed,
                defunct,
            };
        }
        let (word, name) = command.word();
        let (name, path) = match word.as_bytes() {
            [b'/', ..] if may_go_on(whole, word) => (UNKNOWN, None),
            [_, b':', b'\\', ..] => (windows_name(whole), None),
            _ => executable_named(word, name),
        };
        Self {
            defunct,
            ..Self::with_arguments(whole, (name, path))
        }
    }

    #[inline(always)]
    fn with_arguments(whole: &'a str, (name, path): (&'a str, Option<&'a str>)) -> Self {
        Self {
            whole,
            name,
            path,
            line: Some(whole),
            kind: Kind::Line,
            defunct: false,
        }
    }

    /// Of a line that may end in the middle of it.
    #[cold]
    fn cut(self) -> Self {
        if self.kind != Kind::Line || !may_be_cut(self.whole, self.path) {
            return self;
        }
        if !self.whole.starts_with('[') {
            return Self::with_arguments(self.whole, (UNKNOWN, None));
        }
        Self {
            line: None,
            kind: Kind::Bracketed,
            ..Self::with_arguments(UNKNOWN, (UNKNOWN, None))
        }
    }

    /// A title that a program has set, and that stands in brackets.
    #[cold]
    fn title(whole: &'a str) -> Self {
        Self::with_arguments(whole, executable(first_word(whole)))
    }

    /// A command after the branches of a tree.
    #[cold]
    fn branch(rest: &'a str) -> Self {
        let command = without_branches(rest);
        if command.starts_with(' ') {
            return Self::line(CommandLine::new(""));
        }
        Self::line(CommandLine::new(command))
    }

    #[cold]
    fn name(text: &'a str) -> Self {
        let (whole, defunct) = without_defunct(without_branches(text).trim_end_matches(' '));
        Self {
            whole,
            name: whole,
            path: None,
            line: None,
            kind: Kind::Name,
            defunct,
        }
    }

    /// A word is a short name as well as a command. Of several nobody knows whether they are one name.
    #[cold]
    fn either(text: &'a str) -> Self {
        let command = Self::name(text);
        let is_word = !command.name.contains(' ');
        Self {
            name: if is_word { command.name } else { UNKNOWN },
            ..command
        }
    }
}

/// Whether what stands in brackets is a title, as of Celery's workers: `celeryd: …`. Names of processes have no colon there.
fn is_title(name: &str) -> bool {
    name.contains(' ') && first_word(name).ends_with(':')
}

/// Whether the path that `command` begins with may go on after its first word, as in `/opt/Mullvad VPN/mullvad-gui`.
#[inline(always)]
fn may_go_on(command: &str, word: &str) -> bool {
    match command.as_bytes().get(word.len() + 1) {
        None | Some(b'-' | b'/') => false,
        Some(_) => goes_on(command, word),
    }
}

#[inline(never)]
fn goes_on(command: &str, word: &str) -> bool {
    !is_in_program_folder(word)
        && goes_on_with_folder(&command[word.len()..argument_start(command).max(word.len())])
}

/// The name of a program of Windows, which Wine runs: what follows the last folder up to `.exe`.
#[cold]
fn windows_name(command: &str) -> &str {
    let lower = command.to_ascii_lowercase();
    let mut ends = lower.match_indices(".exe").map(|(at, exe)| at + exe.len());
    let end = ends.find(|end| matches!(command.as_bytes().get(*end), None | Some(b' ')));
    let name = end.and_then(|end| command[..end].rsplit(['\\', '/']).next());
    name.filter(|name| name.len() > ".exe".len())
        .unwrap_or(UNKNOWN)
}

/// Without what `ps` puts after the name of a process that has ended, and whether it was there.
#[inline(always)]
pub(super) fn without_defunct(text: &str) -> (&str, bool) {
    match text.strip_suffix(DEFUNCT) {
        Some(rest) => (rest, true),
        None => (text, false),
    }
}

/// Takes `{name} ` off, which busybox puts before a command that has another name than its process.
#[cold]
fn without_braces(text: &str) -> &str {
    let inside = without_branches(text).strip_prefix('{');
    let command = inside.and_then(|inside| inside.split_once("} "));
    command.map_or(text, |(_, command)| command)
}

#[cold]
fn no_command() -> RowError {
    RowError::new(LineReason::MissingName, "the line has no command")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::executable::after_slash;

    #[track_caller]
    fn check(rest: &str, expect: (&str, Option<&str>, Option<&str>)) {
        let command = Command::line(CommandLine::new(rest));
        assert_eq!((command.name, command.path, command.line), expect);
    }

    #[test]
    fn commands() {
        let firefox = "/usr/lib/firefox/firefox -contentproc -parentBuildID 1";
        check(
            firefox,
            ("firefox", Some("/usr/lib/firefox/firefox"), Some(firefox)),
        );
        check(
            "nginx: worker process",
            ("nginx", None, Some("nginx: worker process")),
        );
        check("sshd: ada [priv]", ("sshd", None, Some("sshd: ada [priv]")));
        check("-bash", ("bash", None, Some("-bash")));
        check("[sh] <defunct>", ("sh", None, None));
        check("[kworker/0:1]", ("kworker/0:1", None, None));
        check("(sd-pam)", ("(sd-pam)", None, Some("(sd-pam)")));
        check(
            "[celeryd: w@h:Main] -active- (x)",
            ("celeryd", None, Some("[celeryd: w@h:Main] -active- (x)")),
        );
        check("[x", ("[x", None, Some("[x")));
        check("[]", ("[]", None, Some("[]")));
        for nothing in ["", "   ", "  \\_  x"] {
            assert_eq!(Command::line(CommandLine::new(nothing)).name, "");
        }
    }

    #[test]
    fn commands_that_were_cut() {
        let cut = |line| {
            let command = Command::line(CommandLine::new(line)).cut();
            (command.name, command.line, command.kind)
        };
        assert_eq!(
            cut("/usr/bin/pyth"),
            (UNKNOWN, Some("/usr/bin/pyth"), Kind::Line)
        );
        assert_eq!(cut("[kworker/u16:0-"), (UNKNOWN, None, Kind::Bracketed));
        assert_eq!(cut("[kthreadd]"), ("kthreadd", None, Kind::Bracketed));
        assert_eq!(
            cut("/opt/Mullvad VP"),
            (UNKNOWN, Some("/opt/Mullvad VP"), Kind::Line)
        );
        assert_eq!(cut("/bin/sh -"), ("sh", Some("/bin/sh -"), Kind::Line));
    }

    #[test]
    fn paths_that_may_go_on_after_a_blank() {
        let doubtful = |line: &str| check(line, (UNKNOWN, None, Some(line)));
        doubtful("/opt/Mullvad VPN/mullvad-gui --type=zygote");
        doubtful("/home/ada/Steam/steamapps/common/Stardew Valley/StardewValley");
        doubtful("/opt/My Great App/bin/x /etc/x");
        let certain = |line: &str, path: &str| {
            check(line, (after_slash(path), Some(path), Some(line)));
        };
        certain("/opt/x/server --config a/b", "/opt/x/server");
        certain("/opt/x/server /a b/c", "/opt/x/server");
        certain("/opt/x/server http://a/b k=c/d", "/opt/x/server");
        certain("/usr/lib/x/server a/b", "/usr/lib/x/server");
        certain(
            "/home/ada/.venv/bin/python src/app.py",
            "/home/ada/.venv/bin/python",
        );
        certain("/sbin/init splash", "/sbin/init");
    }

    #[test]
    fn programs_of_windows() {
        let named = |line: &str, name: &str| check(line, (name, None, Some(line)));
        named(
            r"C:\Program Files (x86)\Steam\steam.exe -silent",
            "steam.exe",
        );
        named(r"C:\windows\system32\services.exe", "services.exe");
        named(r"Z:\a.exe.d\B.EXE", "B.EXE");
        named(r"C:\windows\system32\x", UNKNOWN);
        named(r"C:\.exe", UNKNOWN);
    }

    #[test]
    fn short_names() {
        let check = |text: CommandText<'_>, expect: (&str, Kind, bool)| {
            let command = Command::read(&text, false);
            assert_eq!((command.name, command.kind, command.defunct), expect);
            assert_eq!((command.path, command.line), (None, None));
        };
        check(
            CommandText::Name("Web Content"),
            ("Web Content", Kind::Name, false),
        );
        check(CommandText::Name("sh <defunct>"), ("sh", Kind::Name, true));
        check(CommandText::Either("bash"), ("bash", Kind::Name, false));
        check(
            CommandText::Either("sleep 100"),
            (UNKNOWN, Kind::Name, false),
        );
        assert_eq!(Command::name("").name, "");
    }

    #[test]
    fn busybox_braces() {
        let name = |text| Command::read(&CommandText::Line(CommandLine::new(text)), true).name;
        assert_eq!(name("{openrc} /bin/sh /sbin/openrc boot"), "sh");
        assert_eq!(name("{a} b} /bin/c"), "b}");
        assert_eq!(name("{x"), "{x");
        assert_eq!(name("[kthreadd]"), "kthreadd");
    }
}
