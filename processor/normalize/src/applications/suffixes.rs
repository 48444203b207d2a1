//! What helpers add to their application's name, as ` helper (renderer)`.

/// Suffixes in lower case. Few names end, or go on, with a letter that a suffix ends or begins with, so that most are not
/// compared with any.
#[derive(Clone, Debug)]
pub(super) struct Suffixes {
    /// The longest first.
    all: Vec<Box<str>>,
    begins: [bool; 256],
    ends: [bool; 256],
}

impl Default for Suffixes {
    fn default() -> Self {
        Self::new(&[])
    }
}

impl Suffixes {
    /// Of suffixes, the longest first.
    pub(super) fn new(suffixes: &[String]) -> Self {
        let all: Vec<Box<str>> = suffixes.iter().map(|s| s.as_str().into()).collect();
        let mut begins = [false; 256];
        let mut ends = [false; 256];
        for suffix in &all {
            if let [first, .., last] | [first @ last] = suffix.as_bytes() {
                begins[usize::from(*first)] = true;
                ends[usize::from(*last)] = true;
            }
        }
        Self { all, begins, ends }
    }

    /// `name` without the longest suffix that it ends with, if something is left.
    pub(super) fn taken_off<'n>(&self, name: &'n [u8]) -> &'n [u8] {
        match name.last() {
            Some(last) if self.ends[usize::from(*last)] => {}
            _ => return name,
        }
        let mut bases = self
            .all
            .iter()
            .filter_map(|suffix| name.strip_suffix(suffix.as_bytes()));
        bases.find(|base| !base.is_empty()).unwrap_or(name)
    }

    /// Where a suffix may begin that is cut off at the end of `name`.
    pub(super) fn places_of_cut(&self, name: &[u8]) -> impl Iterator<Item = usize> {
        let begins = |at: &usize| self.begins[usize::from(name[*at])];
        (1..name.len()).filter(begins).filter(|at| {
            let rest = &name[*at..];
            self.all
                .iter()
                .any(|suffix| suffix.len() > rest.len() && suffix.as_bytes().starts_with(rest))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn suffixes() -> Suffixes {
        Suffixes::new(&[" helper (gpu)", " helper", "-helper"].map(str::to_owned))
    }

    #[test]
    fn the_longest_is_taken_off() {
        let check = |name: &str, expect: &str| {
            assert_eq!(suffixes().taken_off(name.as_bytes()), expect.as_bytes());
        };
        check("a helper (gpu)", "a");
        check("a helper", "a");
        check("a-helper", "a");
        check("helper", "helper");
        check(" helper", " helper");
        check("", "");
    }

    #[test]
    fn where_one_is_cut() {
        let check = |name: &str, expect: &[usize]| {
            let places: Vec<_> = suffixes().places_of_cut(name.as_bytes()).collect();
            assert_eq!(places, expect, "{name}");
        };
        check("ab hel", &[2]);
        check("ab helper", &[2]);
        check("ab helper (g", &[2]);
        check("ab helper (gpu)", &[]);
        check("a-b -", &[4]);
        check("-helpe", &[]);
        check("a- h", &[2]);
        check("", &[]);
    }
}
