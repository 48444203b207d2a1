//! Keys of texts that detail rows point to: command lines with their applications, and owners.
//!
//! Invariants: a text is looked up before it is inserted, so that known texts burn no keys; new rows are inserted in
//! one order by everybody, each statement being a transaction of its own before the flush's, so two connections with
//! the same new texts wait for each other for a moment and never deadlock; a cache lives and dies with its connection.
//!
//! Texts are remembered by two independently seeded 64-bit hashes, not by themselves: a million command lines take
//! 50 MB instead of 200. That two of them meet in 128 bits doesn't happen; what the database holds is told apart by
//! SHA-256.

use super::connect::Session;
use super::error::{Doing, ErrorClass, PostgresError};
use super::machines::{KnownMachine, resolve_machines};
use super::text::{stored_name, stored_text};
use hashbrown::{DefaultHashBuilder, HashMap};
use rollcall_domain::{Observation, SnapshotObservations};
use std::borrow::Cow;
use std::hash::{BuildHasher, Hash};

/// Texts that are looked up or inserted by one statement.
const ROWS_PER_STATEMENT: usize = 5_000;
const DOING: &str = "look up dimension rows";

/// A bounded map that forgets what was not used for a generation.
#[derive(Debug)]
pub(crate) struct KeyCache<V> {
    recent: HashMap<u128, V>,
    older: HashMap<u128, V>,
    per_generation: usize,
}

impl<V: Copy> KeyCache<V> {
    pub(crate) fn new(entries: usize) -> Self {
        Self {
            recent: HashMap::new(),
            older: HashMap::new(),
            per_generation: (entries / 2).max(1),
        }
    }

    pub(crate) fn get(&mut self, hash: u128) -> Option<V> {
        if let Some(&value) = self.recent.get(&hash) {
            return Some(value);
        }
        let value = self.older.remove(&hash)?;
        self.insert(hash, value);
        Some(value)
    }

    pub(crate) fn insert(&mut self, hash: u128, value: V) {
        if self.recent.len() >= self.per_generation {
            self.older = std::mem::take(&mut self.recent);
        }
        self.recent.insert(hash, value);
    }

    fn len(&self) -> usize {
        self.recent.len() + self.older.len()
    }
}

/// What a connection remembers of the dimension tables.
#[derive(Debug)]
pub struct Dimensions {
    hashers: [DefaultHashBuilder; 2],
    applications: KeyCache<i32>,
    command_lines: KeyCache<i32>,
    owners: KeyCache<i32>,
    pub(crate) machines: KeyCache<KnownMachine>,
}

/// The keys of a batch.
#[derive(Debug, Default)]
pub(crate) struct Resolved {
    /// Per snapshot.
    pub(crate) machines: Vec<i32>,
    /// Command line and owner per observation, snapshot after snapshot.
    pub(crate) observations: Vec<(i32, i32)>,
    /// Machines that were seen on another partition than before.
    pub(crate) machines_moved: u64,
}

impl Dimensions {
    pub(crate) fn new(entries: usize) -> Self {
        Self {
            hashers: Default::default(),
            applications: KeyCache::new(entries),
            command_lines: KeyCache::new(entries),
            owners: KeyCache::new(entries),
            machines: KeyCache::new(entries),
        }
    }

    /// Texts and machines remembered, for metrics.
    #[must_use]
    pub fn entries(&self) -> usize {
        self.applications.len() + self.command_lines.len() + self.owners.len() + self.machines.len()
    }

    pub(crate) fn hash(&self, value: &impl Hash) -> u128 {
        let [a, b] = &self.hashers;
        u128::from(a.hash_one(value)) << 64 | u128::from(b.hash_one(value))
    }
}

/// Texts that the cache lacks, each once.
struct Missing<'a, const N: usize> {
    rows: Vec<[Option<Cow<'a, str>>; N]>,
    hashes: Vec<u128>,
    places: HashMap<u128, i32>,
}

impl<'a, const N: usize> Missing<'a, N> {
    fn new() -> Self {
        Self {
            rows: Vec::new(),
            hashes: Vec::new(),
            places: HashMap::new(),
        }
    }

