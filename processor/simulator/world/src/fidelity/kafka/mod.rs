//! Kafka's half: producers, their transactions, readers, members of a group.
//!
//! ```text
//! script     what happens, as text and as steps          generate   scripts from seeds
//! play       says the steps to a cluster, notes answers  cluster    what a cluster is asked
//! model      a cluster of models
//! ```
//!
//! Answers that come late in a cluster are waited for: its markers are written before anything is looked at. Offsets count
//! from where a partition ended when the script began.

mod balance;
mod cluster;
mod generate;
mod model;
mod play;
mod script;

pub use cluster::{Cluster, Following, Marks, Reading, Said, Seen};
pub use generate::generate;
pub use model::ModelCluster;
pub use play::play;
pub use script::{Claimant, Place, Script, Step, Topic, Write};

/// The scripts that were written by hand.
#[must_use]
pub fn handwritten() -> Vec<Script> {
    TEXTS
        .iter()
        .flat_map(|text| Script::parse_all(text).expect("scripts are right, which a test checks"))
        .collect()
}

const TEXTS: &[&str] = &[
    include_str!("../../../scripts/kafka/transactions.script"),
    include_str!("../../../scripts/kafka/fencing.script"),
    include_str!("../../../scripts/kafka/reading.script"),
    include_str!("../../../scripts/kafka/group.script"),
];

#[cfg(test)]
mod tests;
