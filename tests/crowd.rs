//! A simulated fleet that sends to the real Kafka, and remembers what it sent.

use crate::poison::{Ids, NO_IDS, Poison, PoisonKind};
use crate::support::{Record, SNAPSHOT_PARTITIONS, Services};
use rollcall::kafka::fetch::Header;
use rollcall::kafka::sender::{Place, Sender};
use rollcall_codec::Encoder;
use rollcall_domain::Timestamp;
use rollcall_domain::hash::partition_for;
use rollcall_domain::pipeline::DirectoryUser;
use rollcall_domain::time::SECOND_US;
use rollcall_simulator::{Fleet, FleetConfig, Ledger, Mischief, MischiefConfig, Shipment};
use rollcall_stages::layout;
use std::collections::BTreeMap;
use std::time::Duration;

/// How long a broker may take to acknowledge everything; it may be restarting.
const ACKNOWLEDGED: Duration = Duration::from_secs(120);

/// Something that happens to encoded values.
type Change = Box<dyn Fn(&mut Vec<u8>) + Send>;

/// Input that is partly late, early, repeated, out of order, broken, too large or poison.
pub fn all_mischief() -> MischiefConfig {
    MischiefConfig {
        repeated: 0.05,
        late: 0.05,
        ancient: 0.02,
        out_of_order: 0.05,
        bad_lines: 0.05,
        poison: 0.10,
        fast_clocks: 0.2,
        // More than a message may hold, once normalized.
        oversized_bytes: 3 << 20,
        ..MischiefConfig::default()
    }
}

/// A fleet at work.
pub struct Crowd {
    mischief: Mischief,
    directory: Vec<(String, Option<String>)>,
    sender: Sender,
    encoder: Encoder,
    topic: String,
    /// What was sent, per partition, in order.
    sent: BTreeMap<i32, Vec<Shipment>>,
    /// Where each shipment must stand, in the order of sending: partition and offset.
    places: Vec<(i32, i64)>,
    /// When the broker appended what it has acknowledged, by place.
    appended: BTreeMap<(i32, i64), Timestamp>,
    /// Which of them were made poison, by partition and offset.
    poisoned: Poisoned,
    change: Change,
}

/// A record that is ready to be sent.
pub struct Ready {
    shipment: Shipment,
    record: rollcall_simulator::Record,
    headers: Vec<Header>,
    kind: Option<&'static PoisonKind>,
}

impl Ready {
    /// What it was made poison by.
    pub fn kind(&self) -> Option<&'static PoisonKind> {
        self.kind
    }
}

/// Poison by partition and offset.
pub type Poisoned = BTreeMap<(i32, i64), &'static PoisonKind>;

impl Crowd {
    /// A fleet of so many machines that has been at work for `rounds` intervals of ten seconds; its users are in the
    /// directory.
    pub fn new(services: &Services, machines: u32, rounds: i64, mischief: MischiefConfig) -> Self {
        let interval_us = 10 * SECOND_US;
        let now = Timestamp::from_millis(jiff::Timestamp::now().as_millisecond());
        let fleet = Fleet::new(FleetConfig {
            machines,
            users: 60,
            faculties: 4,
            processes_per_machine: 10..=30,
            start: now.plus_micros(-interval_us * (rounds + 1)),
            interval_us,
            ..FleetConfig::default()
        });
        let directory = fleet
            .directory()
            .map(|(user, faculty)| (user.into_owned(), faculty.map(str::to_owned)))
            .collect();
        let ids = services.registry.schema_ids().expect("registered schemas");
        let mut crowd = Self {
            mischief: Mischief::new(fleet.into_stream(), mischief),
            directory,
            sender: Sender::with_reports(&services.kafka, "test-fleet").expect("a producer"),
            encoder: Encoder::new(&ids),
            topic: services.kafka.topic(layout::SNAPSHOTS.name),
            sent: BTreeMap::new(),
            places: Vec::new(),
            appended: BTreeMap::new(),
            poisoned: Poisoned::new(),
            change: Box::new(|_| {}),
        };
        crowd.publish_directory(services);
        crowd
    }

    fn publish_directory(&mut self, services: &Services) {
        let topic = services.kafka.topic(layout::DIRECTORY_USERS.name);
        let ids = services.registry.schema_ids().expect("registered schemas");
        let mut encoder = Encoder::new(&ids);
        for (user, faculty) in &self.directory {
            let mut value = Vec::new();
            let entry = DirectoryUser {
                faculty: faculty.as_deref().map(Into::into),
            };
            encoder
                .encode_directory_user(&entry, &mut value)
                .expect("it encodes");
            self.sender
                .send(&topic, Some(0), Some(user.as_bytes()), Some(&value))
                .expect("a record is taken");
        }
        self.acknowledged();
    }

    /// What happens to every encoded snapshot from now on.
    pub fn change_values(&mut self, change: Change) {
        self.change = change;
    }

    /// Sends so many records, and waits until the broker has them.
    pub fn send(&mut self, records: usize) {
        self.hand_over(records);
        self.acknowledged();
    }

    /// Sends so many records; the broker may be away.
    pub fn hand_over(&mut self, records: usize) {
        for ready in self.prepare(records, usize::MAX, &mut std::iter::empty(), NO_IDS) {
            self.send_one(ready);
        }
    }

    /// Makes so many records, with every so many-th made poison, of each kind in turn (or the next record of which that
    /// kind can be made).
    pub fn prepare(
        &mut self,
        records: usize,
        every: usize,
        kinds: &mut dyn Iterator<Item = &'static PoisonKind>,
        ids: Ids,
    ) -> Vec<Ready> {
        let mut due: Vec<&'static PoisonKind> = Vec::new();
        let mut ready = Vec::with_capacity(records);
        for at in 1..=records {
            let shipment = self.mischief.next().expect("it goes on for ever");
            if at % every == 0 {
                due.extend(kinds.next());
            }
            let kind = due.iter().position(|kind| kind.fits(&shipment));
            ready.push(self.ready(kind.map(|index| due.remove(index)), shipment, ids));
        }
        ready
    }

