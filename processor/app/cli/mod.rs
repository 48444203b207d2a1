//! The command line: what a person types, to what the program does.
//!
//! Exit codes: 0 done, 1 it failed, 2 the command or a setting is wrong.

mod agent;
pub mod audit;
mod bootstrap;
#[cfg(feature = "demo")]
mod demo;
mod normalize;
pub mod query;
mod run;
mod settings;
mod signals;
mod simulate;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

pub use settings::SettingsError;

/// Truthful numbers about what a fleet of machines runs: process lists from Kafka to PostgreSQL, exactly once.
#[derive(Debug, Parser)]
#[command(name = "rollcall", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make topics and register schemas; what is there already is checked and left as it is
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
    /// Dry run: processes as JSON lines on stdout, rejected lines on stderr
    Normalize(normalize::NormalizeArgs),
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

/// Runs the command that the process was started with.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match cli.command {
        Command::Bootstrap(settings) => bootstrap::bootstrap(&settings),
        #[cfg(feature = "demo")]
        Command::Demo(arguments) => demo::demo(&arguments),
        Command::Run(arguments) => run::run(&arguments),
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
            print!(
                "{}",
                match format {
                    TopologyFormat::Text => topology.to_text(),
                    TopologyFormat::Mermaid => topology.to_mermaid(),
                    TopologyFormat::Json => topology.to_json(),
                }
            );
            Ok(())
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

/// Sets up logging to stderr: `RUST_LOG` style filter from the settings, ANSI colours only on a terminal.
fn init_logging(filter: &str) -> Result<(), SettingsError> {
    use std::io::IsTerminal;
    let parsed = tracing_subscriber::EnvFilter::try_new(filter).map_err(|error| SettingsError {
        key: "log-level",
        value: filter.to_owned(),
        allowed: format!("error, warn, info, debug, trace or a tracing filter ({error})"),
    })?;
    let _ = tracing_subscriber::fmt()
        .with_env_filter(parsed)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .try_init();
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
