//! `rollcall simulate`: a seeded fleet sends snapshots to Kafka until its plan is done or Ctrl-C.

use super::settings::{Settings, SettingsError};
use crate::driver::Control;
use crate::producer::{FleetPlan, FleetProgress, FleetSummary, Pace, run_fleet};
use indicatif::{HumanBytes, ProgressBar, ProgressStyle};
use serde_json::json;
use std::path::PathBuf;
use std::time::Duration;

/// Arguments of `simulate`.
#[derive(Debug, clap::Args)]
pub(crate) struct SimulateArgs {
    #[command(flatten)]
    settings: Settings,
    #[command(flatten)]
    fleet: FleetArgs,
    /// Write what was sent to this file, a JSON line per user and per record: what an independent check can expect
    #[arg(long, value_name = "FILE")]
    ledger: Option<PathBuf>,
    /// How to print the summary
    #[arg(long, value_enum, default_value = "text")]
    format: SummaryFormat,
}

/// What the fleet is like.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct FleetArgs {
    /// Machines, 1 to 100000
    #[arg(long, default_value_t = 300)]
    pub(crate) machines: u32,
    /// Faculties, 0 to 1000
    #[arg(long, default_value_t = 10)]
    pub(crate) faculties: u32,
    /// Users in the directory, 0 to 1000000
    #[arg(long, default_value_t = 2_000)]
    pub(crate) users: u32,
    /// Seconds from one snapshot of a machine to its next
    #[arg(long, default_value_t = 30.0)]
    pub(crate) interval_seconds: f64,
    /// Snapshots per second of the whole fleet, instead of the interval
    #[arg(long, conflicts_with = "interval_seconds", value_name = "PER_SECOND")]
    pub(crate) rate: Option<f64>,
    /// Send as fast as Kafka takes it, whatever the interval; needs --count or --seconds
    #[arg(long, conflicts_with_all = ["interval_seconds", "rate"])]
    pub(crate) unpaced: bool,
    /// Stop after this many seconds; without it and --count, at Ctrl-C
    #[arg(long)]
    pub(crate) seconds: Option<f64>,
    /// Stop after this many records
    #[arg(long)]
    pub(crate) count: Option<u64>,
    /// Equal seeds give the same machines and people
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Share of snapshots that are broken, late, repeated or the like, 0 to 1
    #[arg(long, default_value_t = 0.0)]
    pub(crate) mischief: f64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
enum SummaryFormat {
    /// For people.
    Text,
    /// For machines.
    Json,
}

fn check<T>(
    key: &'static str,
    value: T,
    good: impl Fn(&T) -> bool,
    allowed: &str,
) -> Result<T, SettingsError>
where
    T: ToString,
{
    if good(&value) {
        return Ok(value);
    }
    Err(SettingsError {
        key,
        value: value.to_string(),
        allowed: allowed.to_owned(),
    })
}

fn seconds(key: &'static str, value: f64) -> Result<Duration, SettingsError> {
    let good = |value: &f64| (0.001..=31_536_000.0).contains(value);
    check(key, value, good, "0.001 to 31536000 seconds").map(Duration::from_secs_f64)
}

impl FleetArgs {
    /// The plan that these arguments make.
    pub(crate) fn plan(&self) -> Result<FleetPlan, SettingsError> {
        let machines = check(
            "machines",
            self.machines,
            |n| (1..=100_000).contains(n),
            "1 to 100000",
        )?;
        let interval = match self.rate {
            None => seconds("interval-seconds", self.interval_seconds)?,
            Some(rate) => {
                let good = |rate: &f64| (0.001..=1_000_000.0).contains(rate);
                let rate = check("rate", rate, good, "0.001 to 1000000 snapshots per second")?;
                Duration::from_secs_f64(f64::from(machines) / rate)
            }
        };
        if self.unpaced && self.count.is_none() && self.seconds.is_none() {
            return Err(SettingsError {
                key: "unpaced",
                value: "true".to_owned(),
                allowed: "only with --count or --seconds".to_owned(),
            });
        }
        let share = |share: &f64| (0.0..=1.0).contains(share);
        Ok(FleetPlan {
            seed: self.seed,
            machines,
            faculties: check("faculties", self.faculties, |n| *n <= 1_000, "0 to 1000")?,
            users: check("users", self.users, |n| *n <= 1_000_000, "0 to 1000000")?,
            interval,
            pace: if self.unpaced {
                Pace::Unpaced
            } else {
                Pace::RealTime
            },
            mischief: check("mischief", self.mischief, share, "0 to 1")?,
            stop_after: self
                .seconds
                .map(|value| seconds("seconds", value))
                .transpose()?,
            count: self.count,
            ledger: None,
        })
    }
}

