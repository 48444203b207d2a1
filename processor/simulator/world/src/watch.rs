//! What is seen while a world runs: its trace, what was injected and what came of it, and what must never happen.

use crate::executor::ProcessId;
use rollcall_engine::task::{CommitOutcome, LostReason};
use rollcall_simulator::random::mix;
use std::collections::{BTreeMap, BTreeSet};

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    /// Lines of the trace, where somebody wants to read it.
    pub(crate) trace: Option<Vec<String>>,
    hash: u64,
    /// What happened how often.
    pub(crate) counts: BTreeMap<&'static str, u64>,
    /// Transactions that are known to be committed, by stage, partition and number.
    sequences: BTreeSet<(&'static str, i32, i64)>,
    /// What must never happen, and did.
    pub(crate) failure: Option<String>,
}

impl Watch {
    /// Of a world that has not begun, with a trace for people or without.
    pub(crate) fn new(with_trace: bool) -> Self {
        Self {
            trace: with_trace.then(Vec::new),
            ..Self::default()
        }
    }

    /// A line of the trace.
    pub(crate) fn note(&mut self, now_us: i64, process: ProcessId, text: &str) {
        let mut hash = mix(self.hash ^ now_us as u64) ^ process as u64;
        for byte in text.bytes() {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        self.hash = mix(hash);
        if let Some(trace) = &mut self.trace {
            let (s, ms) = (now_us / 1_000_000, now_us / 1_000 % 1_000);
            trace.push(format!("{s:>6}.{ms:03} process {process}: {text}"));
        }
    }

    /// A digest of every line so far.
    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }

    /// Something happened.
    pub(crate) fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    /// What must never happen; the first one counts.
    pub(crate) fn fail(&mut self, what: String) {
        self.failure.get_or_insert(what);
    }

    /// A task has lost its state.
    pub(crate) fn lost(&mut self, reason: LostReason) {
        self.count(match reason {
            LostReason::ClaimFailed => "claims that failed",
            LostReason::RestoreFailed => "restores that failed",
            LostReason::Aborted => "tasks lost: aborted",
            LostReason::Fenced => "tasks lost: fenced",
            LostReason::UnknownOutcome => "tasks lost: unknown outcome",
            LostReason::Processor => "tasks lost: the stage failed",
        });
        if reason == LostReason::Processor {
            self.fail("a stage failed on what it was given".to_owned());
        }
    }

    /// A transaction is known not to be committed, or not known to be.
    pub(crate) fn outcome(&mut self, outcome: CommitOutcome) {
        self.count(match outcome {
            CommitOutcome::Committed => "transactions committed",
            CommitOutcome::Aborted => "transactions aborted",
            CommitOutcome::Fenced => "transactions fenced",
            CommitOutcome::Unknown => "transactions of unknown outcome",
        });
    }

    /// A task's owner knows that its transaction is committed. One that was stopped may learn it late, but no two
    /// transactions of a task have the same number.
    pub(crate) fn committed(
        &mut self,
        now_us: i64,
        process: ProcessId,
        stage: &'static str,
        partition: i32,
        sequence: i64,
    ) {
        self.outcome(CommitOutcome::Committed);
        self.note(
            now_us,
            process,
            &format!("{stage}[{partition}] committed {sequence}"),
        );
        if !self.sequences.insert((stage, partition, sequence)) {
            self.fail(format!(
                "{stage}[{partition}] committed transaction {sequence} twice"
            ));
        }
    }
}
