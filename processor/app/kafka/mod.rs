//! Everything that talks to Kafka and to the schema registry. The only place that says `use rdkafka`.
//!
//! Invariants: transaction calls block, so they run on threads of their own, never on async ones; every consumer
//! is unassigned before it is dropped; nothing here decides, it carries out what the stages and the engine say.
//!
//! Must not know: SQL, what a record means.

pub mod admin;
pub mod client;
pub mod directory;
#[cfg(test)]
pub(crate) mod fake_registry;
pub mod fetch;
pub mod membership;
pub mod registry;
pub mod restore;
pub mod sender;
pub mod transaction;

pub use client::KafkaSettings;
