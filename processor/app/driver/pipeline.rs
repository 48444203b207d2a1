//! The stages of this process: started together, stopped together.
//!
//! A stage that can't go on takes the others down in order, rather than run half a pipeline.

use super::Shared;
use super::sink::{SinkConfig, expect_sink, run_sink};
use super::watch::{watch_kafka, watch_postgres, watch_registry};
use super::world::{World, ready};
use super::{Backoff, Control, Signal, back_off};
use crate::kafka::admin::{Admin, AdminError};
use crate::kafka::directory::DirectoryReader;
use rollcall_driver::{NormalizeKind, RollupKind, SharedDirectory, StageKind, run_stage};
use rollcall_engine::task::TaskConfig;
use rollcall_normalize::ApplicationRules;
use rollcall_stages::{NormalizeConfig, RollupConfig, layout};
use std::sync::Arc;
use std::time::Duration;

/// How often Kafka is asked again for topics that are not there.
const AGAIN: Duration = Duration::from_secs(1);

/// What runs here; `None` runs elsewhere.
#[derive(Clone, Debug)]
pub struct PipelineConfig {
    /// NORMALIZE's settings, when its tasks commit, and the application names.
    pub normalize: Option<(NormalizeConfig, TaskConfig, Arc<ApplicationRules>)>,
    /// ROLLUP's settings, and when its tasks commit.
    pub rollup: Option<(RollupConfig, TaskConfig)>,
    /// SINK's settings.
    pub sink: Option<SinkConfig>,
}

/// Waits for the topics, then runs the stages until `stop` says otherwise, then drains them. Must not be called on an
/// async thread.
///
/// # Errors
/// What only a person can mend, as topics of another shape.
pub fn run_pipeline(
    config: &PipelineConfig,
    shared: &Shared,
    stop: &Control,
) -> anyhow::Result<()> {
    expect(config, shared);
    if !await_topics(shared, stop)? {
        return Ok(());
    }
    let directory = SharedDirectory::default();
    std::thread::scope(|scope| {
        let mut threads = Vec::new();
        scope.spawn(|| watch_kafka(shared, stop));
        scope.spawn(|| watch_registry(shared, stop));
        if let Some(sink) = &config.sink {
            scope.spawn(|| watch_postgres(&sink.postgres, shared, stop));
        }
        if let Some((config, task, rules)) = &config.normalize {
            let kind = Arc::new(NormalizeKind {
                config: config.clone(),
                task: *task,
                rules: Arc::clone(rules),
                directory: directory.clone(),
            });
            scope.spawn(move || follow_directory(&directory, shared, stop));
            threads.push(scope.spawn(move || run_kind(&kind, shared, stop)));
        }
        if let Some((config, task)) = &config.rollup {
            let kind = Arc::new(RollupKind {
                config: config.clone(),
                task: *task,
            });
            threads.push(scope.spawn(move || run_kind(&kind, shared, stop)));
        }
        if let Some(config) = &config.sink {
            threads.push(scope.spawn(move || {
                let ended = run_sink(config, shared, stop);
                stop.send(Signal::Drain);
                ended
            }));
        }
        let ended = threads.into_iter().map(|thread| match thread.join() {
            Ok(ended) => ended,
            Err(_) => Err(anyhow::anyhow!("a stage's thread panicked; see the log")),
        });
        // All are joined, whatever the first one says.
        ended.fold(Ok(()), anyhow::Result::and)
    })
}

/// Tells readiness what is to run here.
fn expect(config: &PipelineConfig, shared: &Shared) {
    let health = &shared.telemetry.health;
    health.service("kafka", Some("not asked yet".to_owned()));
    health.service("registry", Some("not asked yet".to_owned()));
    if config.normalize.is_some() {
        health.expect(layout::NORMALIZE, 1);
    }
    if config.rollup.is_some() {
        health.expect(layout::ROLLUP, 1);
    }
    if let Some(sink) = &config.sink {
        health.service("postgres", Some("not asked yet".to_owned()));
        expect_sink(sink, health);
    }
}

fn run_kind<K: StageKind>(kind: &Arc<K>, shared: &Shared, stop: &Control) -> anyhow::Result<()> {
    let ended = ready(run_stage(kind, &World::new(shared), stop));
    stop.send(Signal::Drain);
    ended
}

/// Keeps the directory up to date until told to stop.
fn follow_directory(directory: &SharedDirectory, shared: &Shared, stop: &Control) {
    let mut backoff = Backoff::new();
    while stop.signal() == Signal::Run {
        let followed = DirectoryReader::open(&shared.kafka).and_then(|mut reader| {
            while stop.signal() == Signal::Run {
                if let Some(users) = reader.step(&shared.registry)? {
                    directory.publish(users);
                    backoff.reset();
                }
            }
            Ok(())
        });
        if let Err(error) = followed {
            let error = format!("{error:#}");
            tracing::warn!(error, "directory-users can't be read; trying again");
            back_off(&mut backoff, stop);
        }
    }
}

/// Waits until the topics are there and right; `false`: asked to stop before. What only a person can mend is an
/// error at once.
fn await_topics(shared: &Shared, stop: &Control) -> anyhow::Result<bool> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let admin = Admin::new(&shared.kafka)?;
    tracing::info!(
        brokers = shared.kafka.brokers,
        registry = shared.registry.url(),
        "looking for Kafka and its topics"
    );
    while stop.signal() == Signal::Run {
        match runtime.block_on(admin.check_topics(shared.partitions)) {
            Ok(()) => return Ok(true),
            Err(error @ (AdminError::Away { .. } | AdminError::Missing { .. })) => {
                tracing::warn!(%error, "waiting for Kafka");
                let health = &shared.telemetry.health;
                health.service("kafka", Some(error.to_string()));
                std::thread::sleep(AGAIN);
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(false)
}

/// The compiler's check that kinds may be shared between threads.
const _: fn() = || {
    fn shared<K: StageKind>() {}
    shared::<NormalizeKind>();
    shared::<RollupKind>();
};
