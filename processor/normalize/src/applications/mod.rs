//! The canonical application of a process: one lower-case name over all operating systems; and what an interpreter runs.
//!
//! The rules are data (`applications.toml`), over which [`ApplicationRules::from_toml`] lays the file that a user names
//! (`RULES.md` says how to write one). A name is looked up in steps, the first hit wins: as it is without `.exe`; without a
//! helper's suffix; without a version at its end; by the folders of its path; as what a listing has cut off. A name that
//! nobody listed is its own application, in lower case.
//!
//! Invariants: pure, no state; a listed name of up to 16 ASCII bytes costs one hash look-up without a copy; nothing is
//! allocated unless a name is not ASCII, or unlisted and not in lower case, or a rule of paths is asked. Only the names of
//! interpreters have their arguments looked at.

mod file;
mod paths;
mod script;
mod suffixes;
mod table;
mod words;

pub use file::RulesError;
pub(crate) use words::Arguments;

use crate::limits::MAX_ALIAS_BYTES;
use file::Merged;
use paths::PathRule;
use rollcall_domain::Process;
use rollcall_domain::identity::UNKNOWN;
use script::Interpreter;
use std::borrow::Cow;
use std::collections::BTreeMap;
use suffixes::Suffixes;
use table::{AliasTable, Entry, Short};

/// The rules that come with Rollcall.
const BUILTIN: &str = include_str!("../../applications.toml");
/// The application of kernel threads.
const KERNEL: &str = "kernel";
/// `tasklist`'s table cuts names at this many columns.
const CUT_NAME_BYTES: usize = 25;
/// Where listings cut names: Linux' short ones, macOS' in parentheses, and [`CUT_NAME_BYTES`].
const CUTS: [usize; 3] = [15, 16, CUT_NAME_BYTES];

/// Rules that name applications.
#[derive(Clone, Debug)]
pub struct ApplicationRules {
    table: AliasTable,
    suffixes: Suffixes,
    /// What is left of longer names where a listing cuts them; shared where they are several applications'.
    cuts: AliasTable,
    paths: Vec<PathRule>,
    /// An entry's number of an interpreter is its place here plus 1.
    interpreters: Vec<Interpreter>,
    digest: u64,
}

/// What a name stands for.
struct Named<'a> {
    application: Cow<'a, str>,
    interpreter: u16,
}

impl<'a> Named<'a> {
    #[inline]
    fn listed(entry: &'a Entry) -> Self {
        Named {
            application: Cow::Borrowed(&entry.canonical),
            interpreter: entry.interpreter,
        }
    }

    fn only(application: Cow<'a, str>) -> Self {
        Named {
            application,
            interpreter: 0,
        }
    }
}

/// What a process runs.
pub(crate) struct Runs<'a> {
    pub(crate) application: Cow<'a, str>,
    /// What its interpreter runs.
    pub(crate) script: Option<&'a str>,
}

impl Runs<'_> {
    /// Without a script that ends where `line`, a command that was cut, does.
    #[cold]
    pub(crate) fn of_cut(mut self, line: Option<&str>) -> Self {
        if let (Some(line), Some(script)) = (line, self.script)
            && line.ends_with(script)
        {
            self.script = None;
        }
        self
    }

    /// Of kernel threads.
    #[inline]
    pub(crate) const fn kernel() -> Self {
        Runs {
            application: Cow::Borrowed(KERNEL),
            script: None,
        }
    }
}

impl ApplicationRules {
    /// The rules that come with Rollcall.
    #[must_use]
    pub fn builtin() -> Self {
        // A test reads the built-in file; were it broken, every name would be its own application.
        Self::from_toml("").unwrap_or_else(|_| Self {
            table: AliasTable::default(),
            suffixes: Suffixes::default(),
            cuts: AliasTable::default(),
            paths: Vec::new(),
            interpreters: Vec::new(),
            digest: 0,
        })
    }

