//! What networks, clocks and broken producers make of a fleet's snapshots, on a seed of its own.
//!
//! Invariants:
//! - Each shipment says what must become of it, and does so whatever was sent before it.
//! - Only machines whose form prints no local times have fast clocks: their event times are the broker's, so that a
//!   time such as `9:05AM` would be completed to another day than theirs.
//! - What is late is older than what its machine has sent, so that no CPU time can be expected of it.

use crate::fleet::{FleetStream, Scheduled};
use crate::random::Random;
use crate::shipment::{Damage, Expectation, Kind, Shipment, ShipmentKey};
use crate::truth::SimulatedSnapshot;
use rollcall_domain::snapshot::{CommandOutput, Payload};
use rollcall_domain::time::{DAY_US, MINUTE_US};
use rollcall_domain::{RejectionReason, Timestamp};
use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};

mod spoil;

/// Stream of random numbers, apart from all machines'.
const STREAM: u64 = 1 << 41;
/// Shipments of which one may be sent again.
const HISTORY: usize = 64;
/// Command output without a word.
const BLANKS: [&str; 3] = ["", "\n", " \r\n\r\n"];
/// Bytes of a line that an oversized record is made of.
const LINE_BYTES: usize = 100 * 1024;
/// Command output that fits into a message of 4 MiB, while it and its command lines together don't.
const OVERSIZED_BYTES: usize = 5 * 512 * 1024;

/// How much mischief there is. Shares are 0 to 1, of snapshots unless said otherwise.
#[derive(Clone, Debug)]
pub struct MischiefConfig {
    /// Its seed.
    pub seed: u64,
    /// Sent again soon after.
    pub repeated: f64,
    /// Followed by one that was taken 2 minutes to 10 days ago.
    pub late: f64,
    /// Followed by one that was taken 31 days to a year ago.
    pub ancient: f64,
    /// Overtaken by the machine's next.
    pub out_of_order: f64,
    /// With some lines that can't be read.
    pub bad_lines: f64,
    /// Followed by a record that must be rejected whole.
    pub poison: f64,
    /// Share of machines, among those whose form prints no local times, whose clocks are 10 minutes or 3 days fast.
    pub fast_clocks: f64,
    /// Bytes of command output in a record whose observations must not fit into a message; 0: none is sent.
    pub oversized_bytes: usize,
}

impl Default for MischiefConfig {
    fn default() -> Self {
        Self {
            seed: 1,
            repeated: 0.02,
            late: 0.02,
            ancient: 0.005,
            out_of_order: 0.02,
            bad_lines: 0.02,
            poison: 0.02,
            fast_clocks: 0.05,
            oversized_bytes: 0,
        }
    }
}

impl MischiefConfig {
    /// Mischief of every kind, so that about this share (0 to 1) of snapshots is touched by some, and half that share
    /// of the machines that may have fast clocks.
    #[must_use]
    pub fn of_share(seed: u64, share: f64) -> Self {
        let part = share * 0.19;
        Self {
            seed,
            repeated: part,
            late: part,
            ancient: share * 0.05,
            out_of_order: part,
            bad_lines: part,
            poison: part,
            fast_clocks: share * 0.5,
            oversized_bytes: if share > 0.0 { OVERSIZED_BYTES } else { 0 },
        }
    }

    /// No mischief at all: the fleet's snapshots as they are.
    #[must_use]
    pub fn none() -> Self {
        Self {
            seed: 0,
            repeated: 0.0,
            late: 0.0,
            ancient: 0.0,
            out_of_order: 0.0,
            bad_lines: 0.0,
            poison: 0.0,
            fast_clocks: 0.0,
            oversized_bytes: 0,
        }
    }
}

/// A fleet's snapshots with mischief. Goes on for ever, as its stream does.
#[derive(Clone, Debug)]
pub struct Mischief {
    stream: FleetStream,
    config: MischiefConfig,
    random: Random,
    /// Snapshots that wait for their machine's next.
    held: BTreeMap<usize, Scheduled>,
    queue: VecDeque<Shipment>,
    history: VecDeque<SimulatedSnapshot>,
}

impl Mischief {
    /// Mischief with the snapshots of `stream`, which has not begun yet.
    #[must_use]
    pub fn new(mut stream: FleetStream, config: MischiefConfig) -> Self {
        let mut random = Random::new(config.seed, STREAM);
        let fleet = stream.fleet_mut();
        let able: Vec<_> = fleet
            .machines()
            .enumerate()
            .filter(|(_, machine)| !machine.form.prints_local_times())
            .map(|(index, _)| index)
            .collect();
        for index in able {
            if random.share(config.fast_clocks) {
                let ahead = *random.pick(&[10 * MINUTE_US, 3 * DAY_US]);
                fleet.set_clock_ahead(index, ahead);
            }
        }
        Self {
            stream,
            config,
            random,
            held: BTreeMap::new(),
            queue: VecDeque::new(),
            history: VecDeque::new(),
        }
    }

    /// The stream and its fleet.
    #[must_use]
    pub fn stream(&self) -> &FleetStream {
        &self.stream
    }

    /// When the next shipment is due, at the earliest.
    #[must_use]
    pub fn due(&self) -> Option<Timestamp> {
        match self.queue.front() {
            Some(shipment) => Some(shipment.at),
            None => self.stream.due().map(|(at, _)| at),
        }
    }

    /// Like `next`, but a machine that is asked is asked at the true time `at`, due or not. Times must not go back.
    pub fn next_at(&mut self, at: Timestamp) -> Option<Shipment> {
        self.next_of(|stream| stream.next_at(at))
    }

