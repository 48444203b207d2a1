//! Turns Kafka values into domain types and back: the Confluent wire format around Avro.
//!
//! A value is a schema's id and an Avro datum. [`wire::split`] tells them apart; a [`SchemaCache`] holds, per id,
//! the [`Decoder`] that the writer's schema needs; an [`Encoder`] writes with our own schemas, which stand in
//! `schemas/*.avsc` and are compiled in by [`schemas`].
//!
//! A decoder takes one of two paths, decided once per writer's schema. A datum that was written as ours would have
//! been is read in place: text and bytes of the domain value borrow from it. Any other is first rewritten, byte by
//! byte and without intermediate values, into a datum of our schema (`resolve`: Avro's schema resolution, with
//! aliases, defaults, and unions told apart by name), and then read into owned text.
//!
//! Invariants:
//! - What a decoder returns is valid: names not empty, sizes not negative, indexes in range, windows on their
//!   boundaries. What is not valid is a [`DecodeError`], which names its dead-letter reason.
//! - Decoding a value of n bytes takes time and memory in proportion to n, whatever the bytes say.
//! - A datum is read to its last byte: bytes that are missing or left over are an error, never nulls.
//! - An encoder that fails leaves its buffer as it was.
//!
//! Must not know: Kafka clients, HTTP, files, clocks. The registry's client is the shell's; it asks the registry
//! for what [`SchemaCache::get`] lacks, and tells the answer to [`SchemaCache::insert`].

mod cache;
mod decoder;
mod encoder;
mod error;
pub mod limits;
pub mod messages;
mod mirror;
mod plan;
mod resolve;
pub mod schemas;
pub mod wire;

pub use cache::{SchemaCache, SchemaEntry};
pub use decoder::Decoder;
pub use encoder::Encoder;
pub use error::{DecodeError, EncodeError, IncompatibleSchema};
pub use messages::Message;
pub use plan::compatible;
pub use schemas::{RecordType, SchemaIds};
pub use wire::{SchemaRef, WireError};
