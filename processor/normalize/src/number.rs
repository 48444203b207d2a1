//! Numbers as listings print them: plain digits.
//!
//! Invariant: a number is right or an error; nothing saturates or wraps.

use rollcall_domain::LineReason;

/// Bytes per KiB.
const KIB: u64 = 1024;

/// Why a number could not be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NumberError {
    /// It has something else than digits, or none.
    NotANumber,
    /// It does not fit.
    Overflow,
}

/// Plain decimal digits.
#[inline]
pub fn unsigned(bytes: &[u8]) -> Result<u64, NumberError> {
    unsigned_at(bytes, (0, bytes.len()))
}

/// The plain decimal digits at a span of `line`, from its start to its end. Up to eight of them, when as many bytes stand before their
/// end, are read as one word and without a branch per digit.
#[inline(always)]
pub fn unsigned_at(line: &[u8], (start, end): (usize, usize)) -> Result<u64, NumberError> {
    match last_eight(line, (start, end)) {
        Some(digits) => digits.number().ok_or(NumberError::NotANumber),
        None => any_digits(line.get(start..end).unwrap_or(&[])),
    }
}

/// Eight bytes, the first in the lowest byte of the word, each less `0`: digits, if it is below ten. Zeros stand before fewer
/// bytes than eight.
#[derive(Clone, Copy)]
pub(crate) struct EightDigits(u64);

/// The one to eight bytes at a span of `line`; `None` for other lengths, and where fewer than eight bytes stand before
/// their end.
#[inline(always)]
pub(crate) fn last_eight(line: &[u8], (start, end): (usize, usize)) -> Option<EightDigits> {
    let length = end.wrapping_sub(start);
    let word = line.get(..end)?.last_chunk::<8>()?;
    if !(1..=8).contains(&length) {
        return None;
    }
    let others = 8 * (8 - length);
    Some(EightDigits(
        (u64::from_le_bytes(*word) ^ ZEROS) >> others << others,
    ))
}

/// `00000000`.
const ZEROS: u64 = 0x3030_3030_3030_3030;

impl EightDigits {
    /// The number that the digits make. Pairs, fours and eights are added up at a time.
    #[inline(always)]
    pub(crate) fn number(self) -> Option<u64> {
        let Self(word) = self;
        // Of ten and more, adding 0x76 sets the highest bit.
        let above_nine = word.wrapping_add(0x7676_7676_7676_7676) | word;
        if above_nine & 0x8080_8080_8080_8080 != 0 {
            return None;
        }
        let pairs = (word.wrapping_mul(10 * 256 + 1) >> 8) & 0x00ff_00ff_00ff_00ff;
        let fours = (pairs.wrapping_mul(100 * 65_536 + 1) >> 16) & 0x0000_ffff_0000_ffff;
        Some(fours.wrapping_mul(10_000 * 4_294_967_296 + 1) >> 32)
    }

    /// What stands before the last `count` bytes, of which there are at most seven.
    #[inline(always)]
    pub(crate) fn before_last(self, count: u32) -> Self {
        Self(self.0 << (8 * count))
    }

    /// Without the fifth byte of at most seven: three digits before it, and three after it.
    #[inline(always)]
    pub(crate) const fn without_middle(self) -> Self {
        let Self(word) = self;
        Self((word & 0xffff_ffff) << 8 | word & 0xffff_ff00_0000_0000)
    }

    /// The byte at `index`, counted from 0.
    #[inline(always)]
    pub(crate) const fn byte(self, index: u32) -> u8 {
        (self.0 >> (8 * index)) as u8 ^ b'0'
    }
}

fn any_digits(bytes: &[u8]) -> Result<u64, NumberError> {
    if bytes.is_empty() {
        return Err(NumberError::NotANumber);
    }
    let mut value: u64 = 0;
    let mut overflowed = false;
    for &byte in bytes {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return Err(NumberError::NotANumber);
        }
        if value > (u64::MAX - 9) / 10 {
            overflowed = true;
        }
        value = value.wrapping_mul(10).wrapping_add(u64::from(digit));
    }
    if overflowed {
        return Err(NumberError::Overflow);
    }
    Ok(value)
}

/// A process id: 0 to `i32::MAX`.
#[inline]
pub fn pid(bytes: &[u8]) -> Option<i32> {
    pid_at(bytes, (0, bytes.len()))
}

/// The process id at a span of `line`.
#[inline]
pub fn pid_at(line: &[u8], span: (usize, usize)) -> Option<i32> {
    i32::try_from(unsigned_at(line, span).ok()?).ok()
}

/// KiB to bytes, as `domain` keeps them.
#[inline]
pub fn kib_to_bytes(kib: u64) -> Result<i64, LineReason> {
    kib.checked_mul(KIB)
        .and_then(|bytes| i64::try_from(bytes).ok())
        .ok_or(LineReason::Overflow)
}

/// A column of KiB in `ps`: digits, or `-` where there is no value.
#[inline]
pub fn ps_kib(line: &[u8], span: (usize, usize)) -> Result<Option<i64>, LineReason> {
    match unsigned_at(line, span) {
        Ok(kib) => kib_to_bytes(kib).map(Some),
        Err(NumberError::Overflow) => Err(LineReason::Overflow),
        Err(NumberError::NotANumber) if line.get(span.0..span.1) == Some(b"-") => Ok(None),
        Err(NumberError::NotANumber) => Err(LineReason::BadMemory),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_that_overflow() {
        let kib = |bytes: &[u8]| ps_kib(bytes, (0, bytes.len()));
        assert_eq!(kib(b"18446744073709551615"), Err(LineReason::Overflow));
        assert_eq!(kib(b"9007199254740992"), Err(LineReason::Overflow));
        assert_eq!(
            kib(b"9007199254740991"),
            Ok(Some(9_007_199_254_740_991 * 1024))
        );
    }

    #[test]
    fn ps_columns() {
        assert_eq!(ps_kib(b"x 0", (2, 3)), Ok(Some(0)));
        assert_eq!(ps_kib(b"1 - 2", (2, 3)), Ok(None));
        assert_eq!(ps_kib(b"1x", (0, 2)), Err(LineReason::BadMemory));
        assert_eq!(pid(b"2147483647"), Some(i32::MAX));
        assert_eq!(pid(b"2147483648"), None);
        assert_eq!(pid(b"-1"), None);
        assert_eq!(pid(b""), None);
        assert_eq!(
            unsigned(b"18446744073709551615"),
            Err(NumberError::Overflow)
        );
        assert_eq!(
            unsigned(b"18446744073709551599"),
            Ok(18_446_744_073_709_551_599)
        );
    }

    #[test]
    fn digits_anywhere_in_a_line() {
        // As the standard library reads them, but for a sign.
        let line = b"0 12 1234567 12345678 123456789 00000000 9a /9 :0 +1 99999999 4294967295x ";
        for start in 0..line.len() {
            for end in start..=line.len() {
                let piece = &line[start..end];
                let text = std::str::from_utf8(piece).expect("ASCII");
                let expect = text.parse::<u64>().ok().filter(|_| piece[0] != b'+');
                assert_eq!(unsigned_at(line, (start, end)).ok(), expect, "{text:?}");
            }
        }
        for byte in 0..=255 {
            let line = [b'1', b'2', b'3', b'4', byte, b'6', b'7', b'8'];
            assert_eq!(unsigned(&line).is_ok(), byte.is_ascii_digit(), "{byte}");
        }
    }
}