    fn next_of(
        &mut self,
        mut turn: impl FnMut(&mut FleetStream) -> Option<Scheduled>,
    ) -> Option<Shipment> {
        loop {
            if let Some(shipment) = self.queue.pop_front() {
                return Some(shipment);
            }
            let turn = turn(&mut self.stream)?;
            self.take(turn);
        }
    }

    /// Queues what comes of one turn; nothing where it is held back.
    fn take(&mut self, mut turn: Scheduled) {
        let (at, machine) = (turn.at, turn.machine_index);
        if let Some(overtaken) = self.held.remove(&machine) {
            self.send(at, Kind::Plain, turn.simulated);
            self.send(at, Kind::OutOfOrder, overtaken.simulated);
            return;
        }
        let honest_clock = self.ahead(machine) == 0;
        if honest_clock && self.random.share(self.config.out_of_order) {
            self.held.insert(machine, turn);
            return;
        }
        let mut kind = Kind::Plain;
        if self.random.share(self.config.bad_lines)
            && spoil::add_bad_lines(&mut turn.simulated, &mut self.random)
        {
            kind = Kind::BadLines;
        }
        self.send(at, kind, turn.simulated);
        if honest_clock && self.random.share(self.config.late) {
            let ago = self.random.between(2 * MINUTE_US, 10 * DAY_US);
            let late = self.dated(machine, at, ago);
            self.send(at, Kind::Late, late);
        }
        if self.random.share(self.config.ancient) {
            let ago = self.random.between(31 * DAY_US, 365 * DAY_US);
            let ancient = self.dated(machine, at, ago);
            let expectation = Expectation::Rejected(RejectionReason::TooOld);
            self.queue.push_back(Shipment {
                expectation,
                ..Shipment::new(at, Kind::Ancient, ancient)
            });
        }
        if self.random.share(self.config.repeated) && !self.history.is_empty() {
            let index = self.random.below(self.history.len() as u64) as usize;
            let again = Shipment::new(at, Kind::Repeated, self.history[index].clone());
            self.queue.push_back(Shipment {
                expectation: Expectation::Duplicate,
                ..again
            });
        }
        if self.random.share(self.config.poison) {
            let poison = self.poison(machine, at);
            self.queue.push_back(poison);
        }
    }

    fn ahead(&self, machine: usize) -> i64 {
        self.stream
            .fleet()
            .machines()
            .nth(machine)
            .map_or(0, |profile| profile.clock_ahead_us)
    }

    fn dated(&mut self, machine: usize, at: Timestamp, ago: i64) -> SimulatedSnapshot {
        self.stream
            .fleet_mut()
            .snapshot_dated(machine, at, at.plus_micros(-ago))
    }

    /// Queues a snapshot that will be accepted.
    fn send(&mut self, at: Timestamp, kind: Kind, simulated: SimulatedSnapshot) {
        if self.config.repeated > 0.0 {
            if self.history.len() == HISTORY {
                self.history.pop_front();
            }
            self.history.push_back(simulated.clone());
        }
        self.queue.push_back(Shipment::new(at, kind, simulated));
    }

    /// A record that must be rejected whole.
    fn poison(&mut self, machine: usize, at: Timestamp) -> Shipment {
        let simulated = self.stream.fleet_mut().snapshot(machine, at);
        let mut shipment = Shipment::new(at, Kind::Poison, simulated);
        let choices = if self.config.oversized_bytes > 0 {
            10
        } else {
            9
        };
        let reason = match self.random.below(choices) {
            0 => damaged(
                &mut shipment,
                Damage::NullValue,
                RejectionReason::EmptyValue,
            ),
            1 => damaged(&mut shipment, Damage::BadMagic, RejectionReason::BadMagic),
            2 => damaged(
                &mut shipment,
                Damage::UnknownSchema,
                RejectionReason::UnknownSchema,
            ),
            3 => damaged(
                &mut shipment,
                Damage::Truncated,
                RejectionReason::Undecodable,
            ),
            4 => damaged(&mut shipment, Damage::UnknownOs, RejectionReason::UnknownOs),
            5 => {
                shipment.key = ShipmentKey::Missing;
                RejectionReason::MissingKey
            }
            6 => {
                shipment.key =
                    ShipmentKey::Other(format!("not-{}", shipment.simulated.truth.machine_id));
                RejectionReason::KeyMismatch
            }
            7 => {
                let blank = BLANKS[self.random.below(BLANKS.len() as u64) as usize];
                print(&mut shipment, blank.as_bytes().to_vec());
                RejectionReason::EmptyOutput
            }
            8 => {
                let bytes = (0..2_048).map(|_| self.random.below(256) as u8).collect();
                print(&mut shipment, bytes);
                RejectionReason::BinaryOutput
            }
            _ => {
                let form = shipment.simulated.truth.form;
                let text = spoil::oversized(form, self.config.oversized_bytes, LINE_BYTES);
                print(&mut shipment, text);
                RejectionReason::TooLarge
            }
        };
        shipment.expectation = Expectation::Rejected(reason);
        shipment
    }
}

fn damaged(shipment: &mut Shipment, damage: Damage, reason: RejectionReason) -> RejectionReason {
    shipment.damage = damage;
    reason
}

/// Makes `text` the snapshot's command output.
fn print(shipment: &mut Shipment, text: Vec<u8>) {
    shipment.simulated.snapshot.payload = Payload::CommandOutput(CommandOutput {
        text: Cow::Owned(text),
        encoding: None,
    });
}

impl Iterator for Mischief {
    type Item = Shipment;

    fn next(&mut self) -> Option<Shipment> {
        self.next_of(FleetStream::next)
    }
}

#[cfg(test)]
mod tests;
