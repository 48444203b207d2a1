//! Linux: what start times, states and commands mean in `ps aux` and `ps -ef` of procps.
//!
//! Invariant: what stands in brackets is no command line but the name of a kernel thread, or of a process whose arguments
//! can't be read, as of one that has ended (`<defunct>`).

use crate::applications::ApplicationRules;
use crate::columns::{executable, linux_state, without_branches};
use crate::listing::{Builder, Listing, Row, RowError};
use crate::ps::{self, Meaning, PsRow};
use crate::time::LocalClock;
use rollcall_domain::{LineReason, ProcessState};

/// What `ps` puts after the name of a process that has ended and was not waited for.
const DEFUNCT: &str = " <defunct>";
/// Pid of `kthreadd`, the parent of all kernel threads.
const KTHREADD: i32 = 2;

pub(crate) fn parse<'a>(
    text: &'a str,
    builder: Builder<'a>,
    clock: &LocalClock,
    rules: &'a ApplicationRules,
) -> Listing<'a> {
    ps::parse(text, builder, |row| process(row, clock, rules))
}

#[inline]
fn process<'a>(row: PsRow<'a>, clock: &LocalClock, rules: &'a ApplicationRules) -> Row<'a> {
    let command = Command::read(row.command)?;
    let state = match row.stat {
        Some(_) => linux_state(row.stat),
        None => command.defunct.then_some(ProcessState::Zombie),
    };
    let kernel = command.bracketed && state != Some(ProcessState::Zombie) && is_of_kernel(&row);
    let created_at = clock.linux_start(row.start);
    let process = row.process(Meaning {
        created_at,
        state,
        name: if kernel { command.whole } else { command.name },
        path: command.path,
        line: command.line,
    });
    Ok(rules.apply(process, kernel))
}

/// Kernel threads are the children of `kthreadd`; where no parents are printed: they have no memory of their own, nor
/// have zombies.
#[inline]
fn is_of_kernel(row: &PsRow<'_>) -> bool {
    match row.parent_pid {
        Some(parent_pid) => row.pid == KTHREADD || parent_pid == KTHREADD,
        None => row.memory_virtual_bytes == Some(0),
    }
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
