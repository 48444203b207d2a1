//! Rewrites a datum of a writer's schema as a datum of ours, following a [`Plan`].
//!
//! Invariants: reads no byte twice and none beyond the datum; recursion is at most [`DATUM_DEPTH_MAX`] deep; a count
//! of elements that could not be there is refused before the first of them is looked at.

use crate::error::DecodeError;
use crate::limits::DATUM_DEPTH_MAX;
use crate::plan::{Branch, Field, Node, NodeId, Plan, RecordPlan, Slot};
use std::ops::Range;

impl Plan {
    /// Rewrites `datum`, which must be read to its end.
    pub(crate) fn rewrite(&self, datum: &[u8]) -> Result<Vec<u8>, DecodeError> {
        let mut rewriter = Rewriter {
            plan: self,
            rest: datum,
            depth: 0,
        };
        let mut out = Vec::with_capacity(datum.len() + datum.len() / 4);
        rewriter.value(0, Some(&mut out))?;
        match rewriter.rest.len() {
            0 => Ok(out),
            left => Err(DecodeError::undecodable(format_args!(
                "{left} bytes follow the datum"
            ))),
        }
    }
}

/// Where to write; `None` while passing over a field.
type Out<'o> = Option<&'o mut Vec<u8>>;

struct Rewriter<'p, 'd> {
    plan: &'p Plan,
    rest: &'d [u8],
    depth: usize,
}

