//! Names to applications, quickly: a name of up to 16 ASCII bytes is two words, lower-cased at once, hashed and compared.
//!
//! Invariants: what [`Short::of`] takes stands in the table of short names and nowhere else; both tables are at most half
//! full, so that probing ends.

/// What a name stands for.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) alias: Box<str>,
    pub(super) canonical: Box<str>,
    /// Many applications share the name: the path comes first.
    pub(super) shared: bool,
    /// Which interpreter it is, counted from 1; 0: none.
    pub(super) interpreter: u16,
}

/// A short name in lower case, its first byte lowest.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Short {
    low: u64,
    high: u64,
    length: u64,
}

impl Short {
    /// `None`: it is empty, longer than 16 bytes, or not ASCII.
    #[inline]
    pub(super) fn of(name: &[u8]) -> Option<Self> {
        let length = name.len();
        let (low, high) = match length {
            8..=16 => {
                let low = u64::from_le_bytes(*name.first_chunk()?);
                // The last eight bytes, without those that stand in the first eight.
                let last = u64::from_le_bytes(*name.last_chunk()?);
                (low, last.checked_shr(8 * (16 - length as u32)).unwrap_or(0))
            }
            4..=7 => {
                let first = u64::from(u32::from_le_bytes(*name.first_chunk()?));
                let last = u64::from(u32::from_le_bytes(*name.last_chunk()?));
                (first | last << (8 * (length - 4)), 0)
            }
            1..=3 => {
                let byte = |at: usize| u64::from(name[at]) << (8 * at);
                (byte(0) | byte(length / 2) | byte(length - 1), 0)
            }
            _ => return None,
        };
        if (low | high) & HIGH_BITS != 0 {
            return None;
        }
        Some(Self {
            low: lower_case(low),
            high: lower_case(high),
            length: length as u64,
        })
    }

    #[inline]
    fn hash(self) -> u64 {
        let mixed = self.low ^ self.high.rotate_left(29) ^ self.length;
        let mixed = mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed ^ (mixed >> 32)
    }
}

const HIGH_BITS: u64 = 0x8080_8080_8080_8080;
const ONES: u64 = 0x0101_0101_0101_0101;

/// Eight ASCII bytes in lower case: a byte is a capital where adding what `A` lacks to 128 carries, and what `Z` lacks does
/// not.
#[inline]
const fn lower_case(word: u64) -> u64 {
    let from_a = word + ONES * (0x80 - b'A' as u64);
    let beyond_z = word + ONES * (0x7f - b'Z' as u64);
    word | ((from_a & !beyond_z & HIGH_BITS) >> 2)
}

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    name: Short,
    /// Index into the entries plus 1; 0 where free.
    entry: u32,
}

/// All names.
#[derive(Clone, Debug, Default)]
pub(super) struct AliasTable {
    short: Vec<Slot>,
    /// Index into `entries` plus 1; 0 where free.
    long: Vec<u32>,
    /// By alias.
    entries: Vec<Entry>,
}

impl AliasTable {
    /// Of entries in the order of their aliases, which are in lower case and distinct.
    pub(super) fn new(entries: Vec<Entry>) -> Self {
        let slots = (entries.len() * 2 + 2).next_power_of_two();
        let mut table = Self {
            short: vec![Slot::default(); slots],
            long: vec![0; slots],
            entries,
        };
        let mask = slots - 1;
        for (number, entry) in (1_u32..).zip(&table.entries) {
            let alias = entry.alias.as_bytes();
            match Short::of(alias) {
                Some(name) => {
                    let mut at = name.hash() as usize & mask;
                    while table.short[at].entry != 0 {
                        at = (at + 1) & mask;
                    }
                    table.short[at] = Slot {
                        name,
                        entry: number,
                    };
                }
                None => {
                    let mut at = long_hash(alias) as usize & mask;
                    while table.long[at] != 0 {
                        at = (at + 1) & mask;
                    }
                    table.long[at] = number;
                }
            }
        }
        table
    }

