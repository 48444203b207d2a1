//! The topic partitions that the group has given to a lane, and how far each has come.
//!
//! ```text
//!            claim                     flush
//! Unclaimed ───────► Claimed ─────────────────────► Claimed
//!     ▲                 │ fenced, or the connection failed
//!     └─────────────────┘
//! either ──► Halted: only a person can help, or the group takes it away
//! ```

use crate::ports::{Claim, OffsetAdvance, Place, TopicPartition};
use rollcall_engine::record::TopicIndex;
use rollcall_stages::layout::TopicLayout;
use std::collections::BTreeMap;

/// A claimed partition.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Claimed {
    /// The claim's epoch.
    pub(crate) epoch: i64,
    /// Everything below is stored.
    pub(crate) stored: i64,
    /// The offset that is to be read next; what lies between is buffered, or the marker of a transaction.
    pub(crate) position: i64,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum PlaceState {
    /// Ours as far as the group says; to be claimed, but not before this time.
    Unclaimed { not_before_us: i64 },
    /// Ours as far as PostgreSQL says.
    Claimed(Claimed),
    /// Left alone until a person helps.
    Halted,
}

/// All places of a lane.
#[derive(Debug)]
pub(crate) struct Places {
    topics: Vec<(TopicLayout, String)>,
    states: BTreeMap<Place, PlaceState>,
}

impl Places {
    /// None yet, of these topics with these full names.
    pub(crate) fn new(topics: Vec<(TopicLayout, String)>) -> Self {
        Self {
            topics,
            states: BTreeMap::new(),
        }
    }

    /// A topic's index by its full name.
    pub(crate) fn topic(&self, name: &str) -> Option<TopicIndex> {
        let found = self.topics.iter().find(|(_, full)| full == name);
        found.map(|(topic, _)| topic.index)
    }

    /// A topic's full name.
    pub(crate) fn name(&self, topic: TopicIndex) -> &str {
        let found = self.topics.iter().find(|(layout, _)| layout.index == topic);
        found.map_or("", |(_, name)| name)
    }

    /// The group has given a place to us.
    pub(crate) fn add(&mut self, place: Place) {
        self.states
            .insert(place, PlaceState::Unclaimed { not_before_us: 0 });
    }

    /// The group has taken it away.
    pub(crate) fn remove(&mut self, place: Place) {
        self.states.remove(&place);
    }

    /// All places.
    pub(crate) fn all(&self) -> Vec<Place> {
        self.states.keys().copied().collect()
    }

    /// The places that may be claimed now.
    pub(crate) fn to_claim(&self, now_us: i64) -> Vec<Place> {
        let due = |state: &PlaceState| matches!(state, PlaceState::Unclaimed { not_before_us } if *not_before_us <= now_us);
        let due = self.states.iter().filter(|(_, state)| due(state));
        due.map(|(place, _)| *place).collect()
    }

    /// PostgreSQL has accepted our claim.
    pub(crate) fn claimed(&mut self, place: Place, claim: Claim) {
        let claimed = Claimed {
            epoch: claim.epoch,
            stored: claim.next_offset,
            position: claim.next_offset,
        };
        self.states.insert(place, PlaceState::Claimed(claimed));
    }

    /// It is not ours any more as far as PostgreSQL says, or that is in doubt.
    pub(crate) fn unclaim(&mut self, place: Place, not_before_us: i64) {
        match self.states.get_mut(&place) {
            None | Some(PlaceState::Halted) => {}
            Some(state) => *state = PlaceState::Unclaimed { not_before_us },
        }
    }

    /// Only a person can help.
    pub(crate) fn halt(&mut self, place: Place) {
        self.states.insert(place, PlaceState::Halted);
    }

    /// Whether only a person can help.
    pub(crate) fn is_halted(&self, place: Place) -> bool {
        self.states.get(&place) == Some(&PlaceState::Halted)
    }

    /// A claimed place.
    pub(crate) fn get(&self, place: Place) -> Option<&Claimed> {
        match self.states.get(&place) {
            Some(PlaceState::Claimed(claimed)) => Some(claimed),
            _ => None,
        }
    }

