//! Works out a plan: a walk along both schemas at once.

use super::shape::{Shape, kind, same_number, same_primitive, shape};
use super::{Branch, Field, Node, NodeId, Plan, RecordPlan, Slot};
use crate::error::IncompatibleSchema;
use crate::limits::PLAN_NODES_MAX;
use apache_avro::Schema;
use apache_avro::schema::{
    Aliases, EnumSchema, Name, NamesRef, RecordField, RecordSchema, ResolvedSchema,
};
use std::collections::HashMap;

/// How what was written as `writer` is read as `reader`.
pub(super) fn compile(writer: &Schema, reader: &Schema) -> Result<Plan, IncompatibleSchema> {
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
    Ok(Plan {
        nodes: compiler.nodes,
        identity: compiler.identity,
    })
}

fn names(schema: &Schema) -> Result<ResolvedSchema<'_>, IncompatibleSchema> {
    ResolvedSchema::new(schema).map_err(|error| IncompatibleSchema::new(error.to_string()))
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
        let path = if self.path.is_empty() {
            "the record".to_owned()
        } else {
            self.path.join(".")
        };
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
        let reader = reader
            .map(|reader| self.resolve(self.readers, reader))
            .transpose()?;
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
            (_, Shape::Union(ours)) => self.wrap_union(writer, ours),
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
                Ok(Node::Array {
                    element,
                    element_is_empty: false,
                })
            }
            (Shape::Map(theirs), Shape::Map(ours)) => Ok(Node::Map {
                value: self.compile(theirs, Some(ours))?,
            }),
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
        let mut plan = RecordPlan {
            in_order: true,
            ..RecordPlan::default()
        };
        // Per field of ours, which of the writer's fields it is.
        let sources: Vec<Option<usize>> = ours
            .fields
            .iter()
            .map(|field| source_of(field, &theirs.fields))
            .collect();
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
            self.error(format_args!(
                "the default of {} is of no kind that is supported",
                field.name
            ))
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
        if branches
            .iter()
            .all(|branch| matches!(branch, Branch::Unreadable(_)))
        {
            return Err(self.error("no branch of the union can be read"));
        }
        Ok(Node::Union(branches))
    }

    fn wrap_union(
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
        self.identity &= symbols
            .iter()
            .enumerate()
            .all(|(at, ours)| *ours == Some(at as u64));
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
        let aliased = aliases
            .iter()
            .flatten()
            .any(|alias| alias.name() == theirs.name() && alias.namespace() == theirs.namespace());
        if aliased || theirs.name() == ours.name() {
            return Ok(());
        }
        Err(self.error(format_args!(
            "the writer's {} is not our {}",
            theirs.name(),
            ours.name()
        )))
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
                Node::Array {
                    element,
                    element_is_empty,
                }
            }
            Shape::Map(values) => Node::Map {
                value: self.compile(values, None)?,
            },
            Shape::Enum(symbols) => {
                Node::Enum((0..symbols.symbols.len() as u64).map(Some).collect())
            }
            Shape::Union(variants) => {
                let read = |value| Branch::Read { ours: None, value };
                let branches = variants
                    .iter()
                    .map(|variant| self.compile(variant, None).map(read));
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
                    false => Node::Record(RecordPlan {
                        fields,
                        slots: Vec::new(),
                        in_order: true,
                    }),
                }
            }
        })
    }
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
