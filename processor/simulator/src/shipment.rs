//! What is to be sent, and what must become of it.

use crate::truth::SimulatedSnapshot;
use rollcall_domain::{RejectionReason, Snapshot, Timestamp};

/// The schema id that no registry has given.
const UNKNOWN_SCHEMA: u32 = 999_999;
/// Bytes before the datum: the magic byte and the schema id.
const PREFIX_BYTES: usize = 5;

/// Why a shipment is sent.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Kind {
    /// A machine's turn.
    Plain,
    /// A snapshot that was sent before.
    Repeated,
    /// Taken minutes to days ago.
    Late,
    /// Taken longer ago than is accepted.
    Ancient,
    /// Overtaken by its machine's next snapshot.
    OutOfOrder,
    /// Good but for some lines.
    BadLines,
    /// A record that must be rejected whole.
    Poison,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Kind; 7] = [
        Kind::Plain,
        Kind::Repeated,
        Kind::Late,
        Kind::Ancient,
        Kind::OutOfOrder,
        Kind::BadLines,
        Kind::Poison,
    ];

    /// Its word in summaries and files.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Kind::Plain => "plain",
            Kind::Repeated => "repeated",
            Kind::Late => "late",
            Kind::Ancient => "ancient",
            Kind::OutOfOrder => "out_of_order",
            Kind::BadLines => "bad_lines",
            Kind::Poison => "poison",
        }
    }

    /// The inverse of [`Kind::as_str`].
    #[must_use]
    pub fn parse(text: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// A record's key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ShipmentKey {
    /// The machine's id, as it should be.
    MachineId,
    /// None.
    Missing,
    /// Something else.
    Other(String),
}

/// What is done to the encoded bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Damage {
    /// Nothing.
    None,
    /// The value is null.
    NullValue,
    /// The first byte is not the wire format's.
    BadMagic,
    /// A schema id that the registry does not know.
    UnknownSchema,
    /// The second half of the datum is missing.
    Truncated,
    /// The operating system is the enum's first symbol, `UNKNOWN`.
    UnknownOs,
}

/// What must become of a record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Expectation {
    /// Accepted, but for as many lines as its truth lists.
    Accepted,
    /// Recognized as sent before.
    Duplicate,
    /// Rejected whole.
    Rejected(RejectionReason),
}

/// A record's bytes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record {
    /// The key.
    pub key: Option<Vec<u8>>,
    /// The value.
    pub value: Option<Vec<u8>>,
}

/// A record to be sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Shipment {
    /// When it is to be sent, by true time. Does not go back from one shipment to the next.
    pub at: Timestamp,
    /// Why it is sent.
    pub kind: Kind,
    /// The snapshot, and what it says (of a poison record: would say).
    pub simulated: SimulatedSnapshot,
    /// The key.
    pub key: ShipmentKey,
    /// What is done to the encoded bytes.
    pub damage: Damage,
    /// What must become of it when the broker appends it at about [`Shipment::at`].
    pub expectation: Expectation,
}

impl Shipment {
    pub(crate) fn new(at: Timestamp, kind: Kind, simulated: SimulatedSnapshot) -> Self {
        Self {
            at,
            kind,
            simulated,
            key: ShipmentKey::MachineId,
            damage: Damage::None,
            expectation: Expectation::Accepted,
        }
    }

    /// The record to send; `encode` gives a snapshot's value in the wire format (magic byte, schema id, datum).
    pub fn record(&self, encode: impl FnOnce(&Snapshot<'static>) -> Vec<u8>) -> Record {
        let machine_id = &self.simulated.truth.machine_id;
        let key = match &self.key {
            ShipmentKey::MachineId => Some(machine_id.clone().into_bytes()),
            ShipmentKey::Missing => None,
            ShipmentKey::Other(key) => Some(key.clone().into_bytes()),
        };
        let mut value = encode(&self.simulated.snapshot);
        match self.damage {
            Damage::None => {}
            Damage::NullValue => return Record { key, value: None },
            Damage::BadMagic => value[0] = 0x7b,
            Damage::UnknownSchema => {
                value[1..PREFIX_BYTES].copy_from_slice(&UNKNOWN_SCHEMA.to_be_bytes())
            }
            Damage::Truncated => value.truncate(PREFIX_BYTES + (value.len() - PREFIX_BYTES) / 2),
            Damage::UnknownOs => {
                forget_os(&mut value, machine_id, &self.simulated.truth.machine_name)
            }
        }
        Record {
            key,
            value: Some(value),
        }
    }
}

/// Sets the operating system of an encoded snapshot to the enum's first symbol. It follows the machine's name, and that
/// its id; both are shorter than 64 bytes, so that their lengths take one byte (zigzag: twice the length).
fn forget_os(value: &mut [u8], machine_id: &str, machine_name: &str) {
    let mut before = vec![machine_id.len() as u8 * 2];
    before.extend_from_slice(machine_id.as_bytes());
    // The second branch of the union: the name is not null.
    before.push(2);
    before.push(machine_name.len() as u8 * 2);
    before.extend_from_slice(machine_name.as_bytes());
    let found = value
        .windows(before.len())
        .position(|window| window == before);
    if let Some(os) = found.and_then(|at| value.get_mut(at + before.len())) {
        *os = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::{Fleet, FleetConfig};

    fn shipment() -> Shipment {
        let config = FleetConfig {
            machines: 1,
            ..FleetConfig::default()
        };
        let at = config.start.plus_micros(60_000_000);
        Shipment::new(at, Kind::Poison, Fleet::new(config).snapshot(0, at))
    }

    fn encode(snapshot: &Snapshot<'static>) -> Vec<u8> {
        let (id, name) = (
            &snapshot.machine.id,
            snapshot.machine.name.as_deref().unwrap_or(""),
        );
        let mut value = vec![0, 0, 0, 0, 7, 99];
        value.push(id.len() as u8 * 2);
        value.extend_from_slice(id.as_bytes());
        value.extend_from_slice(&[2, name.len() as u8 * 2]);
        value.extend_from_slice(name.as_bytes());
        value.extend_from_slice(&[6, 1, 2, 3]);
        value
    }

    #[test]
    fn a_good_record_is_the_machines() {
        let shipment = shipment();
        let record = shipment.record(encode);
        assert_eq!(record.key.as_deref(), Some(b"machine-0000".as_slice()));
        assert_eq!(record.value, Some(encode(&shipment.simulated.snapshot)));
    }

    #[test]
    fn damage_is_done_to_the_right_bytes() {
        let damaged = |damage| {
            let shipment = Shipment {
                damage,
                ..shipment()
            };
            let good = encode(&shipment.simulated.snapshot);
            (good, shipment.record(encode).value)
        };
        assert_eq!(damaged(Damage::NullValue).1, None);
        let (good, value) = damaged(Damage::UnknownOs);
        let value = value.expect("a value");
        let changed: Vec<_> = (0..good.len())
            .filter(|at| good[*at] != value[*at])
            .collect();
        assert_eq!(changed, [good.len() - 4]);
        assert_eq!(value[good.len() - 4], 0);
        let (_, value) = damaged(Damage::UnknownSchema);
        assert_eq!(value.expect("a value")[..6], [0, 0, 0x0f, 0x42, 0x3f, 99]);
        let (good, value) = damaged(Damage::Truncated);
        assert!(value.expect("a value").len() < good.len() - 4);
    }
}
