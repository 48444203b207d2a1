//! `rollcall run`: stages until Ctrl-C or SIGTERM, then drain, commit, leave, exit 0.

use super::settings::{Settings, SettingsError};
use crate::driver::sink::SinkConfig;
use crate::driver::{Control, PipelineConfig, Shared, Signal, run_pipeline};
use crate::kafka::admin::MAX_OBSERVATIONS_BYTES;
use crate::postgres::RetentionPolicy;
use crate::telemetry::{Telemetry, http};
use rollcall_domain::rollup::GroupingSet;
use rollcall_domain::time::{MINUTE_US, SECOND_US};
use rollcall_engine::task::TaskConfig;
use rollcall_engine::windows::WindowLimits;
use rollcall_stages::{NormalizeConfig, RollupConfig, layout};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

/// Arguments of `run`.
#[derive(Debug, clap::Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(super) settings: Settings,
    /// The stages to run here
    #[arg(
        long,
        env = "ROLLCALL_STAGES",
        value_enum,
        value_delimiter = ',',
        default_value = "normalize,rollup,sink"
    )]
    stages: Vec<StageName>,
    /// Where /metrics, /live and /ready are served; other machines need 0.0.0.0:9464 or the like
    #[arg(long, env = "ROLLCALL_HTTP_ADDRESS", default_value = HTTP_ADDRESS, value_name = "ADDRESS:PORT")]
    http_address: String,
    /// Milliseconds that input of NORMALIZE waits for its commit, at most
    #[arg(
        long,
        env = "ROLLCALL_NORMALIZE_COMMIT_INTERVAL_MS",
        default_value_t = 500
    )]
    normalize_commit_interval_ms: u32,
    /// Milliseconds that input of ROLLUP waits for its commit, at most
    #[arg(
        long,
        env = "ROLLCALL_ROLLUP_COMMIT_INTERVAL_MS",
        default_value_t = 2000
    )]
    rollup_commit_interval_ms: u32,
    /// Milliseconds that details and dead letters wait for the next flush to PostgreSQL, at most
    #[arg(
        long,
        env = "ROLLCALL_DETAILS_FLUSH_INTERVAL_MS",
        default_value_t = 500
    )]
    details_flush_interval_ms: u32,
    /// Milliseconds for which rollups are coalesced before they are written to PostgreSQL
    #[arg(
        long,
        env = "ROLLCALL_ROLLUPS_FLUSH_INTERVAL_MS",
        default_value_t = 3000
    )]
    rollups_flush_interval_ms: u32,
    /// Connections that copy details side by side
    #[arg(long, env = "ROLLCALL_DETAILS_LANES", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    details_lanes: u32,
    /// Whether command output goes to the tables, as text
    #[arg(long, env = "ROLLCALL_NORMALIZE_STORE_COMMAND_OUTPUT", action = clap::ArgAction::Set, default_value_t = true, value_name = "true|false")]
    normalize_store_command_output: bool,
    /// Seconds after its end for which a minute's window takes late snapshots in; later ones are corrections
    #[arg(long, env = "ROLLCALL_ROLLUP_MINUTE_GRACE_SECONDS", default_value_t = 300, value_parser = clap::value_parser!(u32).range(0..=604_800))]
    rollup_minute_grace_seconds: u32,
    /// The same of an hour's window
    #[arg(long, env = "ROLLCALL_ROLLUP_HOUR_GRACE_SECONDS", default_value_t = 1_800, value_parser = clap::value_parser!(u32).range(0..=604_800))]
    rollup_hour_grace_seconds: u32,
    /// The same of a day's window
    #[arg(long, env = "ROLLCALL_ROLLUP_DAY_GRACE_SECONDS", default_value_t = 7_200, value_parser = clap::value_parser!(u32).range(0..=604_800))]
    rollup_day_grace_seconds: u32,
    /// Days for which snapshots and processes are kept in the tables
    #[arg(long, env = "ROLLCALL_RETENTION_DETAILS_DAYS", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=36_500))]
    retention_details_days: u32,
    /// Days for which rejected records are kept
    #[arg(long, env = "ROLLCALL_RETENTION_REJECTED_DAYS", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=36_500))]
    retention_rejected_days: u32,
    /// Days for which rollups per minute are kept
    #[arg(long, env = "ROLLCALL_RETENTION_MINUTE_ROLLUPS_DAYS", default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=36_500))]
    retention_minute_rollups_days: u32,
    /// Days for which rollups per hour are kept
    #[arg(long, env = "ROLLCALL_RETENTION_HOUR_ROLLUPS_DAYS", default_value_t = 90, value_parser = clap::value_parser!(u32).range(1..=36_500))]
    retention_hour_rollups_days: u32,
    /// Days for which rollups per day are kept
    #[arg(long, env = "ROLLCALL_RETENTION_DAY_ROLLUPS_DAYS", default_value_t = 1_825, value_parser = clap::value_parser!(u32).range(1..=36_500))]
    retention_day_rollups_days: u32,
}

impl RunArgs {
    /// Where metrics and health are served.
    pub(super) fn http_address(&self) -> Result<SocketAddr, SettingsError> {
        self.http_address.parse().map_err(|_| SettingsError {
            key: "http-address",
            value: self.http_address.clone(),
            allowed: format!("an IP address and a port, as {HTTP_ADDRESS}"),
        })
    }

