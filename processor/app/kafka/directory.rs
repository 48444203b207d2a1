//! The compacted topic `directory-users`, held in memory and kept up to date by a thread.

use super::client::KafkaSettings;
use super::fetch::{Fetcher, Polled};
use super::registry::Registry;
use super::restore::end_offset;
use rdkafka::message::Message;
use rollcall_codec::{SchemaCache, messages, wire};
use rollcall_domain::Directory;
use rollcall_stages::{SchemaLookup, layout};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The directory at one moment.
#[derive(Clone, Debug, Default)]
pub struct Users(HashMap<String, Option<String>>);

impl Directory for Users {
    fn faculty_of(&self, user: &str) -> Option<Option<&str>> {
        self.0.get(user).map(Option::as_deref)
    }
}

/// The directory, shared between the thread that reads it and the tasks that use it.
#[derive(Clone, Debug, Default)]
pub struct SharedDirectory {
    users: Arc<Mutex<Arc<Users>>>,
    complete: Arc<AtomicBool>,
}

impl SharedDirectory {
    /// The directory as it is now.
    #[must_use]
    pub fn current(&self) -> Arc<Users> {
        Arc::clone(&self.users.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether the topic was read to its end once. Nothing is processed before.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.complete.load(Ordering::Acquire)
    }

    /// Reads the topic until `stop`, on the caller's thread.
    pub fn follow(&self, settings: &KafkaSettings, registry: &Registry, stop: &dyn Fn() -> bool) {
        while !stop() {
            if let Err(error) = self.follow_once(settings, registry, stop) {
                tracing::warn!(error = %error, "directory-users can't be read; trying again");
                std::thread::sleep(Duration::from_millis(500));
            }
        }
    }

    fn follow_once(
        &self,
        settings: &KafkaSettings,
        registry: &Registry,
        stop: &dyn Fn() -> bool,
    ) -> anyhow::Result<()> {
        let topic = settings.topic(layout::DIRECTORY_USERS.name);
        let end = end_offset(settings, &topic, 0, Duration::from_secs(5))?;
        let fetcher = Fetcher::new(settings, "directory")?;
        fetcher.assign(&[(topic.clone(), 0, -1)])?;
        let mut reader = Reader {
            users: Users::default(),
            schemas: SchemaCache::default(),
            registry,
        };
        let mut changed = true;
        while !stop() {
            match fetcher.poll(Duration::from_millis(100)) {
                Polled::Record(message) => {
                    reader.take(message.key(), message.payload())?;
                    changed = true;
                    continue;
                }
                Polled::Nothing => {}
                Polled::OutOfRange => anyhow::bail!("its offsets changed"),
                Polled::Trouble(error) => tracing::debug!(%error, "directory goes on"),
            }
            let level = end == 0
                || fetcher
                    .position(&topic, 0)
                    .is_some_and(|position| position >= end);
            if changed && (level || self.is_complete()) {
                *self.users.lock().unwrap_or_else(PoisonError::into_inner) =
                    Arc::new(reader.users.clone());
                self.complete.store(true, Ordering::Release);
                changed = false;
            }
        }
        Ok(())
    }
}

struct Reader<'a> {
    users: Users,
    schemas: SchemaCache<messages::DirectoryUser>,
    registry: &'a Registry,
}

impl Reader<'_> {
    fn take(&mut self, key: Option<&[u8]>, value: Option<&[u8]>) -> anyhow::Result<()> {
        let Some(user) = key.and_then(|key| std::str::from_utf8(key).ok()) else {
            tracing::warn!("a record of directory-users without a readable key is passed over");
            return Ok(());
        };
        let Some(value) = value else {
            self.users.0.remove(user);
            return Ok(());
        };
        let Ok((schema, datum)) = wire::split(value, None) else {
            tracing::warn!(
                "a record of directory-users that is not in the wire format is passed over"
            );
            return Ok(());
        };
        if self.schemas.get(schema).is_none() {
            match self.registry.lookup(schema)? {
                SchemaLookup::Known(json) => self.schemas.insert(schema, &json),
                SchemaLookup::Unknown => self.schemas.insert_unknown(schema),
            };
        }
        match self
            .schemas
            .get(schema)
            .map(|entry| entry.decode(schema, datum))
        {
            Some(Ok(entry)) => {
                self.users.0.insert(
                    user.to_owned(),
                    entry.faculty.map(std::borrow::Cow::into_owned),
                );
            }
            _ => tracing::warn!("a record of directory-users that can't be decoded is passed over"),
        }
        Ok(())
    }
}
