//! Looks at the services from time to time: whether they answer, and where the logs begin and end that are worked on
//! here. Threads of their own, so that a service that hangs holds up no stage and no other look.
//!
//! Nothing here is needed for correct tables.

use super::Shared;
use super::{Control, Signal};
use crate::clock::{elapsed_us, wall_clock};
use crate::kafka::admin::Admin;
use crate::kafka::fetch::Fetcher;
use crate::postgres::{PostgresSettings, Session};
use rollcall_stages::layout;
use std::time::Duration;

/// Between two looks.
const EVERY_US: i64 = 2_000_000;
/// How soon a signal is noticed.
const STEP: Duration = Duration::from_millis(50);
/// How long one answer may take.
const ANSWER: Duration = Duration::from_secs(3);
/// How often topics are asked for how long they keep records.
const RETENTION_EVERY_US: i64 = 300_000_000;

/// Calls `look` every two seconds until `stop` says otherwise.
fn repeat(stop: &Control, mut look: impl FnMut()) {
    let mut next_us = elapsed_us();
    while stop.signal() == Signal::Run {
        if elapsed_us() >= next_us {
            look();
            next_us = elapsed_us() + EVERY_US;
        }
        std::thread::sleep(STEP);
    }
}

/// Watches Kafka.
pub(super) fn watch_kafka(shared: &Shared, stop: &Control) {
    let (fetcher, admin) = match (
        Fetcher::new(&shared.kafka, "watch"),
        Admin::new(&shared.kafka),
    ) {
        (Ok(fetcher), Ok(admin)) => (fetcher, admin),
        (Err(error), _) => {
            return tracing::error!(%error, "Kafka can't be watched: no lag is measured");
        }
        (_, Err(error)) => {
            return tracing::error!(%error, "Kafka can't be watched: no lag is measured");
        }
    };
    let Some(runtime) = runtime() else { return };
    let mut retention_at_us = 0;
    repeat(stop, || {
        let answered = look_at_logs(shared, &fetcher);
        if answered && elapsed_us() >= retention_at_us {
            let answered = look_at_retention(shared, &admin, &runtime);
            retention_at_us = elapsed_us() + if answered { RETENTION_EVERY_US } else { 0 };
        }
    });
}

/// Whether Kafka answered.
fn look_at_logs(shared: &Shared, fetcher: &Fetcher) -> bool {
    let raw = shared.kafka.topic(layout::SNAPSHOTS.name);
    // The raw topic's first partition tells whether Kafka answers, also where nothing is worked on.
    let mut trouble = fetcher.watermarks(&raw, 0, ANSWER).err();
    for (place, topic) in shared.telemetry.places.watched() {
        if trouble.is_some() {
            break;
        }
        match fetcher.watermarks(&topic, place.1, ANSWER) {
            Ok((begin, end)) => {
                shared
                    .telemetry
                    .places
                    .saw_log(place, begin, end, wall_clock().as_micros())
            }
            Err(error) => trouble = Some(error),
        }
    }
    let trouble = trouble.map(|error| format!("{} does not answer: {error}", shared.kafka.brokers));
    note(shared, "kafka", trouble)
}

/// Whether it is known of all topics.
fn look_at_retention(
    shared: &Shared,
    admin: &Admin<'_>,
    runtime: &tokio::runtime::Runtime,
) -> bool {
    let mut answered = true;
    for topic in layout::TOPICS.iter().filter(|topic| !topic.compacted) {
        let topic = shared.kafka.topic(topic.name);
        match runtime.block_on(admin.retention_ms(&topic)) {
            Ok(kept) => shared.telemetry.places.saw_retention(&topic, kept),
            Err(error) => {
                tracing::debug!(%error, topic, "its retention is not known yet");
                answered = false;
            }
        }
    }
    answered
}

/// Watches the registry.
pub(super) fn watch_registry(shared: &Shared, stop: &Control) {
    repeat(stop, || {
        let asked = shared.registry.ping();
        note(
            shared,
            "registry",
            asked.err().map(|error| error.to_string()),
        );
    });
}

/// Watches PostgreSQL.
pub(super) fn watch_postgres(settings: &PostgresSettings, shared: &Shared, stop: &Control) {
    let Some(runtime) = runtime() else { return };
    let settings = PostgresSettings {
        application_name: format!("rollcall {} watch", shared.kafka.deployment),
        ..settings.clone()
    };
    let mut session = None;
    repeat(stop, || {
        let found = runtime.block_on(ask(&settings, session.take()));
        let trouble = match found {
            Ok(answered) => {
                session = Some(answered);
                None
            }
            Err(trouble) => Some(trouble),
        };
        note(shared, "postgres", trouble);
    });
}

/// A session that has just answered. One that doesn't is dropped: it may be half-way through anything.
async fn ask(settings: &PostgresSettings, session: Option<Session>) -> Result<Session, String> {
    let asked = async {
        let mut session = match session {
            Some(session) => session,
            None => Session::connect(settings).await?,
        };
        session.ping().await?;
        Ok::<_, crate::postgres::PostgresError>(session)
    };
    match tokio::time::timeout(ANSWER, asked).await {
        Ok(Ok(session)) => Ok(session),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("it does not answer within {ANSWER:?}")),
    }
}

/// Notes an answer; a change is worth a line. Whether the service answers.
fn note(shared: &Shared, service: &'static str, trouble: Option<String>) -> bool {
    let answers = trouble.is_none();
    if shared.telemetry.health.service(service, trouble.clone()) {
        match trouble {
            None => tracing::info!(service, "the service answers"),
            Some(trouble) => tracing::warn!(service, trouble, "the service does not answer"),
        }
    }
    answers
}

fn runtime() -> Option<tokio::runtime::Runtime> {
    let built = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    built
        .inspect_err(|error| tracing::error!(%error, "services can't be watched"))
        .ok()
}
