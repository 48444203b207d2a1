//! A small disk for the database: a tmpfs as the tablespace that all tables go to, and a file that fills it.
//!
//! It is mounted in a mount namespace of the test's own, which the system removes with the test's last process, however
//! that ends: nobody else sees it, and nothing is left. The test therefore runs itself again inside of one. Where
//! that is not permitted it runs without, and the report says so.

use crate::tables::Tables;
use rollcall_stack::Stack;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Set where the test runs for the second time: `yes` inside a namespace of its own, else `no`.
const INSIDE: &str = "ROLLCALL_CHAOS_OWN_MOUNTS";
/// Ways to a mount namespace: root's, and with a user namespace around it.
const WAYS: [&[&str]; 2] = [
    &["--mount"],
    &["--mount", "--user", "--map-current-user", "--keep-caps"],
];
/// What PostgreSQL's log says for each statement that finds the disk full.
const REFUSED: &str = "No space left on device";

/// Runs a test of this binary again, in a mount namespace of its own where that may be; `None`: this is that run.
pub fn again_inside(test: &str) -> Option<bool> {
    if std::env::var_os(INSIDE).is_some() {
        return None;
    }
    let way = WAYS.into_iter().find(|way| may_mount(way));
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]);
    if let Some(way) = way {
        command.arg("unshare").args(way).arg("--");
    }
    let mut child = command
        .arg(std::env::current_exe().expect("this binary"))
        .args([test, "--exact", "--nocapture"])
        .env(INSIDE, if way.is_some() { "yes" } else { "no" })
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("this binary runs");
    let said = BufReader::new(child.stderr.take().expect("its standard error"));
    for line in said.lines().map_while(Result::ok) {
        // Captured like any test's, unless --nocapture.
        eprintln!("{line}");
    }
    Some(child.wait().expect("its end").success())
}

fn may_mount(way: &[&str]) -> bool {
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = Command::new("unshare");
    command.args(way).args(["--", "mount", "-t", "tmpfs"]);
    let mounted = command.args(["-o", "size=64k", "tmpfs"]).arg(folder.path());
    let mounted = mounted.stdin(Stdio::null()).stderr(Stdio::null());
    let mounted = mounted.status();
    mounted.is_ok_and(|status| status.success())
}

/// A mounted disk, with the database's tables on it.
pub struct Disk {
    folder: PathBuf,
    log: PathBuf,
}

impl Disk {
    /// Mounts one in the stack's folder, and makes it the place of all tables; `None` where we have no mounts of our own.
    pub fn mount(stack: &Stack, mebibytes: u32) -> Option<Self> {
        if std::env::var(INSIDE).as_deref() != Ok("yes") {
            return None;
        }
        let folder = stack.dir().join("small-disk");
        fs::create_dir(&folder).expect("a folder");
        let size = format!("size={mebibytes}m,mode=755");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(&folder)
            .status();
        assert!(mounted.expect("mount runs").success(), "it was tried");
        let tables = folder.join("tables");
        fs::create_dir(&tables).expect("a folder");
        // The server's account, where we are root.
        let data = fs::metadata(stack.dir().join("postgres/data")).expect("the server's data");
        chown(&tables, Some(data.uid()), Some(data.gid())).expect("the server's own");
        let location = tables.display();
        let mut sql = Tables::new(&stack.database_url());
        sql.rows(&format!("CREATE TABLESPACE small LOCATION '{location}'"));
        sql.rows("GRANT CREATE ON TABLESPACE small TO PUBLIC");
        sql.rows("ALTER DATABASE rollcall SET default_tablespace = small");
        Some(Self {
            folder,
            log: stack.dir().join("logs/postgres.log"),
        })
    }

    /// Fills it to the last byte.
    pub fn fill(&self) {
        let mut ballast = File::create(self.ballast()).expect("a file");
        let block = vec![0; 1 << 20];
        for bytes in [block.as_slice(), &block[..4096]] {
            let error = loop {
                if let Err(error) = ballast.write_all(bytes) {
                    break error;
                }
            };
            assert_eq!(error.kind(), ErrorKind::StorageFull, "{error}");
        }
    }

    pub fn free(&self) {
        fs::remove_file(self.ballast()).expect("the file");
    }

    /// How many statements have found it full so far.
    pub fn refused(&self) -> u64 {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        log.lines().filter(|line| line.contains(REFUSED)).count() as u64
    }

    /// Takes it away; the server must have ended. Without this the stack's folder could not be removed.
    pub fn unmount(&self) {
        let _ = Command::new("umount").arg(&self.folder).status();
    }

    fn ballast(&self) -> PathBuf {
        Path::join(&self.folder, "ballast")
    }
}
