//! What can go wrong with the stack, each in one sentence that says what, where and what to do.
//!
//! Must not know: how a service is started or stopped. It only tells.

use std::{io, path::PathBuf, time::Duration};

/// An error of the private stack.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StackError {
    /// A file or folder could not be used.
    #[error("cannot {action} {path}", path = path.display())]
    File {
        /// What was tried, as a verb: "create", "write", …
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A program that has to be installed is not.
    #[error(
        "{program} was not found: install it with `{install}`, or run processor/stack/setup.sh"
    )]
    ProgramMissing {
        /// The program's name.
        program: String,
        /// A command that installs it on Debian and Ubuntu.
        install: &'static str,
    },
    /// The Java that was found is too old.
    #[error(
        "{path} is Java {found}, but Kafka needs 17 or newer: install openjdk-17-jre-headless, or set JAVA_HOME to a newer one",
        path = path.display()
    )]
    JavaTooOld {
        /// The `java` that was tried.
        path: PathBuf,
        /// Its version, as far as it could be read.
        found: String,
    },
    /// A command that prepares something failed.
    #[error("`{command}` failed ({status}); the end of what it said:\n{output}")]
    CommandFailed {
        /// The command.
        command: String,
        /// How it ended.
        status: String,
        /// The last lines of its output.
        output: String,
    },
    /// PostgreSQL has no published binaries for this machine.
    #[error(
        "there is no PostgreSQL for {platform} among the pinned artefacts: set DATABASE_URL to a server of your own"
    )]
    PlatformUnsupported {
        /// Architecture and operating system.
        platform: String,
    },
    /// A service that starts again finds its port taken.
    #[error("{service} cannot listen on 127.0.0.1:{port}: another program does; stop that one")]
    PortTaken {
        /// The service.
        service: &'static str,
        /// The port.
        port: u16,
    },
    /// No port could be found.
    #[error("no free port on 127.0.0.1 between {first} and {last}")]
    NoFreePort {
        /// Lowest port that was tried.
        first: u16,
        /// Highest port that was tried.
        last: u16,
    },
    /// The server refuses to run as root, and there is no other account.
    #[error(
        "PostgreSQL refuses to run as root and /etc/passwd has neither a `postgres` nor a `nobody` account: run as another user"
    )]
    NoAccount,
    /// A process could not be started at all.
    #[error("cannot start {service}")]
    Spawn {
        /// The service.
        service: &'static str,
        /// The system's reason.
        source: io::Error,
    },
    /// A signal could not be delivered.
    #[error("cannot signal {service} (process {pid})")]
    Signal {
        /// The service.
        service: &'static str,
        /// Its process id.
        pid: u32,
        /// The system's reason.
        source: io::Error,
    },
    /// A service ended while it was awaited.
    #[error("{service} ended during its start ({status}); the end of {log}:\n{tail}", log = log.display())]
    EndedEarly {
        /// The service.
        service: &'static str,
        /// How it ended.
        status: String,
        /// Its log.
        log: PathBuf,
        /// The last lines of its log.
        tail: String,
    },
    /// A service did not answer in time.
    #[error(
        "{service} was not ready within {seconds} s (last answer: {answer}); the end of {log}:\n{tail}",
        seconds = waited.as_secs(),
        log = log.display()
    )]
    NotReady {
        /// The service.
        service: &'static str,
        /// How long it was awaited.
        waited: Duration,
        /// What the last probe got.
        answer: String,
        /// Its log.
        log: PathBuf,
        /// The last lines of its log.
        tail: String,
    },
    /// Processes survived SIGKILL.
    #[error("{service} still has live processes after SIGKILL: {pids:?}")]
    Unkillable {
        /// The service.
        service: &'static str,
        /// The processes.
        pids: Vec<u32>,
    },
    /// PostgreSQL did not accept a statement.
    #[error("PostgreSQL on port {port} did not run `{statement}`")]
    Statement {
        /// The server's port.
        port: u16,
        /// The statement.
        statement: String,
        /// The server's answer.
        source: io::Error,
    },
}

impl StackError {
    /// Turns a system's reason into an error about a file; for `map_err`.
    pub(crate) fn file(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File {
            action,
            path,
            source,
        }
    }
}
