//! `rollcall query`: the analysts' questions, answered as tables or JSON.
//!
//! [`four_answers`] asks each question about something that is stored, for `demo`.

pub(super) mod answer;
mod empty;
mod period;
mod questions;

use self::answer::Answer;
use self::period::PeriodArgs;
use super::AnswerFormat;
use super::settings::Settings;
use crate::clock::wall_clock;
use crate::postgres::overview::{Named, examples, known_names};
use crate::postgres::queries::{Period, TopApplicationsQuery, TopBy};
use crate::postgres::{PostgresError, Session};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use rollcall_domain::time::DAY_US;
use rollcall_domain::{Grain, Os, Timestamp};

/// Rows that an answer may have.
const LIMITS: std::ops::RangeInclusive<u64> = 1..=100_000;

/// Arguments of `query`.
#[derive(Debug, clap::Args)]
pub(crate) struct QueryArgs {
    #[command(subcommand)]
    question: Question,
}

#[derive(Debug, clap::Subcommand)]
enum Question {
    /// The applications used most, by faculty, operating system and period
    Top(TopArgs),
    /// How much memory an application takes on each operating system
    Memory(MemoryArgs),
    /// What ran on one machine
    Machine(MachineArgs),
    /// What one user used, per minute, hour or day
    User(UserArgs),
}

#[derive(Debug, clap::Args)]
struct TopArgs {
    /// Of this faculty's members only
    #[arg(long)]
    faculty: Option<String>,
    /// On this operating system only
    #[arg(long, value_parser = os_parser())]
    os: Option<Os>,
    /// What "most" means
    #[arg(long, value_parser = order_parser(), default_value = "cpu_time")]
    by: TopBy,
    /// Rows, at most
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(LIMITS))]
    limit: u64,
    #[command(flatten)]
    asking: Asking,
}

#[derive(Debug, clap::Args)]
struct MemoryArgs {
    /// The application's canonical name, as chrome
    application: String,
    /// Of this faculty's members only
    #[arg(long)]
    faculty: Option<String>,
    #[command(flatten)]
    asking: Asking,
}

#[derive(Debug, clap::Args)]
struct MachineArgs {
    /// The machine's id or name
    machine: String,
    /// Rows, at most
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u64).range(LIMITS))]
    limit: u64,
    #[command(flatten)]
    asking: Asking,
}

#[derive(Debug, clap::Args)]
struct UserArgs {
    /// The user: a name of the directory, DOMAIN\user or name@machine
    user: String,
    /// Length of a window [default: what fits the period]
    #[arg(long, value_parser = grain_parser())]
    grain: Option<Grain>,
    /// Rows, at most
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u64).range(LIMITS))]
    limit: u64,
    #[command(flatten)]
    asking: Asking,
}

/// What every question has.
#[derive(Debug, clap::Args)]
struct Asking {
    #[command(flatten)]
    period: PeriodArgs,
    /// How to print the answer
    #[arg(long, value_enum, default_value = "table")]
    format: AnswerFormat,
    #[command(flatten, next_help_heading = "Connection")]
    settings: Settings,
}

/// Parses one of the words that a domain type has a `parse` for.
fn word_parser<T: Clone + Send + Sync + 'static>(
    words: impl IntoIterator<Item = &'static str>,
    parse: fn(&str) -> Option<T>,
) -> impl TypedValueParser<Value = T> {
    PossibleValuesParser::new(words).try_map(move |word| {
        parse(&word).ok_or_else(|| std::io::Error::other("not one of the words"))
    })
}

fn os_parser() -> impl TypedValueParser<Value = Os> {
    word_parser(Os::ALL.map(Os::as_str), Os::parse)
}

fn order_parser() -> impl TypedValueParser<Value = TopBy> {
    word_parser(TopBy::ALL.map(TopBy::as_str), TopBy::parse)
}

fn grain_parser() -> impl TypedValueParser<Value = Grain> {
    word_parser(Grain::ALL.map(Grain::as_str), Grain::parse)
}

impl Question {
    fn asking(&self) -> &Asking {
        match self {
            Question::Top(arguments) => &arguments.asking,
            Question::Memory(arguments) => &arguments.asking,
            Question::Machine(arguments) => &arguments.asking,
            Question::User(arguments) => &arguments.asking,
        }
    }

