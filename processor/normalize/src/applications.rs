//! The canonical application of a process: one lower-case name over all operating systems.
//!
//! The rules are data (`applications.toml`). [`ApplicationRules::from_toml`] lays a second file over them; the setting
//! with which users name theirs comes with a later issue, until then the built-in rules alone are in force. A name is
//! looked up in steps, the first hit wins: as it is without `.exe`; without a helper's suffix; without a version at its
//! end. A name that nobody listed is its own application, in lower case.
//!
//! Invariants: pure, no state; a name of up to [`MAX_ALIAS_BYTES`] costs one hash look-up where it is listed and at most
//! three where it is not; nothing is allocated unless a name is not ASCII, or unlisted and not in lower case.

use crate::PARSER_VERSION;
use crate::hash::{fnv1a, fnv1a_from};
use crate::limits::{MAX_ALIAS_BYTES, MAX_RULES_BYTES};
use rollcall_domain::Process;
use rollcall_domain::identity::UNKNOWN;
use serde::Deserialize;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

/// The rules that come with Rollcall.
const BUILTIN: &str = include_str!("../applications.toml");
/// The application of kernel threads.
pub(crate) const KERNEL: &str = "kernel";
/// `tasklist`'s table cuts names at this many columns.
const CUT_NAME_BYTES: usize = 25;

/// Why a rules file was refused.
#[derive(Debug, thiserror::Error)]
pub enum RulesError {
    /// The file is too large.
    #[error("the rules have {bytes} bytes, allowed are {MAX_RULES_BYTES}")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// It is no TOML, or has unknown keys or wrong types.
    #[error("the rules can't be read")]
    Syntax(#[source] Box<toml::de::Error>),
    /// A name is empty, too long or not in lower case.
    #[error("{name:?} is no name: it must be in lower case and have 1 to {MAX_ALIAS_BYTES} bytes")]
    BadName {
        /// The name.
        name: String,
    },
    /// Two applications claim a name.
    #[error("{name:?} stands under both {first:?} and {second:?}")]
    Conflict {
        /// The name.
        name: String,
        /// One application.
        first: String,
        /// The other.
        second: String,
    },
}

/// A rules file as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RulesFile {
    /// Whether the built-in rules hold too, where this file doesn't say otherwise.
    builtin: bool,
    /// Endings of helpers' names.
    suffixes: Vec<String>,
    /// Names that many applications share, which are told apart by the path.
    shared_names: Vec<String>,
    /// Canonical name to other names.
    applications: BTreeMap<String, Vec<String>>,
}

impl Default for RulesFile {
    fn default() -> Self {
        Self {
            builtin: true,
            suffixes: Vec::new(),
            shared_names: Vec::new(),
            applications: BTreeMap::new(),
        }
    }
}

impl RulesFile {
    fn read(text: &str) -> Result<Self, RulesError> {
        if text.len() > MAX_RULES_BYTES {
            return Err(RulesError::TooLarge { bytes: text.len() });
        }
        let file: RulesFile =
            toml::from_str(text).map_err(|error| RulesError::Syntax(Box::new(error)))?;
        let aliases = file
            .applications
            .iter()
            .flat_map(|(name, aliases)| std::iter::once(name).chain(aliases));
        for name in aliases.chain(&file.suffixes).chain(&file.shared_names) {
            let mut buffer = [0; MAX_ALIAS_BYTES];
            if name.is_empty() || folded(name, &mut buffer) != Some(name.as_bytes()) {
                return Err(RulesError::BadName { name: name.clone() });
            }
        }
        Ok(file)
    }

    /// Alias to canonical name, each canonical name among them.
    fn aliases(&self) -> Result<BTreeMap<&str, &str>, RulesError> {
        let mut aliases = BTreeMap::new();
        for (canonical, names) in &self.applications {
            for name in std::iter::once(canonical).chain(names) {
                match aliases.insert(name.as_str(), canonical.as_str()) {
                    Some(first) if first != canonical => {
                        let (name, first, second) =
                            (name.clone(), first.to_owned(), canonical.clone());
                        return Err(RulesError::Conflict {
                            name,
                            first,
                            second,
                        });
                    }
                    _ => {}
                }
            }
        }
        Ok(aliases)
    }
}

