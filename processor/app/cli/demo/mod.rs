//! `rollcall demo`: everything on one machine, from nothing: the services, the pipeline, a simulated fleet and this very
//! machine; then the analysts' questions, answered out of PostgreSQL.
//!
//! ```text
//! services ─► bootstrap ─► pipeline ◄─ Kafka ◄─ fleet, agent          watch: progress, answers
//!                             └──► PostgreSQL ──────────────────────────► audit (with --seconds) ─► exit code
//! ```
//!
//! Invariant: with `--seconds`, exit code 0 says that every record which was sent is in the raw topic, and that the
//! tables equal the audit's own fold of that topic.

mod crew;
mod screen;
mod services;
mod verdict;

use super::audit::{raw_ends, report_text};
use super::run::RunArgs;
use super::settings::SettingsError;
use crate::clock::{elapsed_us, wall_clock};
use crate::driver::{Control, Signal};
use crate::postgres::{PostgresSettings, Session, StoredTotals, read_totals};
use crate::telemetry::http::listen;
use crate::telemetry::logging::LogFormat;
use clap::Parser;
use crew::Crew;
use screen::Screen;
use services::Services;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;
use tokio::runtime::Runtime;

/// How often the screen is drawn, and signals are looked for.
const STEP: Duration = Duration::from_millis(200);
/// When the questions are answered: by then every machine has reported twice, which differences of CPU time need.
const ANSWERS_AFTER: Duration = Duration::from_secs(24);
/// How long they are waited for beyond the time that was asked for.
const ANSWERS_PATIENCE: Duration = Duration::from_secs(60);

/// Arguments of `demo`.
#[derive(Debug, clap::Args)]
pub(crate) struct DemoArgs {
    /// End after this many seconds, audit the tables, and exit 0 only if nothing was lost, doubled or wrong
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: Option<u64>,
    /// Machines of the simulated fleet
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    machines: u32,
    /// Faculties
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(0..=1_000))]
    faculties: u32,
    /// Users in the directory
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    users: u32,
    /// Seconds from one snapshot of a machine to its next
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=3_600))]
    interval_seconds: u32,
    /// Share of snapshots that are broken, late, repeated or the like, 0 to 1
    #[arg(long, default_value_t = 0.02)]
    mischief: f64,
    /// What to log: error, warn, info, debug, trace, or a tracing filter
    #[arg(long, env = "ROLLCALL_LOG_LEVEL", default_value = "error")]
    log_level: String,
}

/// The settings of `run`, as from a command line: the demo runs the pipeline as everybody does.
#[derive(Debug, Parser)]
struct AsRun {
    #[command(flatten)]
    run: RunArgs,
}

/// Runs the demo.
pub(crate) fn demo(arguments: &DemoArgs) -> anyhow::Result<()> {
    super::init_logging(&arguments.log_level, LogFormat::Text)?;
    if !(0.0..=1.0).contains(&arguments.mischief) {
        return Err(SettingsError {
            key: "mischief",
            value: arguments.mischief.to_string(),
            allowed: "0 to 1".to_owned(),
        }
        .into());
    }
    let interrupt = Control::new();
    let signals = super::signals::listen(&interrupt)?;
    let screen = Screen::new();
    let services = Services::start(&screen)?;
    let ended = on_services(arguments, &services, &screen, &interrupt, &signals);
    screen.close();
    services.stop()?;
    signals.shutdown_background();
    ended
}

