//! The name that somebody may have meant.

/// The known name with the fewest changes of one letter; the first of equals.
pub(super) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    known.min_by_key(|known| distance(name, known))
}

/// Levenshtein's distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, left) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, right) in b.iter().enumerate() {
            let changed = diagonal + usize::from(left != *right);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
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

    #[test]
    fn distances_are_counted_in_letters() {
        assert_eq!(
            [
                distance("", "abc"),
                distance("kitten", "sitting"),
                distance("äö", "äx")
            ],
            [3, 3, 1]
        );
    }
}
