//! The life of one child process: started, probed until ready, stopped, killed, started again.
//!
//! ```text
//!              start: spawn, probe until ready
//!   ┌─────────┐ ─────────────────────────────► ┌─────────┐  pause   ┌────────┐
//!   │ stopped │                                │ running │ ───────► │ paused │
//!   └─────────┘ ◄───────────────────────────── └─────────┘ ◄─────── └────────┘
//!              stop, kill9, drop, a failed start             resume
//! ```
//!
//! Invariants:
//! - Port, data and log stay the same over any number of starts.
//! - The child is in a process group of its own: the terminal's Ctrl-C reaches the owner only, which then stops its children.
//! - The child does not outlive its owner, even after kill -9 of the owner: see `leash.sh`. (PR_SET_PDEATHSIG would not do: it
//!   fires when the *thread* that started the child ends, and is Linux's alone.)
//! - After `stop` or `kill9` returns, no process of the service's tree is alive, and its port is free.
//!
//! Must not know: what the service is. Its command, its probe and its stop signal come in.

use std::{
    ffi::OsString,
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom, Write},
    net::SocketAddr,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Signal, kill_process};

use crate::{
    account::Account,
    error::StackError,
    ports,
    process_tree::{as_pid, descendants, is_alive},
};

const LEASH: &str = include_str!("leash.sh");
/// How long a service may take to become ready; a busy 2-core machine takes a fraction of it.
const START_DEADLINE: Duration = Duration::from_secs(120);
/// How long a service may take to stop by itself before it is killed.
const STOP_DEADLINE: Duration = Duration::from_secs(30);
/// How long processes may take to vanish after SIGKILL.
const KILL_DEADLINE: Duration = Duration::from_secs(10);
/// How long an orphaned service may take to stop by itself: its owner was killed, and nobody waits for it.
const ORPHAN_SECONDS: u32 = 5;
/// How much of a log an error quotes.
const TAIL_BYTES: u64 = 4096;

/// How a service's process is made.
#[derive(Debug)]
pub(crate) struct Launch {
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<OsString>,
    pub(crate) environment: Vec<(OsString, OsString)>,
    /// Variables of ours that would change what the service does.
    pub(crate) environment_removed: Vec<&'static str>,
    pub(crate) folder: PathBuf,
    /// Another account to run as, where root will not do.
    pub(crate) account: Option<Account>,
}

/// What a service is, for good.
#[derive(Debug)]
pub(crate) struct Definition {
    pub(crate) name: &'static str,
    pub(crate) launch: Launch,
    pub(crate) address: SocketAddr,
    /// Succeeds once the service answers as it should.
    pub(crate) probe: fn(SocketAddr) -> io::Result<()>,
    /// What makes it stop in order.
    pub(crate) stop_signal: Signal,
    pub(crate) log: PathBuf,
}

/// One service of the stack: a child process that can be stopped, killed and started again on the same port and data.
#[derive(Debug)]
pub struct Service {
    definition: Definition,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    child: Child,
    leash: ChildStdin,
}