/// Rules that name applications.
#[derive(Clone, Debug)]
pub struct ApplicationRules {
    table: AliasTable,
    suffixes: Vec<Box<str>>,
    digest: u64,
}

impl ApplicationRules {
    /// The rules that come with Rollcall.
    #[must_use]
    pub fn builtin() -> Self {
        // A test reads the built-in file; were it broken, every name would be its own application.
        Self::from_toml("").unwrap_or_else(|_| Self {
            table: AliasTable::default(),
            suffixes: Vec::new(),
            digest: 0,
        })
    }

    /// Rules in `text` laid over the built-in ones, or, with `builtin = false` in it, instead of them.
    ///
    /// # Errors
    /// When the text is too large, no TOML, has names that are not in lower case, or gives one name to two applications.
    pub fn from_toml(text: &str) -> Result<Self, RulesError> {
        let own = RulesFile::read(text)?;
        let builtin_text = if own.builtin {
            BUILTIN
        } else {
            "builtin = false"
        };
        let builtin = RulesFile::read(builtin_text)?;
        let mut aliases = builtin.aliases()?;
        aliases.extend(own.aliases()?);
        let suffixes: BTreeSet<&String> = builtin.suffixes.iter().chain(&own.suffixes).collect();
        // The longest first, so that ` helper (gpu)` goes before ` helper`.
        let mut suffixes: Vec<Box<str>> = suffixes
            .into_iter()
            .map(|suffix| suffix.as_str().into())
            .collect();
        suffixes.sort_by_key(|suffix| std::cmp::Reverse(suffix.len()));
        let shared: BTreeSet<&str> = builtin
            .shared_names
            .iter()
            .chain(&own.shared_names)
            .map(String::as_str)
            .collect();
        let digest = [builtin_text.as_bytes(), b"\0", text.as_bytes()]
            .iter()
            .fold(fnv1a(&PARSER_VERSION.to_le_bytes()), |digest, bytes| {
                fnv1a_from(digest, bytes)
            });
        Ok(Self {
            table: AliasTable::new(&aliases, &shared),
            suffixes,
            digest,
        })
    }

    /// Fixed hash of the rules in force and of [`PARSER_VERSION`]. It changes with any byte of the rules.
    #[must_use]
    pub const fn digest(&self) -> u64 {
        self.digest
    }

