//! A script: named actors and what they do, one step a line.
//!
//! ```text
//! # what a claim leaves of the claim before
//! partitions 2 1
//! claim p1 a stepwise      a producer of its own transactions claims the id a; without the word: a task's producer
//! send p1 x0 k=v           into partition 0 of topic x; `k=-` is a tombstone
//! commit p1, abort p1      …
//! ```
//!
//! A text may hold several: each begins with `script NAME`. Behind `->` stands what the step gives, where a script says so.

use core::fmt;

/// The topics of a script.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Topic {
    /// The first; groups share it.
    X,
    /// The second, whose append times a task's producer observes.
    Y,
}

/// A partition of a topic.
pub type Place = (Topic, i32);

/// A record to write.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Write {
    /// Where to.
    pub place: Place,
    /// Its key.
    pub key: String,
    /// Its value; `None` is a tombstone.
    pub value: Option<String>,
}

/// Who claims.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Claimant {
    /// A task's producer: whole transactions only.
    Task,
    /// One that is led step by step.
    Stepwise,
    /// The same, with transactions that may stay open for a short time only.
    Expiring,
}

/// Something that an actor does.
#[derive(Clone, PartialEq, Eq, Debug)]
#[allow(
    missing_docs,
    reason = "each is a question or an order of `Cluster`, which says what it means"
)]
pub enum Step {
    Claim(String, String, Claimant),
    Transact(String, Vec<Write>),
    Send(String, Write),
    Commit(String),
    Abort(String),
    Expire(String),
    Marks(Place),
    Read(Place, Option<i64>),
    Trim(Place, i64),
    Compact(Place),
    /// Whether times ascend in each partition, and append times were those of the records.
    Times,
    Join(String),
    Leave(String),
    Silence(String),
    Wake(String),
    /// Serves the group until each partition is owned by exactly one member, and all own about as many.
    Balance,
}

/// See the module.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Script {
    /// Its name.
    pub name: String,
    /// Partitions of the two topics.
    pub partitions: [i32; 2],
    /// Steps, with what each gives where the script says so.
    pub steps: Vec<(Step, Option<String>)>,
}

impl Script {
    /// Reads all scripts of a text.
    ///
    /// # Errors
    /// The line that can't be read.
    pub fn parse_all(text: &str) -> Result<Vec<Self>, String> {
        let mut scripts: Vec<Script> = Vec::new();
        for line in text.lines().map(str::trim) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let wrong = || format!("a script can't be read: {line}");
            let words: Vec<&str> = line.split_whitespace().collect();
            match (words.as_slice(), scripts.last_mut()) {
                (["script", name], _) => scripts.push(Script {
                    name: (*name).to_owned(),
                    partitions: [2, 1],
                    steps: Vec::new(),
                }),
                (["partitions", x, y], Some(script)) => {
                    let count = |text: &str| text.parse().map_err(|_| wrong());
                    script.partitions = [count(x)?, count(y)?];
                }
                (_, Some(script)) => {
                    let (step, gives) = match line.split_once("->") {
                        Some((step, gives)) => (step, Some(gives.trim().to_owned())),
                        None => (line, None),
                    };
                    script
                        .steps
                        .push((Step::parse(step).ok_or_else(wrong)?, gives));
                }
                (_, None) => return Err(wrong()),
            }
        }
        Ok(scripts)
    }

    /// Whether a step of this kind occurs.
    pub fn has(&self, kind: impl Fn(&Step) -> bool) -> bool {
        self.steps.iter().any(|(step, _)| kind(step))
    }

    /// All partitions.
    pub fn places(&self) -> impl Iterator<Item = Place> + use<> {
        let [x, y] = self.partitions;
        let of = |topic, count| (0..count).map(move |partition| (topic, partition));
        of(Topic::X, x).chain(of(Topic::Y, y))
    }
}

