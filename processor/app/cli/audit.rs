//! `rollcall audit`: are the tables the fold of the raw topic, up to where they say they are?
//!
//! Everything of the database is read in one REPEATABLE READ transaction; the raw topic is read again from its first
//! record, and `rollcall-audit` folds it on its own. What this file does is bring both to it, and print what it says.

mod catch_up;
mod gather;
mod print;
mod topics;

pub use catch_up::CatchUp;
pub use print::{report_json, report_text};
pub(super) use topics::raw_ends;

use super::settings::{Settings, SettingsError};
use crate::driver::{Control, Shared, Signal};
use crate::postgres::PostgresSettings;
use crate::postgres::audit::AuditReader;
use anyhow::Context as _;
use gather::gather;
use indicatif::{ProgressBar, ProgressStyle};
use rollcall_audit::{
    AuditConfig, AuditReport, Auditor, Facts, Pass, StoredLetter, StoredSnapshot, Tables,
};
use rollcall_codec::messages;
use rollcall_domain::GroupingSet;
use rollcall_stages::layout;
use std::process::ExitCode;
use std::time::Duration;
use tokio::runtime::Runtime;
use topics::{Decoding, RawReader};

/// Rows of rollups that are expected at a time, of about 1 KiB each; more take further passes over the raw topic.
const ROWS_PER_PASS: i64 = 500_000;

/// Arguments of `audit`.
#[derive(Debug, clap::Args)]
pub(crate) struct AuditArgs {
    #[command(flatten)]
    settings: Settings,
    /// Columns that differ that are shown per table, 0 to 100000
    #[arg(long, default_value_t = 20)]
    show: u32,
    /// Wait at most this many seconds until the tables hold everything that the raw topic holds now; 0: don't wait
    #[arg(long, default_value_t = 0)]
    wait_seconds: u64,
    /// How to print the report
    #[arg(long, value_enum, default_value = "text")]
    format: ReportFormat,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
enum ReportFormat {
    /// For people.
    Text,
    /// For machines.
    Json,
}

/// How to audit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AuditOptions {
    /// Columns that differ that are told per table; all are counted.
    pub examples: usize,
    /// What the tables must hold before anything is compared; `None`: they are compared as they are.
    pub catch_up: Option<CatchUp>,
    /// Whether to show a progress bar on a terminal.
    pub progress: bool,
}

impl Default for AuditOptions {
    fn default() -> Self {
        Self {
            examples: 20,
            catch_up: None,
            progress: true,
        }
    }
}

/// Runs the audit and prints its report. Exit codes: 0 no difference, 1 differences or no result, 2 wrong settings.
pub(crate) fn audit(arguments: &AuditArgs) -> ExitCode {
    match try_audit(arguments) {
        Ok(report) if report.differences() == 0 => ExitCode::SUCCESS,
        Ok(_) => ExitCode::from(1),
        Err(error) => {
            eprintln!("rollcall: {error:#}");
            ExitCode::from(if error.is::<SettingsError>() { 2 } else { 1 })
        }
    }
}

fn try_audit(arguments: &AuditArgs) -> anyhow::Result<AuditReport> {
    let settings = &arguments.settings;
    settings.init_logging()?;
    let database = settings.postgres("rollcall audit")?;
    let shared = settings.shared()?;
    let within = |key, value: u64, most| match value <= most {
        true => Ok(value),
        false => Err(SettingsError {
            key,
            value: value.to_string(),
            allowed: format!("0 to {most}"),
        }),
    };
    let examples = within("show", arguments.show.into(), 100_000)? as usize;
    let wait = within("wait-seconds", arguments.wait_seconds, 86_400)?;
    let catch_up = (wait > 0).then(|| {
        let raw_ends = raw_ends(&shared)?;
        let timeout = Duration::from_secs(wait);
        Ok::<_, anyhow::Error>(CatchUp { raw_ends, timeout })
    });
    let options = AuditOptions {
        examples,
        catch_up: catch_up.transpose()?,
        progress: true,
    };
    let stop = Control::new();
    let _signals = super::signals::listen(&stop)?;
    let report = run_audit(&shared, &database, &options, &stop)?;
    match arguments.format {
        ReportFormat::Text => super::print(&report_text(&report))?,
        ReportFormat::Json => super::print(&format!(
            "{:#}
",
            report_json(&report)
        ))?,
    }
    Ok(report)
}