/// Runs the fleet.
pub(crate) fn simulate(arguments: &SimulateArgs) -> anyhow::Result<()> {
    arguments.settings.init_logging()?;
    let plan = FleetPlan {
        ledger: arguments.ledger.clone(),
        ..arguments.fleet.plan()?
    };
    let shared = arguments.settings.shared()?;
    let control = Control::new();
    let signals = super::signals::listen(&control)?;
    let bar = progress_bar(&plan);
    let mut show = |progress: &FleetProgress| draw(&bar, &plan, progress);
    let summary = run_fleet(&shared.kafka, &shared.registry, &plan, &control, &mut show);
    bar.finish_and_clear();
    signals.shutdown_background();
    let summary = summary?;
    match arguments.format {
        SummaryFormat::Text => super::print(&text(&summary))?,
        SummaryFormat::Json => super::print(&format!("{}\n", json_of(&summary)))?,
    }
    let missing = summary.progress.failed + summary.unacknowledged();
    anyhow::ensure!(
        missing == 0,
        "{missing} of {} records were not acknowledged by Kafka",
        summary.progress.sent
    );
    Ok(())
}

/// A bar on stderr, if that is a terminal; of known length where the plan ends by itself.
fn progress_bar(plan: &FleetPlan) -> ProgressBar {
    let length = plan
        .count
        .or(plan.stop_after.map(|limit| limit.as_millis() as u64));
    let (bar, template) = match length {
        Some(length) => (
            ProgressBar::new(length),
            "{bar:30} {percent:>3} % {wide_msg}",
        ),
        None => (ProgressBar::new_spinner(), "{spinner} {wide_msg}"),
    };
    let style = ProgressStyle::with_template(template);
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

fn draw(bar: &ProgressBar, plan: &FleetPlan, progress: &FleetProgress) {
    bar.set_position(match (plan.count, plan.stop_after) {
        (Some(_), _) => progress.sent,
        (None, Some(_)) => progress.elapsed.as_millis() as u64,
        (None, None) => bar.position() + 1,
    });
    let state = match (progress.stalled, progress.sent) {
        (true, _) => "; Kafka does not answer",
        (false, 0) => "; publishing the directory",
        (false, _) => "",
    };
    bar.set_message(format!(
        "{} snapshots sent, {} acknowledged, {}{state}",
        progress.sent,
        progress.delivered,
        HumanBytes(progress.bytes)
    ));
}

fn text(summary: &FleetSummary) -> String {
    let progress = &summary.progress;
    let seconds = progress.elapsed.as_secs_f64();
    let mut text = format!(
        "{} records sent in {seconds:.1} s ({:.0} per second, {}); {} acknowledged, {} refused, {} in doubt; {} users \
         in the directory\n",
        progress.sent,
        progress.sent as f64 / seconds.max(0.001),
        HumanBytes(progress.bytes),
        progress.delivered,
        progress.failed,
        summary.unacknowledged(),
        progress.users,
    );
    if summary.kinds.len() > 1 {
        for (kind, count) in &summary.kinds {
            text.push_str(&format!("  {:<13}{count:>9}\n", kind.as_str()));
        }
    }
    text
}

fn json_of(summary: &FleetSummary) -> serde_json::Value {
    let progress = &summary.progress;
    let kinds: serde_json::Map<_, _> = summary
        .kinds
        .iter()
        .map(|(kind, count)| (kind.as_str().to_owned(), json!(count)))
        .collect();
    json!({
        "users": progress.users,
        "sent": progress.sent,
        "acknowledged": progress.delivered,
        "refused": progress.failed,
        "in_doubt": summary.unacknowledged(),
        "bytes": progress.bytes,
        "seconds": progress.elapsed.as_secs_f64(),
        "kinds": kinds,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Only {
        #[command(flatten)]
        fleet: FleetArgs,
    }

    #[track_caller]
    fn check(arguments: &[&str], expect: Result<Duration, &str>) {
        let fleet = Only::parse_from([&["test"], arguments].concat()).fleet;
        let plan = fleet.plan().map(|plan| plan.interval);
        assert_eq!(
            plan.map_err(|error| error.to_string()),
            expect.map_err(str::to_owned)
        );
    }

    #[test]
    fn plans() {
        check(&[], Ok(Duration::from_secs(30)));
        check(
            &["--interval-seconds", "0.5"],
            Ok(Duration::from_millis(500)),
        );
        check(&["--rate", "600"], Ok(Duration::from_millis(500)));
        check(&["--unpaced", "--count", "5"], Ok(Duration::from_secs(30)));
    }

    #[test]
    fn wrong_plans_say_what_is_allowed() {
        check(
            &["--machines", "0"],
            Err("setting machines = \"0\" is wrong; allowed is 1 to 100000"),
        );
        check(
            &["--mischief", "1.5"],
            Err("setting mischief = \"1.5\" is wrong; allowed is 0 to 1"),
        );
        check(
            &["--interval-seconds", "0"],
            Err("setting interval-seconds = \"0\" is wrong; allowed is 0.001 to 31536000 seconds"),
        );
        check(
            &["--rate", "NaN"],
            Err(
                "setting rate = \"NaN\" is wrong; allowed is 0.001 to 1000000 snapshots per second",
            ),
        );
        check(
            &["--unpaced"],
            Err("setting unpaced = \"true\" is wrong; allowed is only with --count or --seconds"),
        );
    }
}