impl Step {
    fn parse(text: &str) -> Option<Self> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let name = |text: &&str| (*text).to_owned();
        Some(match words.as_slice() {
            ["claim", producer, id] => Step::Claim(name(producer), name(id), Claimant::Task),
            ["claim", producer, id, "stepwise"] => {
                Step::Claim(name(producer), name(id), Claimant::Stepwise)
            }
            ["claim", producer, id, "expiring"] => {
                Step::Claim(name(producer), name(id), Claimant::Expiring)
            }
            ["transact", producer, writes @ ..] if writes.len().is_multiple_of(2) => {
                let writes: Option<Vec<Write>> =
                    writes.chunks(2).map(|w| write(w[0], w[1])).collect();
                Step::Transact(name(producer), writes?)
            }
            ["send", producer, at, record] => Step::Send(name(producer), write(at, record)?),
            ["commit", producer] => Step::Commit(name(producer)),
            ["abort", producer] => Step::Abort(name(producer)),
            ["expire", producer] => Step::Expire(name(producer)),
            ["marks", at] => Step::Marks(place(at)?),
            ["read", at, "begin"] => Step::Read(place(at)?, None),
            ["read", at, from] => Step::Read(place(at)?, Some(from.parse().ok()?)),
            ["trim", at, before] => Step::Trim(place(at)?, before.parse().ok()?),
            ["compact", at] => Step::Compact(place(at)?),
            ["times"] => Step::Times,
            ["join", member] => Step::Join(name(member)),
            ["leave", member] => Step::Leave(name(member)),
            ["silence", member] => Step::Silence(name(member)),
            ["wake", member] => Step::Wake(name(member)),
            ["balance"] => Step::Balance,
            _ => return None,
        })
    }
}

fn place(text: &str) -> Option<Place> {
    let topic = match text.get(..1)? {
        "x" => Topic::X,
        "y" => Topic::Y,
        _ => return None,
    };
    Some((topic, text.get(1..)?.parse().ok()?))
}

fn write(at: &str, record: &str) -> Option<Write> {
    let (key, value) = record.split_once('=')?;
    Some(Write {
        place: place(at)?,
        key: key.to_owned(),
        value: (value != "-").then(|| value.to_owned()),
    })
}

impl fmt::Display for Write {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.value.as_deref().unwrap_or("-");
        write!(f, "{} {}={value}", Name(self.place), self.key)
    }
}

/// A place, as scripts write it.
pub(super) struct Name(pub(super) Place);

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let topic = match self.0.0 {
            Topic::X => 'x',
            Topic::Y => 'y',
        };
        write!(f, "{topic}{}", self.0.1)
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Claim(producer, id, claimant) => {
                let how = match claimant {
                    Claimant::Task => "",
                    Claimant::Stepwise => " stepwise",
                    Claimant::Expiring => " expiring",
                };
                write!(f, "claim {producer} {id}{how}")
            }
            Step::Transact(producer, writes) => {
                write!(f, "transact {producer}")?;
                writes.iter().try_for_each(|write| write!(f, " {write}"))
            }
            Step::Send(producer, record) => write!(f, "send {producer} {record}"),
            Step::Commit(producer) => write!(f, "commit {producer}"),
            Step::Abort(producer) => write!(f, "abort {producer}"),
            Step::Expire(producer) => write!(f, "expire {producer}"),
            Step::Marks(place) => write!(f, "marks {}", Name(*place)),
            Step::Read(place, None) => write!(f, "read {} begin", Name(*place)),
            Step::Read(place, Some(from)) => write!(f, "read {} {from}", Name(*place)),
            Step::Trim(place, before) => write!(f, "trim {} {before}", Name(*place)),
            Step::Compact(place) => write!(f, "compact {}", Name(*place)),
            Step::Times => f.write_str("times"),
            Step::Join(member) => write!(f, "join {member}"),
            Step::Leave(member) => write!(f, "leave {member}"),
            Step::Silence(member) => write!(f, "silence {member}"),
            Step::Wake(member) => write!(f, "wake {member}"),
            Step::Balance => f.write_str("balance"),
        }
    }
}
