//! What a restored task takes up per grain: how far it is closed, and from where it counts.

use super::RollupStage;
use rollcall_domain::pipeline::ClosedThrough;
use rollcall_domain::rollup::GroupingSet;
use rollcall_domain::time::Timestamp;
use rollcall_domain::window::Grain;

impl RollupStage {
    /// Hands what was persisted per grain to the windows; a grain without a record is new, and counts from its
    /// next window on, unless the task itself is new.
    pub(super) fn restore_grains(&mut self) {
        let began = self.state.sequence > 0;
        let folded_through = GroupingSet::ALL.map(|set| self.folded_through(set));
        // A grain that settings no longer name misses what is folded from here on: named again, it is a new one.
        let grains = &self.config.grains;
        self.state
            .closed_through
            .retain(|closed| grains[closed.grouping_set as usize].contains(&closed.grain));
        for set in GroupingSet::ALL {
            for (index, &grain) in self.config.grains[set as usize].iter().enumerate() {
                let found = self
                    .state
                    .closed_through
                    .iter()
                    .find(|c| c.grouping_set == set && c.grain == grain);
                let (closed_through, counted_from) = match found {
                    Some(found) => (found.through, found.counted_from),
                    None if began => {
                        let now = self.state.stage_time.max(Timestamp::from_micros(0));
                        let next = grain.window_of(now).end();
                        let clean = first_start(grain, folded_through[set as usize]);
                        (Timestamp::MIN, next.max(clean))
                    }
                    None => (Timestamp::MIN, Timestamp::MIN),
                };
                let through =
                    (closed_through != Timestamp::MIN).then(|| closed_through.as_micros());
                self.windows[set as usize].restore_grain(index, through, counted_from.as_micros());
                if found.is_none() {
                    self.state.closed_through.push(ClosedThrough {
                        grouping_set: set,
                        grain,
                        through: closed_through,
                        counted_from,
                    });
                }
            }
        }
    }

    /// Every contribution to a grouping set that was folded so far lies before this time: upstreams may be
    /// ahead of the stage time, and clocks ahead of upstreams.
    fn folded_through(&self, set: GroupingSet) -> Timestamp {
        let recorded = self.state.closed_through.iter();
        recorded
            .filter(|closed| closed.grouping_set == set)
            .min_by_key(|closed| closed.grain)
            .map_or(Timestamp::MIN, |finest| {
                let open = self.restored_through[set as usize][finest.grain as usize];
                open.max(finest.through).max(finest.counted_from)
            })
    }
}

/// The first start of a window of `grain` at or after `time`.
fn first_start(grain: Grain, time: Timestamp) -> Timestamp {
    let window = grain.window_of(time);
    if window.start == time {
        time
    } else {
        window.end()
    }
}
