//! The compacted topic `directory-users`, held in memory and kept up to date by a thread.

use super::client::KafkaSettings;
use super::fetch::{Fetcher, Incoming, Polled};
use super::registry::{Registry, RegistryError};
use super::restore::end_offset;
use rollcall_codec::messages;
use rollcall_domain::Directory;
use rollcall_stages::{Reader, layout};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How long one request to a broker may take.
const REQUEST: Duration = Duration::from_secs(5);
/// The wait after the first failure; each further one waits twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// The longest wait.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

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
        let mut pause = FIRST_PAUSE;
        while !stop() {
            if let Err(error) = self.follow_once(settings, registry, stop) {
                tracing::warn!(error = %error, "directory-users can't be read; trying again");
                wait(pause, stop);
                pause = (pause * 2).min(LONGEST_PAUSE);
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
        let end = end_offset(settings, &topic, 0, REQUEST)?;
        let fetcher = Fetcher::new(settings, "directory")?;
        let (begin, _) = fetcher.watermarks(&topic, 0, REQUEST)?;
        fetcher.assign(&[(topic.clone(), 0, -1)])?;
        let mut reading = Reading::new(begin, end);
        while !stop() {
            match fetcher.poll(Duration::from_millis(100)) {
                Polled::Record(message) => {
                    reading.take(&Incoming::of(&message), registry)?;
                    continue;
                }
                Polled::Nothing => {}
                Polled::OutOfRange => anyhow::bail!("its offsets changed"),
                Polled::Trouble(error) => tracing::debug!(%error, "directory goes on"),
            }
            if let Some(users) = reading.publish(fetcher.position(&topic, 0)) {
                *self.users.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(users);
                self.complete.store(true, Ordering::Release);
            }
        }
        Ok(())
    }
}

fn wait(pause: Duration, stop: &dyn Fn() -> bool) {
    let mut left = pause;
    while !left.is_zero() && !stop() {
        let step = left.min(Duration::from_millis(50));
        std::thread::sleep(step);
        left -= step;
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

    /// Takes a record. What no schema of the registry can read is passed over.
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
