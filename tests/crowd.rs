//! A simulated fleet that sends to the real Kafka, and remembers what it sent.

use crate::support::{SNAPSHOT_PARTITIONS, Services};
use rollcall::kafka::sender::Sender;
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
type Change = Box<dyn Fn(&mut Vec<u8>)>;

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
    change: Change,
}

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
        let crowd = Self {
            mischief: Mischief::new(fleet.into_stream(), mischief),
            directory,
            sender: Sender::new(&services.kafka, "test-fleet").expect("a producer"),
            encoder: Encoder::new(&ids),
            topic: services.kafka.topic(layout::SNAPSHOTS.name),
            sent: BTreeMap::new(),
            change: Box::new(|_| {}),
        };
        crowd.publish_directory(services);
        crowd
    }

    fn publish_directory(&self, services: &Services) {
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
        for shipment in self.mischief.by_ref().take(records).collect::<Vec<_>>() {
            self.send_one(shipment);
        }
        self.acknowledged();
    }

    fn send_one(&mut self, shipment: Shipment) {
        let (encoder, change) = (&mut self.encoder, &self.change);
        let record = shipment.record(|snapshot| {
            let mut value = Vec::new();
            encoder
                .encode_snapshot(snapshot, &mut value)
                .expect("it encodes");
            change(&mut value);
            value
        });
        // Records without a key, or with another, go where their machine's go: so their order is known.
        let partition = partition_for(
            shipment.simulated.truth.machine_id.as_bytes(),
            SNAPSHOT_PARTITIONS,
        );
        self.sender
            .send(
                &self.topic,
                Some(partition),
                record.key.as_deref(),
                record.value.as_deref(),
            )
            .expect("a record is taken");
        self.sent.entry(partition).or_default().push(shipment);
    }

    fn acknowledged(&self) {
        let (_, failed) = self.sender.flush(ACKNOWLEDGED).expect("acknowledged");
        assert_eq!(failed, 0, "records were not delivered");
    }

    /// How many records of each partition were sent.
    pub fn ends(&self) -> Vec<i64> {
        (0..SNAPSHOT_PARTITIONS)
            .map(|partition| self.sent.get(&partition).map_or(0, Vec::len) as i64)
            .collect()
    }

    /// What the tables must hold, by the times at which the broker appended the records.
    pub fn ledger(&self, services: &Services) -> Ledger {
        let mut ledger = Ledger::new(self.directory.iter().cloned());
        let records = services.read_all(layout::SNAPSHOTS, SNAPSHOT_PARTITIONS);
        let total: usize = self.sent.values().map(Vec::len).sum();
        assert_eq!(
            records.len(),
            total,
            "the raw topic holds what was sent, once"
        );
        for record in records {
            let shipment = &self.sent[&record.partition][record.offset as usize];
            ledger.add_shipment(shipment, Timestamp::from_micros(record.timestamp_us));
        }
        ledger
    }
}
