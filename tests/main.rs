//! Scenarios on the real Kafka and registry, each against an expectation of its own.
//!
//! One binary, a module per scenario; `support` starts the services and the processor, and stops them, also when a
//! test panics.

#![allow(
    clippy::disallowed_methods,
    reason = "tests await conditions with a deadline"
)]
#![allow(missing_docs)]

mod architecture;
mod chaos;
mod crowd;
mod fidelity;
mod measures;
mod metrics;
mod poison;
mod scenarios;
mod support;
mod tables;
