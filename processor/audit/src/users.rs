//! Whom a process may count for, as its raw record allows, and whom it does, as the tables record.
//!
//! A raw record that names user and faculty leaves nothing open. Else a user is the process' owner as it stands, where
//! the directory knew it or it is `DOMAIN\user`, or `owner@machine`; a faculty is whatever the directory said then.

use crate::names;
use rollcall_domain::Snapshot;
use rollcall_domain::identity::UNKNOWN;

/// A user and faculty; the faculty as it is stored, for what the directory said is known from there only.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct User {
    pub(crate) name: String,
    pub(crate) faculty: String,
}

/// The names that a process of `owner` may count for.
pub(crate) fn candidates(snapshot: &Snapshot<'_>, owner: Option<&str>) -> Vec<String> {
    match (&snapshot.user, owner) {
        (Some(user), _) => vec![user.clone().into_owned()],
        (None, None) => vec![UNKNOWN.to_owned()],
        (None, Some(owner)) if is_of_domain(snapshot, owner) => vec![owner.to_owned()],
        (None, Some(owner)) => vec![owner.to_owned(), format!("{owner}@{}", snapshot.machine.id)],
    }
}

/// `DOMAIN\user`, where the domain is neither the machine itself nor an authority, whose names hold a space.
fn is_of_domain(snapshot: &Snapshot<'_>, owner: &str) -> bool {
    let machine = &snapshot.machine;
    let itself = machine.name.as_deref().unwrap_or(&machine.id);
    match owner.split_once('\\') {
        Some((domain, user)) => {
            !user.is_empty()
                && !domain.is_empty()
                && !domain.contains(' ')
                && !domain.eq_ignore_ascii_case(itself)
        }
        None => false,
    }
}

/// The user that is recorded, where the raw record allows it.
pub(crate) fn identify(
    snapshot: &Snapshot<'_>,
    owner: Option<&str>,
    user_name: &str,
    faculty: &str,
) -> Option<User> {
    let name = candidates(snapshot, owner)
        .into_iter()
        .find(|candidate| names::name(candidate) == user_name)?;
    let allowed = match &snapshot.faculty {
        Some(given) => names::name(given) == faculty,
        None => true,
    };
    allowed.then(|| User {
        name,
        faculty: snapshot.faculty.as_deref().unwrap_or(faculty).to_owned(),
    })
}

/// The user where the raw record alone tells it.
pub(crate) fn known(snapshot: &Snapshot<'_>, owner: Option<&str>) -> Option<User> {
    let faculty = snapshot.faculty.as_deref()?.to_owned();
    match candidates(snapshot, owner).as_slice() {
        [name] => Some(User {
            name: name.clone(),
            faculty,
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rollcall_domain::Timestamp;
    use rollcall_domain::snapshot::{Machine, Os, Payload, SnapshotId};

    fn snapshot(user: Option<&'static str>, faculty: Option<&'static str>) -> Snapshot<'static> {
        Snapshot {
            id: SnapshotId(1),
            observed_at: Timestamp::from_micros(0),
            utc_offset_seconds: None,
            machine: Machine {
                id: "m-7".into(),
                name: Some("PC7".into()),
                os: Os::Windows,
                os_version: None,
                cpu_count: None,
                memory_bytes: None,
            },
            user: user.map(Into::into),
            faculty: faculty.map(Into::into),
            command: None,
            attributes: Default::default(),
            payload: Payload::Windows(Vec::new()),
        }
    }

    #[track_caller]
    fn check(
        snapshot: &Snapshot<'_>,
        owner: Option<&str>,
        recorded: (&str, &str),
        expect: Option<&str>,
    ) {
        let found = identify(snapshot, owner, recorded.0, recorded.1);
        assert_eq!(found.as_ref().map(|user| &*user.name), expect);
    }

    #[test]
    fn what_the_raw_record_allows() {
        let (own, shared) = (snapshot(Some("ada"), Some("law")), snapshot(None, None));
        check(&own, Some("root"), ("ada", "law"), Some("ada"));
        check(&own, Some("root"), ("ada", "arts"), None);
        check(&own, Some("root"), ("root", "law"), None);
        check(&shared, Some("bob"), ("bob", "arts"), Some("bob"));
        check(&shared, Some("bob"), ("bob@m-7", "law"), Some("bob@m-7"));
        check(&shared, Some("bob"), ("bob@m-8", "law"), None);
        check(
            &shared,
            Some("UNI\\bob"),
            ("UNI\\bob", "law"),
            Some("UNI\\bob"),
        );
        check(&shared, Some("UNI\\bob"), ("UNI\\bob@m-7", "law"), None);
        check(
            &shared,
            Some("pc7\\bob"),
            ("pc7\\bob@m-7", "x"),
            Some("pc7\\bob@m-7"),
        );
        check(&shared, None, ("(unknown)", "(unknown)"), Some("(unknown)"));
        assert_eq!(known(&shared, Some("bob")), None);
        assert_eq!(
            known(&own, Some("bob")).map(|user| user.faculty).as_deref(),
            Some("law")
        );
    }
}
