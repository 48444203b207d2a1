//! Reading values whose writer's schema may have to be learnt first.

use crate::stage::SchemaLookup;
use rollcall_codec::{DecodeError, Message, SchemaCache, SchemaRef, wire};

/// The schemas of one topic's values.
#[derive(Debug)]
pub(crate) struct Reader<M: Message>(SchemaCache<M>);

impl<M: Message> Reader<M> {
    pub(crate) fn new() -> Self {
        Self(SchemaCache::default())
    }

    /// The schema that must be learnt before `value` can be read.
    pub(crate) fn needed(&self, value: Option<&[u8]>, header: Option<&[u8]>) -> Option<SchemaRef> {
        let (schema, _) = wire::split(value.unwrap_or_default(), header).ok()?;
        self.0.get(schema).is_none().then_some(schema)
    }

    pub(crate) fn learn(&mut self, schema: SchemaRef, lookup: &SchemaLookup) {
        match lookup {
            SchemaLookup::Known(json) => self.0.insert(schema, json),
            SchemaLookup::Unknown => self.0.insert_unknown(schema),
        };
    }

    /// Reads a value. A schema that was not learnt counts as unknown.
    pub(crate) fn read<'a>(
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
