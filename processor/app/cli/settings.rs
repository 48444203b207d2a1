//! Settings that the commands share, from flags or the environment.

use crate::driver::Shared;
use crate::kafka::KafkaSettings;
use crate::kafka::admin::TopicOptions;
use crate::kafka::registry::Registry;
use crate::postgres::PostgresSettings;
use crate::telemetry::Telemetry;
use rollcall_stages::layout::Partitions;
use std::collections::BTreeMap;
use std::time::Duration;

/// A setting that is wrong.
#[derive(Debug, thiserror::Error)]
#[error("setting {key} = {value:?} is wrong; allowed is {allowed}")]
pub struct SettingsError {
    /// The setting.
    pub key: &'static str,
    /// What it was set to.
    pub value: String,
    /// What it may be.
    pub allowed: String,
}

/// How to reach Kafka and the registry, and the deployment's shape.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Settings {
    /// Kafka's brokers, host:port, comma-separated
    #[arg(long, env = "ROLLCALL_KAFKA_BROKERS", default_value = "127.0.0.1:9092")]
    pub(crate) brokers: String,
    /// Further client property, as security.protocol=SSL; may be repeated
    #[arg(long = "kafka-property", value_name = "KEY=VALUE")]
    pub(crate) kafka_properties: Vec<String>,
    /// The schema registry's Confluent-compatible address
    #[arg(
        long,
        env = "ROLLCALL_SCHEMA_REGISTRY_URL",
        default_value = "http://127.0.0.1:8081"
    )]
    pub(crate) registry_url: String,
    /// PostgreSQL's address: postgres://user:password@host:port/database
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    pub(crate) database_url: Option<String>,
    /// Id of the deployment: part of transactional ids and group names
    #[arg(long, env = "ROLLCALL_DEPLOYMENT", default_value = "rollcall")]
    pub(crate) deployment: String,
    /// Prefix of every topic's name
    #[arg(long, env = "ROLLCALL_TOPIC_PREFIX", default_value = "")]
    pub(crate) topic_prefix: String,
    /// Partitions of process-snapshots; fixed by bootstrap
    #[arg(long, env = "ROLLCALL_PARTITIONS_SNAPSHOTS", default_value_t = 4)]
    pub(crate) partitions_snapshots: i32,
    /// Partitions of rollup-partials; fixed by bootstrap
    #[arg(long, env = "ROLLCALL_PARTITIONS_ROLLUPS", default_value_t = 2)]
    pub(crate) partitions_rollups: i32,
    /// Replicas of new topics; -1 for the broker's default
    #[arg(long, env = "ROLLCALL_REPLICATION_FACTOR", default_value_t = -1, allow_negative_numbers = true)]
    pub(crate) replication_factor: i32,
    /// Seconds after which a silent worker counts as dead
    #[arg(long, env = "ROLLCALL_SESSION_TIMEOUT_SECONDS", default_value_t = 10)]
    pub(crate) session_timeout_seconds: u64,
    /// Seconds after which the broker ends an abandoned transaction
    #[arg(
        long,
        env = "ROLLCALL_TRANSACTION_TIMEOUT_SECONDS",
        default_value_t = 10
    )]
    pub(crate) transaction_timeout_seconds: u64,
    /// What to log: error, warn, info, debug, trace, or a tracing filter
    #[arg(long, env = "ROLLCALL_LOG_LEVEL", default_value = "info")]
    pub(crate) log_level: String,
}

/// Properties that are ours to set: exactly-once rests on them.
const OWNED: [&str; 7] = [
    "transactional.id",
    "group.id",
    "enable.auto.commit",
    "enable.idempotence",
    "isolation.level",
    "auto.offset.reset",
    "partition.assignment.strategy",
];

impl Settings {
    /// The partition counts.
    pub(crate) fn partitions(&self) -> Result<Partitions, SettingsError> {
        let check = |key, value: i32| match value {
            1..=10_000 => Ok(value),
            _ => Err(SettingsError {
                key,
                value: value.to_string(),
                allowed: "1 to 10000".to_owned(),
            }),
        };
        Ok(Partitions {
            snapshots: check("partitions-snapshots", self.partitions_snapshots)?,
            rollups: check("partitions-rollups", self.partitions_rollups)?,
        })
    }

