//! The registry's schemas: ours, under made-up ids.

use rollcall_codec::{RecordType, SchemaIds, SchemaRef};
use rollcall_stages::SchemaLookup;

fn id(record: RecordType) -> u32 {
    100 + record as u32
}

/// The ids of our schemas.
pub(crate) fn ids() -> SchemaIds {
    RecordType::ALL
        .into_iter()
        .fold(SchemaIds::default(), |ids, record| {
            ids.with(record, id(record))
        })
}

/// What the registry says of a schema.
pub(crate) fn lookup(schema: SchemaRef) -> SchemaLookup {
    let SchemaRef::Id(wanted) = schema else {
        return SchemaLookup::Unknown;
    };
    let ours = RecordType::ALL.into_iter().find(|r| id(*r) == wanted);
    ours.map_or(SchemaLookup::Unknown, |record| {
        SchemaLookup::Known(record.schema_json().to_owned())
    })
}
