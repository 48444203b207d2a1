//! What a type is in a datum, and what two types have in common.

use apache_avro::Schema;
use apache_avro::schema::{
    EnumSchema, InnerDecimalSchema, Name, RecordSchema, SchemaKind, UuidSchema,
};

/// How a type stands in a datum, whatever its logical type.
pub(super) enum Shape<'s> {
    Fixed(Option<&'s Name>, usize),
    Number {
        long: bool,
    },
    /// `text` is `Some` where the type says whether its bytes are text.
    Sized {
        text: Option<bool>,
    },
    Array(&'s Schema),
    Map(&'s Schema),
    Record(&'s RecordSchema),
    Union(&'s [Schema]),
    Enum(&'s EnumSchema),
}

pub(super) fn shape(schema: &Schema) -> Option<Shape<'_>> {
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
        Schema::Fixed(fixed) | Schema::Uuid(UuidSchema::Fixed(fixed)) | Schema::Duration(fixed) => {
            Shape::Fixed(Some(&fixed.name), fixed.size)
        }
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
pub(super) fn same_number(writer: &Schema, reader: &Schema) -> bool {
    let plain = |schema: &Schema| matches!(schema, Schema::Int | Schema::Long);
    plain(writer)
        || plain(reader)
        || std::mem::discriminant(writer) == std::mem::discriminant(reader)
}

/// Whether two types of the same fixed size are the same: null, boolean, float, double, or both `fixed`.
pub(super) fn same_primitive(writer: &Schema, reader: &Schema) -> bool {
    let named = |schema: &Schema| matches!(shape(schema), Some(Shape::Fixed(Some(_), _)));
    (named(writer)
        && named(reader)
        && writer.name().map(Name::name) == reader.name().map(Name::name))
        || std::mem::discriminant(writer) == std::mem::discriminant(reader)
}

/// What a type is called in an error.
pub(super) fn kind(schema: &Schema) -> String {
    match schema.name() {
        Some(name) => name.name().to_owned(),
        None => format!("{:?}", SchemaKind::from(schema)).to_lowercase(),
    }
}