    /// A place holder for the key, negative as no key is.
    fn note(&mut self, hash: u128, row: impl FnOnce() -> [Option<Cow<'a, str>>; N]) -> i32 {
        let (rows, hashes) = (&mut self.rows, &mut self.hashes);
        *self.places.entry(hash).or_insert_with(|| {
            rows.push(row());
            hashes.push(hash);
            -(rows.len() as i32)
        })
    }
}

/// A dimension table whose rows are nothing but texts.
struct TextTable<const N: usize> {
    lookup: &'static str,
    insert: &'static str,
}

const APPLICATIONS: TextTable<1> = TextTable {
    lookup: "SELECT u.place, d.application_key FROM unnest($1::text[]) WITH ORDINALITY AS u(a, place) \
        JOIN rollcall.applications AS d ON d.text_hash = rollcall.text_hash(u.a)",
    insert: "INSERT INTO rollcall.applications (application) SELECT a FROM unnest($1::text[]) AS u(a) \
        ORDER BY rollcall.text_hash(a) ON CONFLICT (text_hash) DO NOTHING",
};
/// The hash of a row without a script leaves the script out (migration 10).
const COMMAND_LINES: TextTable<5> = TextTable {
    lookup: "SELECT u.place, d.command_line_key \
        FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[]) \
            WITH ORDINALITY AS u(a, b, c, d, e, place) \
        JOIN rollcall.command_lines AS d ON d.text_hash = CASE WHEN u.e IS NULL \
            THEN rollcall.text_hash(u.a, u.b, u.c, u.d) ELSE rollcall.text_hash(u.a, u.b, u.c, u.d, u.e) END",
    insert: "INSERT INTO rollcall.command_lines \
            (application_key, executable_name, executable_path, command_line, script) \
        SELECT a::int4, b, c, d, e \
        FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[]) AS u(a, b, c, d, e) \
        ORDER BY CASE WHEN e IS NULL THEN rollcall.text_hash(a, b, c, d) ELSE rollcall.text_hash(a, b, c, d, e) END \
        ON CONFLICT (text_hash) DO NOTHING",
};
const OWNERS: TextTable<3> = TextTable {
    lookup: "SELECT u.place, d.owner_key \
        FROM unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY AS u(a, b, c, place) \
        JOIN rollcall.owners AS d ON d.text_hash = rollcall.text_hash(u.a, u.b, u.c)",
    insert: "INSERT INTO rollcall.owners (owner, user_name, faculty) \
        SELECT a, b, c FROM unnest($1::text[], $2::text[], $3::text[]) AS u(a, b, c) \
        ORDER BY rollcall.text_hash(a, b, c) ON CONFLICT (text_hash) DO NOTHING",
};

/// The keys of everything that a batch of snapshots points to; makes the rows that are missing.
pub(crate) async fn resolve(
    session: &mut Session,
    dimensions: &mut Dimensions,
    snapshots: &[&SnapshotObservations<'_>],
) -> Result<Resolved, PostgresError> {
    let (machines, machines_moved) = resolve_machines(session, dimensions, snapshots).await?;
    let mut command_lines = Missing::new();
    let mut owners = Missing::new();
    let count = snapshots.iter().map(|s| s.observations.len()).sum();
    let mut observations = Vec::with_capacity(count);
    for snapshot in snapshots {
        for observation in &snapshot.observations {
            observations.push((
                known_command_line(dimensions, &mut command_lines, observation),
                known_owner(dimensions, &mut owners, snapshot, observation),
            ));
        }
    }
    let command_lines = insert_command_lines(session, dimensions, command_lines).await?;
    let owner_keys = keys_of(session, &OWNERS, &owners.rows).await?;
    for (&hash, &key) in owners.hashes.iter().zip(&owner_keys) {
        dimensions.owners.insert(hash, key);
    }
    for (command_line, owner) in &mut observations {
        patch(command_line, &command_lines);
        patch(owner, &owner_keys);
    }
    Ok(Resolved {
        machines,
        observations,
        machines_moved,
    })
}

/// Puts a key in its place holder's place.
fn patch(key: &mut i32, keys: &[i32]) {
    if *key < 0 {
        *key = keys[(-*key - 1) as usize];
    }
}

fn known_command_line<'a>(
    dimensions: &mut Dimensions,
    missing: &mut Missing<'a, 5>,
    observation: &'a Observation<'_>,
) -> i32 {
    let process = &observation.process;
    let hash = dimensions.hash(&(
        &process.application,
        &process.executable_name,
        &process.executable_path,
        &process.command_line,
        &process.script,
    ));
    dimensions.command_lines.get(hash).unwrap_or_else(|| {
        missing.note(hash, || {
            [
                Some(stored_name(&process.application)),
                Some(stored_text(&process.executable_name)),
                process.executable_path.as_deref().map(stored_text),
                process.command_line.as_deref().map(stored_text),
                process.script.as_deref().map(stored_text),
            ]
        })
    })
}

fn known_owner<'a>(
    dimensions: &mut Dimensions,
    missing: &mut Missing<'a, 3>,
    snapshot: &'a SnapshotObservations<'_>,
    observation: &'a Observation<'_>,
) -> i32 {
    let owner = &observation.process.owner;
    let resolved = &snapshot.users[observation.user as usize];
    let hash = dimensions.hash(&(owner, &resolved.user, &resolved.faculty));
    dimensions.owners.get(hash).unwrap_or_else(|| {
        missing.note(hash, || {
            [
                owner.as_deref().map(stored_text),
                Some(stored_name(&resolved.user)),
                Some(stored_name(&resolved.faculty)),
            ]
        })
    })
}