    async fn ask(&self, session: &mut Session, period: Period) -> Result<Answer, PostgresError> {
        match self {
            Question::Top(arguments) => {
                let query = TopApplicationsQuery {
                    faculty: arguments.faculty.as_deref(),
                    os: arguments.os,
                    period,
                    by: arguments.by,
                    limit: arguments.limit as usize,
                };
                questions::top(session, &query).await
            }
            Question::Memory(arguments) => {
                let faculty = arguments.faculty.as_deref();
                questions::memory(session, &arguments.application, faculty, period).await
            }
            Question::Machine(arguments) => {
                let limit = arguments.limit as usize;
                questions::machine(session, &arguments.machine, period, limit).await
            }
            Question::User(arguments) => {
                let fitting = || questions::fitting_grain(period);
                let grain = arguments.grain.unwrap_or_else(fitting);
                let limit = arguments.limit as usize;
                questions::user(session, &arguments.user, grain, period, limit).await
            }
        }
    }
}

/// Answers a question.
pub(crate) fn query(arguments: &QueryArgs) -> anyhow::Result<()> {
    let asking = arguments.question.asking();
    asking.settings.init_logging()?;
    let period = asking.period.resolve(wall_clock())?;
    let settings = asking.settings.postgres("rollcall query")?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let answer = runtime.block_on(async {
        let mut session = Session::connect(&settings).await?;
        let answer = arguments.question.ask(&mut session, period).await;
        session.close().await;
        answer
    })?;
    let text = match asking.format {
        AnswerFormat::Table => answer.to_table(),
        AnswerFormat::Json => format!("{}\n", answer.to_json()),
    };
    super::print(&text)
}

/// Whether [`four_answers`] has something to tell of each question: every kind of rollup is stored, and a machine.
pub async fn has_answers(session: &mut Session) -> Result<bool, PostgresError> {
    for what in [
        Named::Machine,
        Named::Faculty,
        Named::Application,
        Named::User,
    ] {
        if known_names(session, what, 1).await?.is_empty() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Each of the four questions about something that is stored of the last day, as people would ask it, with its answer.
/// `machine` is the one to ask about; `None`: one that is stored.
///
/// # Errors
/// If the database fails.
pub async fn four_answers(
    session: &mut Session,
    now: Timestamp,
    machine: Option<&str>,
) -> Result<String, PostgresError> {
    let last_day = PeriodArgs::last(DAY_US).resolve(now);
    let period = last_day.unwrap_or(Period {
        from: Timestamp::MIN,
        to: now,
    });
    let examples = examples(session, period).await?;
    let mut text = String::new();
    let mut add = |command: String, answer: &Answer| {
        text.push_str(&format!(
            "$ rollcall query {command}\n{}\n",
            answer.to_table()
        ));
    };
    let (faculty, os) = examples.faculty.unzip();
    let query = TopApplicationsQuery {
        faculty: faculty.as_deref(),
        os: os.as_deref().and_then(Os::parse),
        period,
        by: TopBy::CpuTime,
        limit: 5,
    };
    let flag = |name: &str, value: Option<&str>| {
        value.map_or(String::new(), |value| format!(" --{name} {}", word(value)))
    };
    let command = format!(
        "top{}{} --limit 5",
        flag("faculty", faculty.as_deref()),
        flag("os", os.as_deref())
    );
    add(command, &questions::top(session, &query).await?);
    if let Some(application) = &examples.application {
        let answer = questions::memory(session, application, None, period).await?;
        add(format!("memory {}", word(application)), &answer);
    }
    if let Some(machine) = machine.or(examples.machine.as_deref()) {
        let answer = questions::machine(session, machine, period, 5).await?;
        add(format!("machine {} --limit 5", word(machine)), &answer);
    }
    if let Some(user) = &examples.user {
        let answer = questions::user(session, user, Grain::Hour, period, 5).await?;
        add(
            format!("user {} --grain hour --limit 5", word(user)),
            &answer,
        );
    }
    Ok(text)
}

/// A word as a shell takes it.
fn word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.@/:,+".contains(c);
    match !text.is_empty() && text.chars().all(plain) {
        true => text.to_owned(),
        false => format!("'{}'", answer::harmless(text).replace('\'', "'\\''")),
    }
}
