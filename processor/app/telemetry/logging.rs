//! Where log lines go: stderr, as text for people or as JSON lines for machines. And what each level means:
//!
//! | level | meaning | somebody should |
//! |---|---|---|
//! | ERROR | data is lost or doubled, an invariant is broken, or something stands still until a person helps | look now |
//! | WARN | something works less well than it should and will be tried again: a service is away, a task was fenced | look if it goes on |
//! | INFO | the course of a process: started, assigned, claimed, restored, stopped; a few lines per event, none per batch | read it afterwards |
//! | DEBUG | each batch and flush, errors that clients mend by themselves | switch it on to look for a fault |
//! | TRACE | what the libraries beneath say | rarely |
//!
//! No line holds a record's content, a password or an address with one. What is counted is a metric, not a line.

use std::io::IsTerminal;
pub use tracing_subscriber::EnvFilter;

/// How lines look.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object per line, the event's fields on its top level.
    Json,
}

/// A filter that can't be read.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct BadFilter(String);

/// Reads a level (`info`) or a filter as `RUST_LOG` takes it (`info,rollcall::driver=debug`).
///
/// # Errors
/// If it is neither.
pub fn parse_filter(filter: &str) -> Result<EnvFilter, BadFilter> {
    EnvFilter::try_new(filter).map_err(|error| BadFilter(error.to_string()))
}

/// Begins logging. A second call changes nothing.
pub fn init(filter: EnvFilter, format: LogFormat) {
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    let _ = match format {
        LogFormat::Text => lines.with_ansi(std::io::stderr().is_terminal()).try_init(),
        LogFormat::Json => lines
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(false)
            .try_init(),
    };
}
