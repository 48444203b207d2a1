//! What a listing shows and the normalizer could not read for certain: a value is right, or it is `None` with a reason.
//!
//! A row notes its reasons while it is read. They are counted once per row and only if the row is accepted, so that a
//! listing's [`NullCount`]s take constant memory, whatever the input. A value that a form does not hold, or for which it
//! prints its own sign of absence (`-`, `N/A`), is no doubt and is not noted.

/// Why a value that a listing shows is `None` all the same.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum NullReason {
    /// A start time is local, and the machine's offset from UTC was not given.
    UtcOffsetMissing,
    /// A start time has a form or is in a language that is not known.
    StartUnreadable,
    /// A start time may mean several days or years.
    StartAmbiguous,
    /// A start time lies after the observation.
    StartInFuture,
    /// A CPU time is printed to the minute or hour only (busybox `2h05`).
    CpuTimeCoarse,
    /// A memory size has digits, but not as any known locale groups them, or an unknown unit.
    MemoryUnreadable,
    /// A memory size is rounded to more than a KiB (busybox `123m`).
    MemoryCoarse,
    /// A state's word is in a language that is not known.
    StateUnknown,
    /// It can't be told where the executable's path or name ends.
    ExecutableUncertain,
    /// A number that no machine can have, as a negative size.
    OutOfRange,
    /// An owner is neither `DOMAIN\user` nor a known word for none.
    OwnerUnreadable,
    /// A name has letters that could not be read: the text's code page is not known.
    TextUndecoded,
    /// A number has another form than its property has.
    NumberUnreadable,
    /// A memory size is printed in 32 bits, so that it may have wrapped.
    MemoryWraps,
}

impl NullReason {
    /// Every reason, in a fixed order.
    pub const ALL: [NullReason; 14] = [
        NullReason::UtcOffsetMissing,
        NullReason::StartUnreadable,
        NullReason::StartAmbiguous,
        NullReason::StartInFuture,
        NullReason::CpuTimeCoarse,
        NullReason::MemoryUnreadable,
        NullReason::MemoryCoarse,
        NullReason::StateUnknown,
        NullReason::ExecutableUncertain,
        NullReason::OutOfRange,
        NullReason::OwnerUnreadable,
        NullReason::TextUndecoded,
        NullReason::NumberUnreadable,
        NullReason::MemoryWraps,
    ];

    /// Its name in metrics and messages.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            NullReason::UtcOffsetMissing => "utc_offset_missing",
            NullReason::StartUnreadable => "start_unreadable",
            NullReason::StartAmbiguous => "start_ambiguous",
            NullReason::StartInFuture => "start_in_future",
            NullReason::CpuTimeCoarse => "cpu_time_coarse",
            NullReason::MemoryUnreadable => "memory_unreadable",
            NullReason::MemoryCoarse => "memory_coarse",
            NullReason::StateUnknown => "state_unknown",
            NullReason::ExecutableUncertain => "executable_uncertain",
            NullReason::OutOfRange => "out_of_range",
            NullReason::OwnerUnreadable => "owner_unreadable",
            NullReason::TextUndecoded => "text_undecoded",
            NullReason::NumberUnreadable => "number_unreadable",
            NullReason::MemoryWraps => "memory_wraps",
        }
    }

    /// What it means, for a person.
    #[must_use]
    pub const fn detail(self) -> &'static str {
        match self {
            NullReason::UtcOffsetMissing => {
                "start times are local and the machine's offset from UTC was not given"
            }
            NullReason::StartUnreadable => {
                "start times have a form or are in a language that is not known"
            }
            NullReason::StartAmbiguous => "start times may mean several days or years",
            NullReason::StartInFuture => "start times lie after the observation",
            NullReason::CpuTimeCoarse => "CPU times are printed to the minute or hour only",
            NullReason::MemoryUnreadable => "memory sizes have unknown units or digit groups",
            NullReason::MemoryCoarse => "memory sizes are rounded to more than a KiB",
            NullReason::StateUnknown => "states are in a language that is not known",
            NullReason::ExecutableUncertain => "it can't be told where the executable's path ends",
            NullReason::OutOfRange => "numbers are out of any machine's range",
            NullReason::OwnerUnreadable => {
                "owners are neither DOMAIN\\user nor a known word for none"
            }
            NullReason::TextUndecoded => {
                "the text's code page is not known, so some letters are not"
            }
            NullReason::NumberUnreadable => "numbers have a form that is not known",
            NullReason::MemoryWraps => "memory sizes are printed in 32 bits, which wrap at 4 GiB",
        }
    }
}

/// How many rows of a listing have a value that is `None` for one reason.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NullCount {
    /// The reason.
    pub reason: NullReason,
    /// The accepted rows concerned.
    pub rows: u32,
    /// The number of the first one's line.
    pub first_line: u32,
}

/// The reasons of the row that is being read.
#[derive(Default)]
pub(crate) struct Notes {
    reasons: u16,
}

const _: () = assert!(NullReason::ALL.len() <= u16::BITS as usize);

impl Notes {
    /// Notes that this row has a value that is `None` for `reason`.
    #[inline]
    pub(crate) fn add(&mut self, reason: NullReason) {
        self.reasons |= 1 << reason as u8;
    }

    /// The value, or `None` with its reason noted.
    #[inline(always)]
    pub(crate) fn value<T>(&mut self, value: Result<Option<T>, NullReason>) -> Option<T> {
        value.unwrap_or_else(|reason| {
            self.add(reason);
            None
        })
    }
}

/// The reasons of all rows so far.
#[derive(Default)]
pub(crate) struct NullCounts {
    counts: [(u32, u32); NullReason::ALL.len()],
}

impl NullCounts {
    /// Counts what an accepted row noted.
    #[inline]
    pub(crate) fn accept(&mut self, notes: &Notes, line: u32) {
        if notes.reasons != 0 {
            self.count(notes.reasons, line);
        }
    }

    fn count(&mut self, mut reasons: u16, line: u32) {
        while reasons != 0 {
            let (rows, first_line) = &mut self.counts[reasons.trailing_zeros() as usize];
            if *rows == 0 {
                *first_line = line;
            }
            *rows += 1;
            reasons &= reasons - 1;
        }
    }

    /// Those that occurred, in the order of [`NullReason::ALL`].
    pub(crate) fn finish(self) -> Vec<NullCount> {
        let counted = NullReason::ALL.into_iter().zip(self.counts);
        counted
            .filter(|(_, (rows, _))| *rows > 0)
            .map(|(reason, (rows, first_line))| NullCount {
                reason,
                rows,
                first_line,
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_counted_once_a_row() {
        let mut counts = NullCounts::default();
        let mut notes = Notes::default();
        assert_eq!(notes.value(Ok(Some(1))), Some(1));
        counts.accept(&notes, 1);
        for _ in 0..2 {
            assert_eq!(notes.value::<i64>(Err(NullReason::StartAmbiguous)), None);
        }
        notes.add(NullReason::OutOfRange);
        counts.accept(&notes, 7);
        counts.accept(&notes, 9);
        let count = |reason| NullCount {
            reason,
            rows: 2,
            first_line: 7,
        };
        let expect = [NullReason::StartAmbiguous, NullReason::OutOfRange].map(count);
        assert_eq!(counts.finish(), expect);
    }

    #[test]
    fn every_reason_stands_at_its_own_place() {
        for (index, reason) in NullReason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, index);
        }
    }
}
