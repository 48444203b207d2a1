//! Named defects, built into the places that they would break: the deterministic simulator switches on one at a time, and
//! must find it (`make mutants`).
//!
//! Without the feature `switches`, which nothing but that build has, [`is_on`] is the constant `false`, and the compiler
//! leaves out what it guards.
//!
//! Must not know: anything.

macro_rules! defects {
    ($($(#[doc = $doc:literal])+ $name:ident,)*) => {
        /// A defect.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum Defect { $($(#[doc = $doc])+ $name,)* }

        impl Defect {
            /// All of them.
            pub const ALL: &'static [Defect] = &[$(Defect::$name,)*];

            /// Its name.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Defect::$name => stringify!($name),)* }
            }

            /// What is wrong, in a sentence.
            #[must_use]
            pub fn describe(self) -> &'static str {
                match self { $(Defect::$name => concat!($($doc),+).trim_start(),)* }
            }
        }
    };
}

defects! {
    /// The next input offset is that of the last record, not the one after.
    OffsetPlusOneMissing,
    /// An aborted transaction is taken for committed.
    AbortTakenForSuccess,
    /// A transaction of unknown outcome is taken for committed.
    UnknownTakenForSuccess,
    /// The ends of the state are read before the claim.
    RestoreBeforeClaim,
    /// A task that never committed starts at the end of its input.
    StartsAtTheEnd,
    /// A schema counts as unknown while the registry is away.
    RegistryAwayTakenForUnknown,
    /// The end of the input is never compared: an idle task's time goes on while it lags.
    IdleTimeWhileLagging,
    /// An idle task's time stands still.
    IdleTimeForgotten,
    /// ROLLUP's time is the largest of its upstreams'.
    StageTimeAsMaximum,
    /// Snapshot ids are not restored.
    DedupeLostOnRestore,
    /// Only the latest run of changed snapshot ids is written.
    DedupeRunLost,
    /// The counts begin again with each restore.
    CountsLostOnRestore,
    /// A transaction without contributions tells ROLLUP nothing.
    EmptyPartialsLeftOut,
    /// Through what time windows are closed begins anew with each restore.
    ClosedThroughForgotten,
    /// What was closed early is not noted in the task's state.
    EarlyClosingNotNoted,
    /// An open window's state is a tombstone already.
    TombstoneTooEarly,
    /// A closed window's state stays.
    TombstoneForgotten,
    /// What comes late replaces the closed value.
    CorrectionReplaces,
    /// What comes late is dropped.
    LateDropped,
    /// PROGRESS comes before the values that it speaks of.
    ProgressTooEarly,
    /// PROGRESS says one raw record more than is folded.
    ProgressTooFar,
    /// A COMMIT without an answer is taken for stored.
    UnknownCommitTakenForStored,
    /// The offsets of details are committed before them.
    OffsetsCommittedFirst,
    /// A claim leaves the connection of the owner before alone.
    BackendLeftAlone,
    /// What is remembered of a database outlives its connection.
    MemoryKept,
    /// What is buffered outlives the connection.
    BufferKept,
    /// A correction is stored instead of the row that it corrects.
    CorrectionOverwritesRow,
    /// A correction of a row that is not there leaves it open.
    CorrectionLeavesOpen,
    /// PROGRESS is not stored.
    ProgressNotStored,
    /// A flush takes rollups of a transaction whose end is not here yet.
    FlushNotCutAtProgress,
    /// A correction replaces the value that waits for the same flush.
    CorrectionReplacesPending,
    /// Offsets are brought behind messages that are held, as if they were markers.
    HeldTakenForMarkers,
    /// A claim that is never committed holds its lock for ever.
    ClaimWaitsForEver,
    /// A lane that has nothing to store never looks whether its connection is still there.
    IdleConnectionNotAsked,
}

/// Whether a defect is switched on.
#[cfg(not(feature = "switches"))]
#[inline(always)]
#[must_use]
pub const fn is_on(_: Defect) -> bool {
    false
}

#[cfg(feature = "switches")]
mod switches {
    use super::Defect;
    use std::cell::Cell;

    thread_local! {
        static ON: Cell<Option<Defect>> = const { Cell::new(None) };
    }

    /// Whether a defect is switched on.
    #[must_use]
    pub fn is_on(defect: Defect) -> bool {
        ON.get() == Some(defect)
    }

    /// Switches one defect on for this thread, or none.
    pub fn switch(defect: Option<Defect>) {
        ON.set(defect);
    }
}

#[cfg(feature = "switches")]
pub use switches::{is_on, switch};