    /// In the order of `Grain::ALL`.
    fn grace_us(&self) -> [i64; 3] {
        [
            self.rollup_minute_grace_seconds,
            self.rollup_hour_grace_seconds,
            self.rollup_day_grace_seconds,
        ]
        .map(|seconds| i64::from(seconds) * SECOND_US)
    }
}

/// Of this machine only: the port asks nobody for a password. 9464 is what OpenTelemetry's exporters to Prometheus use.
const HTTP_ADDRESS: &str = "127.0.0.1:9464";

#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
enum StageName {
    /// Raw snapshots to observations, partial rollups and dead letters.
    Normalize,
    /// Partial rollups to windows.
    Rollup,
    /// Everything to PostgreSQL.
    Sink,
}

/// Runs the stages.
pub(crate) fn run(arguments: &RunArgs) -> anyhow::Result<()> {
    arguments.settings.init_logging()?;
    let shared = arguments.settings.shared()?;
    let config = pipeline_config(arguments, &shared)?;
    let port = listen(arguments.http_address()?)?;
    let stop = Control::new();
    let runtime = super::signals::listen(&stop)?;
    runtime.spawn(serve(port, shared.telemetry.clone()));
    run_pipeline(&config, &shared, &stop)
}

/// Takes the HTTP port.
fn listen(address: SocketAddr) -> Result<TcpListener, SettingsError> {
    http::listen(address).map_err(|error| SettingsError {
        key: "http-address",
        value: address.to_string(),
        allowed: format!(
            "an address of this machine with a free port ({})",
            error.cause
        ),
    })
}

pub(super) async fn serve(port: TcpListener, telemetry: Telemetry) {
    if let Err(error) = http::serve(port, telemetry).await {
        tracing::error!(%error, "metrics and health are no longer served");
    }
}

/// The pipeline that these arguments make.
pub(super) fn pipeline_config(
    arguments: &RunArgs,
    shared: &Shared,
) -> Result<PipelineConfig, SettingsError> {
    let runs = |stage| arguments.stages.contains(&stage);
    Ok(PipelineConfig {
        normalize: runs(StageName::Normalize).then(|| {
            (
                NormalizeConfig {
                    store_command_output: arguments.normalize_store_command_output,
                    ..normalize_config(shared)
                },
                task_config(arguments.normalize_commit_interval_ms),
                Arc::clone(&shared.rules),
            )
        }),
        rollup: runs(StageName::Rollup).then(|| {
            (
                RollupConfig {
                    grace_us: arguments.grace_us(),
                    ..rollup_config(shared)
                },
                task_config(arguments.rollup_commit_interval_ms),
            )
        }),
        sink: runs(StageName::Sink)
            .then(|| sink_config(arguments))
            .transpose()?,
    })
}

/// The first signal drains, the second abandons, the third ends the process.
pub(super) async fn await_signal(stop: Control) {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut interrupt), Ok(mut terminate)) = (
        signal(SignalKind::interrupt()),
        signal(SignalKind::terminate()),
    ) else {
        tracing::warn!(
            "signals can't be caught: Ctrl-C ends the process without draining, which loses nothing"
        );
        return;
    };
    for how in [Signal::Drain, Signal::Abandon] {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        tracing::info!(?how, "stopping");
        stop.send(how);
    }
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    tracing::warn!("ending without waiting for anything, which loses nothing");
    std::process::exit(1);
}

pub(super) fn task_config(commit_interval_ms: u32) -> TaskConfig {
    TaskConfig {
        commit_interval_us: i64::from(commit_interval_ms.max(1)) * 1_000,
        ..TaskConfig::default()
    }
}

/// NORMALIZE's settings; each task fills its partition in.
pub(super) fn normalize_config(shared: &Shared) -> NormalizeConfig {
    NormalizeConfig {
        deployment: shared.kafka.deployment.clone(),
        partition: 0,
        partitions: shared.partitions,
        source_topic: shared.kafka.topic(layout::SNAPSHOTS.name),
        future_tolerance_us: shared.clock.future_tolerance_us,
        acceptance_us: shared.clock.acceptance_us,
        store_command_output: true,
        finest_grains: GroupingSet::ALL.map(|set| set.default_grains()[0]),
        max_message_bytes: MAX_OBSERVATIONS_BYTES,
    }
}

/// ROLLUP's settings; each task fills its partition in.
pub(super) fn rollup_config(shared: &Shared) -> RollupConfig {
    RollupConfig {
        deployment: shared.kafka.deployment.clone(),
        partition: 0,
        partitions: shared.partitions,
        grains: GroupingSet::ALL.map(|set| set.default_grains().to_vec()),
        grace_us: [5 * MINUTE_US, 30 * MINUTE_US, 120 * MINUTE_US],
        limits: WindowLimits::default(),
    }
}

fn sink_config(arguments: &RunArgs) -> Result<SinkConfig, SettingsError> {
    let interval = |ms: u32| Duration::from_millis(u64::from(ms));
    Ok(SinkConfig {
        postgres: arguments.settings.postgres("rollcall sink")?,
        details_interval: interval(arguments.details_flush_interval_ms),
        rollups_interval: interval(arguments.rollups_flush_interval_ms),
        details_lanes: arguments.details_lanes,
        retention: RetentionPolicy {
            details_days: arguments.retention_details_days,
            rejected_days: arguments.retention_rejected_days,
            minute_days: arguments.retention_minute_rollups_days,
            hour_days: arguments.retention_hour_rollups_days,
            day_days: arguments.retention_day_rollups_days,
        },
    })
}
