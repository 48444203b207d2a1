//! Faculties and their members.

use crate::random::Random;
use std::collections::BTreeSet;

/// Names of faculties, in the order in which a fleet takes them.
pub(crate) const FACULTIES: [&str; 24] = [
    "law",
    "medicine",
    "physics",
    "arts",
    "economics",
    "engineering",
    "mathematics",
    "computer science",
    "philosophy",
    "biology",
    "chemistry",
    "history",
    "psychology",
    "education",
    "theology",
    "agriculture",
    "architecture",
    "music",
    "geography",
    "linguistics",
    "pharmacy",
    "dentistry",
    "sociology",
    "political science",
];

const FIRST: [&str; 48] = [
    "ada", "alan", "amir", "anna", "ben", "carla", "chen", "clara", "david", "dora", "elif",
    "emil", "emma", "erik", "eva", "farid", "felix", "grace", "hana", "hugo", "ida", "ines",
    "ivan", "jan", "jonas", "julia", "kai", "karim", "lea", "leo", "lina", "lucas", "maja",
    "marie", "max", "mei", "mia", "nadia", "noah", "nora", "omar", "paul", "priya", "ravi", "rosa",
    "sara", "tom", "yuki",
];

const LAST: [&str; 56] = [
    "abel",
    "adler",
    "bach",
    "banerjee",
    "bauer",
    "becker",
    "berg",
    "bernoulli",
    "braun",
    "carvalho",
    "chandra",
    "curie",
    "darwin",
    "diaz",
    "dupont",
    "euler",
    "fermi",
    "fischer",
    "franklin",
    "garcia",
    "gauss",
    "goodall",
    "haber",
    "hansen",
    "hoffmann",
    "hopper",
    "ito",
    "jensen",
    "kaur",
    "keller",
    "klein",
    "kovacs",
    "lange",
    "larsson",
    "lovelace",
    "martin",
    "meyer",
    "moreau",
    "nguyen",
    "noether",
    "novak",
    "okafor",
    "olsen",
    "park",
    "patel",
    "planck",
    "rossi",
    "sato",
    "schneider",
    "silva",
    "singh",
    "turing",
    "wagner",
    "weber",
    "wolf",
    "zhang",
];

/// A member of the university.
#[derive(Clone, Debug)]
pub(crate) struct Person {
    /// The login name. Some have more than eight letters.
    pub(crate) login: String,
    /// Index of the faculty; a few have none.
    pub(crate) faculty: Option<usize>,
}

/// The names of the first `count` faculties.
pub(crate) fn faculties(count: u32) -> Vec<String> {
    let name = |index: usize| match (FACULTIES[index % FACULTIES.len()], index / FACULTIES.len()) {
        (name, 0) => name.to_owned(),
        (name, round) => format!("{name} {}", round + 1),
    };
    (0..count as usize).map(name).collect()
}

/// `count` people of `faculties` faculties, whose logins all differ.
pub(crate) fn people(count: u32, faculties: usize, random: &mut Random) -> Vec<Person> {
    let mut taken = BTreeSet::new();
    let mut people = Vec::with_capacity(count as usize);
    while people.len() < count as usize {
        let stem = login(random);
        let mut login = stem.clone();
        let mut number = 2;
        while !taken.insert(login.clone()) {
            login = format!("{stem}{number}");
            number += 1;
        }
        let faculty = (faculties > 0 && !random.chance(30_000))
            .then(|| random.below(faculties as u64) as usize);
        people.push(Person { login, faculty });
    }
    people
}

fn login(random: &mut Random) -> String {
    let (first, last) = (*random.pick(&FIRST), *random.pick(&LAST));
    match random.below(10) {
        0..4 => first.to_owned(),
        4..7 => format!("{}{last}", &first[..1]),
        7..9 => format!("{first}.{last}"),
        _ => format!("{}{:02}", &last[..last.len().min(5)], random.below(100)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logins_differ_and_some_are_too_long_for_ps() {
        let people = people(2000, 10, &mut Random::new(1, 0));
        let logins: BTreeSet<_> = people.iter().map(|person| &person.login).collect();
        assert_eq!(logins.len(), 2000);
        assert!(logins.iter().any(|login| login.len() > 8));
        assert!(logins.iter().any(|login| login.len() <= 8));
        assert!(people.iter().any(|person| person.faculty.is_none()));
    }

    #[test]
    fn there_are_names_for_any_number_of_faculties() {
        assert_eq!(faculties(2), ["law", "medicine"]);
        assert_eq!(faculties(30)[24], "law 2");
    }
}
