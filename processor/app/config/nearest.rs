//! The name that somebody may have meant.

/// The known name with the fewest changes of one letter; the first of equals.
pub(super) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    known.min_by_key(|known| strsim::levenshtein(name, known))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, expect: &str) {
        let known = ["kafka.brokers", "http.address", "log.level", "deployment"];
        assert_eq!(nearest(name, known.into_iter()), Some(expect));
    }

    #[test]
    fn a_slip_of_the_pen_finds_its_name() {
        check("kafka.broker", "kafka.brokers");
        check("http.adress", "http.address");
        check("loglevel", "log.level");
        check("deployement", "deployment");
    }
}
