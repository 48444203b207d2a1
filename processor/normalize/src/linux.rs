//! Linux: `ps aux` and `ps -ef` of procps.
//!
//! Invariants: columns are read from the left, the command is the rest of the line as it stands. `%CPU`, an average over
//! the process' life, is not used. What stands in brackets is no command line but the name of a kernel thread, or of a
//! process whose arguments can't be read, as of one that has ended (`<defunct>`).

use crate::applications::ApplicationRules;
use crate::columns::{Columns, executable, linux_state, without_branches};
use crate::listing::{Builder, Listing, Row, RowError, lines};
use crate::number::{self, ps_kib};
use crate::recognize::{Format, ps_header};
use crate::time::{LocalClock, ps_cpu_time};
use rollcall_domain::{LineReason, Process, ProcessState};
use std::borrow::Cow;

/// What `ps` puts after the name of a process that has ended and was not waited for.
const DEFUNCT: &str = " <defunct>";
/// Pid of `kthreadd`, the parent of all kernel threads.
const KTHREADD: i32 = 2;

pub(crate) fn parse<'a>(
    text: &'a str,
    mut builder: Builder<'a>,
    clock: &LocalClock,
    rules: &'a ApplicationRules,
) -> Listing<'a> {
    let is_ef = builder.format() == Some(Format::PsEf);
    for (number, line) in lines(text) {
        if line.starts_with(['U', ' ']) && ps_header(line).is_some() {
            continue;
        }
        if is_ef {
            builder.line(number, line, |line| ef(line, clock, rules));
        } else {
            builder.line(number, line, |line| aux(line, clock, rules));
        }
    }
    builder.finish()
}

/// A row `USER PID %CPU %MEM VSZ RSS TTY STAT START TIME COMMAND`.
#[inline]
fn aux<'a>(line: &'a str, clock: &LocalClock, rules: &'a ApplicationRules) -> Row<'a> {
    let mut columns = Columns::new(line);
    let missing = || RowError::new(LineReason::MissingColumns, "ps aux has 11 columns");
    let owner = columns.text().ok_or_else(missing)?;
    let pid = columns.field().ok_or_else(missing)?;
    let pid = number::pid(pid)
        .ok_or_else(|| RowError::new(LineReason::BadPid, "the second column is no process id"))?;
    columns.field().ok_or_else(missing)?;
    columns.field().ok_or_else(missing)?;
    let memory_virtual_bytes = ps_kib(columns.field().ok_or_else(missing)?)?;
    let memory_usage_bytes = ps_kib(columns.field().ok_or_else(missing)?)?;
    columns.field().ok_or_else(missing)?;
    let stat = columns.field().ok_or_else(missing)?;
    let start = columns.field().ok_or_else(missing)?;
    let cpu_time_us = ps_cpu_time(columns.field().ok_or_else(missing)?)?;
    let command = Command::read(columns.rest())?;
    let state = linux_state(stat.first());
    // Kernel threads have no memory of their own; nor have zombies.
    let kernel =
        command.bracketed && memory_virtual_bytes == Some(0) && state != Some(ProcessState::Zombie);
    let process = Process {
        pid,
        parent_pid: None,
        created_at: clock.linux_start(start),
        executable_name: Cow::Borrowed(if kernel { command.whole } else { command.name }),
        executable_path: command.path.map(Cow::Borrowed),
        command_line: command.line.map(Cow::Borrowed),
        owner: Some(Cow::Borrowed(owner)),
        state,
        cpu_time_us,
        memory_usage_bytes,
        memory_virtual_bytes,
        thread_count: None,
        application: Cow::Borrowed(""),
    };
    Ok(rules.apply(process, kernel))
}

/// A row `UID PID PPID C STIME TTY TIME CMD`.
#[inline]
fn ef<'a>(line: &'a str, clock: &LocalClock, rules: &'a ApplicationRules) -> Row<'a> {
    let mut columns = Columns::new(line);
    let missing = || RowError::new(LineReason::MissingColumns, "ps -ef has 8 columns");
    let bad_pid = || {
        RowError::new(
            LineReason::BadPid,
            "the second or third column is no process id",
        )
    };
    let owner = columns.text().ok_or_else(missing)?;
    let pid = number::pid(columns.field().ok_or_else(missing)?).ok_or_else(bad_pid)?;
    let parent_pid = number::pid(columns.field().ok_or_else(missing)?).ok_or_else(bad_pid)?;
    columns.field().ok_or_else(missing)?;
    let start = columns.field().ok_or_else(missing)?;
    columns.field().ok_or_else(missing)?;
    let cpu_time_us = ps_cpu_time(columns.field().ok_or_else(missing)?)?;
    let command = Command::read(columns.rest())?;
    let kernel =
        command.bracketed && !command.defunct && (pid == KTHREADD || parent_pid == KTHREADD);
    let process = Process {
        pid,
        parent_pid: Some(parent_pid),
        created_at: clock.linux_start(start),
        executable_name: Cow::Borrowed(if kernel { command.whole } else { command.name }),
        executable_path: command.path.map(Cow::Borrowed),
        command_line: command.line.map(Cow::Borrowed),
        owner: Some(Cow::Borrowed(owner)),
        state: command.defunct.then_some(ProcessState::Zombie),
        cpu_time_us,
        memory_usage_bytes: None,
        memory_virtual_bytes: None,
        thread_count: None,
        application: Cow::Borrowed(""),
    };
    Ok(rules.apply(process, kernel))
}

/// The last column, taken apart.
struct Command<'a> {
    /// As it stands, without `<defunct>`.
    whole: &'a str,
    name: &'a str,
    path: Option<&'a str>,
    /// `None` where a name in brackets stands for it.
    line: Option<&'a str>,
    bracketed: bool,
    defunct: bool,
}

impl<'a> Command<'a> {
    #[inline]
    fn read(rest: &'a str) -> Result<Self, RowError> {
        let rest = without_branches(rest);
        let (whole, defunct) = match rest.strip_suffix(DEFUNCT) {
            Some(whole) => (whole, true),
            None => (rest, false),
        };
        if let [b'[', _, .., b']'] = whole.as_bytes() {
            let name = &whole[1..whole.len() - 1];
            return Ok(Self {
                whole,
                name,
                path: None,
                line: None,
                bracketed: true,
                defunct,
            });
        }
        let word = &whole[..memchr::memchr(b' ', whole.as_bytes()).unwrap_or(whole.len())];
        if word.is_empty() {
            return Err(RowError::new(
                LineReason::MissingName,
                "the line has no command",
            ));
        }
        let (name, path) = executable(word);
        Ok(Self {
            whole,
            name,
            path,
            line: Some(whole),
            bracketed: false,
            defunct,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(rest: &str, expect: (&str, Option<&str>, Option<&str>)) {
        let command = Command::read(rest).map(|command| (command.name, command.path, command.line));
        assert_eq!(command, Ok(expect));
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
        check("[x", ("[x", None, Some("[x")));
        check("[]", ("[]", None, Some("[]")));
        assert!(Command::read("").is_err());
        assert!(Command::read("   ").is_err());
    }
}
