//! How texts, names and times look in the tables: written from the tables' documentation, not from their writer.

use rollcall_domain::Timestamp;
use std::borrow::Cow;
use uuid::Uuid;

/// Longer names are cut and get a digest.
const NAME_BYTES_MAX: usize = 512;
/// What is kept of such a name.
const NAME_BYTES_KEPT: usize = 400;
/// 0001-01-01T00:00:00Z and 9999-12-31T23:59:59.999999Z.
const CALENDAR_US: (i64, i64) = (-62_135_596_800_000_000, 253_402_300_799_999_999);

/// A text, in which NUL can't be stored.
pub(crate) fn text(text: &str) -> Cow<'_, str> {
    if text.contains('\0') {
        Cow::Owned(text.replace('\0', "\u{FFFD}"))
    } else {
        Cow::Borrowed(text)
    }
}

/// A name, which stands in an index. What looks like a cut name is treated as one.
pub(crate) fn name(name: &str) -> Cow<'_, str> {
    if name.len() <= NAME_BYTES_MAX && !name.contains('\0') && !name.contains("…#") {
        return Cow::Borrowed(name);
    }
    let stored = text(name);
    let mut end = NAME_BYTES_KEPT.min(stored.len());
    while !stored.is_char_boundary(end) {
        end -= 1;
    }
    let digest = Uuid::new_v5(&Uuid::NAMESPACE_OID, name.as_bytes());
    Cow::Owned(format!("{}…#{digest}", &stored[..end]))
}

/// An optional text.
pub(crate) fn optional(value: Option<&str>) -> Option<Cow<'_, str>> {
    value.map(text)
}

/// A time, within the calendar.
pub(crate) fn time(time: Timestamp) -> Timestamp {
    Timestamp::from_micros(time.as_micros().clamp(CALENDAR_US.0, CALENDAR_US.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_is_what_another_one_becomes() {
        let check = |given: &str, kept: bool| {
            let stored = name(given);
            assert_eq!(stored == given, kept, "{given}");
            assert!(stored.len() <= NAME_BYTES_MAX && !stored.contains('\0'));
            stored.into_owned()
        };
        check("ada…", true);
        for long in ["x".repeat(NAME_BYTES_MAX + 1), "\0".repeat(NAME_BYTES_MAX)] {
            let cut = check(&long, false);
            assert!(cut.contains("…#"));
            check(&cut, false);
        }
    }
}
