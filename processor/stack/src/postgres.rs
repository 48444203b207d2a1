//! PostgreSQL: a cluster of its own, made by initdb, on loopback only.
//!
//! Invariants:
//! - Ready means that a session on the database `postgres` reaches "ready for query".
//! - It listens on 127.0.0.1 and on no Unix socket; whoever is on this machine may log in (trust).
//! - Under root, which the server refuses, it runs as another account, and its binaries and data lie where that account can go.
//!
//! Must not know: our tables. It speaks just enough of the protocol (version 3.0) to run a statement.

use std::{
    ffi::OsString,
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use rustix::process::Signal;

use crate::{
    account::Account,
    artifacts::Artifacts,
    error::StackError,
    java::run,
    service::{Definition, Launch, Service, create_folder},
};

/// The superuser, and the only role that a new cluster has.
pub(crate) const USER: &str = "postgres";
/// The database that the stack makes.
pub(crate) const DATABASE: &str = "rollcall";
const NAME: &str = "PostgreSQL";
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);
/// CREATE DATABASE copies files, and may wait for a checkpoint.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(60);
/// Errors and parameters have a few hundred bytes.
const MESSAGE_BYTES_MAX: usize = 64 * 1024;
/// Variables that the server or initdb would take for settings of ours.
const FOREIGN_VARIABLES: &[&str] = &[
    "PGDATA",
    "PGPORT",
    "PGHOST",
    "PGUSER",
    "PGDATABASE",
    "PGOPTIONS",
    "PGTZ",
    "PGDATESTYLE",
    "LANG",
    "LC_CTYPE",
];

/// Settings that every private server has.
const SETTINGS: &[(&str, &str)] = &[
    ("max_connections", "100"),
    ("unix_socket_directories", ""),
    ("timezone", "UTC"),
    ("log_timezone", "UTC"),
    ("log_checkpoints", "off"),
    // Whoever uses a private stack kills servers, not machines: kill -9 loses nothing that the system's cache has.
    ("fsync", "off"),
];

/// What makes one server differ from another.
pub(crate) struct Server<'a> {
    pub(crate) address: SocketAddr,
    pub(crate) folder: &'a Path,
    pub(crate) log: &'a Path,
}

impl Server<'_> {
    /// Makes the cluster, and returns the service, not yet started.
    pub(crate) fn prepare(&self, artifacts: &Artifacts) -> Result<Service, StackError> {
        let account = Account::unless_unprivileged()?;
        create_folder(self.folder)?;
        // The stack has put it where the account can go (see `folder.rs`).
        if let Some(account) = account {
            account.own(self.folder)?;
        }
        let binaries = binaries(artifacts, account)?;
        let data = self.folder.join("data");
        self.make_cluster(&binaries, &data, account)?;
        Ok(Service::new(Definition {
            name: NAME,
            launch: Launch {
                program: binaries.join("bin/postgres"),
                arguments: self.arguments(&data),
                environment: vec![("LC_ALL".into(), "C".into())],
                environment_removed: FOREIGN_VARIABLES.to_vec(),
                folder: self.folder.to_owned(),
                account,
            },
            address: self.address,
            probe,
            // Fast shutdown: roll back what runs, then a checkpoint. TERM would wait for every client to leave.
            stop_signal: Signal::INT,
            log: self.log.to_owned(),
        }))
    }

    fn make_cluster(
        &self,
        binaries: &Path,
        data: &Path,
        account: Option<Account>,
    ) -> Result<(), StackError> {
        let mut command = Command::new(binaries.join("bin/initdb"));
        command
            .arg("-D")
            .arg(data)
            .args(["-U", USER, "-A", "trust", "-E", "UTF8", "--no-instructions"])
            .args([
                "--locale=C",
                "--locale-provider=builtin",
                "--builtin-locale=C.UTF-8",
            ])
            .arg("--no-sync")
            .env("LC_ALL", "C");
        for variable in FOREIGN_VARIABLES {
            command.env_remove(variable);
        }
        command.current_dir(self.folder);
        as_account(&mut command, account);
        run(command)
    }

    fn arguments(&self, data: &Path) -> Vec<OsString> {
        let mut arguments: Vec<OsString> = vec!["-D".into(), data.into()];
        let own = [
            ("listen_addresses", self.address.ip().to_string()),
            ("port", self.address.port().to_string()),
        ];
        let own = own.iter().map(|(key, value)| (*key, value.as_str()));
        for (key, value) in own.chain(SETTINGS.iter().copied()) {
            arguments.extend(["-c".into(), format!("{key}={value}").into()]);
        }
        arguments
    }
}