impl Service {
    pub(crate) fn new(definition: Definition) -> Self {
        Self {
            definition,
            running: None,
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.definition.address
    }

    /// The process id, while it runs.
    pub fn pid(&mut self) -> Option<u32> {
        self.is_running()
            .then(|| self.running.as_ref().map(|running| running.child.id()))
            .flatten()
    }

    /// Whether the process is there (it may be paused).
    pub fn is_running(&mut self) -> bool {
        match self
            .running
            .as_mut()
            .map(|running| running.child.try_wait())
        {
            None => false,
            Some(Ok(None) | Err(_)) => true,
            Some(Ok(Some(status))) => {
                tracing::warn!(service = self.definition.name, %status, "service ended by itself");
                self.release();
                false
            }
        }
    }

    /// Starts it and waits until it answers; on the same port and data as before. Does nothing if it runs.
    ///
    /// A service that fails to become ready is killed, and the error quotes the end of its log.
    pub fn start(&mut self) -> Result<(), StackError> {
        self.spawn()?;
        let outcome = self.await_ready();
        if outcome.is_err() {
            self.kill9()?;
        }
        outcome
    }

    /// Starts it without waiting.
    fn spawn(&mut self) -> Result<(), StackError> {
        if self.is_running() {
            return Ok(());
        }
        let Definition {
            name,
            address,
            ref log,
            ..
        } = self.definition;
        if !ports::is_free(address.port()) {
            return Err(StackError::PortTaken {
                service: name,
                port: address.port(),
            });
        }
        let output = File::options()
            .create(true)
            .append(true)
            .open(log)
            .map_err(StackError::file("open", log))?;
        let errors = output.try_clone().map_err(StackError::file("open", log))?;
        let mut child = self
            .command()
            .stdin(Stdio::piped())
            .stdout(output)
            .stderr(errors)
            .spawn()
            .map_err(|source| StackError::Spawn {
                service: name,
                source,
            })?;
        let leash = child.stdin.take().ok_or_else(|| StackError::Spawn {
            service: name,
            source: io::Error::other("the child has no standard input"),
        })?;
        tracing::debug!(service = name, pid = child.id(), %address, "service spawned");
        self.running = Some(Running { child, leash });
        Ok(())
    }

    /// Waits until it answers.
    fn await_ready(&mut self) -> Result<(), StackError> {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.ended() {
                return Err(self.ended_early(&status));
            }
            let answer = match (self.definition.probe)(self.definition.address) {
                Ok(()) => break,
                Err(error) => error,
            };
            if begun.elapsed() > START_DEADLINE {
                return Err(self.not_ready(begun.elapsed(), &answer));
            }
            thread::sleep(Duration::from_millis(25));
        }
        tracing::info!(
            service = self.definition.name,
            address = %self.definition.address,
            milliseconds = begun.elapsed().as_millis(),
            "service ready"
        );
        Ok(())
    }

    /// Stops it in order (PostgreSQL: fast shutdown, which does not wait for its clients); kills it if that takes too long.
    pub fn stop(&mut self) -> Result<(), StackError> {
        self.ask_to_stop()?;
        self.await_stop()
    }

    /// Asks it to stop, without waiting. Does nothing if it does not run.
    pub(crate) fn ask_to_stop(&mut self) -> Result<(), StackError> {
        self.signal(self.definition.stop_signal)?;
        self.signal_tree(Signal::CONT)
    }

    /// Waits until it has stopped, or kills it after a deadline.
    pub(crate) fn await_stop(&mut self) -> Result<(), StackError> {
        let begun = Instant::now();
        while self.ended().is_none() && self.running.is_some() {
            if begun.elapsed() > STOP_DEADLINE {
                tracing::warn!(
                    service = self.definition.name,
                    "service did not stop in time: killing it"
                );
                return self.kill9();
            }
            thread::sleep(Duration::from_millis(5));
        }
        self.release();
        Ok(())
    }

    /// Kills the whole tree with SIGKILL, as a crash would, and waits until it is gone.
    pub fn kill9(&mut self) -> Result<(), StackError> {
        let Some(running) = &self.running else {
            return Ok(());
        };
        let pid = running.child.id();
        let tree = descendants(pid);
        self.signal(Signal::KILL)?;
        kill_all(&tree);
        if let Some(running) = &mut self.running {
            let _ = running.child.wait();
        }
        self.release();
        self.await_death(&tree)
    }

    /// Freezes the whole tree with SIGSTOP: connections stay open, nothing answers.
    pub fn pause(&mut self) -> Result<(), StackError> {
        self.signal(Signal::STOP)?;
        self.signal_tree(Signal::STOP)
    }

    /// Lets a paused tree go on.
    pub fn resume(&mut self) -> Result<(), StackError> {
        self.signal_tree(Signal::CONT)?;
        self.signal(Signal::CONT)
    }

