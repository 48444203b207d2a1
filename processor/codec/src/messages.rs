//! One name per kind of message, so that the compiler knows what a decoder returns.

use crate::mirror::FromRecord;
use crate::schemas::RecordType;
use rollcall_domain::pipeline;
use rollcall_domain::{Snapshot, observation};

/// A kind of message: an Avro record and the domain type that it stands for. Implemented only here.
pub trait Message: sealed::Sealed {
    /// The record.
    const RECORD: RecordType;
    /// The domain type; `'a` is the lifetime of the bytes that it was read from.
    type Value<'a>: FromRecord<'a>;
}

mod sealed {
    pub trait Sealed {}
}

macro_rules! messages {
    ($($(#[$doc:meta])* $name:ident => $value:ty,)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum $name {}

        impl sealed::Sealed for $name {}

        impl Message for $name {
            const RECORD: RecordType = RecordType::$name;
            type Value<'a> = $value;
        }
    )*};
}

messages! {
    /// A raw snapshot.
    ProcessSnapshot => Snapshot<'a>,
    /// What NORMALIZE made of a snapshot.
    SnapshotObservations => observation::SnapshotObservations<'a>,
    /// A batch from NORMALIZE to ROLLUP.
    RollupPartials => pipeline::RollupPartials<'a>,
    /// A change of a rollup.
    RollupUpdate => pipeline::RollupUpdate<'a>,
    /// What NORMALIZE remembers of a machine.
    MachineState => pipeline::NormalizeState,
    /// What ROLLUP remembers of an open window.
    RollupState => pipeline::RollupState<'a>,
    /// Where a task goes on.
    TaskState => pipeline::TaskState,
    /// Something that was rejected.
    DeadLetter => pipeline::DeadLetter<'a>,
    /// A user of the directory.
    DirectoryUser => pipeline::DirectoryUser<'a>,
}
