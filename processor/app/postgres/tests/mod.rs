//! Against a real server (`server.rs`), where each test makes a database of its own.

mod claims;
mod commits;
mod copying;
mod details;
mod partitions;
mod questions;
mod rollups;
mod schema;
mod server;
mod sketches;
mod throughput;

use super::*;
use rollcall_domain::observation::{Observation, SourceOffset, TaskCounts};
use rollcall_domain::snapshot::{Machine, Os, SnapshotId};
use rollcall_domain::time::MINUTE_US;
use rollcall_domain::{Process, ResolvedUser, SnapshotObservations, Timestamp};
use rollcall_driver::ports::{Claim, ClaimRequest, Connection, DatabaseError, OffsetAdvance};
use rollcall_driver::sink::{
    DeadLetterBatch, DetailsBatch, DetailsFlushed, FlushError, Link, RollupsFlushed, begin_flush,
    claim, flush_dead_letters, flush_details, flush_rollups,
};
use sqlx::AssertSqlSafe;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};

const DEPLOYMENT: &str = "test";
const TOPIC: &str = "process-observations";

/// 2026-03-10T12:00:00Z.
const NOON: Timestamp = Timestamp::from_micros(1_773_144_000_000_000);

/// What a lane of SINK works with.
type Sink = Link<Session>;

trait HasSession {
    fn session(&mut self) -> &mut Session;
}

impl HasSession for Sink {
    fn session(&mut self) -> &mut Session {
        &mut self.connection
    }
}

async fn connect(settings: &PostgresSettings) -> Sink {
    let database = SinkDatabase::new(settings, DEPLOYMENT);
    Link::open(&database, "tests").await.unwrap()
}

/// A migrated database that is dropped by [`TestDatabase::drop_it`].
struct TestDatabase {
    server: String,
    name: String,
}

static DATABASES: AtomicU32 = AtomicU32::new(0);

impl TestDatabase {
    async fn create() -> Self {
        let server = server::url();
        let number = DATABASES.fetch_add(1, Ordering::Relaxed);
        let name = format!("rollcall_test_{}_{number}", std::process::id());
        let database = Self { server, name };
        database.on_server("DROP DATABASE IF EXISTS").await;
        database.on_server("CREATE DATABASE").await;
        let mut session = database.session().await;
        migrate(&mut session).await.unwrap();
        database
    }

    async fn on_server(&self, statement: &str) {
        let settings = PostgresSettings::new(self.server.as_str(), "rollcall tests");
        let mut session = Session::connect(&settings).await.unwrap();
        let statement = format!("{statement} {}", self.name);
        sqlx::raw_sql(AssertSqlSafe(statement))
            .execute(&mut session.connection)
            .await
            .unwrap();
    }

    fn settings(&self) -> PostgresSettings {
        let (address, parameters) = self.server.split_once('?').unwrap_or((&self.server, ""));
        let (address, _) = address.rsplit_once('/').unwrap();
        let url = format!("{address}/{}?{parameters}", self.name);
        PostgresSettings::new(url, "rollcall tests")
    }

    /// How a new user connects who is a member of a role and has no other rights. It goes with the database.
    async fn login(&self, role: &str) -> PostgresSettings {
        let user = format!("{}_user", self.name);
        let mut session = self.session().await;
        let create = format!("CREATE ROLE {user} LOGIN PASSWORD '{user}' IN ROLE {role}");
        execute(&mut session, &create).await.unwrap();
        let url = self.settings().url;
        let (scheme, rest) = url.split_once("://").unwrap();
        let (_, place) = rest.rsplit_once('@').unwrap_or(("", rest));
        PostgresSettings::new(
            format!("{scheme}://{user}:{user}@{place}"),
            "rollcall tests",
        )
    }

    async fn session(&self) -> Session {
        Session::connect(&self.settings()).await.unwrap()
    }

    async fn sink(&self) -> Sink {
        connect(&self.settings()).await
    }

    async fn drop_it(self) {
        let name = self.name.clone();
        let forced = Self {
            name: format!("{name} WITH (FORCE)"),
            ..self
        };
        forced.on_server("DROP DATABASE").await;
        let user = Self {
            name: format!("{name}_user"),
            ..forced
        };
        user.on_server("DROP ROLE IF EXISTS").await;
    }
}

/// Runs a statement and returns how many rows it touched.
async fn execute(session: &mut Session, statement: &str) -> Result<u64, sqlx::Error> {
    sqlx::query(AssertSqlSafe(statement.to_owned()))
        .execute(&mut session.connection)
        .await
        .map(|result| result.rows_affected())
}

/// The first column of the first row, as text.
async fn text(session: &mut Session, query: &str) -> String {
    let query = format!("SELECT coalesce((SELECT ({query})::text), 'NULL')");
    sqlx::query_scalar(AssertSqlSafe(query))
        .fetch_one(&mut session.connection)
        .await
        .unwrap()
}

async fn claimed(sink: &mut Sink, topic: &str, partition: i32) -> Claim {
    let request = ClaimRequest {
        deployment: DEPLOYMENT,
        topic,
        partition,
        initial_offset: 0,
    };
    claim(sink.session(), &request).await.unwrap()
}

fn advance(topic: &str, partition: i32, claim: Claim, to_offset: i64) -> OffsetAdvance<'_> {
    OffsetAdvance {
        topic,
        partition,
        epoch: claim.epoch,
        from_offset: claim.next_offset,
        to_offset,
    }
}

fn process(pid: i32, application: &'static str) -> Process<'static> {
    Process {
        pid,
        parent_pid: None,
        created_at: None,
        executable_name: application.into(),
        executable_path: None,
        command_line: Some(format!("{application} --pid {pid}").into()),
        owner: Some("ada".into()),
        state: None,
        cpu_time_us: Some(1_000_000),
        memory_usage_bytes: Some(4_096 * 1024),
        memory_virtual_bytes: None,
        thread_count: None,
        application: application.into(),
        script: None,
    }
}

/// The `number`th snapshot of a partition, of the machine `machine`, with so many processes, a minute after the one before.
fn snapshot(
    partition: i32,
    number: i64,
    machine: &'static str,
    processes: i32,
) -> SnapshotObservations<'static> {
    let at = NOON.plus_micros(number * MINUTE_US);
    SnapshotObservations {
        snapshot_id: SnapshotId((partition as u128) << 64 | number as u128),
        source: SourceOffset {
            partition,
            offset: number,
        },
        observed_at: at,
        ingested_at: at.plus_micros(250_000),
        event_at: at,
        utc_offset_seconds: Some(3_600),
        machine: Machine {
            id: machine.into(),
            name: Some("PC".into()),
            os: Os::Linux,
            os_version: None,
            cpu_count: Some(8),
            memory_bytes: Some(16 << 30),
        },
        command: Some("ps auxww".into()),
        attributes: BTreeMap::new(),
        command_output: None,
        users: vec![ResolvedUser {
            user: "ada".into(),
            faculty: "law".into(),
        }],
        rules_digest: u64::MAX,
        lines_rejected: 0,
        counts: TaskCounts {
            snapshots_read: number + 1,
            snapshots_accepted: number + 1,
            lines_accepted: (number + 1) * i64::from(processes),
            ..TaskCounts::default()
        },
        observations: (0..processes)
            .map(|pid| Observation {
                process: process(pid, if pid % 2 == 0 { "chrome" } else { "bash" }),
                cpu_delta_us: Some(500_000),
                user: 0,
            })
            .collect(),
    }
}
