//! What SINK does beside its lanes: partitions ahead of time, summaries of the details' indexes, retention.
//!
//! Every process with SINK does it; the database makes sure that one at a time is enough. Nothing here is needed for
//! correct tables, so a failure is a warning and the next try.

use super::SinkConfig;
use crate::clock::{elapsed_us, wall_clock};
use crate::driver::{Control, Signal};
use crate::postgres::{
    PostgresSettings, Session, create_partitions_ahead, enforce_retention, summarize_details,
};
use crate::telemetry::troubles::Troubles;
use std::time::Duration;

const STEP: Duration = Duration::from_millis(100);
/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(5);
const SUMMARIZE_US: i64 = 60_000_000;
const RETAIN_US: i64 = 3_600_000_000;

/// Keeps house until `stop` says otherwise.
pub(super) fn keep_house(config: &SinkConfig, stop: &Control) {
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "sink's housekeeping can't start: old partitions are not dropped");
            return;
        }
    };
    let settings = PostgresSettings {
        application_name: "rollcall housekeeping".to_owned(),
        ..config.postgres.clone()
    };
    let (mut summarize_at_us, mut retain_at_us) = (0, 0);
    let mut troubles = Troubles::default();
    while stop.signal() == Signal::Run {
        std::thread::sleep(STEP);
        let now_us = elapsed_us();
        if now_us < summarize_at_us {
            continue;
        }
        summarize_at_us = now_us + SUMMARIZE_US;
        let retain = now_us >= retain_at_us;
        match runtime.block_on(tidy(&settings, config, retain)) {
            Ok(()) => {
                troubles.are_over();
                if retain {
                    retain_at_us = now_us + RETAIN_US;
                }
            }
            Err(error) => {
                let error = format!("{error:#}");
                if troubles.is_new(&error) {
                    tracing::warn!(
                        error,
                        "housekeeping fails: old partitions may stay; it is tried again every minute"
                    );
                }
            }
        }
    }
}

async fn tidy(
    settings: &PostgresSettings,
    config: &SinkConfig,
    retain: bool,
) -> anyhow::Result<()> {
    let mut session = tokio::time::timeout(CONNECT, Session::connect(settings)).await??;
    if retain {
        create_partitions_ahead(&mut session, wall_clock()).await?;
        let outcome = enforce_retention(&mut session, &config.retention).await?;
        if !outcome.dropped.is_empty() || !outcome.postponed.is_empty() {
            tracing::info!(
                dropped = outcome.dropped.join(", "),
                postponed = outcome.postponed.join(", "),
                "retention"
            );
        }
    }
    summarize_details(&mut session).await?;
    session.close().await;
    Ok(())
}
