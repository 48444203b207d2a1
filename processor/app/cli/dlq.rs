//! `rollcall dlq`: what was rejected and why, one of them in full, and another try for those that can pass by now.

use super::AnswerFormat;
use super::query::answer::{Answer, Cell, Column, harmless};
use super::settings::{Settings, SettingsError};
use crate::driver::Control;
use crate::postgres::redriven::{rejections_by_reason, targets};
use crate::postgres::{
    PostgresError, RejectedRecord, RejectedRecordsQuery, Session, rejected_records,
};
use crate::producer::{LeftOut, RedrivePlan, RedriveSummary, parse_place, run_redrive};
use clap::builder::PossibleValuesParser;
use indicatif::ProgressBar;
use rollcall_domain::observation::SourceOffset;
use rollcall_domain::{LineReason, RejectionReason};
use serde_json::json;
use std::time::Duration;

/// Letters of one record that `show` prints; a record has as many rejected lines as NORMALIZE writes letters for.
const SHOWN_MAX: usize = 1_001;
/// Bytes of a rejected record that `show` prints as text.
const RAW_SHOWN: usize = 2_048;

/// Arguments of `dlq`.
#[derive(Debug, clap::Args)]
pub(crate) struct DlqArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List rejected records and lines, latest first
    List(ListArgs),
    /// Show everything that is known of one record, by its place in the raw topic
    Show(ShowArgs),
    /// Send records that were rejected whole to the raw topic again, each once
    Redrive(RedriveArgs),
}

#[derive(Debug, clap::Args)]
struct ListArgs {
    /// Rejected for this reason only
    #[arg(long, value_parser = any_reason())]
    reason: Option<String>,
    /// Only records that were rejected whole, no single lines
    #[arg(long)]
    whole: bool,
    /// Rows, at most
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    limit: u64,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, clap::Args)]
struct ShowArgs {
    /// The record's place in the raw topic: partition/offset, as `dlq list` prints it
    #[arg(value_parser = place)]
    place: SourceOffset,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, clap::Args)]
struct RedriveArgs {
    /// The record at this place only: partition/offset
    #[arg(value_parser = place)]
    place: Option<SourceOffset>,
    /// Rejected for this reason only
    #[arg(long, value_parser = record_reason())]
    reason: Option<String>,
    /// Give records that were rejected for their key the id of their machine as key
    #[arg(long)]
    rekey: bool,
    /// Also records that were rejected again after an earlier redrive
    #[arg(long)]
    again: bool,
    /// Send nothing, only say what would be sent
    #[arg(long)]
    dry_run: bool,
    /// Records, at most
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..))]
    limit: u64,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, clap::Args)]
struct Common {
    /// How to print it
    #[arg(long, value_enum, default_value = "table")]
    format: AnswerFormat,
    #[command(flatten, next_help_heading = "Connection")]
    settings: Settings,
}

fn record_reason() -> PossibleValuesParser {
    PossibleValuesParser::new(RejectionReason::ALL.iter().map(|reason| reason.as_str()))
}

fn any_reason() -> PossibleValuesParser {
    let records = RejectionReason::ALL.iter().map(|reason| reason.as_str());
    let lines = LineReason::ALL.iter().map(|reason| reason.as_str());
    PossibleValuesParser::new(records.chain(lines))
}

fn place(text: &str) -> Result<SourceOffset, String> {
    parse_place(text).ok_or_else(|| "allowed is partition/offset, as 2/345".to_owned())
}

/// Does what is asked.
pub(crate) fn dlq(arguments: &DlqArgs) -> anyhow::Result<()> {
    match &arguments.command {
        Command::List(list) => {
            let question = async |session: &mut Session| listed(session, list).await;
            print(&list.common, &ask(&list.common, question)?)
        }
        Command::Show(show) => {
            let question = async |session: &mut Session| shown(session, show.place).await;
            print(&show.common, &ask(&show.common, question)?)
        }
        Command::Redrive(arguments) => redrive(arguments),
    }
}

/// Asks the database; the text is what follows the table.
fn ask(
    common: &Common,
    question: impl AsyncFnOnce(&mut Session) -> Result<(Answer, String), PostgresError>,
) -> anyhow::Result<(Answer, String)> {
    common.settings.init_logging()?;
    let settings = common.settings.postgres("rollcall dlq")?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    Ok(runtime.block_on(async {
        let mut session = Session::connect(&settings).await?;
        let answer = question(&mut session).await;
        session.close().await;
        answer
    })?)
}