    /// A message of a place was buffered.
    pub(crate) fn taken(&mut self, place: Place, offset: i64) {
        if let Some(PlaceState::Claimed(claimed)) = self.states.get_mut(&place) {
            claimed.position = offset + 1;
        }
    }

    /// Everything below is stored now.
    pub(crate) fn stored(&mut self, place: Place, next_offset: i64) {
        if let Some(PlaceState::Claimed(claimed)) = self.states.get_mut(&place) {
            claimed.stored = next_offset;
        }
    }

    /// Everything below was read, and nothing of the place is buffered: what lies between are markers of transactions.
    pub(crate) fn passed(&mut self, place: Place, position: i64) {
        if let Some(PlaceState::Claimed(claimed)) = self.states.get_mut(&place) {
            claimed.position = claimed.position.max(position);
        }
    }

    /// All claimed places.
    pub(crate) fn claims(&self) -> impl Iterator<Item = (Place, &Claimed)> {
        self.states.iter().filter_map(|(place, state)| match state {
            PlaceState::Claimed(claimed) => Some((*place, claimed)),
            _ => None,
        })
    }

    /// What a flush has to say of a place that it brings to `to_offset`.
    pub(crate) fn advance(&self, place: Place, to_offset: i64) -> Option<OffsetAdvance<'_>> {
        let claimed = self.get(place)?;
        Some(OffsetAdvance {
            topic: self.name(place.0),
            partition: place.1,
            epoch: claimed.epoch,
            from_offset: claimed.stored,
            to_offset,
        })
    }

    /// Our name for a place that PostgreSQL names.
    pub(crate) fn place_of(&self, place: &TopicPartition) -> Option<Place> {
        Some((self.topic(&place.topic)?, place.partition))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rollcall_stages::layout;

    const PLACE: Place = (layout::OBSERVATIONS.index, 3);

    fn claimed() -> Places {
        let mut places = Places::new(vec![(layout::OBSERVATIONS, "p-observations".to_owned())]);
        places.add(PLACE);
        assert_eq!(places.to_claim(0), vec![PLACE]);
        places.claimed(
            PLACE,
            Claim {
                epoch: 7,
                next_offset: 100,
            },
        );
        places
    }

    #[test]
    fn a_flush_goes_from_what_is_stored() {
        let mut places = claimed();
        places.taken(PLACE, 104);
        let advance = places
            .advance(PLACE, 105)
            .map(|a| (a.topic, a.epoch, a.from_offset, a.to_offset));
        assert_eq!(advance, Some(("p-observations", 7, 100, 105)));
        places.stored(PLACE, 105);
        assert_eq!(
            places.get(PLACE).map(|c| (c.stored, c.position)),
            Some((105, 105))
        );
    }

    #[test]
    fn markers_are_passed_and_never_read_again() {
        let mut places = claimed();
        places.taken(PLACE, 104);
        places.stored(PLACE, 105);
        places.passed(PLACE, 107);
        // What the client says may be old.
        places.passed(PLACE, 103);
        assert_eq!(
            places.get(PLACE).map(|c| (c.stored, c.position)),
            Some((105, 107))
        );
    }

    #[test]
    fn what_is_unclaimed_is_claimed_again_in_time_and_flushed_never() {
        let mut places = claimed();
        places.unclaim(PLACE, 50);
        assert_eq!(places.advance(PLACE, 105), None);
        assert_eq!(places.to_claim(49), vec![]);
        assert_eq!(places.to_claim(50), vec![PLACE]);
        // A claim that fails is put off in its turn.
        places.unclaim(PLACE, 90);
        assert_eq!(places.to_claim(89), vec![]);
    }

    #[test]
    fn what_is_halted_stays_so() {
        let mut places = claimed();
        places.halt(PLACE);
        places.unclaim(PLACE, 0);
        assert_eq!(places.to_claim(1), vec![]);
        places.taken(PLACE, 5);
        assert_eq!(places.get(PLACE), None);
    }
}
