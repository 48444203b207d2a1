//! `rollcall config`: the settings in force, and where each comes from.

use super::run::RunArgs;
use super::settings::{SettingsError, hide_secret};
use crate::config::{Catalogue, Layers, Setting};
use crate::telemetry::metrics;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::parser::ValueSource;
use clap::{ArgMatches, CommandFactory};
use serde_json::json;
use std::error::Error as _;

/// Arguments of `config`.
#[derive(Debug, clap::Args)]
pub(crate) struct ConfigArgs {
    #[command(flatten)]
    run: RunArgs,
    /// How to print them
    #[arg(long, value_enum, default_value = "toml")]
    format: ConfigFormat,
    /// Print the table of all settings, or of all metrics, instead, in Markdown
    #[arg(long, value_enum, num_args = 0..=1, default_missing_value = "settings", require_equals = true)]
    describe: Option<Described>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
enum Described {
    /// What can be set.
    Settings,
    /// What `/metrics` serves.
    Metrics,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
enum ConfigFormat {
    /// As a settings file, with comments.
    Toml,
    /// For machines.
    Json,
}

/// A setting in force.
struct Effective {
    setting: Setting,
    /// None where it has no value.
    values: Vec<String>,
    source: String,
}

/// Prints the settings, then checks them.
pub(crate) fn config(
    arguments: &ConfigArgs,
    matches: &ArgMatches,
    catalogue: &Catalogue,
    layers: &Layers,
) -> anyhow::Result<()> {
    match arguments.describe {
        Some(Described::Settings) => return super::print(&catalogue.to_markdown()),
        Some(Described::Metrics) => return super::print(&metrics::table()),
        None => {}
    }
    let settings = effective(matches, layers);
    super::print(&match arguments.format {
        ConfigFormat::Toml => to_toml(&settings),
        ConfigFormat::Json => to_json(&settings),
    })?;
    for warning in &layers.warnings {
        eprintln!("rollcall: {warning}");
    }
    arguments.run.check()?;
    Ok(())
}

fn effective(matches: &ArgMatches, layers: &Layers) -> Vec<Effective> {
    let command = super::Cli::command();
    let (Some(command), Some((_, matches))) =
        (command.find_subcommand("config"), matches.subcommand())
    else {
        return Vec::new();
    };
    let mut found: Vec<Effective> = command
        .get_arguments()
        .filter_map(|argument| {
            let setting = Setting::of(argument)?;
            let id = argument.get_id().as_str();
            let values = matches.get_raw(id).into_iter().flatten();
            let values = values
                .map(|value| value.to_string_lossy().into_owned())
                .collect();
            let source = source(&setting, matches.value_source(id), layers);
            Some(
                Effective {
                    values,
                    source,
                    setting,
                }
                .hidden(),
            )
        })
        .collect();
    found.sort_by(|a, b| a.setting.key.cmp(&b.setting.key));
    found
}

fn source(setting: &Setting, source: Option<ValueSource>, layers: &Layers) -> String {
    match source {
        Some(ValueSource::CommandLine) => format!("flag --{}", setting.flag),
        Some(ValueSource::EnvVariable) => format!("environment {}", setting.environment),
        Some(_) => layers
            .get(&setting.key)
            .map_or_else(|| "default".to_owned(), |layered| layered.source.clone()),
        None => "not set".to_owned(),
    }
}

impl Effective {
    fn hidden(mut self) -> Self {
        for value in &mut self.values {
            *value = match self.setting.secret {
                true => "(hidden)".to_owned(),
                false => hide_secret(value),
            };
        }
        self
    }
}

/// Sections in the order of their names; what has none comes first, as TOML wants it.
fn to_toml(settings: &[Effective]) -> String {
    let mut text = String::new();
    let split = |key: &str| {
        let (section, name) = key.split_once('.').unwrap_or(("", key));
        (section.to_owned(), name.to_owned())
    };
    let mut ordered: Vec<_> = settings
        .iter()
        .map(|found| (split(&found.setting.key), found))
        .collect();
    ordered.sort_by(|(a, _), (b, _)| a.cmp(b));
    let mut current = String::new();
    for ((section, name), found) in ordered {
        if section != current {
            text.push_str(&format!("\n[{section}]\n"));
            current = section;
        }
        let value = match &found.values[..] {
            [] => {
                text.push_str(&format!("# {name} is not set\n"));
                continue;
            }
            values if found.setting.many => json!(values).to_string(),
            [value] => toml_value(value),
            values => toml_value(&values.join(",")),
        };
        text.push_str(&format!("{name} = {value} # {}\n", found.source));
    }
    text
}

/// Numbers and truths as such, everything else as text; a JSON string is a TOML string.
fn toml_value(value: &str) -> String {
    match value.parse::<i64>().is_ok() || matches!(value, "true" | "false") {
        true => value.to_owned(),
        false => json!(value).to_string(),
    }
}

fn to_json(settings: &[Effective]) -> String {
    let entries = settings.iter().map(|found| {
        let value = match &found.values[..] {
            [] => json!(null),
            values if found.setting.many => json!(values),
            values => json!(values.join(",")),
        };
        (
            found.setting.key.clone(),
            json!({ "value": value, "source": found.source }),
        )
    });
    let entries: serde_json::Map<String, serde_json::Value> = entries.collect();
    format!("{:#}\n", serde_json::Value::Object(entries))
}

/// What clap says of a value of one of our settings, in our words: one sentence, with where the value comes from.
pub(super) fn refusal(
    error: &clap::Error,
    catalogue: &Catalogue,
    layers: &Layers,
) -> Option<String> {
    if !matches!(
        error.kind(),
        ErrorKind::ValueValidation | ErrorKind::InvalidValue
    ) {
        return None;
    }
    let (Some(ContextValue::String(argument)), Some(ContextValue::String(value))) = (
        error.get(ContextKind::InvalidArg),
        error.get(ContextKind::InvalidValue),
    ) else {
        return None;
    };
    let flag = argument.trim_start_matches('-').split([' ', '=']).next()?;
    let setting = catalogue.iter().find(|setting| setting.flag == flag)?;
    let value = if setting.secret { "(hidden)" } else { value };
    let layered = layers
        .get(&setting.key)
        .filter(|layered| layered.values.iter().any(|known| known == value));
    let from = layered
        .map(|layered| format!(" (from {})", layered.source))
        .unwrap_or_default();
    let allowed = match (error.get(ContextKind::ValidValue), error.source()) {
        (Some(ContextValue::Strings(valid)), _) => valid.join(", "),
        (_, Some(source)) => bounds(&source.to_string()),
        _ => setting.help.clone(),
    };
    Some(format!(
        "setting {flag} = {value:?}{from} is wrong; allowed is {allowed}"
    ))
}

/// clap's ranges in words: `65 is not in 1..=64`.
fn bounds(said: &str) -> String {
    let range = said
        .split_once(" is not in ")
        .and_then(|(_, range)| range.split_once("..="));
    match range {
        Some((least, most)) => format!("{least} to {most}"),
        None if said.contains("invalid digit") || said.contains("empty string") => {
            "a whole number".to_owned()
        }
        None => said.to_owned(),
    }
}

impl RunArgs {
    /// Whether a pipeline could be made of these; a database need not be given for that.
    fn check(&self) -> Result<(), SettingsError> {
        self.settings.check()?;
        self.http_address().map(|_| ())
    }
}