fn print(common: &Common, (answer, rest): &(Answer, String)) -> anyhow::Result<()> {
    super::print(&match common.format {
        AnswerFormat::Table => format!("{}{rest}", answer.to_table()),
        AnswerFormat::Json => format!("{}\n", answer.to_json()),
    })
}

const LETTERS: &[Column] = &[
    Column("ingested_at", Some("arrived")),
    Column("place", Some("place")),
    Column("line", Some("line")),
    Column("reason", Some("reason")),
    Column("machine_id", Some("machine")),
    Column("redriven_to", Some("redriven to")),
    Column("detail", Some("what was wrong")),
    Column("snapshot_id", None),
    Column("source_topic", None),
    Column("raw_length_bytes", None),
    Column("raw_hex", None),
];

async fn listed(session: &mut Session, list: &ListArgs) -> Result<(Answer, String), PostgresError> {
    let query = RejectedRecordsQuery {
        reason: list.reason.as_deref(),
        source: None,
        whole_records_only: list.whole,
        limit: list.limit as usize,
    };
    let rows = rejected_records(session, &query).await?;
    let counts = rejections_by_reason(session).await?;
    let counts: Vec<String> = counts
        .iter()
        .map(|(reason, count)| format!("{reason} {count}"))
        .collect();
    let note = match counts.is_empty() {
        true => "Nothing was rejected.".to_owned(),
        false => format!("All that is kept, by reason: {}.", counts.join(", ")),
    };
    let answer = answer(session, "Rejected records and lines, latest first", rows).await?;
    let answer = Answer {
        note: Some(note),
        ..answer
    };
    Ok((answer, String::new()))
}

async fn shown(
    session: &mut Session,
    place: SourceOffset,
) -> Result<(Answer, String), PostgresError> {
    let query = RejectedRecordsQuery {
        source: Some(place),
        limit: SHOWN_MAX,
        ..RejectedRecordsQuery::default()
    };
    let rows = rejected_records(session, &query).await?;
    let raw = rows.iter().map(raw_text).collect();
    let title = format!("What was rejected of record {}", place_text(place));
    let empty = rows.is_empty();
    let mut answer = answer(session, &title, rows).await?;
    if empty {
        answer.note = Some("Nothing of it was rejected, or it is no longer kept.".to_owned());
    }
    Ok((answer, raw))
}

/// The beginning of what was rejected, as text.
fn raw_text(row: &RejectedRecord) -> String {
    let what = match row.line {
        Some(line) => format!("line {line}"),
        None => "the record".to_owned(),
    };
    let shown = &row.raw[..row.raw.len().min(RAW_SHOWN)];
    let cut = match row.raw_length > shown.len() as i64 {
        true => format!(", of which the first {}", shown.len()),
        false => String::new(),
    };
    format!(
        "\n{}: {}\n{what}, {} bytes{cut}:\n{}\n",
        row.reason,
        harmless(&row.detail),
        row.raw_length,
        shown.escape_ascii()
    )
}

async fn answer(
    session: &mut Session,
    title: &str,
    rows: Vec<RejectedRecord>,
) -> Result<Answer, PostgresError> {
    let sources: Vec<SourceOffset> = rows.iter().map(|row| row.source).collect();
    let targets = targets(session, &sources).await?;
    let redriven = |row: &RejectedRecord| match (row.line, targets.get(&row.source)) {
        (Some(_), _) | (None, None) => Cell::Unknown,
        (None, Some(None)) => Cell::Text("under way".to_owned()),
        (None, Some(Some(target))) => Cell::Text(place_text(*target)),
    };
    let cells = |row: RejectedRecord| {
        vec![
            Cell::Time(row.ingested_at),
            Cell::Text(place_text(row.source)),
            Cell::maybe(row.line, Cell::Number),
            Cell::Text(row.reason.clone()),
            Cell::maybe(row.machine_id.clone(), Cell::Text),
            redriven(&row),
            Cell::Text(row.detail),
            Cell::maybe(row.snapshot_id, |id| {
                Cell::Text(uuid::Uuid::from_u128(id.0).to_string())
            }),
            Cell::Text(row.source_topic),
            Cell::Number(row.raw_length),
            Cell::Text(row.raw.iter().map(|byte| format!("{byte:02x}")).collect()),
        ]
    };
    Ok(Answer {
        question: "rejected_records",
        title: title.to_owned(),
        period: None,
        columns: LETTERS,
        rows: rows.into_iter().map(cells).collect(),
        note: None,
    })
}