/// Makes the stack's database.
pub(crate) fn create_database(address: SocketAddr) -> Result<(), StackError> {
    let statement = format!("CREATE DATABASE {DATABASE}");
    Session::open(address, STATEMENT_TIMEOUT)
        .and_then(|mut session| session.execute(&statement))
        .map_err(|source| StackError::Statement {
            port: address.port(),
            statement,
            source,
        })
}

fn probe(address: SocketAddr) -> io::Result<()> {
    Session::open(address, PROBE_TIMEOUT).map(drop)
}

/// The binaries, copied to where the account can run them if it can't get to ours.
fn binaries(artifacts: &Artifacts, account: Option<Account>) -> Result<PathBuf, StackError> {
    let ours = artifacts.postgres_folder();
    match account {
        Some(account) if !account.can_enter(&ours) => {
            artifacts.postgres_copy(&std::env::temp_dir())
        }
        _ => Ok(ours),
    }
}

fn as_account(command: &mut Command, account: Option<Account>) {
    use std::os::unix::process::CommandExt;
    if let Some(account) = account {
        command.uid(account.uid).gid(account.gid);
    }
}

/// A session that runs statements without parameters and drops their rows.
struct Session {
    stream: TcpStream,
}

impl Session {
    fn open(address: SocketAddr, timeout: Duration) -> io::Result<Self> {
        let mut stream = TcpStream::connect_timeout(&address, timeout)?;
        stream.set_read_timeout(Some(timeout))?;
        let mut startup = 196_608_i32.to_be_bytes().to_vec();
        for word in ["user", USER, "database", "postgres", ""] {
            startup.extend(word.as_bytes());
            startup.push(0);
        }
        stream.write_all(&length(&startup))?;
        stream.write_all(&startup)?;
        let mut session = Self { stream };
        session.until_ready()?;
        Ok(session)
    }

    fn execute(&mut self, statement: &str) -> io::Result<()> {
        let mut query = statement.as_bytes().to_vec();
        query.push(0);
        self.stream.write_all(b"Q")?;
        self.stream.write_all(&length(&query))?;
        self.stream.write_all(&query)?;
        self.until_ready()
    }

    /// Reads messages up to "ready for query"; an error among them is the outcome.
    fn until_ready(&mut self) -> io::Result<()> {
        let mut outcome = Ok(());
        loop {
            let mut head = [0; 5];
            // Before a session is there, the server closes after its error.
            if let Err(error) = self.stream.read_exact(&mut head) {
                return outcome.and(Err(error));
            }
            let [kind, length @ ..] = head;
            let length = usize::try_from(i32::from_be_bytes(length))
                .ok()
                .and_then(|length| length.checked_sub(4));
            let length = length.filter(|length| *length <= MESSAGE_BYTES_MAX);
            let mut body = vec![
                0;
                length.ok_or_else(|| io::Error::other(
                    "it does not speak PostgreSQL's protocol"
                ))?
            ];
            self.stream.read_exact(&mut body)?;
            match kind {
                b'Z' => return outcome,
                b'E' => outcome = Err(io::Error::other(error_text(&body))),
                b'R' if body != [0; 4] => return Err(io::Error::other("it asks for a password")),
                _ => {}
            }
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // Terminate, so that the server's log does not speak of a lost client.
        let _ = self.stream.write_all(&[b'X', 0, 0, 0, 4]);
    }
}

/// A message's length counts itself.
fn length(body: &[u8]) -> [u8; 4] {
    u32::try_from(body.len() + 4)
        .unwrap_or(u32::MAX)
        .to_be_bytes()
}

/// SQLSTATE and message of an ErrorResponse: fields of a type byte and a text that ends in zero.
fn error_text(body: &[u8]) -> String {
    let field = |kind: u8| {
        let field = body
            .split(|byte| *byte == 0)
            .find(|field| field.first() == Some(&kind));
        field
            .map(|field| String::from_utf8_lossy(&field[1..]).into_owned())
            .unwrap_or_default()
    };
    format!("{} {}", field(b'C'), field(b'M'))
}