    /// Rules in `text` laid over the built-in ones, or, with `builtin = false` in it, instead of them.
    ///
    /// # Errors
    /// When the text is too large, no TOML, has what can't be a name, a path or an option, or gives one name to two
    /// applications.
    pub fn from_toml(text: &str) -> Result<Self, RulesError> {
        let merged = Merged::read(text)?;
        let digest = merged.digest();
        let keys: Vec<&String> = merged.interpreters.keys().collect();
        let interpreter_of = |name: &str| {
            let key = merged.interpreter_names.get(name);
            key.and_then(|key| keys.binary_search(&key).ok())
                .map_or(0, |at| at as u16 + 1)
        };
        let mut canonical = merged.aliases.clone();
        // A shared name or an interpreter's that is no application's own stands for itself.
        for name in merged.shared.iter().chain(merged.interpreter_names.keys()) {
            canonical
                .entry(name.clone())
                .or_insert_with(|| name.clone());
        }
        let entries: Vec<Entry> = canonical
            .iter()
            .map(|(alias, canonical)| Entry {
                alias: alias.as_str().into(),
                canonical: canonical.as_str().into(),
                shared: merged.shared.contains(alias),
                interpreter: interpreter_of(alias),
            })
            .collect();
        let paths = merged
            .paths
            .iter()
            .filter_map(|(path, application)| PathRule::new(path, application));
        Ok(Self {
            cuts: AliasTable::new(cut_entries(&entries)),
            table: AliasTable::new(entries),
            suffixes: Suffixes::new(&merged.suffixes),
            paths: paths.collect(),
            interpreters: merged.interpreters.values().map(Interpreter::new).collect(),
            digest,
        })
    }

