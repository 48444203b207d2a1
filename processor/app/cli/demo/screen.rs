//! What the demo shows: a line that moves on a terminal, a line every few seconds elsewhere, and what stays.

use crate::postgres::StoredTotals;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::cell::Cell;
use std::io::{IsTerminal, Write};
use std::time::Duration;

/// How often a line is printed where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Progress goes to stderr, answers to stdout.
pub(super) struct Screen {
    bar: ProgressBar,
    moves: bool,
    next_line: Cell<Duration>,
}

impl Screen {
    pub(super) fn new() -> Self {
        let moves = std::io::stderr().is_terminal();
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()).with_style(
            ProgressStyle::with_template("{spinner} {msg}").unwrap_or_else(|_| {
                // The template is fixed; the default only looks different.
                ProgressStyle::default_spinner()
            }),
        );
        Self {
            bar,
            moves,
            next_line: Cell::new(Duration::ZERO),
        }
    }

    /// A step that is done or begun.
    pub(super) fn say(&self, line: &str) {
        if self.moves {
            self.bar.suspend(|| eprintln!("{line}"));
        } else {
            eprintln!("{line}");
        }
    }

    /// What was asked for.
    pub(super) fn print(&self, text: &str) {
        self.bar.suspend(|| {
            let mut out = std::io::stdout().lock();
            // A reader that closed the pipe is no fault of the demo's.
            let _ = writeln!(out, "\n{text}").and_then(|()| out.flush());
        });
    }

    /// How far it has come.
    pub(super) fn progress(&self, elapsed: Duration, sent: u64, stored: Option<&StoredTotals>) {
        let seconds = elapsed.as_secs();
        let stored = stored.map_or_else(
            || "PostgreSQL does not answer; trying again".to_owned(),
            |stored| {
                format!(
                    "{} snapshots and {} processes stored",
                    stored.snapshots, stored.processes
                )
            },
        );
        let line = format!("{seconds:>3} s: {sent} snapshots sent, {stored}");
        if self.moves {
            self.bar.set_message(line);
            self.bar.tick();
        } else if elapsed >= self.next_line.get() {
            self.next_line.set(elapsed + LINE_EVERY);
            eprintln!("{line}");
        }
    }

    /// Takes the moving line away.
    pub(super) fn close(&self) {
        self.bar.finish_and_clear();
    }
}