    fn command(&self) -> Command {
        let Launch {
            program,
            arguments,
            environment,
            environment_removed,
            folder,
            account,
        } = &self.definition.launch;
        let mut command = Command::new("/bin/sh");
        command
            .args([
                "-c",
                LEASH,
                "rollcall-leash",
                signal_name(self.definition.stop_signal),
            ])
            .arg(ORPHAN_SECONDS.to_string())
            .arg(program)
            .args(arguments)
            .current_dir(folder)
            .process_group(0);
        for variable in environment_removed {
            command.env_remove(variable);
        }
        command.envs(environment.iter().map(|(key, value)| (key, value)));
        if let Some(account) = account {
            command.uid(account.uid).gid(account.gid);
        }
        command
    }

    fn signal(&mut self, signal: Signal) -> Result<(), StackError> {
        let Some(running) = &self.running else {
            return Ok(());
        };
        // Until it is reaped, which only this object does, the id stays the child's own.
        let pid = running.child.id();
        let service = self.definition.name;
        let Some(target) = as_pid(pid) else {
            return Ok(());
        };
        match kill_process(target, signal) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(error) => Err(StackError::Signal {
                service,
                pid,
                source: error.into(),
            }),
        }
    }

    fn signal_tree(&mut self, signal: Signal) -> Result<(), StackError> {
        let Some(running) = &self.running else {
            return Ok(());
        };
        for pid in descendants(running.child.id()) {
            // One that is gone by now needs no signal.
            let _ = as_pid(pid).map(|pid| kill_process(pid, signal));
        }
        self.signal(signal)
    }

    fn ended(&mut self) -> Option<ExitStatus> {
        self.running
            .as_mut()
            .and_then(|running| running.child.try_wait().ok().flatten())
    }

    /// Tells the watcher that there is nothing left to watch.
    fn release(&mut self) {
        if let Some(mut running) = self.running.take() {
            let _ = running.leash.write_all(b"ended\n");
        }
    }

    fn await_death(&self, tree: &[u32]) -> Result<(), StackError> {
        let begun = Instant::now();
        loop {
            let alive: Vec<u32> = tree.iter().copied().filter(|&pid| is_alive(pid)).collect();
            if alive.is_empty() {
                return Ok(());
            }
            if begun.elapsed() > KILL_DEADLINE {
                return Err(StackError::Unkillable {
                    service: self.definition.name,
                    pids: alive,
                });
            }
            thread::sleep(Duration::from_millis(2));
        }
    }

    fn ended_early(&self, status: &ExitStatus) -> StackError {
        StackError::EndedEarly {
            service: self.definition.name,
            status: status.to_string(),
            log: self.definition.log.clone(),
            tail: tail(&self.definition.log),
        }
    }

    fn not_ready(&self, waited: Duration, answer: &io::Error) -> StackError {
        StackError::NotReady {
            service: self.definition.name,
            waited,
            answer: answer.to_string(),
            log: self.definition.log.clone(),
            tail: tail(&self.definition.log),
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if let Err(error) = self.stop() {
            tracing::error!(service = self.definition.name, %error, "service could not be stopped");
        }
    }
}

fn kill_all(pids: &[u32]) {
    for pid in pids.iter().filter_map(|&pid| as_pid(pid)) {
        // One that is gone by now needs no signal.
        let _ = kill_process(pid, Signal::KILL);
    }
}

/// The name that `kill -s` takes.
fn signal_name(signal: Signal) -> &'static str {
    if signal == Signal::INT { "INT" } else { "TERM" }
}

/// The last lines of a log.
pub(crate) fn tail(log: &Path) -> String {
    let read = || -> io::Result<Vec<u8>> {
        let mut file = File::open(log)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
        let mut bytes = Vec::new();
        file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    read().map_or_else(
        |error| format!("({error})"),
        |bytes| String::from_utf8_lossy(&bytes).trim_end().to_owned(),
    )
}

/// Makes a folder and its parents.
pub(crate) fn create_folder(path: &Path) -> Result<(), StackError> {
    fs::create_dir_all(path).map_err(StackError::file("create", path))
}
