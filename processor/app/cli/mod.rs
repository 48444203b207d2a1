//! The command line: what a person types, to what the program does.
//!
//! Exit codes: 0 done, 1 it failed, 2 the command or a setting is wrong.

mod agent;
pub mod audit;
mod bootstrap;
mod config;
#[cfg(feature = "demo")]
mod demo;
mod dlq;
mod normalize;
pub mod query;
mod run;
mod settings;
mod signals;
mod simulate;

use crate::config::{Catalogue, Layers, catalogue::CONFIG_VARIABLE};
use crate::telemetry::logging::{self, LogFormat};
use clap::{ArgMatches, CommandFactory, FromArgMatches, Parser, Subcommand};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::OnceLock;

pub use settings::SettingsError;

/// Truthful numbers about what a fleet of machines runs: process lists from Kafka to PostgreSQL, exactly once.
#[derive(Debug, Parser)]
#[command(name = "rollcall", version)]
struct Cli {
    /// TOML file with settings; flags and the environment come before it
    #[arg(long, global = true, env = CONFIG_VARIABLE, value_name = "FILE")]
    config: Option<std::path::PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make topics, register schemas and, where a database is given, apply migrations; what is there already is checked and left as it is
    Bootstrap(settings::Settings),
    /// Show everything on this machine: services, pipeline, a simulated fleet, answers, and with --seconds an audit
    #[cfg(feature = "demo")]
    Demo(demo::DemoArgs),
    /// Run stages until Ctrl-C
    Run(run::RunArgs),
    /// Send the snapshots of a simulated fleet to Kafka
    Simulate(simulate::SimulateArgs),
    /// Send this machine's process list to Kafka every few seconds
    Agent(agent::AgentArgs),
    /// List what was rejected, and send it again
    Dlq(dlq::DlqArgs),
    /// Ask what a fleet runs: top applications, memory, machines, users
    Query(query::QueryArgs),
    /// Fold the raw topic again, independently, and compare what the tables hold; exit code 0 only for no difference
    Audit(audit::AuditArgs),
    /// Print the pipeline as the code has it
    Topology {
        /// How to print it
        #[arg(long, value_enum, default_value = "text")]
        format: TopologyFormat,
    },
    /// Print the settings of `run` as they are in force, with where each comes from; exit code 2 if one is wrong
    Config(config::ConfigArgs),
    /// Dry run: processes as JSON lines on stdout, rejected lines on stderr
    Normalize(normalize::NormalizeArgs),
}

/// How `query` and `dlq` print what they found.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
enum AnswerFormat {
    /// For people.
    Table,
    /// For machines: one object with exact figures, the unit in each key.
    Json,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum TopologyFormat {
    /// A picture for people.
    Text,
    /// A Mermaid flowchart.
    Mermaid,
    /// For machines.
    Json,
}

/// What was odd about the settings, for the log.
static WARNINGS: OnceLock<Vec<String>> = OnceLock::new();

/// Runs the command that the process was started with.
#[must_use]
pub fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let catalogue = Catalogue::of(&Cli::command());
    let layers = match Layers::load(&catalogue, &arguments, &environment()) {
        Ok(layers) => layers,
        Err(error) => return refuse(&error),
    };
    let _ = WARNINGS.set(layers.warnings.clone());
    let matches = match layers
        .beneath(Cli::command())
        .try_get_matches_from(arguments)
    {
        Ok(matches) => matches,
        Err(error) => {
            return config::refusal(&error, &catalogue, &layers)
                .map_or_else(|| error.exit(), |said| refuse(&said));
        }
    };
    match Cli::from_arg_matches(&matches) {
        Ok(cli) => perform(cli, &matches, &catalogue, &layers),
        Err(error) => error.exit(),
    }
}

/// Wrong settings: one sentence, exit code 2.
fn refuse(error: &dyn std::fmt::Display) -> ExitCode {
    eprintln!("rollcall: {error}");
    ExitCode::from(2)
}

/// Variables that are text; others can't be settings of ours.
fn environment() -> BTreeMap<String, String> {
    let text = |(name, value): (OsString, OsString)| {
        Some((name.into_string().ok()?, value.into_string().ok()?))
    };
    std::env::vars_os().filter_map(text).collect()
}

fn perform(cli: Cli, matches: &ArgMatches, catalogue: &Catalogue, layers: &Layers) -> ExitCode {
    let done = match cli.command {
        Command::Config(arguments) => config::config(&arguments, matches, catalogue, layers),
        Command::Bootstrap(settings) => bootstrap::bootstrap(&settings),
        #[cfg(feature = "demo")]
        Command::Demo(arguments) => demo::demo(&arguments),
        Command::Run(arguments) => run::run(&arguments),
        Command::Dlq(arguments) => dlq::dlq(&arguments),
        Command::Query(arguments) => query::query(&arguments),
        Command::Agent(arguments) => agent::agent(&arguments),
        Command::Audit(arguments) => return audit::audit(&arguments),
        Command::Simulate(arguments) => simulate::simulate(&arguments),
        Command::Normalize(arguments) => return normalize::normalize(&arguments),
        Command::Topology { format } => {
            let topology = rollcall_stages::topology(rollcall_stages::layout::Partitions {
                snapshots: 4,
                rollups: 2,
            });
            print(&match format {
                TopologyFormat::Text => topology.to_text(),
                TopologyFormat::Mermaid => topology.to_mermaid(),
                TopologyFormat::Json => topology.to_json(),
            })
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("rollcall: {error:#}");
            ExitCode::from(if error.is::<SettingsError>() { 2 } else { 1 })
        }
    }
}

/// What the setting log-level says.
fn log_filter(filter: &str) -> Result<logging::EnvFilter, SettingsError> {
    logging::parse_filter(filter).map_err(|error| SettingsError {
        key: "log-level",
        value: filter.to_owned(),
        allowed: format!("error, warn, info, debug, trace or a tracing filter ({error})"),
    })
}

/// Begins logging, and says what was odd about the settings.
fn init_logging(filter: &str, format: LogFormat) -> Result<(), SettingsError> {
    logging::init(log_filter(filter)?, format);
    for warning in WARNINGS.get().into_iter().flatten() {
        tracing::warn!("{warning}");
    }
    Ok(())
}

/// Prints to stdout. A reader that closes the pipe, as `head` does, has what it wanted.
fn print(text: &str) -> anyhow::Result<()> {
    use std::io::Write;
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}
