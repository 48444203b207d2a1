//! A seeded fleet of Linux, macOS and Windows machines, and an exact account of what it said.
//!
//! [`Fleet`] simulates machines and prints their processes as the real tools do; [`FleetStream`] asks them in turn;
//! [`Mischief`] makes of that stream what networks, clocks and broken producers make of it; [`Ledger`] folds what was
//! sent into what the tables must hold.
//!
//! Invariants: the same seed gives the same bytes; the ledger shares no code with what it judges, neither parsers nor
//! accumulators, and is naive on purpose.
//!
//! Must not know: Kafka, SQL, clocks, files. Encoding is the caller's, as a closure.

mod catalogue;
mod fleet;
mod form;
mod ledger;
mod machine;
mod mischief;
mod people;
mod precision;
mod profile;
pub mod random;
mod render;
mod shipment;
mod truth;

pub use fleet::{Fleet, FleetConfig, FleetStream, Scheduled};
pub use form::{Dialect, Form, Language};
pub use ledger::{ExpectedDetail, ExpectedRollup, Ledger, Outcome, RollupId};
pub use mischief::{Mischief, MischiefConfig};
pub use precision::{CpuTime, Holds, Name, Owner, Start, State};
pub use profile::MachineProfile;
pub use shipment::{Damage, Expectation, Kind, Record, Shipment, ShipmentKey};
pub use truth::{RejectedLine, SimulatedSnapshot, Truth, TruthRow};
