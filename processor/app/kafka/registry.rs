//! The schema registry: registering our schemas, and looking up writers' schemas.
//!
//! Calls block and must run on worker threads. A registry that can't be reached, answers oddly, or has lost our schemas,
//! is an error to wait for; only a sound one that says that it has no such schema makes the schema of what others write
//! unknown. `schema_registry_converter` registers; looking up is done here, since the library does not tell statuses and
//! error codes apart.

use reqwest::StatusCode;
use reqwest::blocking::{Client, RequestBuilder};
use rollcall_codec::{RecordType, SchemaIds, SchemaRef, schemas::value_subject};
use rollcall_stages::SchemaLookup;
use rollcall_stages::layout::{self, TopicLayout};
use schema_registry_converter::blocking::schema_registry::{SrSettings, post_schema};
use schema_registry_converter::error::SRCError;
use schema_registry_converter::schema_registry_common::{SchemaType, SuppliedSchema};
use serde_json::{Value, json};
use std::time::Duration;

/// How long one call may take.
const TIMEOUT: Duration = Duration::from_secs(5);
/// What bodies are.
const JSON: &str = "application/vnd.schemaregistry.v1+json";
/// The registry's code for a subject that it does not have.
const NO_SUBJECT: u64 = 40_401;
/// The registry's code for a schema that it does not have.
const NO_SCHEMA: u64 = 40_403;

/// Which topic holds which record.
pub const SUBJECTS: [(TopicLayout, RecordType); 11] = [
    (layout::SNAPSHOTS, RecordType::ProcessSnapshot),
    (layout::OBSERVATIONS, RecordType::SnapshotObservations),
    (layout::PARTIALS, RecordType::RollupPartials),
    (layout::UPDATES_USER, RecordType::RollupUpdate),
    (layout::UPDATES_FACULTY, RecordType::RollupUpdate),
    (layout::UPDATES_APPLICATION, RecordType::RollupUpdate),
    (layout::DEAD_LETTERS, RecordType::DeadLetter),
    (layout::STATE_NORMALIZE, RecordType::MachineState),
    (layout::STATE_ROLLUP, RecordType::RollupState),
    (layout::TASK_STATE, RecordType::TaskState),
    (layout::DIRECTORY_USERS, RecordType::DirectoryUser),
];

/// Why the registry did not help.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// It can't be reached or does not answer properly.
    #[error(
        "the schema registry at {url} does not answer as it should: {detail}; are registry.url and its login right and the \
         registry up?"
    )]
    Away {
        /// Its address.
        url: String,
        /// What was said.
        detail: String,
    },
    /// It does not know a schema with which we have written.
    #[error(
        "the schema registry at {url} does not know schema {schema}, with which records of {topic} were written: has it lost \
         schemas?"
    )]
    Unknown {
        /// Its address.
        url: String,
        /// The schema.
        schema: SchemaRef,
        /// The topic.
        topic: String,
    },
    /// It does not know one of our own schemas.
    #[error("the schema registry at {url} has no schema for {subject}; run `rollcall bootstrap`")]
    Lost {
        /// Its address.
        url: String,
        /// The subject.
        subject: String,
    },
    /// It refused one of our schemas.
    #[error("the schema registry at {url} refused the schema for {subject}: {detail}")]
    Refused {
        /// Its address.
        url: String,
        /// The subject.
        subject: String,
        /// Its answer.
        detail: String,
    },
}

/// A client of the registry.
#[derive(Clone, Debug)]
pub struct Registry {
    url: String,
    prefix: String,
    settings: SrSettings,
    http: Client,
    login: Option<(String, String)>,
}

impl Registry {
    /// A client; nothing is sent yet. Must not be called on an async thread.
    ///
    /// # Errors
    /// If the client can't be set up.
    pub fn new(
        url: &str,
        login: Option<(String, String)>,
        topic_prefix: &str,
    ) -> Result<Self, RegistryError> {
        let url = url.trim_end_matches('/').to_owned();
        let away = |detail: String| RegistryError::Away {
            url: url.clone(),
            detail,
        };
        let mut builder = SrSettings::new_builder(url.clone());
        builder.set_timeout(TIMEOUT);
        if let Some((username, password)) = &login {
            builder.set_basic_authorization(username, Some(password));
        }
        let settings = builder.build().map_err(|error| away(error.to_string()))?;
        let http = Client::builder()
            .timeout(TIMEOUT)
            .build()
            .map_err(|error| away(chain(&error)))?;
        Ok(Self {
            prefix: topic_prefix.to_owned(),
            settings,
            http,
            login,
            url,
        })
    }