    /// The entry of a short name.
    #[inline]
    pub(super) fn short(&self, name: Short) -> Option<&Entry> {
        let mask = self.short.len().checked_sub(1)?;
        let mut at = name.hash() as usize & mask;
        loop {
            let slot = self.short.get(at & mask)?;
            if slot.name == name {
                return self.entries.get((slot.entry as usize).checked_sub(1)?);
            }
            if slot.entry == 0 {
                return None;
            }
            at += 1;
        }
    }

    /// The entry of a name in lower case.
    pub(super) fn get(&self, name: &[u8]) -> Option<&Entry> {
        if let Some(name) = Short::of(name) {
            return self.short(name);
        }
        let mask = self.long.len().checked_sub(1)?;
        let mut at = long_hash(name) as usize & mask;
        loop {
            let entry = self.entries.get((self.long[at] as usize).checked_sub(1)?)?;
            if entry.alias.as_bytes() == name {
                return Some(entry);
            }
            at = (at + 1) & mask;
        }
    }
}

/// Of a name that is no [`Short`]: its words of eight bytes, the last of which may share bytes with the one before.
fn long_hash(name: &[u8]) -> u64 {
    let mix = |hash: u64, word: &[u8; 8]| {
        (hash ^ u64::from_le_bytes(*word))
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .rotate_left(31)
    };
    let (words, rest) = name.as_chunks();
    let mut hash = words.iter().fold(name.len() as u64, mix);
    match name.last_chunk() {
        Some(last) => hash = mix(hash, last),
        // Short, but not ASCII.
        None => {
            let mut word = [0; 8];
            word[..rest.len()].copy_from_slice(rest);
            hash = mix(hash, &word);
        }
    }
    hash ^ (hash >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn table(names: impl IntoIterator<Item = String>) -> AliasTable {
        let names: std::collections::BTreeSet<String> = names.into_iter().collect();
        let entry = |name: String| Entry {
            alias: name.as_str().into(),
            canonical: name.as_str().into(),
            shared: false,
            interpreter: 0,
        };
        AliasTable::new(names.into_iter().map(entry).collect())
    }

    proptest! {
        #[test]
        fn a_short_name_is_its_bytes_in_lower_case(name in "[ -~]{1,16}", other in "[ -~]{1,16}") {
            let short = Short::of(name.as_bytes()).expect("short");
            let bytes = [short.low.to_le_bytes(), short.high.to_le_bytes()].concat();
            let lower = name.to_ascii_lowercase();
            prop_assert_eq!(&bytes[..name.len()], lower.as_bytes());
            prop_assert!(bytes[name.len()..].iter().all(|byte| *byte == 0));
            let same = name.eq_ignore_ascii_case(&other);
            prop_assert_eq!(Short::of(other.as_bytes()) == Some(short), same);
        }

        #[test]
        fn what_stands_in_the_table_is_found(
            names in proptest::collection::vec("[a-cé]{1,24}", 0..60),
            others in proptest::collection::vec("[a-cé]{1,24}", 0..60),
        ) {
            let table = table(names.iter().cloned());
            for name in names.iter().chain(&others) {
                let found = table.get(name.as_bytes()).map(|entry| &*entry.alias);
                prop_assert_eq!(found, names.contains(name).then_some(name.as_str()));
            }
        }
    }

    #[test]
    fn what_is_no_short_name() {
        for name in ["", "seventeen letters", "é"] {
            assert_eq!(Short::of(name.as_bytes()), None);
        }
        assert_ne!(Short::of(b"a"), Short::of(b"a\0"));
        assert_eq!(Short::of(b"@[`{"), Short::of(b"@[`{"));
        assert_ne!(Short::of(b"@[\\]"), Short::of(b"`{|}"));
    }

    #[test]
    fn an_empty_table() {
        assert!(AliasTable::default().get(b"a").is_none());
    }
}