impl<'p> Rewriter<'p, '_> {
    fn value(&mut self, node: NodeId, out: Out<'_>) -> Result<(), DecodeError> {
        if self.depth == DATUM_DEPTH_MAX {
            return Err(DecodeError::undecodable(format_args!(
                "nested more than {DATUM_DEPTH_MAX} levels deep"
            )));
        }
        self.depth += 1;
        let plan: &'p Plan = self.plan;
        let done = match &plan.nodes[node] {
            Node::Fixed(size) => self.copy(*size as u64, out),
            Node::Number => self.number(out),
            Node::Sized => self.sized(out),
            Node::Array {
                element,
                element_is_empty,
            } => self.array(*element, *element_is_empty, out),
            Node::Map { value } => self.map(*value, out),
            Node::Record(record) => self.record(record, out),
            Node::Union(branches) => self.union(branches, out),
            Node::IntoUnion { branch, value } => self.wrap_union(*branch, *value, out),
            Node::Enum(symbols) => self.symbol(symbols, out),
        };
        self.depth -= 1;
        done
    }

    fn copy(&mut self, size: u64, out: Out<'_>) -> Result<(), DecodeError> {
        let split = usize::try_from(size)
            .ok()
            .and_then(|size| self.rest.split_at_checked(size));
        let Some((bytes, rest)) = split else {
            return Err(DecodeError::undecodable(format_args!(
                "{size} bytes are announced, {} are there",
                self.rest.len()
            )));
        };
        self.rest = rest;
        if let Some(out) = out {
            out.extend_from_slice(bytes);
        }
        Ok(())
    }

    fn long(&mut self) -> Result<i64, DecodeError> {
        let mut zigzag = 0u64;
        for (at, &byte) in self.rest.iter().take(10).enumerate() {
            if at == 9 && byte > 1 {
                break;
            }
            zigzag |= u64::from(byte & 0x7f) << (7 * at);
            if byte & 0x80 == 0 {
                self.rest = &self.rest[at + 1..];
                return Ok((zigzag >> 1).cast_signed() ^ -(zigzag & 1).cast_signed());
            }
        }
        Err(DecodeError::undecodable("a number does not end"))
    }

    fn number(&mut self, out: Out<'_>) -> Result<(), DecodeError> {
        let number = self.long()?;
        if let Some(out) = out {
            write_long(number, out);
        }
        Ok(())
    }

    /// A length or an index, which can't be negative.
    fn unsigned(&mut self) -> Result<u64, DecodeError> {
        let number = self.long()?;
        let number = u64::try_from(number);
        number.map_err(|_| DecodeError::undecodable("a length or an index is negative"))
    }

    fn sized(&mut self, mut out: Out<'_>) -> Result<(), DecodeError> {
        let size = self.unsigned()?;
        if let Some(out) = out.as_deref_mut() {
            // A size that is not there fails in the next line.
            write_long(size.cast_signed(), out);
        }
        self.copy(size, out)
    }

    /// How many elements the next block of an array or map has; 0 ends it.
    fn block(&mut self) -> Result<u64, DecodeError> {
        let count = self.long()?;
        if count < 0 {
            // The block's size in bytes, for readers that skip; its elements are what counts.
            self.unsigned()?;
        }
        Ok(count.unsigned_abs())
    }

    fn array(
        &mut self,
        element: NodeId,
        element_is_empty: bool,
        mut out: Out<'_>,
    ) -> Result<(), DecodeError> {
        loop {
            let count = self.block()?;
            if let Some(out) = out.as_deref_mut() {
                write_count(count, out);
            }
            if count == 0 {
                return Ok(());
            }
            if element_is_empty {
                continue;
            }
            self.check_count(count)?;
            for _ in 0..count {
                self.value(element, out.as_deref_mut())?;
            }
        }
    }

    fn map(&mut self, value: NodeId, mut out: Out<'_>) -> Result<(), DecodeError> {
        loop {
            let count = self.block()?;
            self.check_count(count)?;
            if let Some(out) = out.as_deref_mut() {
                write_count(count, out);
            }
            if count == 0 {
                return Ok(());
            }
            for _ in 0..count {
                self.sized(out.as_deref_mut())?;
                self.value(value, out.as_deref_mut())?;
            }
        }
    }

    /// Each element takes at least a byte.
    fn check_count(&self, count: u64) -> Result<(), DecodeError> {
        if count > self.rest.len() as u64 {
            return Err(DecodeError::undecodable(format_args!(
                "{count} elements are announced in {} bytes",
                self.rest.len()
            )));
        }
        Ok(())
    }

    fn record(&mut self, record: &RecordPlan, mut out: Out<'_>) -> Result<(), DecodeError> {
        let start = out.as_deref().map_or(0, Vec::len);
        let mut kept: Vec<Range<usize>> = Vec::new();
        for field in &record.fields {
            match (*field, out.as_deref_mut()) {
                (Field::Keep(node), Some(out)) => {
                    let from = out.len();
                    self.value(node, Some(&mut *out))?;
                    if !record.in_order {
                        kept.push(from - start..out.len() - start);
                    }
                }
                (Field::Keep(node) | Field::Drop(node), _) => self.value(node, None)?,
            }
        }
        match out {
            Some(out) if !record.in_order => arrange(&record.slots, start, &kept, out),
            _ => Ok(()),
        }
    }

    fn union(&mut self, branches: &[Branch], mut out: Out<'_>) -> Result<(), DecodeError> {
        let index = self.unsigned()?;
        match usize::try_from(index)
            .ok()
            .and_then(|index| branches.get(index))
        {
            Some(Branch::Read { ours, value }) => {
                if let (Some(ours), Some(out)) = (ours, out.as_deref_mut()) {
                    write_long(ours.cast_signed(), out);
                }
                self.value(*value, out)
            }
            Some(Branch::Unreadable(why)) => Err(DecodeError::undecodable(why)),
            None => Err(DecodeError::undecodable(format_args!(
                "a union has no branch {index}"
            ))),
        }
    }

    fn wrap_union(
        &mut self,
        branch: u64,
        value: NodeId,
        mut out: Out<'_>,
    ) -> Result<(), DecodeError> {
        if let Some(out) = out.as_deref_mut() {
            write_long(branch.cast_signed(), out);
        }
        self.value(value, out)
    }

    fn symbol(&mut self, symbols: &[Option<u64>], out: Out<'_>) -> Result<(), DecodeError> {
        let index = self.unsigned()?;
        let symbol = usize::try_from(index)
            .ok()
            .and_then(|index| symbols.get(index));
        match symbol {
            Some(Some(ours)) => {
                if let Some(out) = out {
                    write_long(ours.cast_signed(), out);
                }
                Ok(())
            }
            Some(None) => Err(DecodeError::undecodable(format_args!(
                "symbol {index} of an enum is unknown to the reader"
            ))),
            None => Err(DecodeError::undecodable(format_args!(
                "an enum has no symbol {index}"
            ))),
        }
    }
}