/// Compares the tables with the raw topic. Must not be called on an async thread.
///
/// # Errors
/// If Kafka, the registry or the database fails, `stop` says so, or the tables don't catch up in time: then there is no
/// result. Differences are a result.
pub fn run_audit(
    shared: &Shared,
    database: &PostgresSettings,
    options: &AuditOptions,
    stop: &Control,
) -> anyhow::Result<AuditReport> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    if let Some(catch_up) = &options.catch_up {
        catch_up::catch_up(&runtime, shared, database, catch_up, stop)?;
    }
    let mut reader = runtime.block_on(AuditReader::begin(database))?;
    let mut facts = gather(&runtime, &mut reader, shared)?;
    if let Some(caught_up) = &options.catch_up {
        facts.settled = caught_up.raw_ends.clone();
    }
    let rows = runtime.block_on(reader.count_rollups())?;
    let passes = (rows + ROWS_PER_PASS - 1).div_euclid(ROWS_PER_PASS).max(1);
    let bar = progress_bar(&facts, passes, options.progress);
    let mut audit = Run {
        shared,
        auditor: Auditor::new(audit_config(shared, options), facts.clone(), &shared.rules),
        tables: Reading {
            runtime: &runtime,
            reader,
        },
        facts,
        stop,
        bar: &bar,
    };
    for index in 0..passes {
        let (index, of) = (index.cast_unsigned(), passes.cast_unsigned());
        audit.pass(Pass { index, of })?;
    }
    bar.finish_and_clear();
    let Run {
        auditor, tables, ..
    } = audit;
    runtime.block_on(tables.reader.close());
    Ok(auditor.finish())
}

/// The rules by which records were accepted: the pipeline's own settings.
fn audit_config(shared: &Shared, options: &AuditOptions) -> AuditConfig {
    let normalize = super::run::normalize_config(shared);
    AuditConfig {
        raw_partitions: shared.partitions.snapshots,
        rollup_partitions: shared.partitions.rollups,
        source_topic: normalize.source_topic,
        future_tolerance_us: normalize.future_tolerance_us,
        acceptance_us: normalize.acceptance_us,
        message_bytes_max: normalize.max_message_bytes,
        examples: options.examples,
    }
}

fn progress_bar(facts: &Facts, passes: i64, wanted: bool) -> ProgressBar {
    let records = |(partition, begin): (usize, &i64)| facts.raw_needed(partition as i32) - begin;
    let total: i64 = facts.raw_begin.iter().enumerate().map(records).sum();
    let bar = match wanted {
        true => ProgressBar::new((total.max(0) * passes).cast_unsigned()),
        false => ProgressBar::hidden(),
    };
    let template = "audit {bar:30} {pos} of {len} raw records, {per_sec}, {eta} left";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}

/// The rows of details, for the auditor.
struct Reading<'a> {
    runtime: &'a Runtime,
    reader: AuditReader,
}

impl Tables for Reading<'_> {
    type Error = anyhow::Error;

    fn next_snapshot(&mut self) -> anyhow::Result<Option<StoredSnapshot>> {
        Ok(self.runtime.block_on(self.reader.next_snapshot())?)
    }

    fn next_letter(&mut self) -> anyhow::Result<Option<StoredLetter>> {
        Ok(self.runtime.block_on(self.reader.next_letter())?)
    }
}

/// An audit at work.
struct Run<'a, 'r> {
    shared: &'a Shared,
    auditor: Auditor<'r>,
    tables: Reading<'a>,
    facts: Facts,
    stop: &'a Control,
    bar: &'a ProgressBar,
}

impl Run<'_, '_> {
    fn pass(&mut self, pass: Pass) -> anyhow::Result<()> {
        self.tables.runtime.block_on(self.tables.reader.rewind())?;
        self.auditor.begin_pass(pass);
        let raw = RawReader::new(self.shared)?;
        let mut decoding =
            Decoding::<messages::ProcessSnapshot>::new(&self.shared.registry, layout::SNAPSHOTS);
        for partition in 0..self.shared.partitions.snapshots {
            self.partition(&raw, &mut decoding, partition)?;
        }
        self.auditor.end_records(&mut self.tables)?;
        for set in GroupingSet::ALL {
            let (runtime, auditor) = (self.tables.runtime, &mut self.auditor);
            let rows = self
                .tables
                .reader
                .each_rollup(set, |row| auditor.handle_rollup(row));
            runtime.block_on(rows)?;
        }
        self.auditor.end_pass();
        Ok(())
    }

    fn partition(
        &mut self,
        raw: &RawReader,
        decoding: &mut Decoding<'_, messages::ProcessSnapshot>,
        partition: i32,
    ) -> anyhow::Result<()> {
        self.auditor.begin_partition(partition);
        let begin = self.facts.raw_begin[partition as usize];
        let end = self.facts.raw_needed(partition);
        let (auditor, tables, stop, bar) =
            (&mut self.auditor, &mut self.tables, self.stop, self.bar);
        raw.each(partition, begin, end, |incoming, record| {
            go_on(stop)?;
            let decoded = decoding.decode(incoming.value, incoming.schema_header)?;
            auditor.handle_record(record, decoded, tables)?;
            bar.inc(1);
            Ok(())
        })
        .with_context(|| format!("raw partition {partition} can't be read to offset {end}"))?;
        self.auditor.end_partition(partition, &mut self.tables)
    }
}

/// An error where the audit is to stop.
fn go_on(stop: &Control) -> anyhow::Result<()> {
    match stop.signal() {
        Signal::Run => Ok(()),
        Signal::Drain | Signal::Abandon => anyhow::bail!("stopped before the audit's end"),
    }
}
