//! The schema registry: registering our schemas, and looking up writers' schemas.
//!
//! Calls block and must run on worker threads. A registry that can't be reached, or has lost our schemas, is an
//! error to wait for; only a sound one that does not know an id makes the id unknown.

use rollcall_codec::{RecordType, SchemaIds, SchemaRef, schemas::value_subject};
use rollcall_stages::SchemaLookup;
use rollcall_stages::layout::{self, TopicLayout};
use schema_registry_converter::blocking::schema_registry::{
    SrSettings, get_schema_by_guid, get_schema_by_id, get_schema_by_subject, post_schema,
};
use schema_registry_converter::error::SRCError;
use schema_registry_converter::schema_registry_common::{
    RegisteredSchema, SchemaType, SubjectNameStrategy, SuppliedSchema,
};
use std::time::Duration;

/// How long one call may take.
const TIMEOUT: Duration = Duration::from_secs(5);

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
        "the schema registry at {url} does not answer: {detail}; is registry.url right and the registry up?"
    )]
    Away {
        /// Its address.
        url: String,
        /// What was said.
        detail: String,
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
    http: reqwest::blocking::Client,
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
        let http = reqwest::blocking::Client::builder()
            .timeout(TIMEOUT)
            .build()
            .map_err(|error| away(error.to_string()))?;
        Ok(Self {
            prefix: topic_prefix.to_owned(),
            settings,
            http,
            login,
            url,
        })
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
            post_schema(&self.settings, subject.clone(), supplied).map_err(|error| match error
                .retriable
            {
                true => self.away(&error),
                false => RegistryError::Refused {
                    url: self.url.clone(),
                    subject: subject.clone(),
                    detail: describe(&error),
                },
            })?;
            self.set_compatibility(&subject)?;
        }
        Ok(())
    }

    fn set_compatibility(&self, subject: &str) -> Result<(), RegistryError> {
        let mut request = self
            .http
            .put(format!("{}/config/{subject}", self.url))
            .header("Content-Type", "application/vnd.schemaregistry.v1+json")
            .body(r#"{"compatibility":"BACKWARD_TRANSITIVE"}"#);
        if let Some((username, password)) = &self.login {
            request = request.basic_auth(username, Some(password));
        }
        let away = |detail: String| RegistryError::Away {
            url: self.url.clone(),
            detail,
        };
        let response = request.send().map_err(|error| away(error.to_string()))?;
        match response.error_for_status() {
            Ok(_) => Ok(()),
            Err(error) => Err(RegistryError::Refused {
                url: self.url.clone(),
                subject: subject.to_owned(),
                detail: error.to_string(),
            }),
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
                ids = ids.with(record, self.latest(&topic)?.id);
            }
        }
        Ok(ids)
    }

    /// What the registry says of a writer's schema.
    ///
    /// # Errors
    /// If it can't be told: the registry is away, or has lost even our own schemas.
    pub fn lookup(&self, schema: SchemaRef) -> Result<SchemaLookup, RegistryError> {
        let found = match schema {
            SchemaRef::Id(id) => get_schema_by_id(id, &self.settings),
            SchemaRef::Guid(_) => get_schema_by_guid(&schema.to_string(), &self.settings),
        };
        match found {
            Ok(found) => Ok(SchemaLookup::Known(found.schema)),
            Err(error) if error.retriable => Err(self.away(&error)),
            Err(_) => self
                .latest(&layout::SNAPSHOTS)
                .map(|_| SchemaLookup::Unknown),
        }
    }

    fn latest(&self, topic: &TopicLayout) -> Result<RegisteredSchema, RegistryError> {
        let strategy =
            SubjectNameStrategy::TopicNameStrategy(format!("{}{}", self.prefix, topic.name), false);
        get_schema_by_subject(&self.settings, &strategy).map_err(|error| {
            if error.retriable || !describe(&error).contains("404") {
                self.away(&error)
            } else {
                RegistryError::Lost {
                    url: self.url.clone(),
                    subject: self.subject(topic),
                }
            }
        })
    }

    fn subject(&self, topic: &TopicLayout) -> String {
        value_subject(&format!("{}{}", self.prefix, topic.name))
    }

    fn away(&self, error: &SRCError) -> RegistryError {
        RegistryError::Away {
            url: self.url.clone(),
            detail: describe(error),
        }
    }
}

fn describe(error: &SRCError) -> String {
    match &error.cause {
        Some(cause) => format!("{} ({cause})", error.error),
        None => error.error.clone(),
    }
}
