//! Which of 64 bytes are of a kind, as one bit each: columns and cells are then found without a branch per byte.
//!
//! Bit `i` stands for byte `i`. Must not know what the bytes mean.

use wide::u8x16;

/// Bytes that are looked at together.
pub(crate) const BLOCK: usize = 64;

/// The 64 bytes of `bytes` from `at`, blanks beyond its end.
#[inline]
pub(crate) fn block(bytes: &[u8], at: usize) -> [u8; BLOCK] {
    match bytes.get(at..).and_then(|rest| rest.first_chunk()) {
        Some(block) => *block,
        None => padded(bytes.get(at..).unwrap_or(&[])),
    }
}

#[cold]
fn padded(rest: &[u8]) -> [u8; BLOCK] {
    let mut block = [b' '; BLOCK];
    block[..rest.len()].copy_from_slice(rest);
    block
}

/// The whole blocks of `bytes`, and what is left, filled up with blanks.
pub(crate) fn blocks(bytes: &[u8]) -> (&[[u8; BLOCK]], [u8; BLOCK]) {
    let (whole, rest) = bytes.as_chunks();
    (whole, padded(rest))
}

/// Where `byte` stands in `bytes`, the last place first.
#[inline(always)]
pub(crate) fn positions_from_end(bytes: &[u8], byte: u8) -> impl Iterator<Item = usize> {
    let (mut start, mut bits) = (bytes.len(), 0_u64);
    std::iter::from_fn(move || {
        while bits == 0 {
            if start == 0 {
                return None;
            }
            let end = start;
            start = end.saturating_sub(BLOCK);
            bits = equal(&block(bytes, start), byte) & (!0 >> (BLOCK - (end - start)));
        }
        let place = BLOCK - 1 - bits.leading_zeros() as usize;
        bits ^= 1 << place;
        Some(start + place)
    })
}

/// Which bytes are blanks or controls, line ends among them.
#[inline]
pub(crate) fn blanks(block: &[u8; BLOCK]) -> u64 {
    let blank = u8x16::splat(b' ');
    bits(block, |bytes| bytes.simd_le(blank))
}

/// Which bytes are `byte`.
#[inline]
pub(crate) fn equal(block: &[u8; BLOCK], byte: u8) -> u64 {
    let byte = u8x16::splat(byte);
    bits(block, |bytes| bytes.simd_eq(byte))
}

/// Which bytes are a blank before a dash or a slash; `following` are the bytes that follow each.
#[inline]
pub(crate) fn argument_starts(block: &[u8; BLOCK], following: &[u8; BLOCK]) -> u64 {
    // They differ in one bit.
    const _: () = assert!(b'-' | DASH_TO_SLASH == b'/' && b'/' | DASH_TO_SLASH == b'/');
    let (slash, difference) = (u8x16::splat(b'/'), u8x16::splat(DASH_TO_SLASH));
    equal(block, b' ') & bits(following, |bytes| (bytes | difference).simd_eq(slash))
}

const DASH_TO_SLASH: u8 = 2;

#[inline]
fn bits(block: &[u8; BLOCK], is: impl Fn(u8x16) -> u8x16) -> u64 {
    let (parts, _) = block.as_chunks::<16>();
    parts.iter().enumerate().fold(0, |bits, (index, part)| {
        bits | u64::from(is(u8x16::new(*part)).to_bitmask()) << (16 * index)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_of_a_byte() {
        for length in 0..300 {
            let bytes: Vec<u8> = (0..length).map(|at| b"/ab/c"[at % 5]).collect();
            let expect: Vec<usize> = (0..length).rev().filter(|at| bytes[*at] == b'/').collect();
            let found: Vec<usize> = positions_from_end(&bytes, b'/').collect();
            assert_eq!(found, expect, "{length}");
        }
    }

    #[test]
    fn argument_starts_of_all_pairs() {
        let pairs: Vec<u8> = (0..=255)
            .flat_map(|byte| [b' ', byte, b'x', byte])
            .collect();
        for at in 0..pairs.len() {
            let starts = argument_starts(&block(&pairs, at), &block(&pairs, at + 1));
            let is_start = matches!(pairs[at..], [b' ', b'-' | b'/', ..]);
            assert_eq!(starts & 1 == 1, is_start, "{at}");
        }
    }

    #[test]
    fn bits_of_bytes() {
        let text: Vec<u8> = (0..=255).collect();
        for at in [0, 7, 64, 192, 193, 250, 256, 300] {
            let block = block(&text, at);
            for (index, &byte) in block.iter().enumerate() {
                assert_eq!(byte, text.get(at + index).copied().unwrap_or(b' '));
                assert_eq!(blanks(&block) >> index & 1 == 1, byte <= b' ');
                assert_eq!(equal(&block, b'/') >> index & 1 == 1, byte == b'/');
            }
        }
    }
}
