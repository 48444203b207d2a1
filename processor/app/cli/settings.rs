//! Settings that the commands share. The doc of each argument is its line in the table of settings.

use crate::driver::{ClockRules, Shared};
use crate::kafka::KafkaSettings;
use crate::kafka::admin::TopicOptions;
use crate::kafka::client::{canonical, instead_of};
use crate::kafka::registry::Registry;
use crate::postgres::PostgresSettings;
use crate::telemetry::Telemetry;
use crate::telemetry::logging::LogFormat;
use rollcall_domain::time::{DAY_US, SECOND_US};
use rollcall_normalize::ApplicationRules;
use rollcall_stages::layout::Partitions;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
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
    /// Further property of librdkafka's clients, as security.protocol=SASL_SSL; may be repeated, in the environment with ; between
    #[arg(
        long = "kafka-property",
        env = "ROLLCALL_KAFKA_PROPERTIES",
        value_delimiter = ';',
        value_name = "KEY=VALUE"
    )]
    pub(crate) kafka_properties: Vec<String>,
    /// Password of sasl.username (PLAIN, SCRAM)
    #[arg(long, env = "ROLLCALL_KAFKA_SASL_PASSWORD", hide_env_values = true)]
    pub(crate) kafka_sasl_password: Option<String>,
    /// Password of ssl.key.location
    #[arg(long, env = "ROLLCALL_KAFKA_SSL_KEY_PASSWORD", hide_env_values = true)]
    pub(crate) kafka_ssl_key_password: Option<String>,
    /// The schema registry's Confluent-compatible address
    #[arg(
        long,
        env = "ROLLCALL_SCHEMA_REGISTRY_URL",
        default_value = "http://127.0.0.1:8081"
    )]
    pub(crate) registry_url: String,
    /// Who we are to the registry, where it asks
    #[arg(long, env = "ROLLCALL_REGISTRY_USERNAME")]
    pub(crate) registry_username: Option<String>,
    /// The password of that user
    #[arg(long, env = "ROLLCALL_REGISTRY_PASSWORD", hide_env_values = true)]
    pub(crate) registry_password: Option<String>,
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
    /// Hours for which bootstrap has Kafka keep raw snapshots
    #[arg(long, env = "ROLLCALL_TOPIC_RAW_RETENTION_HOURS", default_value_t = 168, value_parser = clap::value_parser!(u32).range(1..=876_000))]
    pub(crate) topic_raw_retention_hours: u32,
    /// The same of normalized snapshots, rollups and dead letters: at least as long as raw ones
    #[arg(long, env = "ROLLCALL_TOPIC_DERIVED_RETENTION_HOURS", default_value_t = 168, value_parser = clap::value_parser!(u32).range(1..=876_000))]
    pub(crate) topic_derived_retention_hours: u32,
    /// Seconds that a producer's clock may be ahead of the broker's; beyond, a snapshot counts for when it arrived
    #[arg(long, env = "ROLLCALL_NORMALIZE_FUTURE_TOLERANCE_SECONDS", default_value_t = 300, value_parser = clap::value_parser!(u32).range(0..=86_400))]
    pub(crate) normalize_future_tolerance_seconds: u32,
    /// Days after which a snapshot that arrives late is too old, and rejected
    #[arg(long, env = "ROLLCALL_NORMALIZE_ACCEPTANCE_DAYS", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=3_650))]
    pub(crate) normalize_acceptance_days: u32,
    /// File of rules that name applications, laid over the built-in ones; processor/normalize/RULES.md says how to write it
    #[arg(
        long,
        env = "ROLLCALL_NORMALIZE_APPLICATION_RULES",
        value_name = "FILE"
    )]
    pub(crate) application_rules: Option<PathBuf>,
    /// Seconds after which a silent worker counts as dead
    #[arg(long, env = "ROLLCALL_SESSION_TIMEOUT_SECONDS", default_value_t = 10)]
    pub(crate) session_timeout_seconds: u64,
    /// Seconds after which the broker ends a transaction that nobody claims
    #[arg(
        long,
        env = "ROLLCALL_TRANSACTION_TIMEOUT_SECONDS",
        default_value_t = 60
    )]
    pub(crate) transaction_timeout_seconds: u64,
    /// What to log: error, warn, info, debug, trace, or a tracing filter
    #[arg(long, env = "ROLLCALL_LOG_LEVEL", default_value = "info")]
    pub(crate) log_level: String,
    /// How log lines look: text for people, json for machines
    #[arg(long, env = "ROLLCALL_LOG_FORMAT", value_enum, default_value_t)]
    pub(crate) log_format: LogFormat,
}

/// More upstreams than this a ROLLUP task can't follow.
const PARTITIONS_MAX: i32 = rollcall_engine::limits::MAX_UPSTREAMS as i32;

