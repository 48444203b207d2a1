//! A rules file as it is written, checked, and laid over the built-in one.

use super::BUILTIN;
use super::paths::PathRule;
use super::script::{InterpreterFile, Runs};
use crate::PARSER_VERSION;
use crate::hash::{fnv1a, fnv1a_from};
use crate::limits::{MAX_ALIAS_BYTES, MAX_RULES_BYTES};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

/// Why a rules file was refused: one sentence, with the place and what is allowed there.
#[derive(Debug, thiserror::Error)]
pub enum RulesError {
    /// The file is too large.
    #[error("it has {bytes} bytes; allowed are {MAX_RULES_BYTES}")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// It is no TOML, or has unknown keys or wrong types.
    #[error("line {line}: {said}")]
    Syntax {
        /// The line, 1 for the first.
        line: usize,
        /// What is wrong.
        said: String,
    },
    /// A name is empty, too long or not in lower case.
    #[error(
        "{key} has {name:?}; allowed is a name in lower case, without .exe, of 1 to {MAX_ALIAS_BYTES} bytes"
    )]
    BadName {
        /// Where it stands.
        key: String,
        /// The name.
        name: String,
    },
    /// Two applications claim a name.
    #[error("{name:?} stands under both {first:?} and {second:?}; allowed is one of them")]
    Conflict {
        /// The name.
        name: String,
        /// One key.
        first: String,
        /// The other.
        second: String,
    },
    /// A path that can't be one.
    #[error("paths has {path:?}; allowed are folders with / between them, as \"/opt/exam/*/bin\"")]
    BadPath {
        /// The path.
        path: String,
    },
    /// An interpreter's option or ending that can't be one.
    #[error("{key} has {word:?}; allowed is {allowed}")]
    BadWord {
        /// Where it stands.
        key: String,
        /// The word.
        word: String,
        /// What may stand there.
        allowed: &'static str,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RulesFile {
    /// Whether the built-in rules hold too, where this file doesn't say otherwise.
    builtin: bool,
    /// Endings of helpers' names.
    suffixes: Vec<String>,
    /// Names that many applications share, which are told apart by the path.
    shared_names: Vec<String>,
    /// Canonical name to other names.
    pub(super) applications: BTreeMap<String, Vec<String>>,
    /// Folders to canonical name.
    paths: BTreeMap<String, String>,
    /// What runs scripts.
    interpreters: BTreeMap<String, InterpreterFile>,
}

impl Default for RulesFile {
    fn default() -> Self {
        Self {
            builtin: true,
            suffixes: Vec::new(),
            shared_names: Vec::new(),
            applications: BTreeMap::new(),
            paths: BTreeMap::new(),
            interpreters: BTreeMap::new(),
        }
    }
}

impl RulesFile {
    pub(super) fn read(text: &str) -> Result<Self, RulesError> {
        if text.len() > MAX_RULES_BYTES {
            return Err(RulesError::TooLarge { bytes: text.len() });
        }
        let file: RulesFile = toml::from_str(text).map_err(|error| syntax(text, &error))?;
        for (canonical, names) in &file.applications {
            let key = || format!("applications.{canonical}");
            std::iter::once(canonical)
                .chain(names)
                .try_for_each(|name| check_name(key, name))?;
        }
        let check_all = |key: &str, names: &[String]| {
            names
                .iter()
                .try_for_each(|name| check_name(|| key.to_owned(), name))
        };
        check_all("suffixes", &file.suffixes)?;
        check_all("shared_names", &file.shared_names)?;
        for (path, canonical) in &file.paths {
            if PathRule::new(path, canonical).is_none() {
                return Err(RulesError::BadPath { path: path.clone() });
            }
            check_name(|| format!("paths.{path:?}"), canonical)?;
        }
        for (name, interpreter) in &file.interpreters {
            check_interpreter(name, interpreter)?;
        }
        Ok(file)
    }

    /// Alias to canonical name, each canonical name among them.
    fn aliases(&self) -> Result<BTreeMap<String, String>, RulesError> {
        let names = self
            .applications
            .iter()
            .map(|(key, names)| (key, std::iter::once(key).chain(names)));
        distinct(names)
    }

    /// Name of an executable to the interpreter's key.
    fn interpreter_names(&self) -> Result<BTreeMap<String, String>, RulesError> {
        let names = self
            .interpreters
            .iter()
            .map(|(key, interpreter)| (key, interpreter.names.iter()));
        distinct(names)
    }
}

/// What is wrong with a text that is no rules file, in one sentence.
fn syntax(text: &str, error: &toml::de::Error) -> RulesError {
    let start = error.span().map_or(0, |span| span.start.min(text.len()));
    RulesError::Syntax {
        line: text.as_bytes()[..start]
            .iter()
            .filter(|byte| **byte == b'\n')
            .count()
            + 1,
        said: error.message().lines().collect::<Vec<_>>().join("; "),
    }
}

/// Each name to its key, and no name to two.
fn distinct<'f>(
    keys: impl Iterator<Item = (&'f String, impl Iterator<Item = &'f String>)>,
) -> Result<BTreeMap<String, String>, RulesError> {
    let mut found = BTreeMap::new();
    for (key, names) in keys {
        for name in names {
            match found.insert(name.clone(), key.clone()) {
                Some(first) if first != *key => {
                    return Err(RulesError::Conflict {
                        name: name.clone(),
                        first,
                        second: key.clone(),
                    });
                }
                _ => {}
            }
        }
    }
    Ok(found)
}

