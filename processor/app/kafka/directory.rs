//! The compacted topic `directory-users`, held in memory.

use super::client::KafkaSettings;
use super::fetch::{Fetcher, Incoming, Polled};
use super::registry::{Registry, RegistryError};
use super::restore::uncommitted_watermarks;
use crate::clock::elapsed_us;
use rollcall_codec::messages;
use rollcall_driver::Users;
use rollcall_stages::{Reader, layout};
use std::time::Duration;

/// How long one request to a broker may take.
const REQUEST: Duration = Duration::from_secs(5);
/// How often the directory is published while changes keep coming.
const PUBLISH_US: i64 = 1_000_000;

/// Reads the topic from its beginning, and what is appended later.
pub struct DirectoryReader {
    fetcher: Fetcher,
    topic: String,
    reading: Reading,
    /// Not before this is the directory published again while changes keep coming.
    publish_at_us: i64,
}

impl DirectoryReader {
    /// At the topic's beginning.
    ///
    /// # Errors
    /// If the broker does not answer.
    pub fn open(settings: &KafkaSettings) -> anyhow::Result<Self> {
        let topic = settings.topic(layout::DIRECTORY_USERS.name);
        let (begin, end) = uncommitted_watermarks(settings, &topic, 0, REQUEST)?;
        let fetcher = Fetcher::new(settings, "directory")?;
        fetcher.assign(&[(topic.clone(), 0, -1)])?;
        Ok(Self {
            fetcher,
            topic,
            reading: Reading::new(begin, end),
            publish_at_us: 0,
        })
    }

    /// Takes the next record, if one comes soon. All users, if they have changed and everything that stood there at first
    /// was read: at once when no more comes, and once a second while more keeps coming.
    ///
    /// # Errors
    /// If the log was cut or the registry is away: the topic is to be read anew.
    pub fn step(&mut self, registry: &Registry) -> anyhow::Result<Option<Users>> {
        let position = match self.fetcher.poll(Duration::from_millis(100)) {
            Polled::Record(message) => {
                let incoming = Incoming::of(&message);
                self.reading.take(&incoming, registry)?;
                if elapsed_us() < self.publish_at_us {
                    return Ok(None);
                }
                Some(incoming.offset + 1)
            }
            Polled::OutOfRange => anyhow::bail!("its offsets changed"),
            Polled::Nothing => self.fetcher.position(&self.topic, 0),
            Polled::Trouble(error) => {
                tracing::debug!(%error, "directory goes on");
                return Ok(None);
            }
        };
        let users = self.reading.publish(position);
        if users.is_some() {
            self.publish_at_us = elapsed_us() + PUBLISH_US;
        }
        Ok(users)
    }
}

/// One reading of the topic from its beginning. Until it has reached the end, an older reading's result stands.
struct Reading {
    users: Users,
    reader: Reader<messages::DirectoryUser>,
    begin: i64,
    end: i64,
    changed: bool,
}

impl Reading {
    /// A reading of offsets `begin..end`, and of what is appended later.
    fn new(begin: i64, end: i64) -> Self {
        Self {
            users: Users::default(),
            reader: Reader::new(),
            begin,
            end,
            changed: true,
        }
    }

    /// The users, if they changed since the last call and all that stood there at first was read. `position`: the next
    /// offset, `None` before anything was delivered.
    fn publish(&mut self, position: Option<i64>) -> Option<Users> {
        let level = self.begin >= self.end || position.is_some_and(|at| at >= self.end);
        (level && std::mem::take(&mut self.changed)).then(|| self.users.clone())
    }

    /// Takes a record. What can't be read, for the registry has no schema for it either, is passed over.
    fn take(&mut self, record: &Incoming<'_>, registry: &Registry) -> Result<(), RegistryError> {
        let Some(user) = record.key.and_then(|key| std::str::from_utf8(key).ok()) else {
            tracing::warn!("a record of directory-users without a readable key is passed over");
            return Ok(());
        };
        self.changed = true;
        if record.value.is_none() {
            self.users.0.remove(user);
            return Ok(());
        }
        if let Some(schema) = self.reader.needed(record.value, record.schema_header) {
            let lookup = registry.lookup(&layout::DIRECTORY_USERS, schema)?;
            self.reader.learn(schema, &lookup);
        }
        match self.reader.read(record.value, record.schema_header) {
            Ok(entry) => {
                let faculty = entry.faculty.map(std::borrow::Cow::into_owned);
                self.users.0.insert(user.to_owned(), faculty);
            }
            Err(error) => tracing::warn!(
                offset = record.offset,
                %error,
                "a record of directory-users that can't be read is passed over"
            ),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a reading that changes before every look publishes, while its position is each of these.
    #[track_caller]
    fn check((begin, end): (i64, i64), positions: &[Option<i64>], expect: &[bool]) {
        let mut reading = Reading::new(begin, end);
        let published: Vec<bool> = positions
            .iter()
            .map(|position| {
                reading.changed = true;
                reading.publish(*position).is_some()
            })
            .collect();
        assert_eq!(published, expect);
    }

    #[test]
    fn half_a_reading_is_not_published() {
        check(
            (2, 5),
            &[None, Some(2), Some(4), Some(5), Some(6)],
            &[false, false, false, true, true],
        );
        // Nothing there, or nothing any more.
        check((0, 0), &[None, Some(1)], &[true, true]);
        check((5, 5), &[None, Some(6)], &[true, true]);
    }

    #[test]
    fn what_did_not_change_is_not_published_again() {
        let mut reading = Reading::new(0, 1);
        assert!(reading.publish(None).is_none());
        assert!(reading.publish(Some(1)).is_some());
        assert!(reading.publish(Some(1)).is_none());
    }
}
