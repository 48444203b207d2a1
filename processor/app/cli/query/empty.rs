//! What is said where there is no answer: what is stored instead.

use super::period::text;
use crate::postgres::overview::{Named, known_names, machine_seen, stored_period};
use crate::postgres::{PostgresError, Session};

/// Names that are looked through for one that may have been meant.
const KNOWN_MAX: usize = 10_000;
/// Names that are proposed.
const SHOWN: usize = 5;
/// How alike (Jaro-Winkler) a name must be to be the one that was meant.
const ALIKE: f64 = 0.85;

/// Nothing in a period.
pub(super) async fn period(session: &mut Session) -> Result<String, PostgresError> {
    Ok(match stored_period(session).await? {
        None => {
            "Nothing is stored at all yet: `rollcall simulate` or `rollcall agent` sends snapshots, \
             `rollcall run` stores them."
                .to_owned()
        }
        Some((first, last)) => format!(
            "Nothing is stored that matches; what is stored lies between {} and {} UTC.",
            text(first),
            text(last)
        ),
    })
}

/// Nothing for a name in a period.
pub(super) async fn named(
    session: &mut Session,
    what: Named,
    name: &str,
) -> Result<String, PostgresError> {
    let known = known_names(session, what, KNOWN_MAX).await?;
    if known.is_empty() || known.iter().any(|known| known == name) {
        return period(session).await;
    }
    Ok(proposal(what.plural(), name, &known))
}

/// Nothing on a machine in a period.
pub(super) async fn machine(session: &mut Session, name: &str) -> Result<String, PostgresError> {
    match machine_seen(session, name).await? {
        Some((first, last)) => Ok(format!(
            "Nothing is stored of {name} in this period; it was seen between {} and {} UTC.",
            text(first),
            text(last)
        )),
        None => {
            let known = known_names(session, Named::Machine, KNOWN_MAX).await?;
            if known.is_empty() {
                return period(session).await;
            }
            Ok(proposal(Named::Machine.plural(), name, &known))
        }
    }
}

fn proposal(plural: &str, name: &str, known: &[String]) -> String {
    let lower = name.to_lowercase();
    let mut alike: Vec<(f64, &str)> = known
        .iter()
        .map(|known| {
            let other = known.to_lowercase();
            match other.contains(&lower) {
                true => (1.0, known.as_str()),
                false => (strsim::jaro_winkler(&other, &lower), known.as_str()),
            }
        })
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .collect();
    // Equal likeness leaves the order, which is that of use.
    alike.sort_by(|a, b| b.0.total_cmp(&a.0));
    let start = format!("Nothing is stored of {name:?}");
    if !alike.is_empty() {
        let alike: Vec<&str> = alike.iter().take(SHOWN).map(|(_, name)| *name).collect();
        return format!("{start}; did you mean {}?", alike.join(", "));
    }
    let shown: Vec<&str> = known.iter().take(SHOWN).map(String::as_str).collect();
    let more = match known.len() - shown.len() {
        0 => String::new(),
        _ if known.len() == KNOWN_MAX => " and thousands more".to_owned(),
        more => format!(" and {more} more"),
    };
    format!("{start}; {plural} that are: {}{more}.", shown.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, known: &[&str], expect: &str) {
        let known: Vec<String> = known.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(proposal("faculties", name, &known), expect);
    }

    #[test]
    fn names_that_may_be_meant() {
        let known = ["arts", "law", "medicine"];
        check(
            "Law",
            &known,
            "Nothing is stored of \"Law\"; did you mean law?",
        );
        check(
            "medcine",
            &known,
            "Nothing is stored of \"medcine\"; did you mean medicine?",
        );
        check(
            "zoology",
            &known,
            "Nothing is stored of \"zoology\"; faculties that are: arts, law, medicine.",
        );
        check(
            "x",
            &["a", "b", "c", "d", "e", "f", "g"],
            "Nothing is stored of \"x\"; faculties that are: a, b, c, d, e and 2 more.",
        );
    }
}