fn place_text(place: SourceOffset) -> String {
    format!("{}/{}", place.partition, place.offset)
}

fn redrive(arguments: &RedriveArgs) -> anyhow::Result<()> {
    let settings = &arguments.common.settings;
    settings.init_logging()?;
    let plan = plan(arguments)?;
    let postgres = settings.postgres("rollcall redrive")?;
    let shared = settings.shared()?;
    let control = Control::new();
    let signals = super::signals::listen(&control)?;
    let bar = ProgressBar::new_spinner();
    bar.enable_steady_tick(Duration::from_millis(100));
    let mut show = |summary: &RedriveSummary| bar.set_message(headline(summary, plan.dry_run));
    let done = run_redrive(
        &shared.kafka,
        &shared.registry,
        &postgres,
        &plan,
        &control,
        &mut show,
    );
    bar.finish_and_clear();
    signals.shutdown_background();
    let summary = done?;
    super::print(&match arguments.common.format {
        AnswerFormat::Table => text(&summary, plan.dry_run) + nothing_there(&summary, &plan),
        AnswerFormat::Json => format!("{}\n", to_json(&summary, plan.dry_run)),
    })
}

/// Why nothing was done at the place that was asked for.
fn nothing_there(summary: &RedriveSummary, plan: &RedrivePlan) -> &'static str {
    let is_empty = *summary == RedriveSummary::default();
    match (plan.source, is_empty) {
        (Some(_), true) if plan.again => {
            "  nothing there is a record that was rejected whole: `rollcall dlq list` has their places\n"
        }
        (Some(_), true) => {
            "  nothing there is a record that was rejected whole and not sent again yet: `rollcall dlq list` has their places, \
             --again sends once more\n"
        }
        _ => "",
    }
}

fn plan(arguments: &RedriveArgs) -> Result<RedrivePlan, SettingsError> {
    Ok(RedrivePlan {
        reason: arguments.reason.clone(),
        source: arguments.place,
        rekey: arguments.rekey,
        again: arguments.again,
        dry_run: arguments.dry_run,
        limit: arguments.limit,
        partitions: arguments.common.settings.partitions()?.snapshots,
    })
}

fn headline(summary: &RedriveSummary, dry_run: bool) -> String {
    let what = if dry_run { "would be sent" } else { "sent" };
    let mut text = format!("{} records {what} again", summary.sent);
    if summary.rekeyed > 0 {
        text.push_str(&format!(", {} of them with a new key", summary.rekeyed));
    }
    text
}

fn text(summary: &RedriveSummary, dry_run: bool) -> String {
    let mut text = format!("{}\n", headline(summary, dry_run));
    let mut say = |count: u64, what: &str| {
        if count > 0 {
            text.push_str(&format!("  {count} {what}\n"));
        }
    };
    say(
        summary.found,
        "had been sent by an earlier redrive that was ended before it could write that down",
    );
    say(
        summary.unsent,
        "had been taken on by an earlier redrive that was ended before it sent them",
    );
    say(
        summary.undecided,
        "may have been sent by an earlier redrive: the raw topic no longer tells, so they are not sent",
    );
    for (why, count) in &summary.left_out {
        let begins = || {
            let begins = summary.begins.iter();
            let begins = begins.map(|(partition, begin)| format!("{partition} at {begin}"));
            begins.collect::<Vec<_>>().join(", ")
        };
        match why {
            LeftOut::NeedsRekey => say(*count, "have a missing or wrong key: --rekey mends that"),
            LeftOut::Hopeless => say(
                *count,
                "are empty or came too late: they would be rejected again",
            ),
            LeftOut::Expired => {
                let what = format!(
                    "have expired: retention dropped them from the raw topic (partition {} begins)",
                    begins()
                );
                say(*count, &what);
            }
            LeftOut::Replaced => say(
                *count,
                "are gone: at their place stands another record or none",
            ),
            LeftOut::Unreadable => say(*count, "can't be read, so their machine's id is not known"),
        }
    }
    text
}

fn to_json(summary: &RedriveSummary, dry_run: bool) -> serde_json::Value {
    let left_out: serde_json::Map<_, _> = summary
        .left_out
        .iter()
        .map(|(why, count)| (why.as_str().to_owned(), json!(count)))
        .collect();
    json!({
        "dry_run": dry_run,
        "sent": summary.sent,
        "rekeyed": summary.rekeyed,
        "found_sent": summary.found,
        "found_unsent": summary.unsent,
        "undecided": summary.undecided,
        "left_out": left_out,
    })
}
