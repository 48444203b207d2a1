//! HyperLogLog in the postgresql-hll v1 storage format, byte for byte what that extension stores.
//!
//! Parameters: log2m 11 (2,048 registers), regwidth 5, expthresh −1 (auto: up to 160 hashes are kept as they
//! are), sparseon 1. Source of the format: aggregateknowledge/hll-storage-spec, v1.0.0; of the estimator:
//! Flajolet et al., "HyperLogLog", 2007, with the small and large range corrections as the extension has them.
//!
//! Invariant: the same set of hashes, inserted or merged in any order and grouping, gives an equal value and equal
//! bytes. Explicit hashes become registers exactly when the 161st distinct one comes.

/// Registers of a sketch.
pub const REGISTERS: usize = 1 << LOG2M;
/// Hashes that a sketch keeps as they are.
pub const EXPLICIT_LIMIT: usize = PACKED_BYTES / 8;

const LOG2M: u32 = 11;
const REGISTER_WIDTH: u32 = 5;
const MAX_REGISTER: u8 = (1 << REGISTER_WIDTH) - 1;
const PACKED_BYTES: usize = REGISTERS * REGISTER_WIDTH as usize / 8;
/// Bytes of a sparse entry: 11 bits of index and 5 of value.
const SPARSE_ENTRY_BYTES: usize = (LOG2M + REGISTER_WIDTH) as usize / 8;

const EMPTY: u8 = 0x11;
const EXPLICIT: u8 = 0x12;
const SPARSE: u8 = 0x13;
const FULL: u8 = 0x14;
/// regwidth − 1 in the upper three bits, log2m in the lower five; then sparseon and expthresh "auto".
const PARAMETERS: [u8; 2] = [((REGISTER_WIDTH as u8 - 1) << 5) | LOG2M as u8, 0x7f];

const _: () = assert!(
    (LOG2M + REGISTER_WIDTH).is_multiple_of(8),
    "sparse entries are whole bytes"
);

/// Why bytes are no sketch of ours.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HllError {
    /// Fewer than the three bytes of the header.
    Truncated,
    /// Another version, type or parameters: the three bytes of the header.
    Header([u8; 3]),
    /// The body's length does not fit its type.
    Length(usize),
    /// Entries are not in ascending order, or not distinct.
    Order,
    /// A sparse entry of value 0.
    ZeroRegister,
}

impl std::fmt::Display for HllError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            HllError::Truncated => f.write_str("a sketch has at least 3 bytes"),
            HllError::Header(found) => write!(
                f,
                "header {found:02x?} is not version 1 with log2m 11 and regwidth 5"
            ),
            HllError::Length(found) => {
                write!(f, "a body of {found} bytes does not fit the sketch's type")
            }
            HllError::Order => f.write_str("entries are not ascending and distinct"),
            HllError::ZeroRegister => f.write_str("a sparse entry holds a register of value 0"),
        }
    }
}

impl std::error::Error for HllError {}

#[derive(Clone, PartialEq, Eq)]
enum Form {
    /// Distinct hashes in ascending *signed* order, as the format wants them; at most [`EXPLICIT_LIMIT`].
    Explicit(Vec<i64>),
    /// One byte a register: 2,048 rather than 1,280 bytes, for a merge is then a vectorized maximum.
    Registers(Box<[u8; REGISTERS]>),
}

/// A set's cardinality sketch.
#[derive(Clone, PartialEq, Eq)]
pub struct Hll(Form);

impl Default for Hll {
    fn default() -> Self {
        Self(Form::Explicit(Vec::new()))
    }
}

impl std::fmt::Debug for Hll {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let form = match &self.0 {
            Form::Explicit(_) => "explicit",
            Form::Registers(_) => "registers",
        };
        write!(f, "Hll({form}, {})", self.cardinality())
    }
}

