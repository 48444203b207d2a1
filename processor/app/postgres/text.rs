//! What PostgreSQL can't hold as it is: text with NUL, names longer than an index entry, times beyond its calendar.
//!
//! Invariant: two different names never become one. Whoever compares tables with names from elsewhere maps those
//! with [`stored_name`] first.

use rollcall_domain::Timestamp;
use std::borrow::Cow;
use uuid::Uuid;

/// Names up to this many bytes are stored as they are. Three of them fit into an index entry (2,704 bytes).
pub const NAME_BYTES_MAX: usize = 512;
/// Of longer names, so many bytes are kept before the digest.
const NAME_BYTES_KEPT: usize = 400;
/// What stands before a digest.
const DIGEST_MARK: &str = "…#";

/// 0001-01-01T00:00:00Z.
const EARLIEST_US: i64 = -62_135_596_800_000_000;
/// 9999-12-31T23:59:59.999999Z, the last time that common drivers read.
const LATEST_US: i64 = 253_402_300_799_999_999;

const _: () = assert!(3 * NAME_BYTES_MAX + 64 < 2_704);
const _: () = assert!(NAME_BYTES_KEPT + DIGEST_MARK.len() + 36 <= NAME_BYTES_MAX);

/// A name (of a user, faculty, application or machine) as tables hold it: itself, or, where it is longer than
/// [`NAME_BYTES_MAX`] or holds NUL, its beginning, `…#` and a digest (UUIDv5) of the whole. So is a name that itself holds
/// `…#`, lest it be what another one becomes.
#[must_use]
pub fn stored_name(name: &str) -> Cow<'_, str> {
    if name.len() <= NAME_BYTES_MAX && !name.as_bytes().contains(&0) && !name.contains(DIGEST_MARK)
    {
        return Cow::Borrowed(name);
    }
    let digest = Uuid::new_v5(&Uuid::NAMESPACE_OID, name.as_bytes());
    // Cut as it is stored: a replacement character is longer than NUL.
    let text = stored_text(name);
    let kept = &text[..text.floor_char_boundary(NAME_BYTES_KEPT)];
    Cow::Owned(format!("{kept}{DIGEST_MARK}{digest}"))
}

/// Free text as tables hold it: NUL becomes the replacement character.
#[must_use]
pub fn stored_text(text: &str) -> Cow<'_, str> {
    if text.as_bytes().contains(&0) {
        Cow::Owned(text.replace('\0', "\u{FFFD}"))
    } else {
        Cow::Borrowed(text)
    }
}

/// A time as tables hold it: in the years 1 to 9999.
#[must_use]
pub fn stored_time(time: Timestamp) -> Timestamp {
    Timestamp::from_micros(time.as_micros().clamp(EARLIEST_US, LATEST_US))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_fit_are_kept_and_others_stay_distinct() {
        let check = |name: &str, kept: bool| {
            let stored = stored_name(name);
            assert_eq!(stored == name, kept, "{name}");
            assert!(stored.len() <= NAME_BYTES_MAX && !stored.contains('\0'));
        };
        check("ada", true);
        check(&"é".repeat(NAME_BYTES_MAX / 2), true);
        check(&"é".repeat(NAME_BYTES_MAX / 2 + 1), false);
        check("a\0b", false);
        check(&"\0".repeat(NAME_BYTES_MAX), false);
        assert_ne!(stored_name("a\0b"), stored_name("a\u{FFFD}b"));
        // What another name becomes is no name that is kept.
        check(&stored_name("a\0b"), false);
        check(&stored_name(&"x".repeat(NAME_BYTES_MAX + 1)), false);
        check("…", true);
        let long = "x".repeat(NAME_BYTES_MAX);
        assert_ne!(
            stored_name(&format!("{long}1")),
            stored_name(&format!("{long}2"))
        );
    }

    #[test]
    fn times_are_kept_within_the_calendar() {
        assert_eq!(stored_time(Timestamp::MIN).as_micros(), EARLIEST_US);
        assert_eq!(stored_time(Timestamp::MAX).as_micros(), LATEST_US);
        let now = Timestamp::from_micros(1_700_000_000_000_000);
        assert_eq!(stored_time(now), now);
    }
}
