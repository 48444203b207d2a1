//! `rollcall bootstrap`: topics and schemas.

use super::settings::Settings;
use crate::kafka::admin::Admin;

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
    Ok(())
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
