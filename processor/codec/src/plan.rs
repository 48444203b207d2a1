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

use crate::error::IncompatibleSchema;
use crate::limits::{PLAN_NODES_MAX, SCHEMA_BYTES_MAX};
use apache_avro::Schema;
use apache_avro::schema::{
    Aliases, EnumSchema, InnerDecimalSchema, Name, NamesRef, RecordField, RecordSchema,
    ResolvedSchema, UuidSchema,
};
use apache_avro::schema_compatibility::{Compatibility, SchemaCompatibility};
use std::collections::HashMap;

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
    Array { element: NodeId, element_is_empty: bool },
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
        Self::of(&parse(writer)?, &parse(reader)?)
    }

    fn of(writer: &Schema, reader: &Schema) -> Result<Self, IncompatibleSchema> {
        let (writers, readers) = (names(writer)?, names(reader)?);
        let mut compiler = Compiler {
            writers: writers.get_names(),
            readers: readers.get_names(),
            seen: HashMap::new(),
            nodes: Vec::new(),
            identity: true,
            path: Vec::new(),
        };
        compiler.compile(writer, Some(reader))?;
        Ok(Plan { nodes: compiler.nodes, identity: compiler.identity })
    }

    /// Whether rewriting changes nothing.
    pub(crate) const fn is_identity(&self) -> bool {
        self.identity
    }
}

