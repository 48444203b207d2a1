//! Which decoder goes with which schema id. Bounded; holds no connection to a registry.

use crate::decoder::Decoder;
use crate::error::{DecodeError, IncompatibleSchema};
use crate::limits::CACHED_SCHEMAS;
use crate::messages::Message;
use crate::wire::SchemaRef;
use std::collections::{BTreeMap, VecDeque};

/// What is known of a schema id.
#[derive(Clone, Debug)]
pub enum SchemaEntry<M> {
    /// How to read what was written with it.
    Known(Decoder<M>),
    /// It can't be read as ours.
    Incompatible(IncompatibleSchema),
    /// The registry answered, and does not know it.
    Unknown,
}

/// The schemas of one topic's messages `M`, by id.
///
/// For each value: [`wire::split`](crate::wire::split), then [`get`](Self::get). What is not there, the caller asks
/// the registry for, and tells the answer to [`insert`](Self::insert) or [`insert_unknown`](Self::insert_unknown);
/// where the registry does not answer, the caller waits. When the cache is full, the oldest entry that is not
/// [`SchemaEntry::Known`] goes, or else the oldest: made-up ids push out no real ones.
#[derive(Clone, Debug)]
pub struct SchemaCache<M> {
    entries: BTreeMap<SchemaRef, SchemaEntry<M>>,
    /// The ids in `entries`, oldest first.
    order: VecDeque<SchemaRef>,
    capacity: usize,
}

impl<M: Message> SchemaCache<M> {
    /// An empty cache for at most `capacity` schemas, or 1 if that is 0.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self {
            entries: BTreeMap::new(),
            order: VecDeque::new(),
            capacity: capacity.max(1),
        }
    }

    /// What is known of a schema; `None` where the registry has yet to be asked.
    #[must_use]
    pub fn get(&self, schema: SchemaRef) -> Option<&SchemaEntry<M>> {
        self.entries.get(&schema)
    }

    /// Remembers a schema that the registry gave.
    pub fn insert(&mut self, schema: SchemaRef, json: &str) -> &SchemaEntry<M> {
        let entry = match Decoder::new(json) {
            Ok(decoder) => SchemaEntry::Known(decoder),
            Err(error) => SchemaEntry::Incompatible(error),
        };
        self.put(schema, entry)
    }

    /// Remembers that the registry does not know a schema.
    pub fn insert_unknown(&mut self, schema: SchemaRef) -> &SchemaEntry<M> {
        self.put(schema, SchemaEntry::Unknown)
    }

    /// Forgets what the registry did not know, so that it is asked again: schemas may have been registered since.
    pub fn forget_unknown(&mut self) {
        self.entries
            .retain(|_, entry| !matches!(entry, SchemaEntry::Unknown));
        self.order
            .retain(|schema| self.entries.contains_key(schema));
    }

    /// How many schemas it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether it holds none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn put(&mut self, schema: SchemaRef, entry: SchemaEntry<M>) -> &SchemaEntry<M> {
        if !self.entries.contains_key(&schema) {
            if self.entries.len() >= self.capacity {
                self.evict();
            }
            self.order.push_back(schema);
        }
        self.entries.entry(schema).insert_entry(entry).into_mut()
    }

    fn evict(&mut self) {
        let entries = &self.entries;
        let useless = |schema| !matches!(entries.get(schema), Some(SchemaEntry::Known(_)));
        let at = self.order.iter().position(useless).unwrap_or(0);
        if let Some(schema) = self.order.remove(at) {
            self.entries.remove(&schema);
        }
    }
}

impl<M: Message> Default for SchemaCache<M> {
    fn default() -> Self {
        Self::new(CACHED_SCHEMAS)
    }
}

impl<M: Message> SchemaEntry<M> {
    /// Reads a datum that was written with this schema, or says why none can be.
    pub fn decode<'a>(
        &self,
        schema: SchemaRef,
        datum: &'a [u8],
    ) -> Result<M::Value<'a>, DecodeError> {
        match self {
            SchemaEntry::Known(decoder) => decoder.decode(datum),
            SchemaEntry::Incompatible(error) => Err(error.clone().into()),
            SchemaEntry::Unknown => Err(DecodeError::UnknownSchema(schema)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::messages::DirectoryUser;
    use crate::schemas::RecordType;

    const OURS: &str = RecordType::DirectoryUser.schema_json();

    fn ids(cache: &SchemaCache<DirectoryUser>) -> Vec<SchemaRef> {
        cache.entries.keys().copied().collect()
    }

    #[test]
    fn it_holds_its_capacity_and_no_more() {
        let mut cache = SchemaCache::<DirectoryUser>::new(2);
        cache.insert(SchemaRef::Id(1), OURS);
        cache.insert(SchemaRef::Id(2), OURS);
        assert_eq!(ids(&cache), [SchemaRef::Id(1), SchemaRef::Id(2)]);
        cache.insert(SchemaRef::Id(2), OURS);
        assert_eq!(cache.len(), 2);
        cache.insert(SchemaRef::Id(3), OURS);
        assert_eq!(ids(&cache), [SchemaRef::Id(2), SchemaRef::Id(3)]);
    }

    #[test]
    fn made_up_ids_push_out_no_real_ones() {
        let mut cache = SchemaCache::<DirectoryUser>::new(2);
        cache.insert(SchemaRef::Id(1), OURS);
        for id in 2..100 {
            cache.insert_unknown(SchemaRef::Id(id));
        }
        assert_eq!(ids(&cache), [SchemaRef::Id(1), SchemaRef::Id(99)]);
        cache.insert(SchemaRef::Guid([7; 16]), "\"string\"");
        assert_eq!(ids(&cache), [SchemaRef::Id(1), SchemaRef::Guid([7; 16])]);
    }

    #[test]
    fn what_the_registry_did_not_know_is_asked_again() {
        let mut cache = SchemaCache::<DirectoryUser>::default();
        let schema = SchemaRef::Id(1);
        assert!(cache.get(schema).is_none());
        let error = cache
            .insert_unknown(schema)
            .decode(schema, &[0])
            .unwrap_err();
        assert_eq!(error, DecodeError::UnknownSchema(schema));
        cache.forget_unknown();
        assert!(cache.get(schema).is_none());
        assert!(cache.insert(schema, OURS).decode(schema, &[0]).is_ok());
        cache.forget_unknown();
        assert_eq!(cache.len(), 1);
    }
}