impl Hll {
    /// The empty set.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether nothing was inserted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        matches!(&self.0, Form::Explicit(hashes) if hashes.is_empty())
    }

    /// Adds an element by its hash, see [`hash_text`].
    pub fn insert_hash(&mut self, hash: u64) {
        match &mut self.0 {
            Form::Registers(registers) => raise(registers, hash),
            Form::Explicit(hashes) => {
                let signed = hash as i64;
                let Err(at) = hashes.binary_search(&signed) else {
                    return;
                };
                if hashes.len() < EXPLICIT_LIMIT {
                    hashes.insert(at, signed);
                    return;
                }
                let mut registers = registers_of(hashes);
                raise(&mut registers, hash);
                self.0 = Form::Registers(registers);
            }
        }
    }

    /// Adds the elements of `other`.
    pub fn merge(&mut self, other: &Hll) {
        match (&mut self.0, &other.0) {
            (_, Form::Explicit(theirs)) if theirs.is_empty() => {}
            (Form::Registers(ours), Form::Registers(theirs)) => {
                for (our, their) in ours.iter_mut().zip(theirs.iter()) {
                    *our = (*our).max(*their);
                }
            }
            (Form::Registers(ours), Form::Explicit(theirs)) => {
                for &hash in theirs {
                    raise(ours, hash as u64);
                }
            }
            (Form::Explicit(ours), Form::Registers(theirs)) => {
                let mut registers = theirs.clone();
                for &hash in &*ours {
                    raise(&mut registers, hash as u64);
                }
                self.0 = Form::Registers(registers);
            }
            (Form::Explicit(ours), Form::Explicit(theirs)) => {
                if ours.is_empty() {
                    ours.clone_from(theirs);
                    return;
                }
                let merged = union(ours, theirs);
                self.0 = if merged.len() <= EXPLICIT_LIMIT {
                    Form::Explicit(merged)
                } else {
                    Form::Registers(registers_of(&merged))
                };
            }
        }
    }

    /// The estimated number of distinct elements: exact up to [`EXPLICIT_LIMIT`], about 2.3 % standard error above.
    #[must_use]
    pub fn estimate(&self) -> f64 {
        let registers = match &self.0 {
            Form::Explicit(hashes) => return hashes.len() as f64,
            Form::Registers(registers) => registers,
        };
        let mut sum = 0.0;
        let mut zeros = 0u32;
        for &register in registers.iter() {
            sum += 1.0 / (1u64 << register) as f64;
            zeros += u32::from(register == 0);
        }
        let m = REGISTERS as f64;
        let estimate = 0.7213 / (1.0 + 1.079 / m) * m * m / sum;
        // All hashes that registers of this width can tell apart.
        let range = (1u64 << (u32::from(MAX_REGISTER) - 1 + LOG2M)) as f64;
        if zeros != 0 && estimate < 5.0 * m / 2.0 {
            m * (m / f64::from(zeros)).ln()
        } else if estimate <= range / 30.0 {
            estimate
        } else {
            -range * (1.0 - estimate / range).ln()
        }
    }

    /// [`Hll::estimate`], rounded.
    #[must_use]
    pub fn cardinality(&self) -> i64 {
        self.estimate().round() as i64
    }

    /// Appends the storage format.
    pub fn to_bytes(&self, out: &mut Vec<u8>) {
        match &self.0 {
            Form::Explicit(hashes) => {
                out.push(if hashes.is_empty() { EMPTY } else { EXPLICIT });
                out.extend_from_slice(&PARAMETERS);
                for hash in hashes {
                    out.extend_from_slice(&hash.to_be_bytes());
                }
            }
            Form::Registers(registers) => {
                let filled = registers.iter().filter(|&&register| register != 0).count();
                let sparse = filled * SPARSE_ENTRY_BYTES < PACKED_BYTES;
                out.push(if sparse { SPARSE } else { FULL });
                out.extend_from_slice(&PARAMETERS);
                if sparse {
                    write_sparse(registers, out)
                } else {
                    write_full(registers, out)
                }
            }
        }
    }

    /// Reads the storage format.
    ///
    /// # Errors
    /// If the bytes are of another version or parameters, or broken.
    pub fn from_bytes(bytes: &[u8]) -> Result<Hll, HllError> {
        let (header, body) = bytes.split_first_chunk::<3>().ok_or(HllError::Truncated)?;
        if header[1..] != PARAMETERS {
            return Err(HllError::Header(*header));
        }
        match header[0] {
            EMPTY if body.is_empty() => Ok(Self::default()),
            EXPLICIT => read_explicit(body),
            SPARSE => read_sparse(body),
            FULL => read_full(body),
            EMPTY => Err(HllError::Length(body.len())),
            _ => Err(HllError::Header(*header)),
        }
    }

    /// Bytes on the heap.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        match &self.0 {
            Form::Explicit(hashes) => hashes.capacity() * 8,
            Form::Registers(_) => REGISTERS,
        }
    }
}

/// Raises the register of `hash` to the position of the lowest set bit above the index.
fn raise(registers: &mut [u8; REGISTERS], hash: u64) {
    let index = (hash as usize) & (REGISTERS - 1);
    let rest = hash >> LOG2M;
    let value = if rest == 0 {
        0
    } else {
        (rest.trailing_zeros() as u8 + 1).min(MAX_REGISTER)
    };
    registers[index] = registers[index].max(value);
}

fn registers_of(hashes: &[i64]) -> Box<[u8; REGISTERS]> {
    let mut registers = Box::new([0; REGISTERS]);
    for &hash in hashes {
        raise(&mut registers, hash as u64);
    }
    registers
}

/// The union of two ascending runs.
fn union(a: &[i64], b: &[i64]) -> Vec<i64> {
    let mut merged = Vec::with_capacity(a.len() + b.len());
    let (mut i, mut j) = (0, 0);
    while i < a.len() && j < b.len() {
        merged.push(a[i].min(b[j]));
        let order = a[i].cmp(&b[j]);
        i += usize::from(order.is_le());
        j += usize::from(order.is_ge());
    }
    merged.extend_from_slice(&a[i..]);
    merged.extend_from_slice(&b[j..]);
    merged
}