/// Whether everything that can be written with the schema `writer` can be read as the schema `reader`, both JSON.
pub fn compatible(reader: &str, writer: &str) -> Result<(), IncompatibleSchema> {
    let (reader, writer) = (parse(reader)?, parse(writer)?);
    let plan = Plan::of(&writer, &reader)?;
    if let Some(why) = plan.nodes.iter().find_map(unreadable) {
        return Err(IncompatibleSchema::new(why));
    }
    match SchemaCompatibility::can_read(&writer, &reader) {
        Ok(Compatibility::Full) => Ok(()),
        Ok(Compatibility::Partial) => {
            Err(IncompatibleSchema::new("some values that the writer can write can't be read"))
        }
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

fn names(schema: &Schema) -> Result<ResolvedSchema<'_>, IncompatibleSchema> {
    ResolvedSchema::new(schema).map_err(|error| IncompatibleSchema::new(error.to_string()))
}

/// How a type stands in a datum, whatever its logical type.
enum Shape<'s> {
    Fixed(Option<&'s Name>, usize),
    Number { long: bool },
    /// `text` is `Some` where the type says whether its bytes are text.
    Sized { text: Option<bool> },
    Array(&'s Schema),
    Map(&'s Schema),
    Record(&'s RecordSchema),
    Union(&'s [Schema]),
    Enum(&'s EnumSchema),
}

fn shape(schema: &Schema) -> Option<Shape<'_>> {
    Some(match schema {
        Schema::Null => Shape::Fixed(None, 0),
        Schema::Boolean => Shape::Fixed(None, 1),
        Schema::Float => Shape::Fixed(None, 4),
        Schema::Double => Shape::Fixed(None, 8),
        Schema::Int | Schema::Date | Schema::TimeMillis => Shape::Number { long: false },
        Schema::Long
        | Schema::TimeMicros
        | Schema::TimestampMillis
        | Schema::TimestampMicros
        | Schema::TimestampNanos
        | Schema::LocalTimestampMillis
        | Schema::LocalTimestampMicros
        | Schema::LocalTimestampNanos => Shape::Number { long: true },
        Schema::String | Schema::Uuid(UuidSchema::String) => Shape::Sized { text: Some(true) },
        Schema::Bytes => Shape::Sized { text: None },
        Schema::BigDecimal | Schema::Uuid(UuidSchema::Bytes) => Shape::Sized { text: Some(false) },
        Schema::Fixed(fixed)
        | Schema::Uuid(UuidSchema::Fixed(fixed))
        | Schema::Duration(fixed) => Shape::Fixed(Some(&fixed.name), fixed.size),
        Schema::Decimal(decimal) => match &decimal.inner {
            InnerDecimalSchema::Bytes => Shape::Sized { text: Some(false) },
            InnerDecimalSchema::Fixed(fixed) => Shape::Fixed(Some(&fixed.name), fixed.size),
        },
        Schema::Array(array) => Shape::Array(&array.items),
        Schema::Map(map) => Shape::Map(&map.types),
        Schema::Union(union) => Shape::Union(union.variants()),
        Schema::Record(record) => Shape::Record(record),
        Schema::Enum(symbols) => Shape::Enum(symbols),
        Schema::Ref { .. } => return None,
    })
}

/// Whether a number's logical types agree: none on either side, or the same.
fn same_number(writer: &Schema, reader: &Schema) -> bool {
    let plain = |schema: &Schema| matches!(schema, Schema::Int | Schema::Long);
    plain(writer)
        || plain(reader)
        || std::mem::discriminant(writer) == std::mem::discriminant(reader)
}

/// Writer's and reader's type by address; a reader of 0 is a field that is passed over.
type Pair = (usize, usize);

struct Compiler<'s> {
    writers: &'s NamesRef<'s>,
    readers: &'s NamesRef<'s>,
    seen: HashMap<Pair, NodeId>,
    nodes: Vec<Node>,
    identity: bool,
    /// Names of the fields on the way here, for errors.
    path: Vec<String>,
}

impl<'s> Compiler<'s> {
    fn error(&self, what: impl std::fmt::Display) -> IncompatibleSchema {
        let path = if self.path.is_empty() { "the record".to_owned() } else { self.path.join(".") };
        IncompatibleSchema::new(format!("{path}: {what}"))
    }

    fn resolve(
        &self,
        names: &'s NamesRef<'s>,
        schema: &'s Schema,
    ) -> Result<&'s Schema, IncompatibleSchema> {
        match schema {
            Schema::Ref { name } => {
                let found = names.get(name).copied();
                found.ok_or_else(|| self.error(format_args!("no type is named {name}")))
            }
            _ => Ok(schema),
        }
    }

    /// The node that reads `writer` as `reader`, or passes over it where there is no `reader`.
    fn compile(
        &mut self,
        writer: &'s Schema,
        reader: Option<&'s Schema>,
    ) -> Result<NodeId, IncompatibleSchema> {
        let writer = self.resolve(self.writers, writer)?;
        let reader = reader.map(|reader| self.resolve(self.readers, reader)).transpose()?;
        let address = |schema: &Schema| std::ptr::from_ref(schema).addr();
        let pair = (address(writer), reader.map_or(0, address));
        if let Some(&node) = self.seen.get(&pair) {
            return Ok(node);
        }
        if self.nodes.len() >= PLAN_NODES_MAX {
            return Err(self.error(format_args!("more than {PLAN_NODES_MAX} pairs of types")));
        }
        let id = self.nodes.len();
        // A type that holds itself finds this number; what stands there meanwhile nobody looks at.
        self.nodes.push(Node::Number);
        self.seen.insert(pair, id);
        self.nodes[id] = match reader {
            Some(reader) => self.node(writer, reader)?,
            None => self.skip(writer)?,
        };
        Ok(id)
    }

    fn node(&mut self, writer: &'s Schema, reader: &'s Schema) -> Result<Node, IncompatibleSchema> {
        let (Some(ours), Some(theirs)) = (shape(reader), shape(writer)) else {
            return Err(self.error("a name stands for a name"));
        };
        match (theirs, ours) {
            (Shape::Union(theirs), ours) => self.union(theirs, reader, &ours),
            (_, Shape::Union(ours)) => self.into_union(writer, ours),
            (Shape::Number { long: true }, Shape::Number { long: false }) => {
                Err(self.error("a long does not fit into an int"))
            }
            (Shape::Number { .. }, Shape::Number { .. }) if same_number(writer, reader) => {
                Ok(Node::Number)
            }
            (Shape::Sized { text: theirs }, Shape::Sized { text: ours })
                if theirs == ours || theirs.is_none() || ours.is_none() =>
            {
                Ok(Node::Sized)
            }
            (Shape::Fixed(_, theirs), Shape::Fixed(_, ours))
                if theirs == ours && same_primitive(writer, reader) =>
            {
                Ok(Node::Fixed(ours))
            }
            (Shape::Array(theirs), Shape::Array(ours)) => {
                let element = self.compile(theirs, Some(ours))?;
                Ok(Node::Array { element, element_is_empty: false })
            }
            (Shape::Map(theirs), Shape::Map(ours)) => {
                Ok(Node::Map { value: self.compile(theirs, Some(ours))? })
            }
            (Shape::Enum(theirs), Shape::Enum(ours)) => self.symbols(theirs, ours),
            (Shape::Record(theirs), Shape::Record(ours)) => self.record(theirs, ours),
            _ => Err(self.error(format_args!(
                "a {} can't be read as a {}",
                kind(writer),
                kind(reader)
            ))),
        }
    }

    fn record(
        &mut self,
        theirs: &'s RecordSchema,
        ours: &'s RecordSchema,
    ) -> Result<Node, IncompatibleSchema> {
        self.same_name(&theirs.name, &ours.name, &ours.aliases)?;
        let mut plan = RecordPlan { in_order: true, ..RecordPlan::default() };
        // Per field of ours, which of the writer's fields it is.
        let sources: Vec<Option<usize>> =
            ours.fields.iter().map(|field| source_of(field, &theirs.fields)).collect();
        let mut kept_as = vec![0; theirs.fields.len()];
        let mut kept = 0;
        for (at, field) in theirs.fields.iter().enumerate() {
            let reader = sources.iter().position(|source| *source == Some(at));
            let reader = reader.map(|reader| &ours.fields[reader]);
            self.path.push(field.name.clone());
            let node = self.compile(&field.schema, reader.map(|reader| &reader.schema))?;
            self.path.pop();
            if reader.is_some() {
                kept_as[at] = kept;
                kept += 1;
                plan.fields.push(Field::Keep(node));
            } else if !self.is_empty(node) {
                self.identity = false;
                plan.fields.push(Field::Drop(node));
            }
        }
        for (at, (field, source)) in ours.fields.iter().zip(sources).enumerate() {
            let slot = match source {
                Some(theirs) => Slot::Kept(kept_as[theirs]),
                None => Slot::Default(self.default_of(field)?),
            };
            plan.in_order &= matches!(slot, Slot::Kept(kept) if kept == at);
            plan.slots.push(slot);
        }
        self.identity &= plan.in_order;
        Ok(Node::Record(plan))
    }

    fn default_of(&self, field: &'s RecordField) -> Result<Vec<u8>, IncompatibleSchema> {
        let Some(json) = &field.default else {
            return Err(self.error(format_args!(
                "the writer has no field {}, and it has no default",
                field.name
            )));
        };
        let schema = self.resolve(self.readers, &field.schema)?;
        encode_default(schema, json).ok_or_else(|| {
            self.error(format_args!("the default of {} is of no kind that is supported", field.name))
        })
    }

    /// The writer's type is a union. What of it we can't read is an error only when it comes.
    fn union(
        &mut self,
        theirs: &'s [Schema],
        reader: &'s Schema,
        ours: &Shape<'s>,
    ) -> Result<Node, IncompatibleSchema> {
        let mut branches = Vec::with_capacity(theirs.len());
        for (at, writer) in theirs.iter().enumerate() {
            let branch = match ours {
                Shape::Union(ours) => self.branch(writer, ours),
                _ => self.attempt(writer, reader).map(|value| (None, value)),
            };
            branches.push(match branch {
                Ok((ours, value)) => {
                    self.identity &= ours == Some(at as u64);
                    Branch::Read { ours, value }
                }
                Err(error) => {
                    self.identity = false;
                    Branch::Unreadable(error.detail)
                }
            });
        }
        if branches.iter().all(|branch| matches!(branch, Branch::Unreadable(_))) {
            return Err(self.error("no branch of the union can be read"));
        }
        Ok(Node::Union(branches))
    }

    fn into_union(
        &mut self,
        writer: &'s Schema,
        ours: &'s [Schema],
    ) -> Result<Node, IncompatibleSchema> {
        self.identity = false;
        match self.branch(writer, ours)? {
            (Some(branch), value) => Ok(Node::IntoUnion { branch, value }),
            (None, _) => Err(self.error("a union holds a union")),
        }
    }

    /// The first of our branches that has the writer's name, or else the first that reads its type.
    fn branch(
        &mut self,
        writer: &'s Schema,
        ours: &'s [Schema],
    ) -> Result<(Option<u64>, NodeId), IncompatibleSchema> {
        let writer = self.resolve(self.writers, writer)?;
        let mut order: Vec<usize> = (0..ours.len()).collect();
        // Stable: what is of the same kind and full name goes first, the rest keep their order.
        order.sort_by_key(|&at| {
            let reader = self.resolve(self.readers, &ours[at]).unwrap_or(&ours[at]);
            let same_kind = std::mem::discriminant(reader) == std::mem::discriminant(writer);
            (!(same_kind && reader.name() == writer.name()), !same_kind)
        });
        let mut first_error = None;
        for at in order {
            match self.attempt(writer, &ours[at]) {
                Ok(value) => return Ok((Some(at as u64), value)),
                Err(error) => first_error = first_error.or(Some(error)),
            }
        }
        Err(first_error.unwrap_or_else(|| self.error("the union has no branches")))
    }

    /// [`compile`](Self::compile), which leaves nothing behind where it fails.
    fn attempt(
        &mut self,
        writer: &'s Schema,
        reader: &'s Schema,
    ) -> Result<NodeId, IncompatibleSchema> {
        let (nodes, identity, path) = (self.nodes.len(), self.identity, self.path.len());
        self.compile(writer, Some(reader)).inspect_err(|_| {
            self.nodes.truncate(nodes);
            self.seen.retain(|_, node| *node < nodes);
            self.identity = identity;
            self.path.truncate(path);
        })
    }

    fn symbols(
        &mut self,
        theirs: &EnumSchema,
        ours: &EnumSchema,
    ) -> Result<Node, IncompatibleSchema> {
        self.same_name(&theirs.name, &ours.name, &ours.aliases)?;
        let index = |symbol: &String| ours.symbols.iter().position(|known| known == symbol);
        let default = ours.default.as_ref().and_then(index);
        let symbols: Vec<Option<u64>> = theirs
            .symbols
            .iter()
            .map(|symbol| index(symbol).or(default).map(|at| at as u64))
            .collect();
        self.identity &= symbols.iter().enumerate().all(|(at, ours)| *ours == Some(at as u64));
        Ok(Node::Enum(symbols))
    }

    /// Whether a node's values take no bytes. They are left out of plans: any number of them fits into nothing.
    fn is_empty(&self, node: NodeId) -> bool {
        matches!(self.nodes[node], Node::Fixed(0))
    }

    /// Unqualified names must agree, or one of our aliases must be the writer's name.
    fn same_name(
        &self,
        theirs: &Name,
        ours: &Name,
        aliases: &Aliases,
    ) -> Result<(), IncompatibleSchema> {
        let aliased = aliases.iter().flatten().any(|alias| {
            alias.name() == theirs.name() && alias.namespace() == theirs.namespace()
        });
        if aliased || theirs.name() == ours.name() {
            return Ok(());
        }
        Err(self.error(format_args!("the writer's {} is not our {}", theirs.name(), ours.name())))
    }

    fn skip(&mut self, writer: &'s Schema) -> Result<Node, IncompatibleSchema> {
        let Some(theirs) = shape(writer) else {
            return Err(self.error("a name stands for a name"));
        };
        Ok(match theirs {
            Shape::Fixed(_, size) => Node::Fixed(size),
            Shape::Number { .. } => Node::Number,
            Shape::Sized { .. } => Node::Sized,
            Shape::Array(items) => {
                let element = self.compile(items, None)?;
                let element_is_empty = self.is_empty(element);
                Node::Array { element, element_is_empty }
            }
            Shape::Map(values) => Node::Map { value: self.compile(values, None)? },
            Shape::Enum(symbols) => {
                Node::Enum((0..symbols.symbols.len() as u64).map(Some).collect())
            }
            Shape::Union(variants) => {
                let read = |value| Branch::Read { ours: None, value };
                let branches = variants.iter().map(|variant| self.compile(variant, None).map(read));
                Node::Union(branches.collect::<Result<_, _>>()?)
            }
            Shape::Record(record) => {
                let mut fields = Vec::new();
                for field in &record.fields {
                    let node = self.compile(&field.schema, None)?;
                    if !self.is_empty(node) {
                        fields.push(Field::Drop(node));
                    }
                }
                match fields.is_empty() {
                    true => Node::Fixed(0),
                    false => {
                        Node::Record(RecordPlan { fields, slots: Vec::new(), in_order: true })
                    }
                }
            }
        })
    }
}

/// Whether two types of the same fixed size are the same: null, boolean, float, double, or both `fixed`.
fn same_primitive(writer: &Schema, reader: &Schema) -> bool {
    let named = |schema: &Schema| matches!(shape(schema), Some(Shape::Fixed(Some(_), _)));
    (named(writer) && named(reader) && writer.name().map(Name::name) == reader.name().map(Name::name))
        || std::mem::discriminant(writer) == std::mem::discriminant(reader)
}

/// Which of the writer's fields is `field`: the one of its name, or else of its first alias that there is.
fn source_of(field: &RecordField, theirs: &[RecordField]) -> Option<usize> {
    std::iter::once(&field.name)
        .chain(&field.aliases)
        .find_map(|name| theirs.iter().position(|theirs| theirs.name == *name))
}

/// A default as a datum. Supported is what our lint lets a default be.
fn encode_default(schema: &Schema, json: &serde_json::Value) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    match shape(schema)? {
        Shape::Union(variants) => {
            out.push(0);
            out.extend(encode_default(variants.first()?, json)?);
        }
        Shape::Fixed(None, 0) => json.as_null()?,
        Shape::Fixed(None, 1) => out.push(u8::from(json.as_bool()?)),
        Shape::Number { .. } => crate::resolve::write_long(json.as_i64()?, &mut out),
        Shape::Sized { text: Some(true) } => {
            let text = json.as_str()?;
            crate::resolve::write_long(text.len() as i64, &mut out);
            out.extend_from_slice(text.as_bytes());
        }
        Shape::Array(_) => json.as_array()?.is_empty().then(|| out.push(0))?,
        Shape::Map(_) => json.as_object()?.is_empty().then(|| out.push(0))?,
        Shape::Enum(symbols) => {
            let symbol = json.as_str()?;
            let at = symbols.symbols.iter().position(|known| known == symbol)?;
            crate::resolve::write_long(at as i64, &mut out);
        }
        _ => return None,
    }
    Some(out)
}

/// What a type is called in an error.
fn kind(schema: &Schema) -> String {
    match schema.name() {
        Some(name) => name.name().to_owned(),
        None => format!("{:?}", apache_avro::schema::SchemaKind::from(schema)).to_lowercase(),
    }
}
