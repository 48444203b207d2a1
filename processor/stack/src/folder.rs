//! The stack's folder: temporary, and removed with the stack.
//!
//! Invariants:
//! - It is locked while its owner lives; the system frees the lock when the owner dies, however it dies.
//! - A folder whose owner was killed is removed by the next stack that starts on the machine.
//! - Where PostgreSQL has to run under another account, that account can get into the folder.
//!
//! Must not know: what the services keep in it.

use std::{
    env,
    fs::{self, File, Permissions},
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

use tempfile::TempDir;

use crate::{account::Account, error::StackError};

const PREFIX: &str = "rollcall-stack-";
const LOCK: &str = "lock";

/// A locked folder.
#[derive(Debug)]
pub(crate) struct Folder {
    _lock: File,
    /// Removes the folder when dropped; after the services, which `Stack` sees to.
    temporary: TempDir,
}

impl Folder {
    /// Makes one, after removing those of stacks that were killed.
    pub(crate) fn take() -> Result<Self, StackError> {
        let parent = temporary_parent(Account::unless_unprivileged()?);
        sweep(&parent);
        let mut builder = tempfile::Builder::new();
        builder
            .prefix(PREFIX)
            .permissions(Permissions::from_mode(0o711));
        let mut temporary = builder
            .tempdir_in(&parent)
            .map_err(StackError::file("create a folder in", &parent))?;
        // For whoever wants to look at the data and logs of a failed test.
        temporary
            .disable_cleanup(env::var_os("ROLLCALL_STACK_KEEP").is_some_and(|value| value == "1"));
        let lock = lock(temporary.path())?;
        Ok(Self {
            _lock: lock,
            temporary,
        })
    }

    pub(crate) fn path(&self) -> &Path {
        self.temporary.path()
    }
}

/// The system's temporary folder, unless the account can't get into it.
fn temporary_parent(account: Option<Account>) -> PathBuf {
    let first = env::temp_dir();
    let Some(account) = account else { return first };
    let candidates = [
        first.clone(),
        PathBuf::from("/tmp"),
        PathBuf::from("/var/tmp"),
    ];
    candidates
        .into_iter()
        .find(|folder| account.can_enter(folder))
        .unwrap_or(first)
}

fn lock(folder: &Path) -> Result<File, StackError> {
    let path = folder.join(LOCK);
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path);
    let file = file.map_err(StackError::file("open", &path))?;
    // It is new: nobody else holds it.
    file.lock().map_err(StackError::file("lock", &path))?;
    Ok(file)
}

/// Removes temporary folders whose owners are gone.
fn sweep(parent: &Path) {
    let us = rustix::process::geteuid().as_raw();
    for folder in fs::read_dir(parent)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
    {
        let is_stack = folder
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with(PREFIX));
        let is_ours = fs::symlink_metadata(&folder)
            .is_ok_and(|metadata| metadata.is_dir() && metadata.uid() == us);
        if !is_stack || !is_ours {
            continue;
        }
        // One without a lock file is being made right now.
        let Ok(lock) = File::options().write(true).open(folder.join(LOCK)) else {
            continue;
        };
        let is_fresh = lock
            .metadata()
            .and_then(|metadata| metadata.modified())
            .is_ok_and(|time| {
                // Between the making of the file and its lock; the clock may have been set back.
                time.elapsed().map_or(true, |age| age.as_secs() < 10)
            });
        if !is_fresh && lock.try_lock().is_ok() {
            tracing::debug!(folder = %folder.display(), "removing the folder of a stack that was killed");
            let _ = fs::remove_dir_all(&folder);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn temporary_folders_vanish() {
        let folder = Folder::take().expect("a folder");
        let path = folder.path().to_owned();
        assert!(path.is_dir());
        drop(folder);
        assert!(!path.exists());
    }
}