    /// Fixed hash of the rules in force and of [`PARSER_VERSION`](crate::PARSER_VERSION). It changes with what the rules
    /// say, not with comments or the order in which they stand.
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
        self.named(executable_name, executable_path).application
    }

    #[inline]
    fn named<'a>(&'a self, name: &Cow<'a, str>, path: Option<&str>) -> Named<'a> {
        match name {
            Cow::Borrowed(name) => self.name(name, path),
            Cow::Owned(name) => self.owned_name(name, path),
        }
    }

    #[cold]
    fn owned_name(&self, name: &str, path: Option<&str>) -> Named<'_> {
        let Named {
            application,
            interpreter,
        } = self.name(name, path);
        let application = match application {
            Cow::Borrowed(found) => self
                .interned(found)
                .map_or_else(|| Cow::Owned(found.to_owned()), Cow::Borrowed),
            Cow::Owned(found) => Cow::Owned(found),
        };
        Named {
            application,
            interpreter,
        }
    }

    /// What a process of Linux or macOS with this executable runs.
    #[inline(always)]
    pub(crate) fn runs<'a>(
        &'a self,
        name: &'a str,
        path: Option<&'a str>,
        line: Option<&'a str>,
    ) -> Runs<'a> {
        let named = self.name(name, path);
        let script = match named.interpreter {
            0 => None,
            number => self.script(number, name, path, line),
        };
        Runs {
            application: named.application,
            script,
        }
    }

    #[cold]
    fn script<'a>(
        &self,
        interpreter: u16,
        name: &str,
        path: Option<&str>,
        line: Option<&'a str>,
    ) -> Option<&'a str> {
        let interpreter = self.interpreter(interpreter)?;
        match interpreter.script(Arguments::Unix(line?), name, path)? {
            Cow::Borrowed(script) => Some(script),
            // The words of a line are pieces of it.
            Cow::Owned(_) => None,
        }
    }

    /// What a process runs whose own name is not known, from its bundle's.
    #[cold]
    pub(crate) fn of_bundle<'a>(&'a self, bundle: &'a str) -> Runs<'a> {
        Runs {
            application: self.name(bundle, None).application,
            script: None,
        }
    }

    /// Sets the application of a process of Windows from its other fields, and what it runs from its command line.
    pub(crate) fn apply_windows<'a>(&'a self, process: &mut Process<'a>) {
        let number = self.set_application(process);
        let (Some(interpreter), Some(line)) = (self.interpreter(number), &process.command_line)
        else {
            return;
        };
        let (name, path) = (
            &*process.executable_name,
            process.executable_path.as_deref(),
        );
        process.script = match line {
            Cow::Borrowed(line) => interpreter.script(Arguments::Windows(line), name, path),
            Cow::Owned(line) => interpreter
                .script(Arguments::Windows(line), name, path)
                .map(|script| Cow::Owned(script.into_owned())),
        };
    }

    /// The same of a process whose arguments are known, each on its own.
    pub(crate) fn apply_arguments<'a>(
        &'a self,
        process: &mut Process<'a>,
        kernel: bool,
        arguments: &[Cow<'_, str>],
    ) {
        if kernel {
            process.application = Runs::kernel().application;
            return;
        }
        let number = self.set_application(process);
        if let Some(interpreter) = self.interpreter(number) {
            let script = interpreter.script(
                Arguments::Each(arguments),
                &process.executable_name,
                process.executable_path.as_deref(),
            );
            process.script = script.map(|script| Cow::Owned(script.into_owned()));
        }
    }

    /// Returns the interpreter's number, 0 for none.
    fn set_application<'a>(&'a self, process: &mut Process<'a>) -> u16 {
        let path = process.executable_path.as_deref();
        let named = self.named(&process.executable_name, path);
        process.application = named.application;
        named.interpreter
    }

    fn interpreter(&self, number: u16) -> Option<&Interpreter> {
        self.interpreters.get(usize::from(number).checked_sub(1)?)
    }

    #[inline(always)]
    fn name<'a>(&'a self, name: &'a str, path: Option<&str>) -> Named<'a> {
        match Short::of(without_exe(name.as_bytes())).and_then(|short| self.table.short(short)) {
            Some(entry) if !entry.shared => Named::listed(entry),
            _ => self.uncommon_name(name, path),
        }
    }

    /// A name that is long, not ASCII, shared or not listed.
    #[inline(never)]
    fn uncommon_name<'a>(&'a self, name: &'a str, path: Option<&str>) -> Named<'a> {
        let mut buffer = [0; MAX_ALIAS_BYTES];
        let Some(lower) = folded(name, &mut buffer) else {
            return Named::only(self.by_rule(path).unwrap_or_else(|| unlisted(name)));
        };
        if let [b'[', .., b']'] = lower {
            return Named::only(Cow::Borrowed(KERNEL));
        }
        let stem = without_exe(lower);
        match self.table.get(stem) {
            Some(entry) if entry.shared => self
                .by_rule(path)
                .or_else(|| self.by_folder(path))
                .map_or_else(|| Named::listed(entry), Named::only),
            Some(entry) => Named::listed(entry),
            None => self.unfamiliar(name, stem, stem.len() == lower.len(), path),
        }
    }

    /// A name that is not listed as it is: perhaps a helper's, or one with a version, or one that was cut.
    ///
    /// A name that ended in `.exe`, which `may_be_cut` denies, was not.
    fn unfamiliar<'a>(
        &'a self,
        name: &'a str,
        stem: &[u8],
        may_be_cut: bool,
        path: Option<&str>,
    ) -> Named<'a> {
        if name == UNKNOWN {
            return Named::only(Cow::Borrowed(UNKNOWN));
        }
        let inner = match stem {
            [b'(', inner @ .., b')'] if !inner.is_empty() => inner,
            _ => stem,
        };
        let base = self.suffixes.taken_off(inner);
        if base.len() < stem.len()
            && let Some(entry) = self.table.get(base)
        {
            return Named::listed(entry);
        }
        let unversioned = without_version(base);
        if unversioned.len() < base.len()
            && let Some(entry) = self.table.get(unversioned)
        {
            return Named::listed(entry);
        }
        if let Some(application) = self.by_rule(path) {
            return Named::only(application);
        }
        if may_be_cut
            && CUTS.contains(&inner.len())
            && let Some(entry) = self.cut(inner)
        {
            return Named::listed(entry);
        }
        Named::only(Self::base_name(name, stem, inner, base))
    }

    /// What is left of an unlisted name without parentheses, `.exe` and a helper's suffix, in lower case.
    fn base_name<'a>(name: &'a str, stem: &[u8], inner: &[u8], base: &[u8]) -> Cow<'a, str> {
        // Its piece of the name begins where its parenthesis, if any, ends. In lower case, other letters than ASCII may
        // have another length.
        let start = usize::from(inner.len() < stem.len());
        match name.get(start..start + base.len()) {
            Some(piece) if piece.as_bytes() == base => Cow::Borrowed(piece),
            _ => std::str::from_utf8(base)
                .map_or_else(|_| unlisted(name), |base| Cow::Owned(base.to_owned())),
        }
    }

    /// The entry of which `start` is the beginning, if all such entries are one application's. A helper's suffix may be
    /// cut, too.
    fn cut(&self, start: &[u8]) -> Option<&Entry> {
        let helpers = self.suffixes.places_of_cut(start);
        let helpers = helpers.filter_map(|at| self.table.get(&start[..at]));
        let mut all = self.cuts.get(start).into_iter().chain(helpers);
        let first = all.next()?;
        let is_one =
            !first.shared && all.all(|entry| !entry.shared && entry.canonical == first.canonical);
        is_one.then_some(first)
    }

    /// By the rules of paths.
    #[inline]
    fn by_rule(&self, path: Option<&str>) -> Option<Cow<'_, str>> {
        if self.paths.is_empty() {
            return None;
        }
        let path = path?;
        let rule = self.paths.iter().find(|rule| rule.matches(path))?;
        Some(Cow::Borrowed(&rule.application))
    }

    /// The application whose bundle or folder holds a program with a name that many share.
    #[cold]
    fn by_folder(&self, path: Option<&str>) -> Option<Cow<'_, str>> {
        let path = path?;
        if let Some((before, _)) = path.split_once(".app/") {
            let bundle = before.rsplit('/').next().unwrap_or(before);
            // A folder that is called just `.app` names nothing.
            return Some(bundle)
                .filter(|bundle| !bundle.is_empty())
                .map(|bundle| self.owned_name(bundle, None).application);
        }
        let folder = path.rsplit(['/', '\\']).nth(1)?;
        let mut buffer = [0; MAX_ALIAS_BYTES];
        let entry = self.table.get(folded(folder, &mut buffer)?)?;
        Some(Cow::Borrowed(&entry.canonical))
    }

    /// The rules' own copy of `canonical`.
    fn interned(&self, canonical: &str) -> Option<&str> {
        if let Some(fixed) = [KERNEL, UNKNOWN]
            .into_iter()
            .find(|name| *name == canonical)
        {
            return Some(fixed);
        }
        self.table
            .get(canonical.as_bytes())
            .map(|entry| &*entry.canonical)
            .filter(|own| *own == canonical)
    }
}

