//! The shell: adapters to Kafka and PostgreSQL, the driver of the stages, and the command line.

pub mod cli;
mod clock;
pub mod config;
pub mod driver;
pub mod kafka;
pub mod postgres;
pub mod producer;
pub mod telemetry;
