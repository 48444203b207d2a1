//! Services end with their owner, however it ends, and the next stack removes what it left. Stacks leave each other alone.
//!
//! The owner is this program again, run for `an_owner` alone, so that a signal ends it and not the tests.
#![cfg(target_os = "linux")]
#![allow(
    clippy::disallowed_methods,
    reason = "tests await conditions with a deadline"
)]

use std::{
    collections::BTreeSet,
    fs,
    io::{BufRead, BufReader, Read},
    net::{SocketAddr, TcpListener, TcpStream},
    os::unix::process::{CommandExt, ExitStatusExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Mutex, MutexGuard},
    thread,
    time::{Duration, Instant, SystemTime},
};

use rollcall_stack::{Stack, StackOptions};
use rustix::process::{Pid, Signal, kill_process_group};

/// How long a condition may take to come true.
const DEADLINE: Duration = Duration::from_secs(60);
/// What the owner is to start: `all`, or PostgreSQL alone, which is quick.
const STARTS: &str = "ROLLCALL_STACK_TEST_OWNER_STARTS";
/// Marks the owner's line among those of the test harness.
const MARK: &str = "owner:";

/// One test at a time: a machine may have two cores.
static TURN: Mutex<()> = Mutex::new(());

fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(|failed| failed.into_inner())
}

fn options(everything: bool) -> StackOptions {
    StackOptions {
        kafka: everything,
        registry: everything,
        ..StackOptions::for_tests()
    }
}

#[test]
#[ignore = "not a test: what the tests here start, and end by a signal"]
fn an_owner() {
    let Ok(starts) = std::env::var(STARTS) else {
        return;
    };
    let mut stack = Stack::start(options(starts == "all")).expect("a stack");
    println!(
        "{MARK}{} {}",
        stack.postgres().address(),
        stack.dir().display()
    );
    // Until a signal comes; or, should the tests be killed, until their end of the pipe is closed.
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
}

/// A stack that another process owns.
struct Owned {
    owner: Child,
    postgres: SocketAddr,
    folder: PathBuf,
}

impl Owned {
    fn start(starts: &str) -> Self {
        // A shell that runs us in the background has us ignore Ctrl-C, and what we start would inherit that.
        let mut owner = Command::new("env")
            .arg("--default-signal=INT")
            .arg(std::env::current_exe().expect("our program"))
            .args(["--exact", "an_owner", "--ignored", "--nocapture"])
            .env(STARTS, starts)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // As a shell does with what it runs: Ctrl-C goes to the whole group.
            .process_group(0)
            .spawn()
            .expect("it runs");
        let output = BufReader::new(owner.stdout.take().expect("its output"));
        let line = output
            .lines()
            .map_while(Result::ok)
            .find_map(|line| Some(line.split_once(MARK)?.1.to_owned()))
            .expect("what it started");
        let (postgres, folder) = line.split_once(' ').expect("an address and a folder");
        Self {
            owner,
            postgres: postgres.parse().expect("an address"),
            folder: folder.into(),
        }
    }

    /// Sends what ends the owner, and waits for the owner's end only.
    fn end_by(&mut self, signal: Signal) {
        let group = i32::try_from(self.owner.id()).ok().and_then(Pid::from_raw);
        kill_process_group(group.expect("a process id"), signal).expect("it is there");
        let status = self.owner.wait().expect("its end");
        assert_eq!(
            status.signal(),
            Some(signal.as_raw()),
            "it did not clean up"
        );
    }

    #[track_caller]
    fn await_its_services_end(&self) {
        eventually("the services end with their owner", || {
            processes_in(&self.folder).is_empty()
        });
        TcpListener::bind(self.postgres).expect("its port is free");
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        let _ = self.owner.kill();
        let _ = self.owner.wait();
    }
}

/// Processes at work in a folder: every service's, its children's and its watcher's working directory is there.
fn processes_in(folder: &Path) -> BTreeSet<u32> {
    let entries = fs::read_dir("/proc").expect("Linux has it").flatten();
    entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid| {
            // None for what ends meanwhile, and for what has ended and nobody has waited for.
            fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|place| place.starts_with(folder))
        })
        .collect()
}

#[track_caller]
fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(
            begun.elapsed() < DEADLINE,
            "{what}: not within {DEADLINE:?}"
        );
        thread::sleep(Duration::from_millis(20));
    }
}

/// A folder is left alone for ten seconds, for its owner may be about to lock it: makes it older than that.
fn age(folder: &Path) {
    let lock = fs::File::options().write(true).open(folder.join("lock"));
    let hour_ago = SystemTime::now() - Duration::from_secs(3600);
    lock.and_then(|lock| lock.set_modified(hour_ago))
        .expect("the owner's lock");
}

#[test]
fn a_killed_owner_takes_its_services_along_and_the_next_stack_its_folder() {
    let _turn = turn();
    let mut owned = Owned::start("all");
    // Three services, their watchers, and PostgreSQL's own processes.
    let at_work = processes_in(&owned.folder).len();
    assert!(at_work > 6, "{at_work} processes in {:?}", owned.folder);
    owned.end_by(Signal::KILL);
    owned.await_its_services_end();
    assert!(owned.folder.is_dir(), "nobody was left to remove it");
    age(&owned.folder);
    let _next = Stack::start(options(false)).expect("the next stack");
    assert!(!owned.folder.exists(), "the next stack removes it");
}

#[test]
fn ctrl_c_ends_one_stack_and_not_the_one_beside_it() {
    let _turn = turn();
    let mut ours = Stack::start(options(false)).expect("a stack");
    let mut theirs = Owned::start("postgres");
    assert_ne!(ours.dir(), theirs.folder);
    assert_ne!(ours.postgres().address(), theirs.postgres);
    age(ours.dir());
    let log = theirs.folder.join("logs/postgres.log");
    theirs.end_by(Signal::INT);
    theirs.await_its_services_end();
    let log = fs::read_to_string(log).expect("its log");
    assert!(log.contains("database system is shut down"), "{log}");

    // Folders whose owners live are nobody else's to remove, however old.
    let _third = Stack::start(options(false)).expect("a third stack");
    let folder = ours.dir().to_owned();
    assert!(folder.join("postgres/data/PG_VERSION").is_file());
    TcpStream::connect(ours.postgres().address()).expect("ours still listens");
    ours.stop().expect("it stops");
    assert!(!folder.exists());
    assert_eq!(processes_in(&folder), BTreeSet::new());
}