/// The beginnings, of the lengths in [`CUTS`], that names have: each with its first name's application, shared if others
/// begin so that are another application's.
fn cut_entries(entries: &[Entry]) -> Vec<Entry> {
    let mut cut: BTreeMap<&str, Entry> = BTreeMap::new();
    for entry in entries {
        for start in CUTS.iter().filter_map(|length| entry.alias.get(..*length)) {
            let known = cut.entry(start).or_insert_with(|| Entry {
                alias: start.into(),
                ..entry.clone()
            });
            known.shared |= entry.shared || known.canonical != entry.canonical;
        }
    }
    cut.into_values().collect()
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
    let Some(lower) = buffer.get_mut(..name.len()) else {
        return folded_unicode(name, buffer);
    };
    lower.copy_from_slice(name.as_bytes());
    // All of the buffer, for its length is known when this is compiled.
    if !buffer.is_ascii() {
        return folded_unicode(name, buffer);
    }
    buffer.make_ascii_lowercase();
    Some(&buffer[..name.len()])
}

#[cold]
fn folded_unicode<'b>(name: &str, buffer: &'b mut [u8; MAX_ALIAS_BYTES]) -> Option<&'b [u8]> {
    let folded = name.to_lowercase();
    let lower = buffer.get_mut(..folded.len())?;
    lower.copy_from_slice(folded.as_bytes());
    Some(lower)
}

const EXE: u32 = u32::from_le_bytes(*b".exe");
/// What makes a small letter of a capital, in the last three bytes.
const SMALL: u32 = 0x2020_2000;

