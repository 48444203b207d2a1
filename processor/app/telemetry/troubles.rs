//! Troubles that come again and again until somebody mends them: each is worth one line.

use std::collections::BTreeSet;

/// Errors that are remembered, lest they be told twice.
const TROUBLES_MAX: usize = 16;

/// Errors that were told since the last success.
#[derive(Default)]
pub(crate) struct Troubles(BTreeSet<String>);

impl Troubles {
    /// Whether an error was not told yet.
    pub(crate) fn is_new(&mut self, error: &str) -> bool {
        if self.0.len() >= TROUBLES_MAX {
            self.0.clear();
        }
        self.0.insert(error.to_owned())
    }

    /// It works again.
    pub(crate) fn are_over(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_told_once_until_it_works_again() {
        let mut troubles = Troubles::default();
        let mut told = |error: &str| troubles.is_new(error);
        assert_eq!(
            ["a", "b", "a", "b"].map(&mut told),
            [true, true, false, false]
        );
        troubles.are_over();
        assert_eq!(
            ["a", "a"].map(|error| troubles.is_new(error)),
            [true, false]
        );
    }
}
