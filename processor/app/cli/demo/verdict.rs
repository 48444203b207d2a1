//! Whether what was sent is in the raw topic, and whether the tables are right.

use super::super::audit::{AuditOptions, CatchUp, run_audit};
use super::crew::Sent;
use crate::driver::{Control, Shared};
use crate::postgres::PostgresSettings;
use rollcall_audit::AuditReport;
use std::time::Duration;

/// How long the tables are given to catch up with the raw topic.
const CATCH_UP: Duration = Duration::from_secs(120);

/// Fails unless all that was sent is in the raw topic, once.
pub(super) fn all_arrived(sent: &Sent, raw: i64) -> anyhow::Result<()> {
    let (delivered, in_doubt) = (sent.delivered(), sent.in_doubt());
    anyhow::ensure!(
        in_doubt == 0,
        "Kafka has not said that it holds {in_doubt} of the snapshots that were sent"
    );
    anyhow::ensure!(
        u64::try_from(raw) == Ok(delivered),
        "{delivered} snapshots were sent and acknowledged, but {raw} are in the raw topic"
    );
    Ok(())
}

/// Waits until the tables hold everything up to `raw_ends`, then compares.
pub(super) fn audit(
    shared: &Shared,
    database: &PostgresSettings,
    raw_ends: Vec<i64>,
    interrupt: &Control,
) -> anyhow::Result<AuditReport> {
    let options = AuditOptions {
        catch_up: Some(CatchUp {
            raw_ends,
            timeout: CATCH_UP,
        }),
        ..AuditOptions::default()
    };
    run_audit(shared, database, &options, interrupt)
}

/// Fails if the audit found something, or excused anything but what retention has dropped.
pub(super) fn no_differences(report: &AuditReport) -> anyhow::Result<()> {
    let differences = report.differences();
    anyhow::ensure!(
        differences == 0,
        "the audit found {differences} differences; they are listed above"
    );
    anyhow::ensure!(report.compared() > 0, "the audit had nothing to compare");
    anyhow::ensure!(
        report.pending == 0,
        "{} raw records are not in the tables",
        report.pending
    );
    // Here everything was there from the beginning, with one set of rules and all schemas.
    let excused = report.apart.iter().find(|(apart, _)| !apart.is_retention());
    match excused {
        None => Ok(()),
        Some((apart, count)) => anyhow::bail!(
            "the audit could not compare {count} {}, though all was there from the beginning",
            apart.describe()
        ),
    }
}
