//! Connections: dedicated ones, outside any pool, with the settings that our statements rely on.
//!
//! Invariants: a connection that has failed once is never used again; no statement runs inside a `select!` or a timeout
//! that could drop it half-way.

use super::error::{Doing, PostgresError};
use super::sockets::set_options;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};
use std::str::FromStr;

/// When a commit is answered.
///
/// Either is exactly once: a server that crashes loses the last commits together with the offsets that they moved,
/// and SINK, whose connection has broken, claims again and reads where it stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum SynchronousCommit {
    /// When it is on disk (and on synchronous standbys, where the server has them).
    #[default]
    On,
    /// At once; on disk within less than a second.
    Off,
}

/// How to connect.
#[derive(Clone, PartialEq, Eq)]
pub struct PostgresSettings {
    /// `postgres://user:password@host:port/database?sslmode=…`. Never printed.
    pub url: String,
    /// Name under which the connection is listed in `pg_stat_activity`.
    pub application_name: String,
    /// When a commit is answered.
    pub synchronous_commit: SynchronousCommit,
    /// Entries that each of a connection's dimension caches may hold.
    pub dimension_cache_entries: usize,
}

impl PostgresSettings {
    /// Settings with the defaults for all but the address and the name.
    #[must_use]
    pub fn new(url: impl Into<String>, application_name: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            application_name: application_name.into(),
            synchronous_commit: SynchronousCommit::default(),
            dimension_cache_entries: 1_000_000,
        }
    }
}

/// Shows everything but the address, which may hold a password.
impl std::fmt::Debug for PostgresSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PostgresSettings")
            .field("application_name", &self.application_name)
            .field("synchronous_commit", &self.synchronous_commit)
            .field("dimension_cache_entries", &self.dimension_cache_entries)
            .finish_non_exhaustive()
    }
}

/// A connection, for migrations, retention, queries and SINK's lanes.
#[derive(Debug)]
pub struct Session {
    pub(crate) connection: PgConnection,
}

impl Session {
    /// Connects.
    ///
    /// # Errors
    /// Says in one sentence why not, and whether trying again can help.
    pub async fn connect(settings: &PostgresSettings) -> Result<Self, PostgresError> {
        let options = parse(&settings.url)
            .doing("connect to PostgreSQL")?
            .application_name(&settings.application_name)
            .disable_statement_logging();
        let doing = format!(
            "connect to PostgreSQL at {}:{} as {}, database {}",
            options.get_host(),
            options.get_port(),
            options.get_username(),
            options.get_database().unwrap_or(options.get_username()),
        );
        let mut connection = options.connect().await.doing(&doing)?;
        set_options(options.get_port());
        let synchronous_commit = match settings.synchronous_commit {
            SynchronousCommit::On => "on",
            SynchronousCommit::Off => "off",
        };
        // By SET, not in the start-up packet, which poolers refuse.
        let setup = format!(
            "SET timezone = 'UTC'; SET client_min_messages = warning; SET jit = off; \
             SET statement_timeout = 0; SET lock_timeout = 0; SET synchronous_commit = {synchronous_commit}"
        );
        sqlx::raw_sql(AssertSqlSafe(setup))
            .execute(&mut connection)
            .await
            .doing(&doing)?;
        Ok(Self { connection })
    }

    /// Whether the server still answers.
    ///
    /// # Errors
    /// If it doesn't.
    pub async fn ping(&mut self) -> Result<(), PostgresError> {
        self.connection.ping().await.doing("reach PostgreSQL")
    }

    /// Says goodbye. Dropping a session ends it too, less politely.
    pub async fn close(self) {
        let _ = self.connection.close().await;
    }
}

/// The driver itself looks at no scheme.
fn parse(url: &str) -> Result<PgConnectOptions, sqlx::Error> {
    if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        PgConnectOptions::from_str(url)
    } else {
        Err(sqlx::Error::Configuration("unknown scheme".into()))
    }
}