fn check_name(key: impl Fn() -> String, name: &str) -> Result<(), RulesError> {
    let mut buffer = [0; MAX_ALIAS_BYTES];
    let is_folded = super::folded(name, &mut buffer) == Some(name.as_bytes());
    // What is taken off before a name is looked up can't be part of it.
    if !name.is_empty() && is_folded && !name.ends_with(".exe") {
        return Ok(());
    }
    Err(RulesError::BadName {
        key: key(),
        name: name.to_owned(),
    })
}

fn check_interpreter(name: &str, interpreter: &InterpreterFile) -> Result<(), RulesError> {
    let key = |list: &str| format!("interpreters.{name}.{list}");
    for name in &interpreter.names {
        check_name(|| key("names"), name)?;
    }
    let bad = |list: &str, word: &str, allowed| RulesError::BadWord {
        key: key(list),
        word: word.to_owned(),
        allowed,
    };
    for ending in &interpreter.endings {
        if ending.len() < 2 || !ending.starts_with('.') {
            return Err(bad("endings", ending, "an ending with its dot, as .py"));
        }
    }
    for (list, options) in interpreter.options() {
        for option in options {
            if option.is_empty() || option == "*" || option.contains(char::is_whitespace) {
                let allowed = "a word without blanks, as -m, with * at its end for anything";
                return Err(bad(list, option, allowed));
            }
        }
    }
    Ok(())
}

/// The rules in force.
pub(super) struct Merged {
    /// Alias to canonical name.
    pub(super) aliases: BTreeMap<String, String>,
    /// The longest first, so that ` helper (gpu)` goes before ` helper`.
    pub(super) suffixes: Vec<String>,
    pub(super) shared: BTreeSet<String>,
    /// The longest first.
    pub(super) paths: Vec<(String, String)>,
    pub(super) interpreters: BTreeMap<String, InterpreterFile>,
    /// Name of an executable to the interpreter's key.
    pub(super) interpreter_names: BTreeMap<String, String>,
}

impl Merged {
    /// `text` over the built-in rules, or alone.
    pub(super) fn read(text: &str) -> Result<Self, RulesError> {
        let own = RulesFile::read(text)?;
        let builtin = match own.builtin {
            true => RulesFile::read(BUILTIN)?,
            false => RulesFile::default(),
        };
        let mut aliases = builtin.aliases()?;
        aliases.extend(own.aliases()?);
        let mut interpreter_names = builtin.interpreter_names()?;
        // An interpreter's own names are the ones that its last description has.
        interpreter_names.retain(|_, key| !own.interpreters.contains_key(key));
        interpreter_names.extend(own.interpreter_names()?);
        let mut interpreters = builtin.interpreters;
        interpreters.extend(own.interpreters);
        let mut paths = builtin.paths;
        paths.extend(own.paths);
        let mut paths: Vec<_> = paths.into_iter().collect();
        paths.sort_by_key(|(path, _)| std::cmp::Reverse(path.len()));
        let suffixes: BTreeSet<_> = builtin.suffixes.into_iter().chain(own.suffixes).collect();
        let mut suffixes: Vec<_> = suffixes.into_iter().collect();
        suffixes.sort_by_key(|suffix| std::cmp::Reverse(suffix.len()));
        let shared = builtin.shared_names.into_iter().chain(own.shared_names);
        Ok(Self {
            aliases,
            suffixes,
            shared: shared.collect(),
            paths,
            interpreters,
            interpreter_names,
        })
    }

    /// Fixed hash of what the rules say, however it is written down, and of [`PARSER_VERSION`].
    pub(super) fn digest(&self) -> u64 {
        let mut digest = Digest(fnv1a(&PARSER_VERSION.to_le_bytes()));
        digest.pairs("aliases", &self.aliases);
        digest.words("suffixes", &self.suffixes);
        digest.words("shared", &self.shared);
        digest.pairs("paths", self.paths.iter().map(|(path, name)| (path, name)));
        digest.pairs("interpreters", &self.interpreter_names);
        for (key, interpreter) in &self.interpreters {
            digest.word(key);
            for (list, options) in interpreter.options() {
                digest.words(list, options);
            }
            digest.words("endings", &interpreter.endings);
            let runs = match interpreter.runs {
                Runs::File => 0,
                Runs::Class => 1,
                Runs::Nothing => 2,
            };
            let switches = [
                runs,
                u8::from(interpreter.only_endings),
                u8::from(interpreter.bundles),
                u8::from(interpreter.ignore_case),
            ];
            digest.0 = fnv1a_from(digest.0, &switches);
        }
        digest.0
    }
}

struct Digest(u64);

impl Digest {
    /// With its length, so that no two lists of words are one text.
    fn word(&mut self, word: &str) {
        self.0 = fnv1a_from(self.0, &(word.len() as u64).to_le_bytes());
        self.0 = fnv1a_from(self.0, word.as_bytes());
    }

    fn words<'w>(&mut self, list: &str, words: impl IntoIterator<Item = &'w String>) {
        let mut count = 0_u64;
        self.word(list);
        for word in words {
            self.word(word);
            count += 1;
        }
        self.0 = fnv1a_from(self.0, &count.to_le_bytes());
    }

    fn pairs<'w>(&mut self, list: &str, pairs: impl IntoIterator<Item = (&'w String, &'w String)>) {
        let words = pairs.into_iter().flat_map(|(key, value)| [key, value]);
        self.words(list, words);
    }
}
