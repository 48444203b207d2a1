//! The services of the demo: a private stack, or those that the environment names.

use super::super::settings::SettingsError;
use super::screen::Screen;
use rollcall_stack::{Stack, StackOptions};
use std::net::SocketAddr;

const KAFKA: &str = "ROLLCALL_KAFKA_BROKERS";
const REGISTRY: &str = "ROLLCALL_SCHEMA_REGISTRY_URL";
const DATABASE: &str = "DATABASE_URL";

/// Running services.
pub(super) struct Services {
    /// `None`: they are somebody else's.
    stack: Option<Stack>,
    brokers: String,
    registry_url: String,
    database_url: String,
}

impl Services {
    /// Takes the services of the environment if it names all three, else starts private ones in a temporary folder.
    pub(super) fn start(screen: &Screen) -> anyhow::Result<Self> {
        let named = [KAFKA, REGISTRY, DATABASE].map(|key| std::env::var(key).ok());
        match named {
            [Some(brokers), Some(registry_url), Some(database_url)] => Ok(Self {
                stack: None,
                brokers,
                registry_url,
                database_url,
            }),
            [None, None, None] => {
                screen.say(
                    "starting Kafka, the schema registry and PostgreSQL (the first time fetches them)",
                );
                let stack = Stack::start(StackOptions::for_tests())?;
                Ok(Self {
                    brokers: stack.kafka_brokers().to_owned(),
                    registry_url: stack.registry_url(),
                    database_url: stack.database_url(),
                    stack: Some(stack),
                })
            }
            [brokers, registry, _] => {
                let missing = match (brokers, registry) {
                    (None, _) => KAFKA,
                    (_, None) => REGISTRY,
                    _ => DATABASE,
                };
                Err(SettingsError {
                    key: missing,
                    value: String::new(),
                    allowed: format!(
                        "all of {KAFKA}, {REGISTRY} and {DATABASE}, or none of them: then the demo starts its own"
                    ),
                }
                .into())
            }
        }
    }

    /// The command line of `run` on these services. Somebody else's get a deployment and topics of the demo's own.
    pub(super) fn command_line(&self) -> Vec<&str> {
        let mut line = vec![
            "rollcall",
            "--brokers",
            &self.brokers,
            "--registry-url",
            &self.registry_url,
            "--database-url",
            &self.database_url,
            "--deployment",
            "demo",
        ];
        if self.stack.is_none() {
            line.extend(["--topic-prefix", "demo-"]);
        }
        line
    }

    /// What people who want to look for themselves need.
    pub(super) fn how_to_connect(&self, http: SocketAddr) -> String {
        let Self {
            brokers,
            registry_url,
            database_url,
            ..
        } = self;
        let rollcall = std::env::current_exe()
            .map_or_else(|_| "rollcall".to_owned(), |path| path.display().to_string());
        format!(
            "Look for yourself:\n  \
             psql '{database_url}' -c 'SELECT * FROM analytics.processes LIMIT 5'\n  \
             DATABASE_URL='{database_url}' {rollcall} query --help\n  \
             Kafka            {brokers}\n  \
             schema registry  {registry_url}\n  \
             metrics, health  http://{http}/metrics /live /ready\n"
        )
    }

    /// Stops what was started here.
    pub(super) fn stop(self) -> anyhow::Result<()> {
        if let Some(stack) = self.stack {
            stack.stop()?;
        }
        Ok(())
    }
}
