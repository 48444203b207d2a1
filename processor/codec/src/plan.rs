//! How a writer's schema is read as ours: Avro's schema resolution, worked out once per writer's schema.
//!
//! A plan is a graph of nodes, one per pair of a writer's and a reader's type; `resolve` walks it along a datum. Of
//! the specification's rules those are here that our schemas can meet. Promotion to float and double is not, for we
//! have none; and where both sides name a logical type, the types must agree: timestamps in milliseconds are not
//! ours in microseconds, though both are longs.
//!
//! This is our own because `apache-avro` 0.22, which parses the schemas, resolves values in ways that lose data:
//! it ignores the aliases of fields, tells a union's records apart by shape and not by name (an empty list of Windows
//! processes becomes one of macOS processes), and reads what is missing at a datum's end as null.
//!
//! Invariants: node 0 is the root. Where [`Plan::is_identity`], a datum's bytes are valid under either schema with
//! the same meaning.

mod compiler;
mod shape;

use crate::error::IncompatibleSchema;
use crate::limits::SCHEMA_BYTES_MAX;
use apache_avro::Schema;
use apache_avro::schema_compatibility::{Compatibility, SchemaCompatibility};

/// An index into [`Plan::nodes`].
pub(crate) type NodeId = usize;

/// What to do with a value of one writer's type.
#[derive(Clone, Debug)]
pub(crate) enum Node {
    /// Copy this many bytes; none for null.
    Fixed(usize),
    /// Copy a number of variable length.
    Number,
    /// Copy a length and that many bytes.
    Sized,
    /// Rewrite each element.
    Array {
        element: NodeId,
        element_is_empty: bool,
    },
    /// Copy each key, rewrite each value.
    Map { value: NodeId },
    /// Rewrite the fields, and put them in our order with our defaults between.
    Record(RecordPlan),
    /// Rewrite the branch that the writer took.
    Union(Vec<Branch>),
    /// Our type is a union, the writer's is not: prepend the branch.
    IntoUnion { branch: u64, value: NodeId },
    /// Translate the symbol; `None` has no translation.
    Enum(Vec<Option<u64>>),
}

/// What to do with one branch of a writer's union.
#[derive(Clone, Debug)]
pub(crate) enum Branch {
    /// Rewrite the value; prepend the branch where our type is a union too.
    Read { ours: Option<u64>, value: NodeId },
    /// We can't read this branch.
    Unreadable(String),
}

/// What to do with a record.
#[derive(Clone, Debug, Default)]
pub(crate) struct RecordPlan {
    /// The writer's fields, in its order.
    pub(crate) fields: Vec<Field>,
    /// Our fields, in our order.
    pub(crate) slots: Vec<Slot>,
    /// Whether what is kept of the writer's fields is the whole record already, in our order.
    pub(crate) in_order: bool,
}

/// What to do with a field of a writer's record.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Field {
    /// Rewrite it.
    Keep(NodeId),
    /// Pass over it.
    Drop(NodeId),
}

/// Where a field of our record comes from.
#[derive(Clone, Debug)]
pub(crate) enum Slot {
    /// The n-th of the fields kept.
    Kept(usize),
    /// The writer has no such field: our default, encoded.
    Default(Vec<u8>),
}

/// How to rewrite datums of a writer's schema as datums of ours.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) nodes: Vec<Node>,
    identity: bool,
}

impl Plan {
    /// Works out how `writer` is read as `reader`, both JSON.
    pub(crate) fn new(writer: &str, reader: &str) -> Result<Self, IncompatibleSchema> {
        compiler::compile(&parse(writer)?, &parse(reader)?)
    }

    /// Whether rewriting changes nothing.
    pub(crate) const fn is_identity(&self) -> bool {
        self.identity
    }
}

/// Whether everything that can be written with the schema `writer` can be read as the schema `reader`, both JSON.
pub fn compatible(reader: &str, writer: &str) -> Result<(), IncompatibleSchema> {
    let (reader, writer) = (parse(reader)?, parse(writer)?);
    let plan = compiler::compile(&writer, &reader)?;
    if let Some(why) = plan.nodes.iter().find_map(unreadable) {
        return Err(IncompatibleSchema::new(why));
    }
    match SchemaCompatibility::can_read(&writer, &reader) {
        Ok(Compatibility::Full) => Ok(()),
        Ok(Compatibility::Partial) => Err(IncompatibleSchema::new(
            "some values that the writer can write can't be read",
        )),
        Err(error) => Err(IncompatibleSchema::new(error.to_string())),
    }
}

/// What some value of this node could not be read for.
fn unreadable(node: &Node) -> Option<String> {
    match node {
        Node::Union(branches) => branches.iter().find_map(|branch| match branch {
            Branch::Unreadable(why) => Some(why.clone()),
            Branch::Read { .. } => None,
        }),
        Node::Enum(symbols) if symbols.contains(&None) => {
            Some("an enum has symbols that the reader does not know, and no default".to_owned())
        }
        _ => None,
    }
}

fn parse(json: &str) -> Result<Schema, IncompatibleSchema> {
    if json.len() > SCHEMA_BYTES_MAX {
        return Err(IncompatibleSchema::new(format!(
            "the schema has {} bytes, more than {SCHEMA_BYTES_MAX}",
            json.len()
        )));
    }
    Schema::parse_str(json).map_err(|error| IncompatibleSchema::new(error.to_string()))
}
