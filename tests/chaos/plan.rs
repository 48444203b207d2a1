//! What is done to the services and when, from a seed: the same seed, the same faults in the same order and lengths.

use rollcall_simulator::random::Random;
use std::collections::VecDeque;
use std::time::Duration;

/// Stream of random numbers, apart from the fleet's.
const STREAM: u64 = 1 << 43;
/// A fault lasts so many milliseconds, by its own doing; some can only last longer (a broker's start).
const LASTS_MS: (i64, i64) = (2_500, 5_000);
/// Between two faults, where the second waits for the pipeline to be fresh again.
const PAUSE_MS: (i64, i64) = (0, 2_000);
/// Share of faults that come before the pipeline has got over the one before.
const HURRIED: f64 = 0.25;

/// A kind of fault.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Kind {
    InstanceKilled,
    InstanceFrozen,
    InstancesJoinAndLeave,
    BrokerKilled,
    BrokerCut,
    BrokerSlow,
    BrokerCommitsSwallowed,
    PostgresKilled,
    PostgresStopped,
    PostgresCut,
    PostgresSlow,
    PostgresCommitsSwallowed,
    DiskFull,
    RegistryAway,
}

impl Kind {
    pub const ALL: [Self; 14] = [
        Self::InstanceKilled,
        Self::InstanceFrozen,
        Self::InstancesJoinAndLeave,
        Self::BrokerKilled,
        Self::BrokerCut,
        Self::BrokerSlow,
        Self::BrokerCommitsSwallowed,
        Self::PostgresKilled,
        Self::PostgresStopped,
        Self::PostgresCut,
        Self::PostgresSlow,
        Self::PostgresCommitsSwallowed,
        Self::DiskFull,
        Self::RegistryAway,
    ];

    /// What the report calls it, and what it counts.
    pub fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::InstanceKilled => ("instance: kill -9", "killed"),
            Self::InstanceFrozen => ("instance: SIGSTOP, longer than its session", "frozen"),
            Self::InstancesJoinAndLeave => ("instances join and leave each second", "joined, left"),
            Self::BrokerKilled => ("Kafka: kill -9", "killed"),
            Self::BrokerCut => ("Kafka: connections cut", "cut"),
            Self::BrokerSlow => ("Kafka: network slow", "pieces late"),
            Self::BrokerCommitsSwallowed => ("Kafka: replies to commits swallowed", "swallowed"),
            Self::PostgresKilled => ("PostgreSQL: kill -9", "killed"),
            Self::PostgresStopped => ("PostgreSQL: fast shutdown", "stopped"),
            Self::PostgresCut => ("PostgreSQL: connections cut", "cut"),
            Self::PostgresSlow => ("PostgreSQL: network slow", "pieces late"),
            Self::PostgresCommitsSwallowed => {
                ("PostgreSQL: replies to COMMIT swallowed", "swallowed")
            }
            Self::DiskFull => ("PostgreSQL: disk full", "statements refused"),
            Self::RegistryAway => ("registry: kill -9, an instance joins", "killed"),
        }
    }
}

/// One fault of the plan.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Step {
    pub kind: Kind,
    /// How long it lasts, at least.
    pub lasts: Duration,
    /// Waited after the pipeline is fresh again; `None`: the next fault does not wait for that.
    pub pause: Option<Duration>,
    /// Chooses among whatever there is to choose from.
    pub choice: u64,
}

/// The faults, without end: all kinds in a random order, then all again in another.
pub struct Plan {
    random: Random,
    bag: VecDeque<Kind>,
}

impl Plan {
    pub fn new(seed: u64) -> Self {
        Self {
            random: Random::new(seed, STREAM),
            bag: VecDeque::new(),
        }
    }

    fn milliseconds(&mut self, (low, high): (i64, i64)) -> Duration {
        Duration::from_millis(self.random.between(low, high).unsigned_abs())
    }

    fn shuffled(&mut self) -> VecDeque<Kind> {
        let mut kinds = Kind::ALL.to_vec();
        for last in (1..kinds.len()).rev() {
            kinds.swap(last, self.random.below(last as u64 + 1) as usize);
        }
        kinds.into()
    }
}

impl Iterator for Plan {
    type Item = Step;

    fn next(&mut self) -> Option<Step> {
        if self.bag.is_empty() {
            self.bag = self.shuffled();
        }
        let kind = self.bag.pop_front()?;
        let lasts = self.milliseconds(LASTS_MS);
        let pause = self.milliseconds(PAUSE_MS);
        Some(Step {
            kind,
            lasts,
            pause: (!self.random.share(HURRIED)).then_some(pause),
            choice: self.random.draw(),
        })
    }
}

#[test]
fn a_plan_repeats_and_has_all_kinds() {
    let plan = |seed| {
        Plan::new(seed)
            .take(3 * Kind::ALL.len())
            .collect::<Vec<_>>()
    };
    assert_eq!(plan(7), plan(7));
    assert_ne!(plan(7), plan(8));
    for round in plan(7).chunks(Kind::ALL.len()) {
        let mut kinds: Vec<Kind> = round.iter().map(|step| step.kind).collect();
        kinds.sort_unstable();
        assert_eq!(kinds, Kind::ALL);
    }
}
