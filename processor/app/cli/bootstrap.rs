//! `rollcall bootstrap`: topics, schemas and migrations.

use super::settings::Settings;
use crate::clock::wall_clock;
use crate::driver::Shared;
use crate::kafka::admin::{Admin, AdminError, TopicOptions};
use crate::postgres::{
    PostgresError, PostgresSettings, Session, check_deployment, create_partitions_ahead, migrate,
    pending_migrations,
};
use rollcall_driver::ports::DatabaseError;
use rollcall_stages::layout::Partitions;
use std::time::Duration;

/// What was made; what was there already is checked and left as it is.
pub(super) struct Made {
    /// Topics, by name.
    pub(super) topics: Vec<String>,
    /// How many migrations were applied; `None`: no database was given.
    pub(super) migrations: Option<usize>,
}

/// Makes what is missing, checks what is there, and says so.
pub(crate) fn bootstrap(settings: &Settings) -> anyhow::Result<()> {
    settings.init_logging()?;
    let database = settings
        .database_url
        .is_some()
        .then(|| settings.postgres("rollcall bootstrap"))
        .transpose()?;
    let made = prepare(
        &settings.shared()?,
        &settings.topic_options()?,
        database.as_ref(),
    )?;
    match made.topics.len() {
        0 => println!("topics: all there"),
        count => println!("topics: {count} made ({})", made.topics.join(", ")),
    }
    println!("schemas: registered at {}", settings.registry_url);
    match made.migrations {
        None => {
            println!("database: left alone, for no --database-url or DATABASE_URL is given");
        }
        Some(0) => println!("database: up to date"),
        Some(count) => println!("database: {count} migrations applied"),
    }
    Ok(())
}

/// Makes what is missing, checks what is there. Must not be called on an async thread.
pub(super) fn prepare(
    shared: &Shared,
    options: &TopicOptions,
    database: Option<&PostgresSettings>,
) -> anyhow::Result<Made> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    // First, so that a mistaken address makes nothing.
    if let Some(database) = database {
        runtime.block_on(refuse_another(database, &shared.kafka.deployment))?;
    }
    let topics = runtime.block_on(async {
        let admin = Admin::new(&shared.kafka)?;
        let made = admin.create_topics(options).await?;
        await_topics(&admin, options.partitions).await?;
        Ok::<_, AdminError>(made)
    })?;
    shared.registry.register_all()?;
    let migrations = database
        .map(|database| runtime.block_on(prepare_database(database)))
        .transpose()?;
    Ok(Made { topics, migrations })
}

/// Refuses a database of another deployment.
async fn refuse_another(
    settings: &PostgresSettings,
    deployment: &str,
) -> Result<(), DatabaseError> {
    let mut session = Session::connect(settings).await?;
    check_deployment(&mut session, deployment, "prepare the database").await?;
    session.close().await;
    Ok(())
}

/// Applies what is missing, and makes partitions for today and the next time. How many migrations were applied.
async fn prepare_database(settings: &PostgresSettings) -> Result<usize, PostgresError> {
    let mut session = Session::connect(settings).await?;
    let pending = pending_migrations(&mut session).await?.len();
    migrate(&mut session).await?;
    create_partitions_ahead(&mut session, wall_clock()).await?;
    session.close().await;
    Ok(pending)
}

/// A new topic takes a moment to show in every broker's metadata.
async fn await_topics(admin: &Admin<'_>, partitions: Partitions) -> Result<(), AdminError> {
    let mut attempts = 0;
    loop {
        match admin.check_topics(partitions).await {
            Err(AdminError::Missing { .. }) if attempts < 100 => {
                attempts += 1;
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            checked => return checked,
        }
    }
}
