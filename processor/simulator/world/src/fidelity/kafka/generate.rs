//! Scripts from seeds: what producers may legally do, in any order, with looks at what stands in the partitions.

use super::script::{Claimant, Place, Script, Step, Topic, Write};
use rollcall_simulator::random::Random;

/// Of how many scripts one is about a group.
const GROUP_EVERY: u64 = 5;
/// Partitions of scripts about transactions.
const PARTITIONS: [i32; 2] = [2, 1];
const PRODUCERS: [&str; 3] = ["p1", "p2", "p3"];
const IDS: [&str; 2] = ["a", "b"];
const KEYS: [&str; 3] = ["k", "l", "m"];
const STEPS: std::ops::Range<u64> = 12..30;

/// The script of a seed.
#[must_use]
pub fn generate(seed: u64) -> Script {
    let mut random = Random::new(seed, 0);
    let is_group = seed.is_multiple_of(GROUP_EVERY);
    let (partitions, steps) = if is_group {
        group(&mut random)
    } else {
        (PARTITIONS, Producers::new(&mut random).steps())
    };
    Script {
        name: format!("seed-{seed}"),
        partitions,
        steps: steps.into_iter().map(|step| (step, None)).collect(),
    }
}

/// Members come and go.
fn group(random: &mut Random) -> ([i32; 2], Vec<Step>) {
    let partitions = random.between(1, 5) as i32;
    let mut steps = Vec::new();
    let mut inside: Vec<String> = Vec::new();
    for number in 0..random.between(3, 5) {
        let comes = inside.len() < 2 || (inside.len() < 4 && random.chance(600_000));
        if comes {
            let member = format!("m{number}");
            steps.push(Step::Join(member.clone()));
            inside.push(member);
        } else {
            let at = random.below(inside.len() as u64) as usize;
            steps.push(Step::Leave(inside.remove(at)));
        }
        steps.push(Step::Balance);
    }
    ([partitions, 1], steps)
}

/// What the generator knows of a producer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Absent,
    Task,
    Stepwise { is_open: bool },
}

struct Producers<'a> {
    random: &'a mut Random,
    states: [State; PRODUCERS.len()],
    /// Every value is another.
    values: u32,
}

impl<'a> Producers<'a> {
    fn new(random: &'a mut Random) -> Self {
        Self {
            random,
            states: [State::Absent; PRODUCERS.len()],
            values: 0,
        }
    }

    fn steps(mut self) -> Vec<Step> {
        let count = self.random.between(STEPS.start as i64, STEPS.end as i64);
        let mut steps: Vec<Step> = (0..count).map(|_| self.step()).collect();
        // Nothing is left open for who uses these partitions next.
        for (producer, id) in PRODUCERS.iter().zip(IDS) {
            let claim = Step::Claim((*producer).to_owned(), id.to_owned(), Claimant::Task);
            steps.push(claim);
        }
        for place in self.places() {
            steps.extend([Step::Marks(place), Step::Read(place, Some(0))]);
        }
        steps.push(Step::Times);
        steps
    }

    fn places(&self) -> Vec<Place> {
        let x = (0..PARTITIONS[0]).map(|partition| (Topic::X, partition));
        let y = (0..PARTITIONS[1]).map(|partition| (Topic::Y, partition));
        x.chain(y).collect()
    }

    fn place(&mut self) -> Place {
        let places = self.places();
        *self.random.pick(&places)
    }

    fn write(&mut self) -> Write {
        self.values += 1;
        Write {
            place: self.place(),
            key: (*self.random.pick(&KEYS)).to_owned(),
            value: (!self.random.chance(100_000)).then(|| format!("v{}", self.values)),
        }
    }

    fn step(&mut self) -> Step {
        if self.random.chance(250_000) {
            let place = self.place();
            return match self.random.below(2) {
                0 => Step::Marks(place),
                _ => {
                    let bound = 2 * i64::from(self.values) + 1;
                    Step::Read(place, Some(self.random.between(0, bound)))
                }
            };
        }
        let at = self.random.below(PRODUCERS.len() as u64) as usize;
        let producer = PRODUCERS[at].to_owned();
        let claims_anew = self.random.chance(120_000);
        match self.states[at] {
            State::Stepwise { is_open } if !claims_anew => {
                let ends = is_open && self.random.chance(350_000);
                self.states[at] = State::Stepwise { is_open: !ends };
                match (ends, self.random.chance(600_000)) {
                    (false, _) => Step::Send(producer, self.write()),
                    (true, true) => Step::Commit(producer),
                    (true, false) => Step::Abort(producer),
                }
            }
            State::Task if !claims_anew => {
                let count = self.random.between(1, 4);
                Step::Transact(producer, (0..count).map(|_| self.write()).collect())
            }
            _ => {
                let id = (*self.random.pick(&IDS)).to_owned();
                let (state, claimant) = match self.random.below(3) {
                    0 => (State::Task, Claimant::Task),
                    _ => (State::Stepwise { is_open: false }, Claimant::Stepwise),
                };
                self.states[at] = state;
                Step::Claim(producer, id, claimant)
            }
        }
    }
}
