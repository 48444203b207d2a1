//! Errors of the database, told apart by what the caller can do about them.

use rollcall_driver::ports::DatabaseError;

/// What a caller can do about an error.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ErrorClass {
    /// The server is away, busy or failing over: throw the connection away, wait, connect again.
    Retriable,
    /// It will be the same until a person changes something.
    Fatal,
}

/// An error of the database, with one clear sentence; the server's own words are its source.
#[derive(Debug, thiserror::Error)]
#[error("can't {doing}: {sentence}")]
pub struct PostgresError {
    /// What was being done, as in "can't …".
    pub doing: String,
    /// Why it failed, for a person.
    pub sentence: String,
    /// What a caller can do.
    pub class: ErrorClass,
    /// The driver's error, where there is one.
    #[source]
    pub source: Option<sqlx::Error>,
}

impl PostgresError {
    /// An error that the driver knows nothing of.
    pub(crate) fn own(class: ErrorClass, doing: impl Into<String>, sentence: String) -> Self {
        Self {
            doing: doing.into(),
            sentence,
            class,
            source: None,
        }
    }

    /// The SQLSTATE, where the server gave one.
    #[must_use]
    pub fn sqlstate(&self) -> Option<String> {
        sqlstate(self.source.as_ref()?)
    }

    /// Whether trying again can help.
    #[must_use]
    pub fn is_retriable(&self) -> bool {
        self.class == ErrorClass::Retriable
    }
}

impl From<PostgresError> for DatabaseError {
    fn from(error: PostgresError) -> Self {
        let message = match &error.source {
            Some(source) => format!("{error} ({source})"),
            None => error.to_string(),
        };
        DatabaseError {
            message,
            is_retriable: error.is_retriable(),
        }
    }
}

/// Says what was being done when the driver failed.
pub(crate) trait Doing<T> {
    /// Turns the driver's error into ours.
    fn doing(self, doing: &str) -> Result<T, PostgresError>;
}

impl<T> Doing<T> for Result<T, sqlx::Error> {
    fn doing(self, doing: &str) -> Result<T, PostgresError> {
        self.map_err(|source| {
            let (class, sentence) = classify(&source);
            PostgresError {
                doing: doing.to_owned(),
                sentence,
                class,
                source: Some(source),
            }
        })
    }
}

fn sqlstate(error: &sqlx::Error) -> Option<String> {
    let sqlx::Error::Database(error) = error else {
        return None;
    };
    error.code().map(|code| code.into_owned())
}

fn classify(error: &sqlx::Error) -> (ErrorClass, String) {
    use ErrorClass::{Fatal, Retriable};
    match error {
        sqlx::Error::Io(error) => (Retriable, io_sentence(error)),
        sqlx::Error::Tls(_) => (Fatal, "the TLS handshake failed".to_owned()),
        sqlx::Error::Configuration(_) => (
            Fatal,
            "the address is not one of PostgreSQL (postgres://user@host:port/database)".to_owned(),
        ),
        sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed => (
            Retriable,
            "the connection broke in the middle of a message".to_owned(),
        ),
        sqlx::Error::Database(error) => {
            let code = error.code().unwrap_or_default();
            (sqlstate_class(&code), sqlstate_sentence(&code))
        }
        _ => (Fatal, "the answer is not what was asked for".to_owned()),
    }
}

fn io_sentence(error: &std::io::Error) -> String {
    use std::io::ErrorKind;
    match error.kind() {
        ErrorKind::ConnectionRefused => "nothing listens at this address".to_owned(),
        ErrorKind::TimedOut => "the server does not answer".to_owned(),
        ErrorKind::UnexpectedEof
        | ErrorKind::ConnectionReset
        | ErrorKind::ConnectionAborted
        | ErrorKind::BrokenPipe => "the server has closed the connection".to_owned(),
        _ => "the network failed".to_owned(),
    }
}

/// The class of a SQLSTATE; see "PostgreSQL Error Codes" in its manual.
pub(crate) fn sqlstate_class(code: &str) -> ErrorClass {
    let retriable = matches!(code.get(..2), Some("08" | "40" | "53" | "57" | "58"))
        // Lock not available; read-only, as a standby is; a lock or cache conflict reported as an internal error.
        || matches!(code, "55P03" | "55006" | "25006" | "XX000" | "25P03");
    if retriable && code != "57P04" {
        ErrorClass::Retriable
    } else {
        ErrorClass::Fatal
    }
}

fn sqlstate_sentence(code: &str) -> String {
    let sentence = match code {
        "28P01" | "28000" => "the server does not accept this user or password",
        "3D000" => "the database does not exist",
        "42501" => "the user may not do this; grant it the role rollcall_sink or rollcall_reader",
        "42P01" | "3F000" | "42883" | "42703" => {
            "a table, column or function is missing; run `rollcall bootstrap` to migrate"
        }
        "25006" => "the server is read-only, as a standby is",
        "53100" => "the server's disk is full",
        "53200" => "the server is out of memory",
        "53300" => "the server has no connection left",
        "55P03" => "a lock is held by somebody else",
        "57014" => "the statement was cancelled",
        "57P01" => "the connection was terminated by an administrator or a new owner",
        "57P02" | "57P03" => "the server is starting, stopping or recovering",
        "57P04" => "the database was dropped",
        "40001" | "40P01" => "another transaction was in the way",
        _ => return format!("the server reports SQLSTATE {code}"),
    };
    sentence.to_owned()
}
