//! Keys of the state topic.

use rollcall_domain::rollup::GroupingSet;
use rollcall_domain::window::{Grain, Window};

/// What [`parse_state_key`] reads.
pub(super) fn state_key(set: GroupingSet, window: Window, key: &str) -> String {
    format!(
        "{}/{}/{}/{key}",
        set.as_str(),
        window.grain.as_str(),
        window.start.as_micros()
    )
}

/// Reads `<grouping set>/<grain>/<window start>/<rollup key>`.
pub(super) fn parse_state_key(key: &str) -> Option<(GroupingSet, Grain, i64, &str)> {
    let mut parts = key.splitn(4, '/');
    let set = GroupingSet::parse(parts.next()?)?;
    let grain = Grain::parse(parts.next()?)?;
    let start = parts.next()?.parse().ok()?;
    Some((set, grain, start, parts.next()?))
}