fn on_services(
    arguments: &DemoArgs,
    services: &Services,
    screen: &Screen,
    interrupt: &Control,
    runtime: &Runtime,
) -> anyhow::Result<()> {
    let run = AsRun::try_parse_from(services.command_line())?.run;
    let shared = run.settings.shared()?;
    let database = run.settings.postgres("rollcall demo")?;
    let made = super::bootstrap::prepare(&shared, &run.settings.topic_options()?, Some(&database))?;
    screen.say(&format!(
        "bootstrapped: {} topics, {} migrations",
        made.topics.len(),
        made.migrations.unwrap_or_default()
    ));
    let ends_before = raw_ends(&shared)?;
    let pipeline = super::run::pipeline_config(&run, &shared)?;
    let http = listen(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
    let http_address = http.local_addr()?;
    runtime.spawn(super::run::serve(http, shared.telemetry.clone()));
    let crew = Crew::start(arguments, pipeline, &shared);
    let watched = Show {
        arguments,
        services,
        http_address,
        screen,
        interrupt,
        database: &database,
        crew: &crew,
    }
    .run();
    screen.say("stopping the fleet and the agent");
    let (sent, pipeline) = crew.end_producers();
    let judged = watched.and(sent).and_then(|sent| {
        let ends = raw_ends(&shared)?;
        // The raw topic is written without transactions, so its offsets count records only.
        let raw = ends.iter().sum::<i64>() - ends_before.iter().sum::<i64>();
        if arguments.seconds.is_none() {
            screen.say(&format!(
                "{} snapshots were sent and {raw} are in Kafka",
                sent.delivered()
            ));
            return Ok(());
        }
        anyhow::ensure!(
            interrupt.signal() == Signal::Run,
            "interrupted before the audit, so nothing can be said about the tables"
        );
        verdict::all_arrived(&sent, raw)?;
        screen.say(&format!(
            "all {raw} snapshots that were sent are in Kafka; auditing the tables"
        ));
        anyhow::ensure!(!pipeline.has_ended(), "there is nothing to audit");
        let report = verdict::audit(&shared, &database, ends, interrupt)?;
        screen.print(&report_text(&report));
        verdict::no_differences(&report)
    });
    screen.say("stopping the pipeline");
    // What the pipeline says comes first: it is the cause of what the others say.
    pipeline.end().and(judged)
}

/// What people watch.
struct Show<'a> {
    arguments: &'a DemoArgs,
    services: &'a Services,
    http_address: SocketAddr,
    screen: &'a Screen,
    interrupt: &'a Control,
    database: &'a PostgresSettings,
    crew: &'a Crew,
}

impl Show<'_> {
    /// Until the time is up, Ctrl-C, or something ends that should go on.
    fn run(&self) -> anyhow::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let begun_us = elapsed_us();
        let mut session = None;
        let mut answered = false;
        loop {
            let elapsed = Duration::from_micros((elapsed_us() - begun_us) as u64);
            let lasts = self.arguments.seconds.map(Duration::from_secs);
            let time_is_up = lasts.is_some_and(|lasts| elapsed >= lasts);
            let totals = runtime.block_on(self.totals(&mut session));
            self.screen
                .progress(elapsed, self.crew.delivered(), totals.as_ref());
            let is_due = !answered && (time_is_up || elapsed >= ANSWERS_AFTER);
            if is_due && let Some(session) = &mut session {
                // An error is told by the totals, which are read next, on a connection of their own then.
                let has_answers = runtime.block_on(super::query::has_answers(session));
                if has_answers.unwrap_or(false) {
                    answered = true;
                    let answers = runtime.block_on(super::query::four_answers(
                        session,
                        wall_clock(),
                        self.crew.machine(),
                    ))?;
                    self.screen.print(&answers);
                    self.screen
                        .print(&self.services.how_to_connect(self.http_address));
                }
            }
            // Nobody leaves without answers, unless there are none.
            let given_up = lasts.is_some_and(|lasts| elapsed >= lasts + ANSWERS_PATIENCE);
            let over = time_is_up && answered || given_up;
            if over || self.interrupt.signal() != Signal::Run || self.crew.has_ended() {
                return Ok(());
            }
            std::thread::sleep(STEP);
        }
    }

    /// `None`: the database can't be asked now; it is asked again.
    async fn totals(&self, session: &mut Option<Session>) -> Option<StoredTotals> {
        if session.is_none() {
            *session = Session::connect(self.database).await.ok();
        }
        let totals = read_totals(session.as_mut()?).await;
        if totals.is_err() {
            *session = None;
        }
        totals.ok()
    }
}