/// Takes `.exe` off, and what is left of it where a table has cut the name.
#[inline]
fn without_exe(name: &[u8]) -> &[u8] {
    match name.split_last_chunk() {
        Some((stem, end)) if u32::from_le_bytes(*end) | SMALL == EXE && !stem.is_empty() => stem,
        _ if name.len() == CUT_NAME_BYTES => without_cut_exe(name),
        _ => name,
    }
}

fn without_cut_exe(name: &[u8]) -> &[u8] {
    match name {
        [stem @ .., b'.', b'e' | b'E', b'x' | b'X']
        | [stem @ .., b'.', b'e' | b'E']
        | [stem @ .., b'.'] => stem,
        _ => name,
    }
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

#[cfg(test)]
mod tests {
    use super::file::RulesFile;
    use super::*;
    use crate::limits::MAX_RULES_BYTES;

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
        ApplicationRules::from_toml("").expect("no conflicts");
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
            ("/Applications/.app/chrome_crashpad_handler", "chrome"),
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
    fn a_cut_name_is_the_only_one_that_begins_so() {
        check("(Google Chrome He)", "chrome");
        check("gnome-session-b", "gnome-shell");
        check("Google Chrome He.exe", "google chrome he");
        check("systemd-timesyn", "systemd");
        check("virtualboxheadl", "virtualboxheadl");
        let rules = ApplicationRules::from_toml(
            "[applications]\nexam = [\"safe exam browser portable\", \"safe exam server\"]\nother = [\"safe exam broadcast\"]\n",
        )
        .expect("rules");
        check_with(&rules, "safe exam brows", None, "exam");
        check_with(&rules, "safe exam browse", None, "exam");
        check_with(&rules, "Safe Exam Browser Portabl", None, "exam");
        check_with(&rules, "safe exam bro", None, "safe exam bro");
        let two = "[applications]\na = [\"abcdefghijklmnop\"]\nb = [\"abcdefghijklmnoq\"]\n";
        let rules = ApplicationRules::from_toml(two).expect("rules");
        check_with(&rules, "abcdefghijklmno", None, "abcdefghijklmno");
    }

    #[test]
    fn paths_tell_unlisted_and_shared_names() {
        let rules = ApplicationRules::from_toml(
            "shared_names = [\"java\"]\n[paths]\n\"/opt/exam/*/bin\" = \"exam\"\n\"/opt/exam/old/bin\" = \"old-exam\"\n",
        )
        .expect("rules");
        let check = |name, path, expect| check_with(&rules, name, Some(path), expect);
        check("start", "/opt/exam/3/bin/start", "exam");
        check("start", "/opt/exam/old/bin/start", "old-exam");
        check("start", "/opt/other/3/bin/start", "start");
        check("java", "/opt/exam/3/bin/java", "exam");
        check("java", "/usr/bin/java", "java");
        check("chrome", "/opt/exam/3/bin/chrome", "chrome");
        check(&"Long".repeat(50), "/opt/exam/3/bin/x", "exam");
    }

    #[test]
    fn the_example_in_the_documentation_does_what_it_says() {
        let text = include_str!("../../RULES.md");
        let (_, rest) = text.split_once("```toml\n").expect("an example");
        let (example, _) = rest.split_once("```").expect("its end");
        let rules = ApplicationRules::from_toml(example).expect("rules");
        check_with(&rules, "SafeExamBrowser.exe", None, "exam");
        check_with(&rules, "chrome.exe", None, "chrome");
        for path in [
            "/opt/statlab/7/bin/run",
            r"C:\Program Files\StatLab\run.exe",
        ] {
            check_with(&rules, "run", Some(path), "statlab");
        }
        let line = "groovy -cp lib report.groovy";
        let read = rules.runs("groovy", None, Some(line));
        assert_eq!(
            (&*read.application, read.script),
            ("groovy", Some("report.groovy"))
        );
    }

    #[test]
    fn users_teach_interpreters() {
        let text = "[interpreters.groovy]\nnames = [\"groovy\"]\nendings = [\".groovy\"]\nvalues = [\"-cp\"]\n\
            [interpreters.lua]\nnames = [\"lua\"]\nflags = [\"-new\"]\n";
        let rules = ApplicationRules::from_toml(text).expect("rules");
        let script = |name, line| rules.runs(name, None, Some(line)).script;
        assert_eq!(script("groovy", "groovy -cp x a.groovy"), Some("a.groovy"));
        assert_eq!(script("lua", "lua -new a"), Some("a"));
        assert_eq!(script("luajit", "luajit a.lua"), None, "no longer lua's");
        assert_eq!(script("python3", "python3 a.py"), Some("a.py"));
        let read = rules.runs("groovy", None, Some("groovy"));
        assert_eq!(read.application, "groovy");
    }

    #[test]
    fn the_digest_is_of_what_the_rules_say() {
        let digest = |text: &str| ApplicationRules::from_toml(text).expect("rules").digest();
        let one = digest("[applications]\na = [\"b\", \"c\"]\n");
        assert_eq!(
            one,
            digest("# A comment.\n[applications]\na = [\"c\", \"b\"] # another\n")
        );
        let others = [
            "",
            "builtin = false",
            "[applications]\na = [\"b\"]\n",
            "[applications]\na = [\"b\", \"d\"]\n",
            "suffixes = [\"-x\"]\n[applications]\na = [\"b\", \"c\"]\n",
            "shared_names = [\"x\"]\n[applications]\na = [\"b\", \"c\"]\n",
            "[applications]\na = [\"b\", \"c\"]\n[paths]\n\"x\" = \"a\"\n",
            "[applications]\na = [\"b\", \"c\"]\n[interpreters.a]\nnames = [\"b\"]\n",
            "[applications]\na = [\"b\", \"c\"]\n[interpreters.a]\nnames = [\"b\"]\nbundles = true\n",
            "[applications]\na = [\"b\", \"c\"]\n[interpreters.a]\nnames = [\"b\"]\nflags = [\"-x\"]\n",
            "[applications]\na = [\"b\", \"c\"]\n[interpreters.a]\nnames = [\"b\"]\nvalues = [\"-x\"]\n",
        ];
        let all: std::collections::BTreeSet<u64> = others.into_iter().map(digest).collect();
        assert_eq!(all.len(), others.len());
        assert!(!all.contains(&one));
    }

    #[test]
    fn bad_rules_are_refused_in_one_sentence() {
        let check = |text: &str, expect: &str| {
            let error = ApplicationRules::from_toml(text).expect_err("refused");
            assert_eq!(error.to_string(), expect);
        };
        check(
            "[applications]\na = [\"x\"]\nb = [\"x\"]\n",
            "\"x\" stands under both \"a\" and \"b\"; allowed is one of them",
        );
        let name = "allowed is a name in lower case, without .exe, of 1 to 64 bytes";
        for bad in ["X", "", "x.exe"] {
            check(
                &format!("[applications]\na = [\"{bad}\"]\n"),
                &format!("applications.a has {bad:?}; {name}"),
            );
        }
        check("suffixes = [\"X\"]", &format!("suffixes has \"X\"; {name}"));
        check(
            "[paths]\n\"x\" = \"X\"",
            &format!("paths.\"x\" has \"X\"; {name}"),
        );
        check(
            "[paths]\n'a\\b' = \"x\"",
            "paths has \"a\\\\b\"; allowed are folders with / between them, as \"/opt/exam/*/bin\"",
        );
        check(
            "[interpreters.x]\nnames = [\"x\"]\nflags = [\"-a b\"]",
            "interpreters.x.flags has \"-a b\"; allowed is a word without blanks, as -m, with * at its end for anything",
        );
        check(
            "[interpreters.x]\nendings = [\"py\"]",
            "interpreters.x.endings has \"py\"; allowed is an ending with its dot, as .py",
        );
        check(
            "# rules\n\ncolour = 1",
            "line 3: unknown field `colour`, expected one of `builtin`, `suffixes`, `shared_names`, `applications`, \
             `paths`, `interpreters`",
        );
        check(
            &" ".repeat(MAX_RULES_BYTES + 1),
            "it has 1048577 bytes; allowed are 1048576",
        );
        ApplicationRules::from_toml(&" ".repeat(MAX_RULES_BYTES)).expect("at the limit");
    }
}