    /// The canonical application of a process with this executable name and, where it is known, path.
    ///
    /// Kernel threads, whose names stand in brackets, are all `kernel`. Interpreters are applications themselves: the
    /// command line of `python3 script.py` does not matter.
    #[must_use]
    pub fn application<'a>(
        &'a self,
        executable_name: &Cow<'a, str>,
        executable_path: Option<&str>,
    ) -> Cow<'a, str> {
        match executable_name {
            Cow::Borrowed(name) => self.name(name, executable_path),
            Cow::Owned(name) => match self.name(name, executable_path) {
                Cow::Borrowed(found) => self
                    .table
                    .interned(found)
                    .map_or_else(|| Cow::Owned(found.to_owned()), Cow::Borrowed),
                Cow::Owned(found) => Cow::Owned(found),
            },
        }
    }

    /// Sets the application of `process` from its other fields.
    #[inline]
    pub(crate) fn apply<'a>(&'a self, mut process: Process<'a>, kernel: bool) -> Process<'a> {
        process.application = if kernel {
            Cow::Borrowed(KERNEL)
        } else {
            self.application(&process.executable_name, process.executable_path.as_deref())
        };
        process
    }

    /// Sets the application of `process`, whose own name is not known, from its bundle's name.
    #[cold]
    pub(crate) fn apply_bundle<'a>(&'a self, process: Process<'a>, bundle: &'a str) -> Process<'a> {
        Process {
            application: self.name(bundle, None),
            ..process
        }
    }

    #[inline]
    fn name<'a>(&'a self, name: &'a str, path: Option<&str>) -> Cow<'a, str> {
        let mut buffer = [0; MAX_ALIAS_BYTES];
        let Some(lower) = folded(name, &mut buffer) else {
            return unlisted(name);
        };
        if let [b'[', .., b']'] = lower {
            return Cow::Borrowed(KERNEL);
        }
        let stem = without_exe(lower);
        match self.table.get(stem) {
            Some(entry) if entry.shared => self
                .by_path(path)
                .unwrap_or(Cow::Borrowed(&entry.canonical)),
            Some(entry) => Cow::Borrowed(&entry.canonical),
            None => self.unfamiliar(name, stem),
        }
    }

    /// A name that is not listed as it is: perhaps a helper's, or one with a version.
    #[cold]
    #[inline(never)]
    fn unfamiliar<'a>(&'a self, name: &'a str, stem: &[u8]) -> Cow<'a, str> {
        if name == UNKNOWN {
            return Cow::Borrowed(UNKNOWN);
        }
        let inner = match stem {
            [b'(', inner @ .., b')'] if !inner.is_empty() => inner,
            _ => stem,
        };
        let suffix = self
            .suffixes
            .iter()
            .find(|suffix| inner.ends_with(suffix.as_bytes()) && inner.len() > suffix.len());
        let base = &inner[..inner.len() - suffix.map_or(0, |suffix| suffix.len())];
        if base.len() < stem.len()
            && let Some(entry) = self.table.get(base)
        {
            return Cow::Borrowed(&entry.canonical);
        }
        let unversioned = without_version(base);
        if unversioned.len() < base.len()
            && let Some(entry) = self.table.get(unversioned)
        {
            return Cow::Borrowed(&entry.canonical);
        }
        if !name.is_ascii() {
            // Lower case may have another length, so that what is left is taken from the folded name.
            return std::str::from_utf8(base)
                .map_or_else(|_| unlisted(name), |base| Cow::Owned(base.to_owned()));
        }
        // `base` is a piece of the name, which begins where its parenthesis, if any, ends.
        let start = usize::from(inner.len() < stem.len());
        name.get(start..start + base.len())
            .map_or_else(|| unlisted(name), unlisted)
    }

    /// The application whose bundle or folder holds a program with a name that many share.
    #[cold]
    fn by_path<'a>(&'a self, path: Option<&str>) -> Option<Cow<'a, str>> {
        let path = path?;
        if let Some((before, _)) = path.split_once(".app/") {
            return Some(Cow::Owned(
                self.name(crate::columns::after_slash(before), None)
                    .into_owned(),
            ));
        }
        let folder = path.rsplit(['/', '\\']).nth(1)?;
        let mut buffer = [0; MAX_ALIAS_BYTES];
        let entry = self.table.get(folded(folder, &mut buffer)?)?;
        Some(Cow::Borrowed(&entry.canonical))
    }
}

/// A name that no rule has: itself, in lower case.
fn unlisted(name: &str) -> Cow<'_, str> {
    let is_lower = name
        .bytes()
        .all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase());
    if is_lower {
        Cow::Borrowed(name)
    } else {
        Cow::Owned(name.to_lowercase())
    }
}

/// How names are compared: in lower case, as Unicode has it. `None` where that is longer than any alias.
#[inline]
fn folded<'b>(name: &str, buffer: &'b mut [u8; MAX_ALIAS_BYTES]) -> Option<&'b [u8]> {
    if !name.is_ascii() {
        return folded_unicode(name, buffer);
    }
    let lower = buffer.get_mut(..name.len())?;
    for (to, from) in lower.iter_mut().zip(name.bytes()) {
        *to = from.to_ascii_lowercase();
    }
    Some(lower)
}

#[cold]
fn folded_unicode<'b>(name: &str, buffer: &'b mut [u8; MAX_ALIAS_BYTES]) -> Option<&'b [u8]> {
    let folded = name.to_lowercase();
    let lower = buffer.get_mut(..folded.len())?;
    lower.copy_from_slice(folded.as_bytes());
    Some(lower)
}

/// Takes `.exe` off, and what is left of it where a table has cut the name.
#[inline]
fn without_exe(name: &[u8]) -> &[u8] {
    let stem = match name {
        [stem @ .., b'.', b'e', b'x', b'e'] => stem,
        _ if name.len() == CUT_NAME_BYTES => match name {
            [stem @ .., b'.', b'e', b'x'] | [stem @ .., b'.', b'e'] | [stem @ .., b'.'] => stem,
            _ => name,
        },
        _ => name,
    };
    if stem.is_empty() { name } else { stem }
}

