//! Who a process counts for: users and faculties that are known beyond one machine.

use crate::snapshot::{Machine, Snapshot};
use std::borrow::Cow;

/// The user or faculty of what nobody is known to own. A key of its own, never mixed with a real one.
pub const UNKNOWN: &str = "(unknown)";

/// The owner of a process as the machine printed it.
pub type Owner<'a> = Option<Cow<'a, str>>;

/// What the compacted topic `directory-users` says: which faculty a user belongs to.
pub trait Directory {
    /// The faculty of `user`: `None` when the directory doesn't know the user,
    /// `Some(None)` when it does but has no faculty for it.
    fn faculty_of(&self, user: &str) -> Option<Option<&str>>;
}

/// A user and faculty that a process counts for.
#[derive(Clone, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct ResolvedUser<'a> {
    /// A directory user, `DOMAIN\user`, `name@machine` or [`UNKNOWN`].
    pub user: Cow<'a, str>,
    /// The faculty or [`UNKNOWN`].
    pub faculty: Cow<'a, str>,
}

/// Resolves a process of `snapshot` that `owner` owns.
///
/// The snapshot's user if it has one; else the owner: a directory user, `DOMAIN\user`, or the name
/// qualified by the machine, for local names, UIDs and names cut at eight columns are not people known elsewhere.
/// Authorities such as `NT AUTHORITY\SYSTEM` hold a space, which no NetBIOS domain does: they are local.
pub fn resolve<'a>(
    snapshot: &Snapshot<'a>,
    owner: &Owner<'a>,
    directory: &dyn Directory,
) -> ResolvedUser<'a> {
    let user = match (&snapshot.user, owner) {
        (Some(user), _) => user.clone(),
        (None, Some(owner)) => qualify(owner, &snapshot.machine, directory),
        (None, None) => Cow::Borrowed(UNKNOWN),
    };
    let faculty = match &snapshot.faculty {
        Some(faculty) => faculty.clone(),
        None => match directory.faculty_of(&user).flatten() {
            Some(faculty) => Cow::Owned(faculty.to_owned()),
            None => Cow::Borrowed(UNKNOWN),
        },
    };
    ResolvedUser { user, faculty }
}

fn qualify<'a>(
    owner: &Cow<'a, str>,
    machine: &Machine<'a>,
    directory: &dyn Directory,
) -> Cow<'a, str> {
    if directory.faculty_of(owner).is_some() || is_domain_user(owner, machine) {
        owner.clone()
    } else {
        Cow::Owned(format!("{owner}@{}", machine.id))
    }
}

fn is_domain_user(owner: &str, machine: &Machine<'_>) -> bool {
    let Some((domain, name)) = owner.split_once('\\') else {
        return false;
    };
    let machine_name = machine.name.as_deref().unwrap_or(&machine.id);
    !domain.is_empty()
        && !name.is_empty()
        && !domain.contains(' ')
        && !domain.eq_ignore_ascii_case(machine_name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::{Os, Payload, SnapshotId};
    use crate::time::Timestamp;
    use std::collections::BTreeMap;

    struct OneUser;
    impl Directory for OneUser {
        fn faculty_of(&self, user: &str) -> Option<Option<&str>> {
            (user == "ada").then_some(Some("law"))
        }
    }

    fn snapshot(user: Option<&'static str>, faculty: Option<&'static str>) -> Snapshot<'static> {
        Snapshot {
            id: SnapshotId(1),
            observed_at: Timestamp::from_micros(0),
            utc_offset_seconds: None,
            machine: Machine {
                id: "machine-7".into(),
                name: Some("PC7".into()),
                os: Os::Windows,
                os_version: None,
                cpu_count: None,
                memory_bytes: None,
            },
            user: user.map(Cow::Borrowed),
            faculty: faculty.map(Cow::Borrowed),
            command: None,
            attributes: BTreeMap::new(),
            payload: Payload::Windows(Vec::new()),
        }
    }

    #[track_caller]
    fn check(snapshot: &Snapshot<'static>, owner: Option<&'static str>, expect: (&str, &str)) {
        let resolved = resolve(snapshot, &owner.map(Cow::Borrowed), &OneUser);
        assert_eq!((&*resolved.user, &*resolved.faculty), expect);
    }

    #[test]
    fn the_snapshots_user_and_faculty_come_first() {
        check(&snapshot(Some("ada"), None), Some("root"), ("ada", "law"));
        check(&snapshot(Some("ada"), Some("arts")), None, ("ada", "arts"));
    }

    #[test]
    fn owners_are_directory_users_domain_users_or_local() {
        let shared = snapshot(None, None);
        check(&shared, Some("ada"), ("ada", "law"));
        check(&shared, Some("UNI\\bob"), ("UNI\\bob", UNKNOWN));
        check(&shared, Some("root"), ("root@machine-7", UNKNOWN));
        check(&shared, Some("pc7\\bob"), ("pc7\\bob@machine-7", UNKNOWN));
        check(
            &shared,
            Some("NT AUTHORITY\\SYSTEM"),
            ("NT AUTHORITY\\SYSTEM@machine-7", UNKNOWN),
        );
        check(&shared, None, (UNKNOWN, UNKNOWN));
    }
}