    /// How to reach Kafka.
    pub(crate) fn kafka(&self) -> Result<KafkaSettings, SettingsError> {
        let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if self.deployment.is_empty()
            || self.deployment.len() > 100
            || !self.deployment.chars().all(word)
        {
            return Err(SettingsError {
                key: "deployment",
                value: self.deployment.clone(),
                allowed: "1 to 100 letters, digits, '-', '_' and '.'".to_owned(),
            });
        }
        let seconds = |key, value: u64| match value {
            2..=300 => Ok(Duration::from_secs(value)),
            _ => Err(SettingsError {
                key,
                value: value.to_string(),
                allowed: "2 to 300".to_owned(),
            }),
        };
        Ok(KafkaSettings {
            brokers: self.brokers.clone(),
            properties: self.properties()?,
            topic_prefix: self.topic_prefix.clone(),
            deployment: self.deployment.clone(),
            session_timeout: seconds("session-timeout-seconds", self.session_timeout_seconds)?,
            transaction_timeout: seconds(
                "transaction-timeout-seconds",
                self.transaction_timeout_seconds,
            )?,
        })
    }

    fn properties(&self) -> Result<BTreeMap<String, String>, SettingsError> {
        self.kafka_properties
            .iter()
            .map(|property| {
                let wrong = |allowed: String| SettingsError {
                    key: "kafka-property",
                    value: property.clone(),
                    allowed,
                };
                let (key, value) = property
                    .split_once('=')
                    .ok_or_else(|| wrong("KEY=VALUE".to_owned()))?;
                if OWNED.contains(&key) {
                    return Err(wrong(format!(
                        "any property but those that rollcall sets itself: {}",
                        OWNED.join(", ")
                    )));
                }
                Ok((key.to_owned(), value.to_owned()))
            })
            .collect()
    }

    /// What new topics are made with.
    pub(crate) fn topic_options(&self) -> Result<TopicOptions, SettingsError> {
        const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);
        Ok(TopicOptions {
            partitions: self.partitions()?,
            replication: self.replication_factor,
            raw_retention: WEEK,
            derived_retention: WEEK,
        })
    }

    /// How to reach PostgreSQL, for connections of this name.
    pub(crate) fn postgres(
        &self,
        application_name: &str,
    ) -> Result<PostgresSettings, SettingsError> {
        let url = self.database_url.as_deref().unwrap_or_default();
        if !(url.starts_with("postgres://") || url.starts_with("postgresql://")) {
            return Err(SettingsError {
                key: "database-url",
                // It may hold a password.
                value: if url.is_empty() { "" } else { "(hidden)" }.to_owned(),
                allowed:
                    "postgres://user:password@host:port/database, by --database-url or DATABASE_URL"
                        .to_owned(),
            });
        }
        Ok(PostgresSettings::new(url, application_name))
    }

    /// What all threads share. Must not be called on an async thread.
    pub(crate) fn shared(&self) -> anyhow::Result<Shared> {
        let kafka = self.kafka()?;
        let registry = Registry::new(&self.registry_url, None, &self.topic_prefix)?;
        Ok(Shared {
            kafka,
            registry,
            partitions: self.partitions()?,
            telemetry: Telemetry::default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Only {
        #[command(flatten)]
        settings: Settings,
    }

    #[track_caller]
    fn check(arguments: &[&str], expect: &str) {
        let settings = Only::parse_from([&["test"], arguments].concat()).settings;
        let error = settings
            .kafka()
            .map(|_| ())
            .and_then(|()| settings.partitions().map(|_| ()));
        assert_eq!(
            error.map_err(|error| error.to_string()),
            Err(expect.to_owned())
        );
    }

    #[test]
    fn wrong_settings_name_key_value_and_what_is_allowed() {
        check(
            &["--partitions-rollups", "0"],
            "setting partitions-rollups = \"0\" is wrong; allowed is 1 to 10000",
        );
        check(
            &["--deployment", "a b"],
            "setting deployment = \"a b\" is wrong; allowed is 1 to 100 letters, digits, '-', '_' and '.'",
        );
        check(
            &["--session-timeout-seconds", "1"],
            "setting session-timeout-seconds = \"1\" is wrong; allowed is 2 to 300",
        );
        check(
            &["--kafka-property", "x"],
            "setting kafka-property = \"x\" is wrong; allowed is KEY=VALUE",
        );
    }

    #[test]
    fn what_exactly_once_rests_on_can_not_be_set() {
        let settings = Only::parse_from([
            "test",
            "--kafka-property",
            "isolation.level=read_uncommitted",
        ])
        .settings;
        assert!(settings.kafka().is_err());
    }
}