/// Takes a version as in `python3.11`, `gcc-12` off.
fn without_version(name: &[u8]) -> &[u8] {
    let is_version = |byte: &u8| byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'_' | b' ');
    let end = name
        .iter()
        .rposition(|byte| !is_version(byte))
        .map_or(0, |at| at + 1);
    // One letter and digits (`x11`, `r2`) are a name of their own.
    if end > 1 && name[end..].iter().any(u8::is_ascii_digit) {
        &name[..end]
    } else {
        name
    }
}

#[derive(Clone, Debug)]
struct Entry {
    alias: Box<str>,
    canonical: Box<str>,
    shared: bool,
}

/// Aliases by hash, with linear probing; at most a quarter full.
#[derive(Clone, Debug, Default)]
struct AliasTable {
    /// Index into `entries` plus 1; 0 where free.
    slots: Vec<u32>,
    entries: Vec<Entry>,
}

impl AliasTable {
    fn new(aliases: &BTreeMap<&str, &str>, shared: &BTreeSet<&str>) -> Self {
        let mut table = Self {
            slots: vec![0; (aliases.len() * 4 + 4).next_power_of_two()],
            entries: Vec::new(),
        };
        // A shared name that is no application's own stands for itself where the path says nothing.
        let own = shared
            .iter()
            .filter(|name| !aliases.contains_key(*name))
            .map(|name| (name, name));
        for (alias, canonical) in aliases.iter().chain(own) {
            let mut at = table.slot(alias.as_bytes());
            while table.slots[at] != 0 {
                at = (at + 1) & (table.slots.len() - 1);
            }
            table.entries.push(Entry {
                alias: (*alias).into(),
                canonical: (*canonical).into(),
                shared: shared.contains(alias),
            });
            table.slots[at] = table.entries.len() as u32;
        }
        table
    }

