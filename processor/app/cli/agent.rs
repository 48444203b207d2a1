//! `rollcall agent`: this machine's process list to Kafka, every few seconds until Ctrl-C.

use super::settings::{Settings, SettingsError};
use crate::driver::Control;
use crate::producer::{AgentPlan, AgentSummary, run_agent};
use indicatif::{ProgressBar, ProgressStyle};
use std::time::Duration;

/// The longest id, user or faculty: what a table's key holds.
const NAME_BYTES_MAX: usize = 255;

/// Arguments of `agent`.
#[derive(Debug, clap::Args)]
pub(crate) struct AgentArgs {
    #[command(flatten)]
    settings: Settings,
    /// Seconds from one snapshot to the next, 1 to 86400
    #[arg(long, default_value_t = 10)]
    interval_seconds: u32,
    /// Take one snapshot, send it, end
    #[arg(long, conflicts_with = "count")]
    once: bool,
    /// End after this many snapshots
    #[arg(long)]
    count: Option<u64>,
    /// The machine's id; derived from the operating system's own id or the host name where not given
    #[arg(long)]
    machine_id: Option<String>,
    /// Whose machine it is, where it has one user; else each process counts for its owner
    #[arg(long)]
    user: Option<String>,
    /// The faculty; else the directory's
    #[arg(long)]
    faculty: Option<String>,
}

impl AgentArgs {
    fn plan(&self) -> Result<AgentPlan, SettingsError> {
        if !(1..=86_400).contains(&self.interval_seconds) {
            return Err(SettingsError {
                key: "interval-seconds",
                value: self.interval_seconds.to_string(),
                allowed: "1 to 86400".to_owned(),
            });
        }
        Ok(AgentPlan {
            interval: Duration::from_secs(self.interval_seconds.into()),
            count: if self.once { Some(1) } else { self.count },
            machine_id: name("machine-id", self.machine_id.as_ref())?,
            user: name("user", self.user.as_ref())?,
            faculty: name("faculty", self.faculty.as_ref())?,
        })
    }
}

fn name(key: &'static str, value: Option<&String>) -> Result<Option<String>, SettingsError> {
    let Some(value) = value else {
        return Ok(None);
    };
    let good = !value.trim().is_empty()
        && value.len() <= NAME_BYTES_MAX
        && !value.chars().any(char::is_control);
    if good {
        return Ok(Some(value.clone()));
    }
    Err(SettingsError {
        key,
        value: value.clone(),
        allowed: format!("1 to {NAME_BYTES_MAX} bytes of text without control characters"),
    })
}

/// Runs the agent.
pub(crate) fn agent(arguments: &AgentArgs) -> anyhow::Result<()> {
    arguments.settings.init_logging()?;
    let plan = arguments.plan()?;
    let shared = arguments.settings.shared()?;
    let control = Control::new();
    let signals = super::signals::listen(&control)?;
    let bar = ProgressBar::new_spinner();
    bar.set_style(ProgressStyle::with_template("{spinner} {wide_msg}")?);
    let mut show = |summary: &AgentSummary| {
        bar.set_message(text(summary));
        bar.tick();
    };
    let summary = run_agent(&shared.kafka, &shared.registry, &plan, &control, &mut show);
    bar.finish_and_clear();
    signals.shutdown_background();
    let summary = summary?;
    println!("{}", text(&summary));
    let missing = missing(&summary);
    anyhow::ensure!(
        missing == 0,
        "{missing} of {} snapshots were not acknowledged by Kafka",
        summary.taken
    );
    Ok(())
}

/// Snapshots that were taken and did not arrive.
fn missing(summary: &AgentSummary) -> u64 {
    summary.failed + summary.waiting + summary.dropped
}

fn text(summary: &AgentSummary) -> String {
    let mut text = format!(
        "machine {}: {} snapshots taken, {} acknowledged",
        summary.machine_id, summary.taken, summary.delivered
    );
    let counts = [
        (summary.waiting, "waiting"),
        (summary.dropped, "dropped"),
        (summary.failed, "refused"),
        (summary.missed, "listings failed"),
    ];
    for (count, what) in counts {
        if count > 0 {
            text.push_str(&format!(", {count} {what}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_was_taken_and_did_not_arrive_is_missing() {
        let summary = AgentSummary {
            taken: 115,
            delivered: 4,
            failed: 1,
            waiting: 10,
            dropped: 100,
            missed: 1_000,
            ..AgentSummary::default()
        };
        assert_eq!(missing(&summary), 111);
    }
}