fn write_sparse(registers: &[u8; REGISTERS], out: &mut Vec<u8>) {
    // Which registers are filled is as good as random: a branch on it would be foretold wrongly every few registers.
    let mut entries = [[0; SPARSE_ENTRY_BYTES]; REGISTERS];
    let mut filled = 0;
    for (index, &register) in registers.iter().enumerate() {
        let entry = (index as u16) << REGISTER_WIDTH | u16::from(register);
        entries[filled] = entry.to_be_bytes();
        filled += usize::from(register != 0);
    }
    out.extend_from_slice(entries[..filled].as_flattened());
}

/// Eight registers of five bits make five bytes, the first register in the upper bits.
fn write_full(registers: &[u8; REGISTERS], out: &mut Vec<u8>) {
    let mut packed = [[0; 5]; REGISTERS / 8];
    for (five, eight) in packed.iter_mut().zip(registers.as_chunks::<8>().0) {
        let word = eight.iter().fold(0u64, |word, &register| {
            word << REGISTER_WIDTH | u64::from(register)
        });
        five.copy_from_slice(&word.to_be_bytes()[3..]);
    }
    out.extend_from_slice(packed.as_flattened());
}

fn read_explicit(body: &[u8]) -> Result<Hll, HllError> {
    let (chunks, rest) = body.as_chunks::<8>();
    if !rest.is_empty() || chunks.is_empty() || chunks.len() > EXPLICIT_LIMIT {
        return Err(HllError::Length(body.len()));
    }
    let hashes: Vec<i64> = chunks
        .iter()
        .map(|chunk| i64::from_be_bytes(*chunk))
        .collect();
    if hashes.is_sorted_by(|a, b| a < b) {
        Ok(Hll(Form::Explicit(hashes)))
    } else {
        Err(HllError::Order)
    }
}

fn read_sparse(body: &[u8]) -> Result<Hll, HllError> {
    let (chunks, rest) = body.as_chunks::<2>();
    if !rest.is_empty() || chunks.len() > REGISTERS {
        return Err(HllError::Length(body.len()));
    }
    let mut registers = Box::new([0; REGISTERS]);
    let mut next = 0;
    for chunk in chunks {
        let entry = u16::from_be_bytes(*chunk);
        let index = usize::from(entry >> REGISTER_WIDTH);
        let value = (entry & u16::from(MAX_REGISTER)) as u8;
        if index < next {
            return Err(HllError::Order);
        }
        if value == 0 {
            return Err(HllError::ZeroRegister);
        }
        registers[index] = value;
        next = index + 1;
    }
    Ok(Hll(Form::Registers(registers)))
}

fn read_full(body: &[u8]) -> Result<Hll, HllError> {
    if body.len() != PACKED_BYTES {
        return Err(HllError::Length(body.len()));
    }
    let mut registers = Box::new([0; REGISTERS]);
    for (five, eight) in body.chunks_exact(5).zip(registers.chunks_exact_mut(8)) {
        let word = five
            .iter()
            .fold(0u64, |word, &byte| word << 8 | u64::from(byte));
        for (at, register) in eight.iter_mut().rev().enumerate() {
            *register = (word >> (at as u32 * REGISTER_WIDTH)) as u8 & MAX_REGISTER;
        }
    }
    Ok(Hll(Form::Registers(registers)))
}

/// The hash of a text, as the extension's `hll_hash_text` gives it.
#[must_use]
pub fn hash_text(text: &str) -> u64 {
    hash_bytes(text.as_bytes())
}

/// The first 64 bits of MurmurHash3 x64 128 with seed 0 (Austin Appleby, public domain).
#[must_use]
pub fn hash_bytes(data: &[u8]) -> u64 {
    const C1: u64 = 0x87c3_7b91_1142_53d5;
    const C2: u64 = 0x4cf5_ad43_2745_937f;
    let mix1 = |k: u64| k.wrapping_mul(C1).rotate_left(31).wrapping_mul(C2);
    let mix2 = |k: u64| k.wrapping_mul(C2).rotate_left(33).wrapping_mul(C1);
    let (mut h1, mut h2) = (0u64, 0u64);
    let (blocks, tail) = data.as_chunks::<16>();
    for block in blocks {
        let pair = u128::from_le_bytes(*block);
        h1 = (h1 ^ mix1(pair as u64))
            .rotate_left(27)
            .wrapping_add(h2)
            .wrapping_mul(5)
            .wrapping_add(0x52dc_e729);
        h2 = (h2 ^ mix2((pair >> 64) as u64))
            .rotate_left(31)
            .wrapping_add(h1)
            .wrapping_mul(5)
            .wrapping_add(0x3849_5ab5);
    }
    let mut rest = [0; 16];
    rest[..tail.len()].copy_from_slice(tail);
    let pair = u128::from_le_bytes(rest);
    h2 ^= mix2((pair >> 64) as u64);
    h1 ^= mix1(pair as u64);
    h1 ^= data.len() as u64;
    h2 ^= data.len() as u64;
    h1 = h1.wrapping_add(h2);
    h2 = h2.wrapping_add(h1);
    let finish = |mut k: u64| {
        k = (k ^ (k >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
        k = (k ^ (k >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
        k ^ (k >> 33)
    };
    finish(h1).wrapping_add(finish(h2))
}
