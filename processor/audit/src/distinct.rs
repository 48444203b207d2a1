//! A distinct count: the elements' hashes themselves while there are few, then HyperLogLog's registers; and how either
//! is stored. Written from the format's specification (aggregateknowledge/hll-storage-spec 1.0.0) and from Flajolet et
//! al., 2007, not from the domain's implementation, which wrote the tables.
//!
//! Parameters: 2,048 registers of 5 bits; sets of up to 160 hashes (as many as fit into the packed registers' 1,280
//! bytes) are stored as they are, and counted exactly.

/// Registers.
const REGISTERS: usize = 2048;
/// Hashes that are stored as they are.
const EXPLICIT_MAX: usize = 160;
/// What registers hold at most.
const VALUE_MAX: u32 = 31;

/// The distinct elements seen.
#[derive(Clone, Debug)]
pub(crate) enum Distinct {
    /// All their hashes, in no order.
    Few(Vec<u64>),
    /// What registers hold.
    Many(Box<[u8; REGISTERS]>),
}

impl Default for Distinct {
    fn default() -> Self {
        Self::Few(Vec::new())
    }
}

impl Distinct {
    pub(crate) fn insert(&mut self, hash: u64) {
        match self {
            Distinct::Many(registers) => note(registers, hash),
            Distinct::Few(hashes) if hashes.contains(&hash) => {}
            Distinct::Few(hashes) if hashes.len() < EXPLICIT_MAX => hashes.push(hash),
            Distinct::Few(hashes) => {
                let mut registers = Box::new([0; REGISTERS]);
                for &known in hashes.iter().chain([&hash]) {
                    note(&mut registers, known);
                }
                *self = Distinct::Many(registers);
            }
        }
    }

    /// How many there are: exact while they are few, else the estimate.
    pub(crate) fn count(&self) -> i64 {
        match self {
            Distinct::Few(hashes) => hashes.len() as i64,
            Distinct::Many(registers) => estimate(registers).round() as i64,
        }
    }

    /// The bytes that the column holds.
    pub(crate) fn stored(&self) -> Vec<u8> {
        // Version 1 and type; register width less 1 and log2 of the registers; sparse enabled, threshold automatic.
        let header = |kind: u8| vec![1 << 4 | kind, 4 << 5 | 11, 1 << 6 | 63];
        match self {
            Distinct::Few(hashes) if hashes.is_empty() => header(1),
            Distinct::Few(hashes) => {
                let mut signed: Vec<i64> = hashes.iter().map(|hash| hash.cast_signed()).collect();
                signed.sort_unstable();
                let mut bytes = header(2);
                bytes.extend(signed.iter().flat_map(|hash| hash.to_be_bytes()));
                bytes
            }
            Distinct::Many(registers) => {
                let used = registers.iter().filter(|value| **value > 0).count();
                if used * 16 < REGISTERS * 5 {
                    let entries = registers
                        .iter()
                        .enumerate()
                        .filter(|(_, value)| **value > 0);
                    let words = entries.map(|(at, value)| (at as u16) << 5 | u16::from(*value));
                    let mut bytes = header(3);
                    bytes.extend(words.flat_map(u16::to_be_bytes));
                    bytes
                } else {
                    let mut bytes = header(4);
                    bytes.extend(packed(registers));
                    bytes
                }
            }
        }
    }
}

/// The register is named by the lowest 11 bits; it holds the place, from 1, of the lowest 1 among the other bits.
fn note(registers: &mut [u8; REGISTERS], hash: u64) {
    let rest = hash >> 11;
    if rest != 0 {
        let place = (rest.trailing_zeros() + 1).min(VALUE_MAX) as u8;
        let register = &mut registers[(hash % REGISTERS as u64) as usize];
        *register = place.max(*register);
    }
}

/// The registers' bits one after the other, the highest first.
fn packed(registers: &[u8; REGISTERS]) -> Vec<u8> {
    let mut bytes = vec![0u8; REGISTERS * 5 / 8];
    for (at, value) in registers.iter().enumerate() {
        for bit in 0..5 {
            if value & (1 << (4 - bit)) != 0 {
                let place = at * 5 + bit;
                bytes[place / 8] |= 1 << (7 - place % 8);
            }
        }
    }
    bytes
}

fn estimate(registers: &[u8; REGISTERS]) -> f64 {
    let m = REGISTERS as f64;
    let harmonic: f64 = registers
        .iter()
        .map(|value| 0.5_f64.powi(i32::from(*value)))
        .sum();
    let raw = 0.7213 / (1.0 + 1.079 / m) * m * m / harmonic;
    let empty = registers.iter().filter(|value| **value == 0).count();
    let all = (1_u64 << 41) as f64;
    if empty > 0 && raw < 2.5 * m {
        m * (m / empty as f64).ln()
    } else if raw <= all / 30.0 {
        raw
    } else {
        -all * (1.0 - raw / all).ln()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rollcall_domain::hll::{Hll, hash_text};

    /// Two implementations of one specification agree to the byte, at every size where the form changes.
    #[test]
    fn as_the_domain_has_it() {
        for count in [0, 1, 2, 159, 160, 161, 300, 700, 1500, 5000, 60_000] {
            let (mut ours, mut theirs) = (Distinct::default(), Hll::new());
            for element in 0..count {
                for _ in 0..2 {
                    let hash = hash_text(&format!("element {element}"));
                    ours.insert(hash);
                    theirs.insert_hash(hash);
                }
            }
            let mut bytes = Vec::new();
            theirs.to_bytes(&mut bytes);
            assert_eq!(ours.stored(), bytes, "{count}");
            assert_eq!(ours.count(), theirs.cardinality(), "{count}");
            let error = (ours.count() - count).abs() as f64;
            assert!(error <= 0.1 * count as f64, "{error} of {count}");
            assert!(count > 160 || error == 0.0);
        }
    }

    #[test]
    fn extreme_hashes() {
        for hashes in [
            vec![0, u64::MAX, 1 << 63, 1 << 62, 2047],
            (0..200).map(|n| n << 55).collect(),
        ] {
            let (mut ours, mut theirs) = (Distinct::default(), Hll::new());
            for hash in hashes {
                ours.insert(hash);
                theirs.insert_hash(hash);
            }
            let mut bytes = Vec::new();
            theirs.to_bytes(&mut bytes);
            assert_eq!(ours.stored(), bytes);
        }
    }
}
