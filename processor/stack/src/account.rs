//! Running PostgreSQL, which refuses root, when we are root: whose account it runs under, and where that account can go.
//!
//! Must not know: PostgreSQL. It answers who and where.

use std::{
    fs,
    os::unix::fs::{MetadataExt, chown},
    path::Path,
};

use crate::error::StackError;

/// An unprivileged account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

impl Account {
    /// The account to run as: none if we are not root.
    pub(crate) fn unless_unprivileged() -> Result<Option<Self>, StackError> {
        if !rustix::process::geteuid().is_root() {
            return Ok(None);
        }
        let text =
            fs::read_to_string("/etc/passwd").map_err(StackError::file("read", "/etc/passwd"))?;
        find(&text).map(Some).ok_or(StackError::NoAccount)
    }

    /// Whether the account can reach what lies in the folder: every folder on the way must let it through.
    pub(crate) fn can_enter(self, folder: &Path) -> bool {
        folder.ancestors().all(|ancestor| {
            fs::metadata(ancestor).is_ok_and(|metadata| {
                let bit = match (metadata.uid() == self.uid, metadata.gid() == self.gid) {
                    (true, _) => 0o100,
                    (_, true) => 0o010,
                    _ => 0o001,
                };
                metadata.mode() & bit != 0
            })
        })
    }

    /// Makes the folder (not what is in it) the account's own.
    pub(crate) fn own(self, folder: &Path) -> Result<(), StackError> {
        chown(folder, Some(self.uid), Some(self.gid))
            .map_err(StackError::file("change the owner of", folder))
    }
}

/// `postgres` where it exists, else `nobody`; never another root.
fn find(passwd: &str) -> Option<Account> {
    ["postgres", "nobody"].iter().find_map(|name| {
        passwd.lines().find_map(|line| {
            let mut fields = line.split(':');
            let found = fields.next()? == *name;
            let uid: u32 = fields.nth(1)?.parse().ok()?;
            let gid: u32 = fields.next()?.parse().ok()?;
            (found && uid != 0).then_some(Account { uid, gid })
        })
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[track_caller]
    fn check(passwd: &str, expected: Option<(u32, u32)>) {
        assert_eq!(
            find(passwd),
            expected.map(|(uid, gid)| Account { uid, gid })
        );
    }

    #[test]
    fn accounts() {
        let root = "root:x:0:0:root:/root:/bin/bash\n";
        let nobody = "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n";
        let postgres =
            "postgres:x:101:104:PostgreSQL administrator,,,:/var/lib/postgresql:/bin/bash\n";
        check(root, None);
        check(&format!("{root}{nobody}"), Some((65534, 65534)));
        check(&format!("{root}{nobody}{postgres}"), Some((101, 104)));
        check("postgres:x:0:0::/:/bin/sh\n", None);
        check("postgres\npostgres:x:many:0\n", None);
    }

    #[test]
    fn folders_that_another_account_can_enter() {
        let nobody = Account {
            uid: 65534,
            gid: 65534,
        };
        assert!(nobody.can_enter(Path::new("/usr")));
        let folder = tempfile::tempdir().expect("a folder");
        for (mode, expected) in [(0o700, false), (0o711, true)] {
            fs::set_permissions(folder.path(), fs::Permissions::from_mode(mode))
                .expect("set its mode");
            assert_eq!(nobody.can_enter(folder.path()), expected, "{mode:o}");
        }
    }
}
