//! What a redrive is to do, what it did, and what is of no use to send again.

use crate::postgres::redriven::Candidate;
use rollcall_domain::RejectionReason;
use rollcall_domain::observation::SourceOffset;
use std::collections::BTreeMap;

/// What to send again.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RedrivePlan {
    /// Rejected for this reason; `None`: for any that can pass.
    pub reason: Option<String>,
    /// The record at this place only.
    pub source: Option<SourceOffset>,
    /// Give records that were rejected for their key their machine's id as key.
    pub rekey: bool,
    /// Also records that were rejected again after an earlier redrive.
    pub again: bool,
    /// Send nothing.
    pub dry_run: bool,
    /// Records, at most.
    pub limit: u64,
    /// Partitions of the raw topic.
    pub partitions: i32,
}

/// Why a rejected record is left where it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum LeftOut {
    /// Its key is wrong, and a new one was not asked for.
    NeedsRekey,
    /// It would be rejected again for the same reason.
    Hopeless,
    /// The raw topic no longer holds it.
    Expired,
    /// Another record stands at its place: the topic was made anew.
    Replaced,
    /// It can't be read, so its machine is not known.
    Unreadable,
}

impl LeftOut {
    /// A word for machines.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            LeftOut::NeedsRekey => "needs_rekey",
            LeftOut::Hopeless => "hopeless",
            LeftOut::Expired => "expired",
            LeftOut::Replaced => "replaced",
            LeftOut::Unreadable => "unreadable",
        }
    }
}

/// What a redrive did.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RedriveSummary {
    /// Records sent again; with a dry run, those that would be.
    pub sent: u64,
    /// How many of them have a new key.
    pub rekeyed: u64,
    /// Records that an earlier redrive had sent without being able to write it down.
    pub found: u64,
    /// Records that an earlier redrive had taken on and not sent.
    pub unsent: u64,
    /// Records of which it can't be told any more whether an earlier redrive sent them: they are not sent.
    pub undecided: u64,
    /// Records left out, by why.
    pub left_out: BTreeMap<LeftOut, u64>,
    /// Where each partition begins in which sources have expired.
    pub begins: BTreeMap<i32, i64>,
}

/// Whether a record's key is what it was rejected for.
pub(super) fn rejected_for_key(reason: &str) -> bool {
    [RejectionReason::MissingKey, RejectionReason::KeyMismatch]
        .iter()
        .any(|keyed| keyed.as_str() == reason)
}

/// Why sending a record again is of no use.
pub(super) fn unfit(candidate: &Candidate, rekey: bool) -> Option<LeftOut> {
    // Nothing, and what came too late, stay so.
    let hopeless = [RejectionReason::EmptyValue, RejectionReason::TooOld];
    if rejected_for_key(&candidate.reason) {
        (!rekey).then_some(LeftOut::NeedsRekey)
    } else if hopeless
        .iter()
        .any(|reason| reason.as_str() == candidate.reason)
    {
        Some(LeftOut::Hopeless)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rollcall_domain::Timestamp;

    #[track_caller]
    fn check(reason: RejectionReason, rekey: bool, expect: Option<LeftOut>) {
        let candidate = Candidate {
            source: SourceOffset {
                partition: 0,
                offset: 0,
            },
            ingested_at: Timestamp::MIN,
            reason: reason.as_str().to_owned(),
        };
        assert_eq!(unfit(&candidate, rekey), expect, "{reason:?}");
    }

    #[test]
    fn what_is_sent_again() {
        check(
            RejectionReason::MissingKey,
            false,
            Some(LeftOut::NeedsRekey),
        );
        check(RejectionReason::MissingKey, true, None);
        check(RejectionReason::KeyMismatch, true, None);
        check(RejectionReason::EmptyValue, true, Some(LeftOut::Hopeless));
        check(RejectionReason::TooOld, false, Some(LeftOut::Hopeless));
        check(RejectionReason::Undecodable, false, None);
        check(RejectionReason::UnknownSchema, true, None);
    }
}
