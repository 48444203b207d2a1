//! Process listings of Linux, macOS and Windows, as text or as structured records, to the domain's processes.
//!
//! [`decode_text`] finds the text in a command's bytes, [`parse_text`] the processes in the text, [`parse_structured`]
//! those in a producer's own records, [`ApplicationRules`] names the application of each, and [`cpu::deltas`] tells how
//! much CPU time each used since the snapshot before.
//!
//! Invariants:
//! - A value is right, or it is `None`; nothing is guessed. A name or application, which every process must have, is then
//!   `(unknown)`. What a listing shows and is `None` all the same is counted with its reason ([`Listing::nulls`]).
//! - A line that can't be read is a [`LineError`] with its number and reason, and never stops the rest. Only output that is
//!   no listing at all is a [`PayloadError`].
//! - Every line that is neither empty nor part of a header becomes a process or a line error.
//! - No input panics. Time is linear in the input; what is reserved is bounded by it and by [`limits`].
//! - Values borrow from the input; the hot path allocates nothing per field.
//!
//! Must not know: clocks, files, Kafka, Avro, SQL. The observation's time and zone come in with [`Context`].

mod applications;
mod bits;
mod code_pages;
pub mod cpu;
mod cpu_time;
mod encoding;
mod executable;
mod format;
mod hash;
mod index;
pub mod limits;
mod listing;
mod local_clock;
mod notes;
mod number;
mod ps;
mod recognize;
mod state;
mod structured;
mod windows;

pub use applications::{ApplicationRules, RulesError};
pub use encoding::{decode_text, decode_text_named};
pub use format::Format;
pub use listing::{LineError, Listing};
pub use notes::{NullCount, NullReason};
pub use structured::parse_structured;

use rollcall_domain::{Os, RejectionReason, Timestamp};

/// Version of the parsers; part of [`ApplicationRules::digest`]. Raise it when equal input gives other rows.
pub const PARSER_VERSION: u64 = 4;

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
        let detail = ps::recognize::complaint(text).unwrap_or_else(|| {
            "neither ps nor tasklist nor PowerShell prints such text".to_owned()
        });
        return Err(PayloadError::new(RejectionReason::UnknownFormat, detail));
    };
    let clock = local_clock::LocalClock::new(context.observed_at, context.utc_offset_seconds);
    let builder = listing::Builder::new(text, format);
    Ok(match format {
        Format::PsAux | Format::PsEf | Format::PsColumns | Format::BusyboxPs => {
            let linux = ps::Linux {
                clock: &clock,
                rules,
                is_busybox: format == Format::BusyboxPs,
            };
            ps::parse(text, builder, &linux)
        }
        Format::MacosPsAux | Format::MacosPsEf | Format::MacosPsColumns => {
            let macos = ps::Macos {
                clock: &clock,
                rules,
            };
            ps::parse(text, builder, &macos)
        }
        format => windows::parse(text, format, builder, &clock, rules),
    })
}