impl Settings {
    /// The partition counts.
    pub(crate) fn partitions(&self) -> Result<Partitions, SettingsError> {
        let check = |key, value: i32| match value {
            1..=PARTITIONS_MAX => Ok(value),
            _ => Err(SettingsError {
                key,
                value: value.to_string(),
                allowed: format!("1 to {PARTITIONS_MAX}"),
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
        let settings = KafkaSettings {
            brokers: self.brokers.clone(),
            properties: self.properties()?,
            topic_prefix: self.topic_prefix.clone(),
            deployment: self.deployment.clone(),
            session_timeout: seconds("session-timeout-seconds", self.session_timeout_seconds)?,
            transaction_timeout: seconds(
                "transaction-timeout-seconds",
                self.transaction_timeout_seconds,
            )?,
        };
        settings.check().map_err(|said| SettingsError {
            key: "kafka-property",
            value: self.shown_properties(),
            allowed: format!("what this build of librdkafka takes ({said})"),
        })?;
        Ok(settings)
    }

    /// Begins logging to stderr, and says what was odd about the settings.
    pub(crate) fn init_logging(&self) -> Result<(), SettingsError> {
        super::init_logging(&self.log_level, self.log_format)
    }

    fn properties(&self) -> Result<BTreeMap<String, String>, SettingsError> {
        let secrets = [
            ("sasl.password", &self.kafka_sasl_password),
            ("ssl.key.password", &self.kafka_ssl_key_password),
        ];
        let secrets = secrets
            .into_iter()
            .filter_map(|(key, value)| Some((key.to_owned(), value.clone()?)));
        let mut properties = self.plain_properties()?;
        properties.extend(secrets);
        Ok(properties)
    }

    /// For people: without secrets.
    fn shown_properties(&self) -> String {
        let shown: Vec<String> = self
            .kafka_properties
            .iter()
            .map(|property| hide_secret(property))
            .collect();
        shown.join(";")
    }

    fn plain_properties(&self) -> Result<BTreeMap<String, String>, SettingsError> {
        self.kafka_properties
            .iter()
            .map(|property| {
                let wrong = |allowed: String| SettingsError {
                    key: "kafka-property",
                    value: hide_secret(property),
                    allowed,
                };
                let (key, value) = property
                    .split_once('=')
                    .ok_or_else(|| wrong("KEY=VALUE".to_owned()))?;
                match instead_of(key) {
                    Some(allowed) => Err(wrong(allowed)),
                    None => Ok((canonical(key).to_owned(), value.to_owned())),
                }
            })
            .collect()
    }

    /// What new topics are made with.
    pub(crate) fn topic_options(&self) -> Result<TopicOptions, SettingsError> {
        let (raw, derived) = (
            self.topic_raw_retention_hours,
            self.topic_derived_retention_hours,
        );
        if derived < raw {
            return Err(SettingsError {
                key: "topic-derived-retention-hours",
                value: derived.to_string(),
                allowed: format!(
                    "topic-raw-retention-hours ({raw}) or more: what is read later must be there as long"
                ),
            });
        }
        let hours = |hours: u32| Duration::from_secs(u64::from(hours) * 3_600);
        Ok(TopicOptions {
            partitions: self.partitions()?,
            replication: self.replication_factor,
            raw_retention: hours(raw),
            derived_retention: hours(derived),
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

    /// The rules that name applications.
    pub(super) fn rules(&self) -> Result<ApplicationRules, SettingsError> {
        application_rules(self.application_rules.as_deref())
    }

    /// Whether each setting is right by itself; nobody is asked.
    pub(super) fn check(&self) -> Result<(), SettingsError> {
        super::log_filter(&self.log_level)?;
        self.kafka()?;
        self.partitions()?;
        self.topic_options()?;
        self.registry_address()?;
        self.registry_login()?;
        self.rules()?;
        match self.database_url {
            None => Ok(()),
            Some(_) => self.postgres("check").map(|_| ()),
        }
    }

    /// What all threads share. Must not be called on an async thread.
    pub(crate) fn shared(&self) -> anyhow::Result<Shared> {
        let kafka = self.kafka()?;
        let registry = Registry::new(
            self.registry_address()?,
            self.registry_login()?,
            &self.topic_prefix,
        )?;
        Ok(Shared {
            kafka,
            registry,
            partitions: self.partitions()?,
            clock: ClockRules {
                future_tolerance_us: i64::from(self.normalize_future_tolerance_seconds) * SECOND_US,
                acceptance_us: i64::from(self.normalize_acceptance_days) * DAY_US,
            },
            rules: Arc::new(self.rules()?),
            telemetry: Telemetry::default(),
        })
    }

    /// Without a login, which would be shown wherever the address is.
    fn registry_address(&self) -> Result<&str, SettingsError> {
        let authority = self.registry_url.split_once("://").map(|(scheme, rest)| {
            let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
            (scheme, &rest[..end])
        });
        let wrong = |value: &str, allowed: &str| SettingsError {
            key: "registry-url",
            value: value.to_owned(),
            allowed: allowed.to_owned(),
        };
        match authority {
            Some(("http" | "https", place)) if place.contains('@') => Err(wrong(
                "(hidden)",
                "an address without a login, which registry-username and registry-password give",
            )),
            Some(("http" | "https", place)) if !place.is_empty() => Ok(&self.registry_url),
            _ => Err(wrong(
                &self.registry_url,
                "http://host:port or https://host:port",
            )),
        }
    }

    fn registry_login(&self) -> Result<Option<(String, String)>, SettingsError> {
        match (&self.registry_username, &self.registry_password) {
            (Some(username), Some(password)) => Ok(Some((username.clone(), password.clone()))),
            (None, None) => Ok(None),
            (None, Some(_)) => Err(SettingsError {
                key: "registry-username",
                value: String::new(),
                allowed: "a name, where registry-password is set".to_owned(),
            }),
            (Some(_), None) => Err(SettingsError {
                key: "registry-password",
                value: String::new(),
                allowed: "a password, where registry-username is set".to_owned(),
            }),
        }
    }
}

/// The built-in rules that name applications, with those of a file over them.
pub(super) fn application_rules(file: Option<&Path>) -> Result<ApplicationRules, SettingsError> {
    let Some(file) = file else {
        return Ok(ApplicationRules::builtin());
    };
    let wrong = |why: &dyn std::fmt::Display| SettingsError {
        key: "application-rules",
        value: file.display().to_string(),
        allowed: format!("a file of application rules ({why})"),
    };
    let text = std::fs::read_to_string(file).map_err(|error| wrong(&error))?;
    ApplicationRules::from_toml(&text).map_err(|error| wrong(&error))
}

/// A client property or an address without what is for nobody's eyes.
pub(super) fn hide_secret(property: &str) -> String {
    if let Some((scheme, rest)) = property.split_once("://")
        && let Some((_, place)) = rest.rsplit_once('@')
    {
        return format!("{scheme}://(hidden)@{place}");
    }
    match property.split_once('=') {
        Some((key, _))
            if ["password", "secret", "token", "pem", "jaas", "config"]
                .iter()
                .any(|word| key.contains(word)) =>
        {
            format!("{key}=(hidden)")
        }
        _ => property.to_owned(),
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
            "setting partitions-rollups = \"0\" is wrong; allowed is 1 to 4096",
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
        for property in [
            "isolation.level",
            "acks",
            "request.required.acks",
            "message.max.bytes",
        ] {
            let property = format!("{property}=1");
            let settings = Only::parse_from(["test", "--kafka-property", &property]).settings;
            let error = settings.kafka().expect_err("ours to set").to_string();
            assert!(error.contains("exactly-once"), "{property}: {error}");
        }
        check(
            &["--kafka-property", "session.timeout.ms=5000"],
            "setting kafka-property = \"session.timeout.ms=5000\" is wrong; allowed is the setting \
             session-timeout-seconds in its stead",
        );
    }

    #[test]
    fn wrong_rules_name_the_file_and_the_line() {
        let folder = tempfile::tempdir().expect("a folder");
        let check = |text: &str, expect: &str| {
            let path = folder.path().join("rules.toml");
            std::fs::write(&path, text).expect("written");
            let error = application_rules(Some(&path)).expect_err("wrong");
            let said = error
                .to_string()
                .replace(folder.path().to_str().expect("text"), "");
            assert_eq!(
                said,
                format!("setting application-rules = \"/rules.toml\" is wrong; {expect}")
            );
        };
        check(
            "[applications]\nexam = [\"Safe Exam\"]",
            "allowed is a file of application rules (applications.exam has \"Safe Exam\"; allowed is a name in lower case, \
             without .exe, of 1 to 64 bytes)",
        );
        check(
            "\n[applications",
            "allowed is a file of application rules (line 2: unclosed table, expected `]`)",
        );
        let gone = folder.path().join("gone.toml");
        let error = application_rules(Some(&gone))
            .expect_err("gone")
            .to_string();
        assert!(
            error.contains(
                "gone.toml\" is wrong; allowed is a file of application rules (No such file"
            ),
            "{error}"
        );
    }

    #[test]
    fn a_property_is_known_by_one_name() {
        let settings =
            Only::parse_from(["test", "--kafka-property", "queue.buffering.max.ms=7"]).settings;
        let properties = settings.kafka().expect("good").properties;
        assert_eq!(properties.get("linger.ms").map(String::as_str), Some("7"));
    }
}
