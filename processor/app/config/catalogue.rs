//! Every setting that there is, read off the command line's own definition.

use clap::{Arg, ArgAction, Command};
use std::collections::BTreeMap;

/// One setting.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Setting {
    /// Its name in the file, with its section.
    pub key: String,
    /// Its flag, without the dashes.
    pub flag: String,
    /// Its environment variable.
    pub environment: String,
    /// Its default, where it has one.
    pub default: Option<String>,
    /// What it is.
    pub help: String,
    /// Whether it is never printed, and may be read from a file of its own.
    pub secret: bool,
    /// Whether it may be given several times.
    pub many: bool,
}

/// Names in the file that do not follow from the flag.
const KEYS: [(&str, &str); 6] = [
    ("application-rules", "normalize.application_rules"),
    ("brokers", "kafka.brokers"),
    ("kafka-property", "kafka.properties"),
    ("session-timeout-seconds", "kafka.session_timeout_seconds"),
    (
        "transaction-timeout-seconds",
        "kafka.transaction_timeout_seconds",
    ),
    ("replication-factor", "topic.replication_factor"),
];

/// The variable that names the file itself.
pub const CONFIG_VARIABLE: &str = "ROLLCALL_CONFIG";

/// All settings, by their key.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Catalogue(BTreeMap<String, Setting>);

impl Catalogue {
    /// The settings of all commands.
    #[must_use]
    pub fn of(command: &Command) -> Self {
        let mut found = BTreeMap::new();
        for subcommand in command.get_subcommands() {
            for setting in subcommand.get_arguments().filter_map(Setting::of) {
                found.entry(setting.key.clone()).or_insert(setting);
            }
        }
        Self(found)
    }

    /// A setting by its key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Setting> {
        self.0.get(key)
    }

    /// All of them, in the order of their keys.
    pub fn iter(&self) -> impl Iterator<Item = &Setting> {
        self.0.values()
    }

    /// The table for people, in Markdown.
    #[must_use]
    pub fn to_markdown(&self) -> String {
        let mut text =
            "| in the file | flag | environment | default | what |\n|---|---|---|---|---|\n"
                .to_owned();
        for setting in self.iter() {
            let Setting {
                key,
                flag,
                environment,
                help,
                ..
            } = setting;
            let file = if setting.secret {
                format!(", `{environment}_FILE`")
            } else {
                String::new()
            };
            let default = match setting.default.as_deref() {
                None | Some("") => String::new(),
                Some(default) => format!("`{default}`"),
            };
            text.push_str(&format!(
                "| `{key}` | `--{flag}` | `{environment}`{file} | {default} | {help} |\n"
            ));
        }
        text
    }
}

impl Setting {
    /// An argument's setting: one that the environment may give. The file's own name is none.
    #[must_use]
    pub fn of(argument: &Arg) -> Option<Self> {
        let flag = argument.get_long()?;
        let environment = argument.get_env()?.to_str()?;
        if environment == CONFIG_VARIABLE {
            return None;
        }
        let defaults = argument.get_default_values().iter();
        let defaults: Vec<&str> = defaults.filter_map(|value| value.to_str()).collect();
        Some(Self {
            key: key_of(flag),
            flag: flag.to_owned(),
            environment: environment.to_owned(),
            default: (!defaults.is_empty()).then(|| defaults.join(",")),
            help: argument
                .get_help()
                .map(ToString::to_string)
                .unwrap_or_default(),
            secret: argument.is_hide_env_values_set(),
            many: matches!(argument.get_action(), ArgAction::Append),
        })
    }
}

/// The first word of a flag is its section.
fn key_of(flag: &str) -> String {
    if let Some((_, key)) = KEYS.iter().find(|(known, _)| *known == flag) {
        return (*key).to_owned();
    }
    match flag.split_once('-') {
        Some((section, rest)) => format!("{section}.{}", rest.replace('-', "_")),
        None => flag.to_owned(),
    }
}