    /// Its address.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Registers every schema, each under its topic's subject, and makes the subjects BACKWARD_TRANSITIVE.
    ///
    /// # Errors
    /// If the registry is away or finds a schema incompatible with the one it has.
    pub fn register_all(&self) -> Result<(), RegistryError> {
        for (topic, record) in SUBJECTS {
            let subject = self.subject(&topic);
            let supplied = SuppliedSchema::new(
                Some(record.full_name().to_owned()),
                SchemaType::Avro,
                record.schema_json().to_owned(),
            );
            post_schema(&self.settings, subject.clone(), supplied)
                .map_err(|error| self.not_registered(&subject, &error))?;
            let level = json!({ "compatibility": "BACKWARD_TRANSITIVE" });
            let config = self.http.put(format!("{}/config/{subject}", self.url));
            self.accepted(with_body(config, &level), &subject)?;
        }
        Ok(())
    }

    /// Why a schema could not be registered. The library has the status in its text only; a test watches over that.
    fn not_registered(&self, subject: &str, error: &SRCError) -> RegistryError {
        let detail = match &error.cause {
            Some(cause) => format!("{} ({cause})", error.error),
            None => error.error.clone(),
        };
        // Incompatible, or invalid.
        let refused = ["status 409", "status 422"]
            .iter()
            .any(|status| detail.contains(status));
        match refused {
            false => self.away(detail),
            true => RegistryError::Refused {
                url: self.url.clone(),
                subject: subject.to_owned(),
                detail,
            },
        }
    }

    fn accepted(&self, request: RequestBuilder, subject: &str) -> Result<(), RegistryError> {
        match self.call(request)? {
            Ok(_) => Ok(()),
            // Incompatible, or invalid.
            Err(refusal) if matches!(refusal.status.as_u16(), 409 | 422) => {
                Err(RegistryError::Refused {
                    url: self.url.clone(),
                    subject: subject.to_owned(),
                    detail: refusal.to_string(),
                })
            }
            Err(refusal) => Err(self.away(refusal.to_string())),
        }
    }

    /// Asks for something small.
    ///
    /// # Errors
    /// If the registry is away or refuses.
    pub fn ping(&self) -> Result<(), RegistryError> {
        let request = self.http.get(format!("{}/schemas/types", self.url));
        match self.call(request)? {
            Ok(_) => Ok(()),
            Err(refusal) => Err(self.away(refusal.to_string())),
        }
    }

    /// The ids of our own schemas; they must have been registered.
    ///
    /// # Errors
    /// If the registry is away or lacks one.
    pub fn schema_ids(&self) -> Result<SchemaIds, RegistryError> {
        self.schema_ids_of(&RecordType::ALL)
    }

    /// The ids of these schemas of ours, for those who write nothing else.
    ///
    /// # Errors
    /// If the registry is away or lacks one.
    pub fn schema_ids_of(&self, records: &[RecordType]) -> Result<SchemaIds, RegistryError> {
        let mut ids = SchemaIds::default();
        for (topic, record) in SUBJECTS {
            if records.contains(&record) {
                ids = ids.with(record, self.own_id(&topic, record)?);
            }
        }
        Ok(ids)
    }

    /// What the registry says of the schema with which a record of `topic` was written. Unknown is only ever said of topics
    /// that others write: all else is written with schemas that the registry has, or has lost.
    ///
    /// # Errors
    /// If it can't be told: the registry is away or answers oddly, or has lost even our own schemas.
    pub fn lookup(
        &self,
        topic: &TopicLayout,
        schema: SchemaRef,
    ) -> Result<SchemaLookup, RegistryError> {
        // Ids are Java's `int`: no registry has ever given a larger one, and some answer to it as to a path they don't serve.
        if matches!(schema, SchemaRef::Id(id) if i32::try_from(id).is_err()) {
            return self.lacking(topic, schema);
        }
        let path = match schema {
            SchemaRef::Id(id) => format!("schemas/ids/{id}"),
            SchemaRef::Guid(_) => format!("schemas/guids/{schema}"),
        };
        // What was deleted was written with none the less.
        let request = self.http.get(format!("{}/{path}?deleted=true", self.url));
        match self.call(request)? {
            Ok(answer) => match answer["schema"].as_str() {
                Some(text) => Ok(SchemaLookup::Known(text.to_owned())),
                None => Err(self.away(format!("schema {schema} comes without its text"))),
            },
            Err(refusal) if refusal.lacks(schema) => self.lacking(topic, schema),
            Err(refusal) => Err(self.away(refusal.to_string())),
        }
    }

