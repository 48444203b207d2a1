//! The books: what a raw partition's records came to, against the row of `ledger`.

use crate::facts::DetailsReach;
use crate::names;
use crate::report::{Apart, AuditReport, Comparison, Subject};
use crate::stored::StoredLedger;
use rollcall_domain::{TaskCounts, Timestamp};

/// What was counted of one raw partition.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Books {
    pub(crate) counts: TaskCounts,
    last_ingested_at: Option<Timestamp>,
    /// As of the last record that the details hold, once it was read.
    closed: Option<(TaskCounts, Option<Timestamp>)>,
}

impl Books {
    pub(crate) fn accepted(&mut self, processes: i64, lines_rejected: i64, ingested_at: Timestamp) {
        self.counts.snapshots_read += 1;
        self.counts.snapshots_accepted += 1;
        self.counts.lines_accepted += processes;
        self.counts.lines_rejected += lines_rejected;
        self.last_ingested_at = self.last_ingested_at.max(Some(ingested_at));
    }

    pub(crate) fn repeated(&mut self) {
        self.counts.snapshots_read += 1;
        self.counts.snapshots_duplicate += 1;
    }

    pub(crate) fn rejected(&mut self) {
        self.counts.snapshots_read += 1;
        self.counts.snapshots_rejected += 1;
    }

    /// A record of this offset was counted: the ledger speaks of it and those before it, where it is the last stored.
    pub(crate) fn counted(&mut self, reach: DetailsReach, offset: i64) {
        let is_last = match reach {
            DetailsReach::Through(last) => offset == last,
            DetailsReach::FirstRecords(records) => self.counts.snapshots_read == records,
            DetailsReach::Nothing | DetailsReach::LastRow => false,
        };
        if is_last {
            self.closed = Some((self.counts, self.last_ingested_at));
        }
    }

    /// Compares the partition's row. `whole`: all of its records could be counted.
    pub(crate) fn compare(
        &self,
        report: &mut AuditReport,
        partition: i32,
        reach: DetailsReach,
        whole: bool,
        found: Option<&StoredLedger>,
    ) {
        let label = || format!("partition {partition}");
        let Some(found) = found else {
            if reach != DetailsReach::Nothing {
                report.one_sided(Subject::Ledger, true, label, "a row");
            }
            return;
        };
        if reach == DetailsReach::Nothing {
            report.one_sided(Subject::Ledger, false, label, "a row");
            return;
        }
        let mut row = Comparison::new(Subject::Ledger, label);
        match self.closed {
            Some((counts, last_ingested_at)) if whole => {
                for ((column, expected), (_, found)) in
                    columns(&counts).into_iter().zip(columns(&found.counts))
                {
                    row.column(column, expected, found);
                }
                row.column(
                    "last_ingested_at",
                    last_ingested_at.map(names::time),
                    found.last_ingested_at,
                );
            }
            _ => report.set_apart(Apart::LedgerNotCounted, 1),
        }
        row.column("snapshots_unaccounted", true, found.counts.balanced());
        let accepted = [
            found.counts.snapshots_accepted,
            found.counts.lines_accepted,
            found.counts.lines_rejected,
        ];
        let names = ["stored_snapshots", "stored_lines", "stored_lines_rejected"];
        for (at, column) in names.into_iter().enumerate() {
            // What was older than what is kept counts as expired instead.
            row.column(column, accepted[at] - found.expired[at], found.stored[at]);
        }
        report.compare(row);
    }
}

fn columns(counts: &TaskCounts) -> [(&'static str, i64); 6] {
    [
        ("snapshots_read", counts.snapshots_read),
        ("snapshots_accepted", counts.snapshots_accepted),
        ("snapshots_duplicate", counts.snapshots_duplicate),
        ("snapshots_rejected", counts.snapshots_rejected),
        ("lines_accepted", counts.lines_accepted),
        ("lines_rejected", counts.lines_rejected),
    ]
}
