//! Reading values whose writer's schema may have to be learnt first.
//!
//! For each value: [`Reader::needed`]; what it names, the shell asks the registry for and tells
//! [`Reader::learn`]; then [`Reader::read`].

use crate::layout;
use crate::stage::SchemaLookup;
use rollcall_codec::{
    DecodeError, IncompatibleSchema, Message, SchemaCache, SchemaEntry, SchemaRef, WireError,
    messages, wire,
};
use rollcall_engine::record::TopicIndex;

/// A value's schema, what is known of it, and the datum.
type Entry<'s, 'a, M> = (SchemaRef, Option<&'s SchemaEntry<M>>, &'a [u8]);

/// The schemas of one topic's values.
#[derive(Debug)]
pub struct Reader<M: Message>(SchemaCache<M>);

impl<M: Message> Reader<M> {
    /// Knows no schema yet.
    #[must_use]
    pub fn new() -> Self {
        Self(SchemaCache::default())
    }

    fn entry<'a>(
        &self,
        value: Option<&'a [u8]>,
        header: Option<&[u8]>,
    ) -> Result<Entry<'_, 'a, M>, WireError> {
        let (schema, datum) = wire::split(value.unwrap_or_default(), header)?;
        Ok((schema, self.0.get(schema), datum))
    }

    /// The schema that must be learnt before `value` can be read.
    #[must_use]
    pub fn needed(&self, value: Option<&[u8]>, header: Option<&[u8]>) -> Option<SchemaRef> {
        match self.entry(value, header) {
            Ok((schema, None, _)) => Some(schema),
            _ => None,
        }
    }

    /// Learns what the registry says of a schema.
    pub fn learn(&mut self, schema: SchemaRef, lookup: &SchemaLookup) {
        match lookup {
            SchemaLookup::Known(json) => self.0.insert(schema, json),
            SchemaLookup::Unknown => self.0.insert_unknown(schema),
        };
    }

    /// Forgets which schemas the registry did not know, so that it is asked again.
    pub fn forget_unknown(&mut self) {
        self.0.forget_unknown();
    }

    /// Why no value with this value's schema can be read; `None` for schemas that can, or are not known.
    #[must_use]
    pub fn incompatible(
        &self,
        value: Option<&[u8]>,
        header: Option<&[u8]>,
    ) -> Option<&IncompatibleSchema> {
        match self.entry(value, header) {
            Ok((_, Some(SchemaEntry::Incompatible(error)), _)) => Some(error),
            _ => None,
        }
    }

    /// Reads a value. A schema that was not learnt counts as unknown.
    ///
    /// # Errors
    /// If the value is not of the wire format, its schema unknown or incompatible, or its datum damaged.
    pub fn read<'a>(
        &self,
        value: Option<&'a [u8]>,
        header: Option<&[u8]>,
    ) -> Result<M::Value<'a>, DecodeError> {
        match self.entry(value, header)? {
            (schema, Some(entry), datum) => entry.decode(schema, datum),
            (schema, None, _) => Err(DecodeError::UnknownSchema(schema)),
        }
    }
}

impl<M: Message> Default for Reader<M> {
    fn default() -> Self {
        Self::new()
    }
}

/// The readers of a stage: of its input `I`, its own state `S` and its task state.
#[derive(Debug)]
pub struct StageReaders<I: Message, S: Message> {
    pub(crate) inputs: Reader<I>,
    pub(crate) states: Reader<S>,
    pub(crate) task_states: Reader<messages::TaskState>,
    state_topic: TopicIndex,
}

impl<I: Message, S: Message> StageReaders<I, S> {
    /// Readers of a stage that keeps its state in `state_topic`.
    pub(crate) fn new(state_topic: TopicIndex) -> Self {
        Self {
            inputs: Reader::new(),
            states: Reader::new(),
            task_states: Reader::new(),
            state_topic,
        }
    }

    /// The schema that must be learnt before `value`, read from `topic`, can be read.
    pub(crate) fn needed(
        &self,
        topic: TopicIndex,
        value: Option<&[u8]>,
        header: Option<&[u8]>,
    ) -> Option<SchemaRef> {
        match topic {
            t if t == layout::TASK_STATE.index => self.task_states.needed(value, header),
            t if t == self.state_topic => self.states.needed(value, header),
            _ => self.inputs.needed(value, header),
        }
    }

    /// Learns what the registry says of a schema that `topic`'s values use.
    pub(crate) fn learn(&mut self, topic: TopicIndex, schema: SchemaRef, lookup: &SchemaLookup) {
        match topic {
            t if t == layout::TASK_STATE.index => self.task_states.learn(schema, lookup),
            t if t == self.state_topic => self.states.learn(schema, lookup),
            _ => self.inputs.learn(schema, lookup),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_unknown_is_needed_again_once_forgotten() {
        let mut reader = Reader::<messages::DirectoryUser>::new();
        let mut value = Vec::new();
        wire::prefix(9, &mut value);
        let schema = Some(SchemaRef::Id(9));
        assert_eq!(reader.needed(Some(&value), None), schema);
        reader.learn(SchemaRef::Id(9), &SchemaLookup::Unknown);
        assert_eq!(reader.needed(Some(&value), None), None);
        reader.forget_unknown();
        assert_eq!(reader.needed(Some(&value), None), schema);
    }
}