    /// What it means that the registry has no such schema, if it is sound.
    fn lacking(
        &self,
        topic: &TopicLayout,
        schema: SchemaRef,
    ) -> Result<SchemaLookup, RegistryError> {
        self.own_id(&layout::SNAPSHOTS, RecordType::ProcessSnapshot)?;
        if topic.is_external() {
            return Ok(SchemaLookup::Unknown);
        }
        Err(RegistryError::Unknown {
            url: self.url.clone(),
            schema,
            topic: format!("{}{}", self.prefix, topic.name),
        })
    }

    /// The id of exactly our schema: the subject's latest may be another's, that has evolved.
    fn own_id(&self, topic: &TopicLayout, record: RecordType) -> Result<u32, RegistryError> {
        let subject = self.subject(topic);
        let schema = json!({ "schema": record.schema_json() });
        match self.call(self.post(&format!("subjects/{subject}"), &schema))? {
            Ok(answer) => answer["id"]
                .as_u64()
                .and_then(|id| u32::try_from(id).ok())
                .ok_or_else(|| self.away(format!("the schema for {subject} comes without its id"))),
            Err(refusal) if [NO_SUBJECT, NO_SCHEMA].contains(&refusal.code) => {
                Err(RegistryError::Lost {
                    url: self.url.clone(),
                    subject,
                })
            }
            Err(refusal) => Err(self.away(refusal.to_string())),
        }
    }

    fn subject(&self, topic: &TopicLayout) -> String {
        value_subject(&format!("{}{}", self.prefix, topic.name))
    }

    fn post(&self, path: &str, body: &Value) -> RequestBuilder {
        with_body(self.http.post(format!("{}/{path}", self.url)), body)
    }

    /// One call. The inner error: the registry answered, and refused.
    fn call(&self, mut request: RequestBuilder) -> Result<Result<Value, Refusal>, RegistryError> {
        if let Some((username, password)) = &self.login {
            request = request.basic_auth(username, Some(password));
        }
        let response = request.send().map_err(|error| self.away(chain(&error)))?;
        let status = response.status();
        let body = response.text().map_err(|error| self.away(chain(&error)))?;
        let answer: Option<Value> = serde_json::from_str(&body).ok();
        if !status.is_success() {
            return Ok(Err(Refusal::new(status, answer.as_ref())));
        }
        answer
            .map(Ok)
            .ok_or_else(|| self.away(format!("HTTP {status} without JSON")))
    }

    fn away(&self, detail: String) -> RegistryError {
        RegistryError::Away {
            url: self.url.clone(),
            detail,
        }
    }
}

/// An answer that is a refusal.
struct Refusal {
    status: StatusCode,
    /// The registry's own code; 0 where it gives none.
    code: u64,
    message: String,
}

impl Refusal {
    fn new(status: StatusCode, answer: Option<&Value>) -> Self {
        let part = |name| answer.and_then(|answer| answer.get(name));
        let message = part("message").and_then(Value::as_str);
        Self {
            status,
            code: part("error_code").and_then(Value::as_u64).unwrap_or(0),
            message: message.unwrap_or_default().to_owned(),
        }
    }

    /// Whether it says that there is no such schema. Registries that have no schemas by GUID say 404 without a code.
    fn lacks(&self, schema: SchemaRef) -> bool {
        let by_guid = matches!(schema, SchemaRef::Guid(_));
        self.status == StatusCode::NOT_FOUND && (self.code == NO_SCHEMA || by_guid)
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "HTTP {}", self.status)?;
        if self.message.is_empty() {
            return Ok(());
        }
        write!(f, " ({})", self.message)
    }
}

fn with_body(request: RequestBuilder, body: &Value) -> RequestBuilder {
    request
        .header("Content-Type", JSON)
        .header("Accept", JSON)
        .body(body.to_string())
}

/// An error with its causes: the client's own text leaves them out.
fn chain(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests;
