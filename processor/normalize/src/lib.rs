//! Process listings of Linux, macOS and Windows, as text or as structured records, to the domain's processes.
//!
//! [`decode_text`] finds the text in a command's bytes, [`parse_text`] the processes in the text, [`parse_structured`]
//! those in a producer's own records, [`ApplicationRules`] names the application of each, and [`cpu::deltas`] tells how
//! much CPU time each used since the snapshot before.
//!
//! Invariants:
//! - A value is right, or it is `None`; nothing is guessed. A name or application, which every process must have, is then
//!   `(unknown)`.
//! - A line that can't be read is a [`LineError`] with its number and reason, and never stops the rest. Only output that is
//!   no listing at all is a [`PayloadError`].
//! - Every line that is neither empty nor part of a header becomes a process or a line error.
//! - No input panics. Time is linear in the input; what is reserved is bounded by it and by [`limits`].
//! - Values borrow from the input; the hot path allocates nothing per field.
//!
//! Must not know: clocks, files, Kafka, Avro, SQL. The observation's time and zone come in with [`Context`].

mod applications;
mod code_pages;
mod columns;
pub mod cpu;
mod encoding;
mod hash;
pub mod limits;
mod linux;
mod listing;
mod macos;
mod number;
mod ps;
mod recognize;
mod structured;
mod time;
mod windows;

pub use applications::{ApplicationRules, RulesError};
pub use encoding::decode_text;
pub use listing::{LineError, Listing};
pub use recognize::Format;
pub use structured::parse_structured;
pub use time::LocalClock;

use rollcall_domain::{Os, RejectionReason, Timestamp};

/// Version of the parsers; part of [`ApplicationRules::digest`]. Raise it when equal input gives other rows.
pub const PARSER_VERSION: u64 = 2;

/// What is known of a listing beside its text.
#[derive(Clone, Debug)]
pub struct Context {
    /// The operating system; `None`: found from the text.
    pub os: Option<Os>,
    /// The listing's form; `None`: found from the text.
    pub format: Option<Format>,
    /// When the listing was taken; dates that it prints in part are completed from it.
    pub observed_at: Timestamp,
    /// The machine's offset from UTC in seconds; without it, local start times are `None`.
    pub utc_offset_seconds: Option<i32>,
}

/// Why a command's output as a whole is no listing.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{}: {detail}", .reason.as_str())]
pub struct PayloadError {
    /// The reason.
    pub reason: RejectionReason,
    /// What exactly was wrong, for a person.
    pub detail: String,
}

impl PayloadError {
    fn new(reason: RejectionReason, detail: impl Into<String>) -> Self {
        Self {
            reason,
            detail: detail.into(),
        }
    }
}

/// Reads the processes of a command's output.
///
/// A given [`Context::format`] is believed; else the form is recognized from the first lines, among those of the
/// given operating system.
///
/// # Errors
/// `unknown_format` when the text has none of the forms.
pub fn parse_text<'a>(
    text: &'a str,
    context: &Context,
    rules: &'a ApplicationRules,
) -> Result<Listing<'a>, PayloadError> {
    let Some(format) = recognize::recognize(text, context) else {
        return Err(PayloadError::new(
            RejectionReason::UnknownFormat,
            "neither ps nor tasklist prints such text",
        ));
    };
    let clock = LocalClock::new(context.observed_at, context.utc_offset_seconds);
    let builder = listing::Builder::new(text, format);
    Ok(match format {
        Format::PsAux | Format::PsEf => linux::parse(text, builder, &clock, rules),
        Format::MacosPsAux | Format::MacosPsEf => macos::parse(text, builder, &clock, rules),
        Format::TasklistTable | Format::TasklistVerboseTable => {
            windows::table::parse(text, builder, rules)
        }
        Format::TasklistCsv | Format::TasklistVerboseCsv => {
            windows::csv::parse(text, builder, rules)
        }
        Format::TasklistNotice => builder.finish(),
    })
}