    fn ready(&mut self, kind: Option<&'static PoisonKind>, shipment: Shipment, ids: Ids) -> Ready {
        let (shipment, headers, harm) = match kind {
            Some(kind) => {
                let Poison {
                    shipment,
                    headers,
                    change,
                } = kind.make(shipment, ids);
                (shipment, headers, Some(change))
            }
            None => (shipment, Vec::new(), None),
        };
        let (encoder, change) = (&mut self.encoder, &self.change);
        let record = shipment.record(|snapshot| {
            let mut value = Vec::new();
            encoder
                .encode_snapshot(snapshot, &mut value)
                .expect("it encodes");
            change(&mut value);
            if let Some(harm) = harm {
                harm(&mut value);
            }
            value
        });
        Ready {
            shipment,
            record,
            headers,
            kind,
        }
    }

    /// Sends what was made, and waits until the broker has it.
    pub fn send_ready(&mut self, ready: Vec<Ready>) {
        for ready in ready {
            self.send_one(ready);
        }
        self.acknowledged();
    }

    fn send_one(&mut self, ready: Ready) {
        let (record, shipment) = (ready.record, ready.shipment);
        // Records without a key, or with another, go where their machine's go: so their order is known.
        let partition = partition_for(
            shipment.simulated.truth.machine_id.as_bytes(),
            SNAPSHOT_PARTITIONS,
        );
        let (key, value) = (record.key.as_deref(), record.value.as_deref());
        // Tag 0 is what is no shipment.
        let tag = self.places.len() + 1;
        let offer = || {
            self.sender
                .offer_with_headers(
                    &self.topic,
                    Some(partition),
                    key,
                    value,
                    &ready.headers,
                    tag,
                )
                .expect("a record is taken")
        };
        while !offer() {
            self.sender.poll(Duration::from_millis(50));
        }
        let sent = self.sent.entry(partition).or_default();
        let place = (partition, sent.len() as i64);
        if let Some(kind) = ready.kind {
            self.poisoned.insert(place, kind);
        }
        sent.push(shipment);
        self.places.push(place);
    }

    /// What was made poison.
    pub fn poisoned(&self) -> &Poisoned {
        &self.poisoned
    }

    /// Waits until the broker has everything.
    pub fn acknowledged(&mut self) {
        let (_, failed) = self.sender.flush(ACKNOWLEDGED).expect("acknowledged");
        assert_eq!(failed, 0, "records were not delivered");
        for report in self.sender.take_reports() {
            let Some(shipment) = report.tag.checked_sub(1) else {
                continue;
            };
            let Place {
                partition,
                offset,
                append_time_ms,
            } = report.place.expect("it was delivered");
            let place = (partition, offset);
            assert_eq!(
                place, self.places[shipment],
                "the raw topic holds what was sent, once"
            );
            let time = Timestamp::from_millis(append_time_ms.expect("the broker's time"));
            self.appended.insert(place, time);
        }
    }

    /// How many records of each partition were sent.
    pub fn ends(&self) -> Vec<i64> {
        (0..SNAPSHOT_PARTITIONS)
            .map(|partition| self.sent.get(&partition).map_or(0, Vec::len) as i64)
            .collect()
    }

    /// The line of a record that can't be read, where it has one.
    pub fn rejected_line(&self, place: (i32, i64)) -> Option<i64> {
        let truth = &self.sent[&place.0][place.1 as usize].simulated.truth;
        truth.rejected_lines.first().map(|rejected| rejected.line)
    }

    /// What the tables must hold of what was acknowledged, by the times at which the broker says it appended the records. No
    /// topic is read for it.
    pub fn ledger(&self) -> Ledger {
        assert_eq!(
            self.appended.len(),
            self.places.len(),
            "all is acknowledged"
        );
        let mut ledger = Ledger::new(self.directory.iter().cloned());
        for (&(partition, offset), &time) in &self.appended {
            ledger.add_shipment(&self.sent[&partition][offset as usize], time);
        }
        ledger
    }

    /// The same, where poison was sent again, of which some is `mended` by now. What is not is rejected again. What was sent
    /// again, and when, is read from the raw topic.
    pub fn ledger_after_redrive(
        &self,
        services: &Services,
        mended: impl Fn(&PoisonKind) -> bool,
    ) -> Ledger {
        let mut ledger = Ledger::new(self.directory.iter().cloned());
        for record in services.read_all(layout::SNAPSHOTS, SNAPSHOT_PARTITIONS) {
            let at = Timestamp::from_micros(record.timestamp_us);
            match origin(&record) {
                None => {
                    let shipment = &self.sent[&record.partition][record.offset as usize];
                    ledger.add_shipment(shipment, at);
                }
                Some(place) => {
                    let shipment = &self.sent[&place.0][place.1 as usize];
                    match mended(self.poisoned[&place]) {
                        true => ledger.add(&shipment.simulated.truth, at),
                        false => ledger.add_shipment(shipment, at),
                    };
                }
            }
        }
        ledger
    }
}

/// Where a record stood that was sent again: partition and offset.
pub fn origin(record: &Record) -> Option<(i32, i64)> {
    let (_, value) = record
        .headers
        .iter()
        .find(|(key, _)| key == "rollcall-redriven-from")?;
    let place = String::from_utf8(value.clone()?).ok()?;
    let mut parts = place.rsplit('/');
    let (offset, partition) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    Some((partition, offset))
}