/// The keys of missing command lines, whose first text is the application's name until its key is known.
async fn insert_command_lines(
    session: &mut Session,
    dimensions: &mut Dimensions,
    mut missing: Missing<'_, 5>,
) -> Result<Vec<i32>, PostgresError> {
    let mut applications = Missing::new();
    let keys: Vec<i32> = missing
        .rows
        .iter()
        .map(|[application, ..]| {
            let hash = dimensions.hash(application);
            let known = dimensions.applications.get(hash);
            known.unwrap_or_else(|| applications.note(hash, || [application.clone()]))
        })
        .collect();
    let application_keys = keys_of(session, &APPLICATIONS, &applications.rows).await?;
    for (&hash, &key) in applications.hashes.iter().zip(&application_keys) {
        dimensions.applications.insert(hash, key);
    }
    for (row, mut key) in missing.rows.iter_mut().zip(keys) {
        patch(&mut key, &application_keys);
        row[0] = Some(Cow::Owned(key.to_string()));
    }
    let keys = keys_of(session, &COMMAND_LINES, &missing.rows).await?;
    for (&hash, &key) in missing.hashes.iter().zip(&keys) {
        dimensions.command_lines.insert(hash, key);
    }
    Ok(keys)
}

/// The keys of these rows; inserts those that the table lacks.
async fn keys_of<const N: usize>(
    session: &mut Session,
    table: &TextTable<N>,
    rows: &[[Option<Cow<'_, str>>; N]],
) -> Result<Vec<i32>, PostgresError> {
    let mut keys = vec![0; rows.len()];
    let mut wanted: Vec<usize> = (0..rows.len()).collect();
    look_up(session, table, rows, &mut keys, &mut wanted).await?;
    if !wanted.is_empty() {
        for places in wanted.chunks(ROWS_PER_STATEMENT) {
            let mut query = sqlx::query(table.insert);
            for column in columns(rows, places) {
                query = query.bind(column);
            }
            query
                .execute(&mut session.connection)
                .await
                .doing("insert dimension rows")?;
        }
        look_up(session, table, rows, &mut keys, &mut wanted).await?;
    }
    if wanted.is_empty() {
        Ok(keys)
    } else {
        let sentence = format!("{} rows are not there after their insertion", wanted.len());
        Err(PostgresError::own(ErrorClass::Retriable, DOING, sentence))
    }
}

/// Fills in the keys of the wanted rows that the table has, and leaves the others wanted.
async fn look_up<const N: usize>(
    session: &mut Session,
    table: &TextTable<N>,
    rows: &[[Option<Cow<'_, str>>; N]],
    keys: &mut [i32],
    wanted: &mut Vec<usize>,
) -> Result<(), PostgresError> {
    for places in wanted.chunks(ROWS_PER_STATEMENT) {
        let mut query = sqlx::query_as(table.lookup);
        for column in columns(rows, places) {
            query = query.bind(column);
        }
        let found: Vec<(i64, i32)> = query
            .fetch_all(&mut session.connection)
            .await
            .doing(DOING)?;
        for (place, key) in found {
            keys[places[(place - 1) as usize]] = key;
        }
    }
    wanted.retain(|&place| keys[place] == 0);
    Ok(())
}

fn columns<'r, const N: usize>(
    rows: &'r [[Option<Cow<'_, str>>; N]],
    places: &[usize],
) -> [Vec<Option<&'r str>>; N] {
    std::array::from_fn(|column| {
        places
            .iter()
            .map(|&place| rows[place][column].as_deref())
            .collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_is_bounded_and_keeps_what_is_used() {
        let mut cache = KeyCache::new(10);
        for hash in 0..1_000u128 {
            cache.insert(hash, hash as i32);
            assert_eq!(cache.get(0), Some(0), "in use all the time");
            assert!(cache.len() <= 11);
        }
        assert_eq!(cache.get(500), None);
    }

    #[test]
    fn absent_and_empty_texts_differ() {
        let dimensions = Dimensions::new(10);
        let hash = |a: &str, b: Option<&str>, c: Option<&str>| dimensions.hash(&(a, b, c));
        assert_ne!(hash("a", None, Some("b")), hash("a", Some("b"), None));
        assert_ne!(hash("a", Some(""), None), hash("a", None, None));
        assert_ne!(hash("ab", Some("c"), None), hash("a", Some("bc"), None));
    }
}
