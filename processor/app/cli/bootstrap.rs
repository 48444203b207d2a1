//! `rollcall bootstrap`: topics, schemas and migrations.

use super::settings::Settings;
use crate::kafka::admin::Admin;
use crate::postgres::{Session, create_partitions_ahead, migrate, pending_migrations};
use rollcall_domain::Timestamp;

/// Makes what is missing, checks what is there.
pub(crate) fn bootstrap(settings: &Settings) -> anyhow::Result<()> {
    super::init_logging(&settings.log_level)?;
    let shared = settings.shared()?;
    let options = settings.topic_options()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let made = runtime.block_on(async {
        let admin = Admin::new(&shared.kafka)?;
        let made = admin.create_topics(&options).await?;
        await_topics(&admin, options.partitions).await?;
        Ok::<_, crate::kafka::admin::AdminError>(made)
    })?;
    match made.len() {
        0 => println!("topics: all there"),
        count => println!("topics: {count} made ({})", made.join(", ")),
    }
    shared.registry.register_all()?;
    println!("schemas: registered at {}", settings.registry_url);
    if settings.database_url.is_none() {
        println!("database: left alone, for no --database-url or DATABASE_URL is given");
        return Ok(());
    }
    match runtime.block_on(migrate_database(settings))? {
        0 => println!("database: up to date"),
        count => println!("database: {count} migrations applied"),
    }
    Ok(())
}

/// Applies what is missing, and makes partitions for today and the next time. How many migrations were applied.
async fn migrate_database(settings: &Settings) -> anyhow::Result<usize> {
    let mut session = Session::connect(&settings.postgres("rollcall bootstrap")?).await?;
    let pending = pending_migrations(&mut session).await?.len();
    migrate(&mut session).await?;
    let now = Timestamp::from_micros(jiff::Timestamp::now().as_microsecond());
    create_partitions_ahead(&mut session, now).await?;
    session.close().await;
    Ok(pending)
}

/// A new topic takes a moment to show in every broker's metadata.
async fn await_topics(
    admin: &Admin<'_>,
    partitions: rollcall_stages::layout::Partitions,
) -> Result<(), crate::kafka::admin::AdminError> {
    let mut attempts = 0;
    loop {
        match admin.check_topics(partitions).await {
            Err(crate::kafka::admin::AdminError::Missing { .. }) if attempts < 100 => {
                attempts += 1;
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
            checked => return checked,
        }
    }
}
