//! The stack's folder: given and kept, or temporary and removed with the stack.
//!
//! Invariants:
//! - One running stack per folder, by a lock that the system frees when its owner dies, however it dies.
//! - A temporary folder whose owner was killed is removed by the next stack that starts on the machine.
//! - Where PostgreSQL has to run under another account, that account can get into a temporary folder.
//!
//! Must not know: what the services keep in it.

use std::{
    env,
    fs::{self, File, Permissions},
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

use tempfile::TempDir;

use crate::{account::Account, error::StackError, service::create_folder};

const PREFIX: &str = "rollcall-stack-";
const LOCK: &str = "lock";

/// A locked folder.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    _lock: File,
    /// Removes the folder when dropped; after the services, which `Stack` sees to.
    temporary: Option<TempDir>,
}

impl Folder {
    /// Takes the given folder, or makes a temporary one.
    pub(crate) fn take(given: Option<&Path>) -> Result<Self, StackError> {
        match given {
            Some(path) => {
                create_folder(path)?;
                let path = path
                    .canonicalize()
                    .map_err(StackError::file("open", path))?;
                let lock = lock(&path)?;
                Ok(Self {
                    path,
                    _lock: lock,
                    temporary: None,
                })
            }
            None => Self::temporary(),
        }
    }

    fn temporary() -> Result<Self, StackError> {
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
        let path = temporary.path().to_owned();
        let lock = lock(&path)?;
        Ok(Self {
            path,
            _lock: lock,
            temporary: Some(temporary),
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn is_persistent(&self) -> bool {
        self.temporary.is_none()
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
    file.try_lock().map_err(|_| StackError::FolderInUse {
        folder: folder.to_owned(),
    })?;
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
    fn a_folder_serves_one_stack_at_a_time() {
        let folder = tempfile::tempdir().expect("a folder");
        let first = Folder::take(Some(folder.path())).expect("it is free");
        let error = Folder::take(Some(folder.path())).expect_err("it is taken");
        assert!(matches!(error, StackError::FolderInUse { .. }), "{error}");
        drop(first);
        Folder::take(Some(folder.path())).expect("it is free again");
    }

    #[test]
    fn temporary_folders_vanish() {
        let folder = Folder::take(None).expect("a folder");
        let path = folder.path().to_owned();
        assert!(path.is_dir() && !folder.is_persistent());
        drop(folder);
        assert!(!path.exists());
    }
}
