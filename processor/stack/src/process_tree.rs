//! The living descendants of a process.
//!
//! PostgreSQL gives each backend a session of its own, so a process group does not reach them. Linux tells through /proc;
//! elsewhere `ps` does.
//!
//! Must not know: services.

use std::{
    collections::HashMap,
    fs,
    path::Path,
    process::{Command, Stdio},
};

use rustix::process::{Pid, test_kill_process};

/// All descendants of `root`, parents before children, without `root` itself.
pub(crate) fn descendants(root: u32) -> Vec<u32> {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    for (pid, parent) in pairs() {
        children.entry(parent).or_default().push(pid);
    }
    let mut found = Vec::new();
    let mut frontier = vec![root];
    while let Some(parent) = frontier.pop() {
        let next = children.remove(&parent).unwrap_or_default();
        found.extend(&next);
        frontier.extend(next);
    }
    found
}

/// Whether the process exists and still runs (a zombie does not).
pub(crate) fn is_alive(pid: u32) -> bool {
    match status(pid) {
        Some((state, _)) => !matches!(state, 'Z' | 'X'),
        None => {
            !Path::new("/proc/self/stat").exists()
                && as_pid(pid).is_some_and(|pid| test_kill_process(pid).is_ok())
        }
    }
}

/// The id in the form that system calls take.
pub(crate) fn as_pid(pid: u32) -> Option<Pid> {
    i32::try_from(pid).ok().and_then(Pid::from_raw)
}

/// (process, parent) of every process.
fn pairs() -> Vec<(u32, u32)> {
    match fs::read_dir("/proc") {
        Ok(entries) if Path::new("/proc/self/stat").exists() => entries
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .filter_map(|pid| Some((pid, status(pid)?.1)))
            .collect(),
        _ => pairs_from_ps(),
    }
}

fn pairs_from_ps() -> Vec<(u32, u32)> {
    let output = Command::new("ps")
        .args(["-A", "-o", "pid=,ppid="])
        .stdin(Stdio::null())
        .output();
    let text = output
        .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
        .unwrap_or_default();
    text.lines()
        .filter_map(|line| {
            let mut fields = line.split_ascii_whitespace();
            Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
        })
        .collect()
}

/// State and parent from /proc; the name before them may hold spaces and parentheses.
fn status(pid: u32) -> Option<(char, u32)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    Some((fields.next()?.chars().next()?, fields.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_a_grandchild() {
        let mut shell = Command::new("sh")
            .args(["-c", "sleep 30 & echo $!; wait"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("start a shell");
        let mut line = String::new();
        let stdout = shell.stdout.take().expect("its output");
        std::io::BufRead::read_line(&mut std::io::BufReader::new(stdout), &mut line)
            .expect("its child's id");
        let sleeper: u32 = line.trim().parse().expect("a process id");

        assert!(descendants(std::process::id()).contains(&sleeper));
        assert_eq!(descendants(shell.id()), [sleeper]);
        assert!(is_alive(sleeper));

        for pid in [sleeper, shell.id()] {
            let pid = as_pid(pid).expect("an id");
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
        shell.wait().expect("reap the shell");
    }
}
