//! Reading values whose writer's schema may have to be learnt first.
//!
//! For each value: [`Reader::needed`]; what it names, the shell asks the registry for and tells
//! [`Reader::learn`]; then [`Reader::read`].

use crate::layout;
use crate::stage::SchemaLookup;
use rollcall_codec::{
    DecodeError, IncompatibleSchema, Message, SchemaCache, SchemaEntry, SchemaRef, messages, wire,
};
use rollcall_engine::record::TopicIndex;

/// The schemas of one topic's values.
#[derive(Debug)]
pub struct Reader<M: Message>(SchemaCache<M>);

impl<M: Message> Reader<M> {
    /// Knows no schema yet.
    #[must_use]
    pub fn new() -> Self {
        Self(SchemaCache::default())
    }

    /// The schema that must be learnt before `value` can be read.
    #[must_use]
    pub fn needed(&self, value: Option<&[u8]>, header: Option<&[u8]>) -> Option<SchemaRef> {
        let (schema, _) = wire::split(value.unwrap_or_default(), header).ok()?;
        self.0.get(schema).is_none().then_some(schema)
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
        let (schema, _) = wire::split(value.unwrap_or_default(), header).ok()?;
        match self.0.get(schema)? {
            SchemaEntry::Incompatible(error) => Some(error),
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
        let (schema, datum) = wire::split(value.unwrap_or_default(), header)?;
        match self.0.get(schema) {
            Some(entry) => entry.decode(schema, datum),
            None => Err(DecodeError::UnknownSchema(schema)),
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
pub(crate) struct StageReaders<I: Message, S: Message> {
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