    #[inline]
    fn slot(&self, name: &[u8]) -> usize {
        let mut hash = name.len() as u64;
        for chunk in name.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            hash = (hash ^ u64::from_le_bytes(word))
                .wrapping_mul(0x9e37_79b9_7f4a_7c15)
                .rotate_left(31);
        }
        (hash ^ (hash >> 32)) as usize & (self.slots.len() - 1)
    }

    #[inline]
    fn get(&self, name: &[u8]) -> Option<&Entry> {
        if self.slots.is_empty() {
            return None;
        }
        let mut at = self.slot(name);
        loop {
            let index = *self.slots.get(at)?;
            let entry = self.entries.get((index as usize).checked_sub(1)?)?;
            if entry.alias.as_bytes() == name {
                return Some(entry);
            }
            at = (at + 1) & (self.slots.len() - 1);
        }
    }

    /// The rules' own copy of `canonical`.
    fn interned(&self, canonical: &str) -> Option<&str> {
        if let Some(fixed) = [KERNEL, UNKNOWN]
            .into_iter()
            .find(|name| *name == canonical)
        {
            return Some(fixed);
        }
        self.get(canonical.as_bytes())
            .map(|entry| &*entry.canonical)
            .filter(|own| *own == canonical)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_with(rules: &ApplicationRules, name: &str, path: Option<&str>, expect: &str) {
        assert_eq!(
            rules.application(&Cow::Borrowed(name), path),
            expect,
            "{name}"
        );
        assert_eq!(
            rules.application(&Cow::Owned(name.to_owned()), path),
            expect,
            "{name}"
        );
    }

    #[track_caller]
    fn check(name: &str, expect: &str) {
        check_with(&ApplicationRules::builtin(), name, None, expect);
    }

    #[test]
    fn the_builtin_rules_are_whole() {
        let rules = RulesFile::read(BUILTIN).expect("built-in rules");
        assert!(
            rules.applications.len() >= 120,
            "{}",
            rules.applications.len()
        );
        rules.aliases().expect("no conflicts");
    }

    #[test]
    fn one_name_over_all_systems() {
        for name in [
            "chrome.exe",
            "chrome",
            "Google Chrome",
            "Google Chrome Helper (Renderer)",
            "google-chrome",
            "CHROME.EXE",
        ] {
            check(name, "chrome");
        }
        for name in ["firefox.exe", "firefox-bin", "firefox", "firefox-esr"] {
            check(name, "firefox");
        }
        check("msedge.exe", "edge");
        check("Microsoft Edge", "edge");
        check("WINWORD.EXE", "word");
        check("Microsoft PowerPoint", "powerpoint");
        check("Code Helper (Plugin)", "vscode");
        check("python3.11", "python");
        check("python.exe", "python");
        check("java", "java");
        check("svchost.exe", "svchost");
        check("[kworker/0:1]", "kernel");
        check("(sd-pam)", "sd-pam");
        check("MATLAB", "matlab");
    }

    #[test]
    fn unlisted_names_are_themselves() {
        check("x264", "x264");
        check(UNKNOWN, UNKNOWN);
        check("Frobnicate.exe", "frobnicate");
        check("Zeichnüng Helper (GPU)", "zeichnüng");
        check("frob-1.2", "frob-1.2");
        check("StartMenuExperienceHost.e", "startmenuexperiencehost");
        check(".exe", ".exe");
        check(&"Long".repeat(50), &"long".repeat(50));
    }

    #[test]
    fn shared_names_go_by_their_folder() {
        let rules = ApplicationRules::builtin();
        check_with(
            &rules,
            "Electron",
            Some("/Applications/Visual Studio Code.app/Contents/MacOS/Electron"),
            "vscode",
        );
        check_with(
            &rules,
            "Electron",
            Some("/Applications/Frob Tool.app/Contents/MacOS/Electron"),
            "frob tool",
        );
        check_with(
            &rules,
            "plugin-container",
            Some("/usr/lib/thunderbird/plugin-container"),
            "thunderbird",
        );
        for (path, application) in [
            ("/opt/google/chrome/chrome_crashpad_handler", "chrome"),
            ("/usr/share/code/chrome_crashpad_handler", "vscode"),
            (
                "/Applications/Signal.app/Contents/chrome_crashpad_handler",
                "signal",
            ),
        ] {
            check_with(&rules, "chrome_crashpad_handler", Some(path), application);
        }
        check_with(&rules, "electron", Some("/opt/nobody/electron"), "electron");
        check_with(&rules, "electron", None, "electron");
    }

    #[test]
    fn users_extend_the_rules() {
        let rules = ApplicationRules::from_toml(
            "[applications]\nexam = [\"safe exam browser\", \"code\"]\n",
        )
        .expect("rules");
        check_with(&rules, "Safe Exam Browser.exe", None, "exam");
        check_with(&rules, "code", None, "exam");
        check_with(&rules, "chrome.exe", None, "chrome");
        let alone = ApplicationRules::from_toml("builtin = false\n[applications]\na = [\"b\"]\n")
            .expect("rules");
        check_with(&alone, "B.exe", None, "a");
        check_with(&alone, "google-chrome", None, "google-chrome");
        let digests = [&rules, &alone, &ApplicationRules::builtin()].map(ApplicationRules::digest);
        assert!(digests[0] != digests[1] && digests[1] != digests[2] && digests[0] != digests[2]);
        assert_eq!(
            ApplicationRules::builtin().digest(),
            ApplicationRules::builtin().digest()
        );
    }

    #[test]
    fn names_are_folded_as_aliases_are() {
        let rules = "[applications]\ndrawing = [\"zeichnüng\", \"οδος\", \"i\u{0307}stat\"]\n";
        let rules = ApplicationRules::from_toml(rules).expect("rules");
        for name in ["ZEICHNÜNG.EXE", "Zeichnüng Helper (GPU)", "ΟΔΟΣ", "İSTAT 3"] {
            check_with(&rules, name, None, "drawing");
        }
        check("ȺȾȺ Helper", "ⱥⱦⱥ");
    }

    #[test]
    fn bad_rules_are_refused() {
        let error = |text: &str| {
            ApplicationRules::from_toml(text)
                .expect_err("refused")
                .to_string()
        };
        assert!(
            error("[applications]\na = [\"x\"]\nb = [\"x\"]\n").contains("both \"a\" and \"b\"")
        );
        assert!(error("[applications]\na = [\"X\"]\n").contains("lower case"));
        assert!(error("[applications]\na = [\"\"]\n").contains("lower case"));
        assert!(error("colour = 1").contains("can't be read"));
        assert!(error(&" ".repeat(MAX_RULES_BYTES + 1)).contains("allowed are"));
        ApplicationRules::from_toml(&" ".repeat(MAX_RULES_BYTES)).expect("at the limit");
    }
}