/// Puts the kept fields, which stand at the end of `out` from `start`, into our order, with our defaults between.
fn arrange(
    slots: &[Slot],
    start: usize,
    kept: &[Range<usize>],
    out: &mut Vec<u8>,
) -> Result<(), DecodeError> {
    let written = out.split_off(start);
    for slot in slots {
        match slot {
            Slot::Default(default) => out.extend_from_slice(default),
            Slot::Kept(at) => {
                let bytes = kept.get(*at).and_then(|range| written.get(range.clone()));
                out.extend_from_slice(
                    bytes.ok_or_else(|| DecodeError::undecodable("a field was not kept"))?,
                );
            }
        }
    }
    Ok(())
}

/// Writes a block's count. One of more than `i64::MAX` elements is refused by what comes next.
fn write_count(count: u64, out: &mut Vec<u8>) {
    write_long(count.cast_signed(), out);
}

/// Appends a number as Avro does: zigzag, then seven bits to a byte, the lowest first.
pub(crate) fn write_long(number: i64, out: &mut Vec<u8>) {
    let mut zigzag = ((number << 1) ^ (number >> 63)).cast_unsigned();
    while zigzag >= 0x80 {
        out.push(zigzag as u8 | 0x80);
        zigzag >>= 7;
    }
    out.push(zigzag as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rewrites `datum` from the schema `writer` to the schema `reader`.
    #[track_caller]
    fn check(writer: &str, reader: &str, datum: &[u8], expect: &[u8]) {
        let plan = Plan::new(writer, reader).unwrap();
        assert_eq!(plan.rewrite(datum).unwrap(), expect);
        assert_eq!(plan.is_identity(), writer == reader);
    }

    fn record(fields: &str) -> String {
        format!(r#"{{"type": "record", "name": "R", "fields": [{fields}]}}"#)
    }

    #[test]
    fn fields_are_found_by_name_then_by_alias() {
        let reader = record(
            r#"{"name": "a", "type": "long", "aliases": ["b", "old"]},
               {"name": "c", "type": ["null", "string"], "aliases": ["d"], "default": null}"#,
        );
        let renamed = record(r#"{"name": "d", "type": "string"}, {"name": "old", "type": "int"}"#);
        check(&renamed, &reader, &[2, b'x', 6], &[6, 2, 2, b'x']);
        let both = record(r#"{"name": "b", "type": "long"}, {"name": "a", "type": "long"}"#);
        check(&both, &reader, &[2, 4], &[4, 0]);
        check(&reader, &reader, &[4, 2, 0], &[4, 2, 0]);
    }

    #[test]
    fn records_are_found_by_name_then_by_alias() {
        let named = |name: &str, aliases: &str| {
            format!(
                r#"{{"type": "record", "name": "{name}", "namespace": "n", {aliases}
                "fields": [{{"name": "a", "type": {{"type": "array", "items": "long"}}}}]}}"#
            )
        };
        let reader = format!(
            "[{}, {}]",
            named("A", ""),
            named("B", r#""aliases": ["Old", "m.Older"],"#)
        );
        let writer = format!("[{}, {}]", named("B", ""), named("A", ""));
        check(&writer, &reader, &[0, 0], &[2, 0]);
        check(&writer, &reader, &[2, 2, 8, 0], &[0, 2, 8, 0]);
        check(&named("Old", ""), &reader, &[0], &[2, 0]);
        check(
            &named("B", "").replace(r#""n""#, r#""m""#),
            &reader,
            &[0],
            &[2, 0],
        );
        check(
            &named("Older", "").replace(r#""n""#, r#""m""#),
            &reader,
            &[0],
            &[2, 0],
        );
        assert!(Plan::new(&named("Older", ""), &reader).is_err());
    }

    #[test]
    fn defaults_stand_where_our_fields_stand() {
        let reader = record(
            r#"{"name": "t", "type": "boolean", "default": true},
               {"name": "a", "type": "long"},
               {"name": "n", "type": "int", "default": -3},
               {"name": "s", "type": "string", "default": "é"},
               {"name": "u", "type": ["long", "null"], "default": 5},
               {"name": "l", "type": {"type": "array", "items": "int"}, "default": []},
               {"name": "m", "type": {"type": "map", "values": "int"}, "default": {}},
               {"name": "e", "type": {"type": "enum", "name": "E", "symbols": ["X", "Y"]}, "default": "Y"}"#,
        );
        let writer = record(r#"{"name": "a", "type": "long"}"#);
        check(
            &writer,
            &reader,
            &[14],
            &[1, 14, 5, 4, 0xc3, 0xa9, 0, 10, 0, 0, 2],
        );
        let unsupported = record(r#"{"name": "d", "type": "double", "default": 1.5}"#);
        let error = Plan::new(&record(""), &unsupported).unwrap_err();
        assert!(error.detail.contains("the default of d"), "{error}");
    }

    #[test]
    fn blocks_with_sizes_lose_them() {
        let list = r#"{"type": "array", "items": "long"}"#;
        check(list, list, &[3, 4, 6, 8, 2, 10, 0], &[4, 6, 8, 2, 10, 0]);
        let map = r#"{"type": "map", "values": "int"}"#;
        check(map, map, &[1, 6, 2, b'k', 8, 0], &[2, 2, b'k', 8, 0]);
    }

    #[test]
    fn types_may_hold_themselves() {
        let list =
            record(r#"{"name": "a", "type": "int"}, {"name": "next", "type": ["null", "R"]}"#);
        let other =
            record(r#"{"name": "next", "type": ["R", "null"]}, {"name": "a", "type": "int"}"#);
        check(&list, &list, &[2, 2, 4, 0], &[2, 2, 4, 0]);
        check(&other, &list, &[0, 2, 4, 2], &[2, 2, 4, 0]);
    }

    #[test]
    fn symbols_are_translated_or_refused() {
        let of =
            |symbols: &str| format!(r#"{{"type": "enum", "name": "E", "symbols": [{symbols}]}}"#);
        let (writer, reader) = (of(r#""A", "B", "C""#), of(r#""C", "A""#));
        check(&writer, &reader, &[0], &[2]);
        check(&writer, &reader, &[4], &[0]);
        let plan = Plan::new(&writer, &reader).unwrap();
        assert!(
            plan.rewrite(&[2])
                .unwrap_err()
                .detail()
                .contains("symbol 1")
        );
        assert!(
            plan.rewrite(&[6])
                .unwrap_err()
                .detail()
                .contains("no symbol 3")
        );
    }

    #[test]
    fn numbers_survive() {
        let plan = Plan::new("\"long\"", "\"long\"").unwrap();
        for number in [0, -1, 1, 63, -64, 64, 8_191, i64::MAX, i64::MIN] {
            let mut datum = vec![];
            write_long(number, &mut datum);
            assert_eq!(plan.rewrite(&datum).unwrap(), datum, "{number}");
        }
        assert!(plan.rewrite(&[0x80]).is_err());
        assert!(plan.rewrite(&[0xff; 10]).is_err());
        assert!(plan.rewrite(&[0x80; 11]).is_err());
    }
}
