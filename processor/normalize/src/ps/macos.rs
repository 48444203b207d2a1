//! macOS: what start times, states and commands mean in `ps aux` and `ps -ef`.
//!
//! Invariants: argv[0] may hold blanks, and `ps` prints nothing that shows where it ends, so that [`argv0`] finds its
//! end or gives up. A process whose executable is doubtful has no path and the name [`UNKNOWN`]; its application is then
//! its bundle's. `(name)` stands for a process whose arguments can't be read.

use super::argv0::{argument_start, goes_on_with_folder, is_in_program_folder, may_be_cut};
use super::columns::{first_word, without_branches};
use super::{CommandText, Meaning, PsRow, StartText, System};
use crate::applications::ApplicationRules;
use crate::bits;
use crate::executable::{after_slash, executable};
use crate::listing::{Accepted, RowError, Slot};
use crate::local_clock::LocalClock;
use crate::notes::NullReason;
use crate::state::macos_state;
use rollcall_domain::LineReason;
use rollcall_domain::identity::UNKNOWN;
use std::borrow::Cow;

/// Stands for a process that has ended and was not waited for.
const DEFUNCT: &str = "<defunct>";
/// A bundle's folder for its executable.
const EXECUTABLE_FOLDER: &str = "Contents/MacOS/";
/// The part after the blank of the one folder of macOS itself with a blank in its name.
const SUPPORT: &str = " Support/";

/// macOS' `ps`.
pub(crate) struct Macos<'c, 'a> {
    pub(crate) clock: &'c LocalClock,
    pub(crate) rules: &'a ApplicationRules,
}

impl<'a> System<'a> for Macos<'_, 'a> {
    #[inline(always)]
    fn process(&self, row: PsRow<'a>, mut slot: Slot<'_, 'a>) -> Accepted {
        let notes = &mut slot.notes;
        let command = match row.command {
            CommandText::Line(command) => Command::read(command.line)?,
            CommandText::Either(line) => Command::read(line)?,
            CommandText::Name(path) => Command::path(path)?,
        };
        let command = if row.is_cut { command.cut() } else { command };
        let created_at = notes.value(match row.start {
            StartText::Date(date) if date.contains(' ') => self.clock.date(date),
            StartText::Date(word) => self.clock.macos_start(word.as_bytes()),
            StartText::Word(word) | StartText::Recent(word) => self.clock.macos_start(word),
            StartText::Elapsed(elapsed) => self.clock.elapsed(elapsed),
        });
        let state = macos_state(row.stat);
        if command.name == UNKNOWN {
            notes.add(NullReason::ExecutableUncertain);
        }
        let runs = match command.bundle {
            Some(bundle) => self.rules.of_bundle(bundle),
            None => self.rules.runs(command.name, command.path, command.line),
        };
        let meaning = Meaning {
            created_at,
            state,
            name: Cow::Borrowed(command.name),
            path: command.path,
            line: command.line,
            runs,
        };
        row.accept(meaning, slot)
    }
}

/// The last column, taken apart.
struct Command<'a> {
    name: &'a str,
    path: Option<&'a str>,
    /// `None` where a name in parentheses stands for it.
    line: Option<&'a str>,
    /// The bundle of a doubtful executable.
    bundle: Option<&'a str>,
}

impl<'a> Command<'a> {
    #[inline]
    fn read(rest: &'a str) -> Result<Self, RowError> {
        // A title that a program has set is padded with blanks.
        let line = without_branches(rest).trim_end_matches(' ');
        let name = match line.as_bytes() {
            [b'(', _, .., b')'] => Some(&line[1..line.len() - 1]),
            _ if line == DEFUNCT => Some(UNKNOWN),
            _ => None,
        };
        if let Some(name) = name {
            return Ok(Self {
                name,
                path: None,
                line: None,
                bundle: None,
            });
        }
        if line.is_empty() {
            return Err(RowError::new(
                LineReason::MissingName,
                "the line has no command",
            ));
        }
        let word = match line.as_bytes()[0] {
            b'/' => match argv0(line) {
                Some(word) => word,
                None => return Ok(Self::doubtful(line)),
            },
            _ => first_word(line),
        };
        if word.is_empty() {
            return Err(RowError::new(
                LineReason::MissingName,
                "the line has no command",
            ));
        }
        let (name, path) = executable(word);
        Ok(Self {
            name,
            path,
            line: Some(line),
            bundle: None,
        })
    }

    /// Of `comm`: the executable's path, and nothing after it.
    #[cold]
    fn path(path: &'a str) -> Result<Self, RowError> {
        let path = path.trim_end_matches(' ');
        if !path.starts_with('/') {
            let command = Self::read(path)?;
            return Ok(Self {
                name: if command.line.is_some() {
                    path
                } else {
                    command.name
                },
                line: None,
                ..command
            });
        }
        let (name, path) = executable(path);
        Ok(Self {
            name,
            path,
            line: None,
            bundle: None,
        })
    }

    /// Of a line that may end in the middle of it: what reaches to its end may be a piece.
    #[cold]
    fn cut(self) -> Self {
        match self.line {
            Some(line) if line.starts_with('(') => Self {
                name: UNKNOWN,
                line: None,
                ..self
            },
            Some(line) if may_be_cut(line, self.path) => Self::doubtful(line),
            _ => self,
        }
    }

    #[cold]
    fn doubtful(line: &'a str) -> Self {
        let bundle = line[..argument_start(line)].split_once(".app/");
        Self {
            name: UNKNOWN,
            path: None,
            line: Some(line),
            bundle: bundle
                .map(|(before, _)| after_slash(before))
                .filter(|bundle| !bundle.is_empty()),
        }
    }
}

/// The path that a command line begins with, which may hold blanks; `None` where it is doubtful where it ends.
///
/// It ends before an argument that begins with `-` or `/`, and it holds all up to its last bundle. What is then left of
/// it and of other arguments is [`file_end`]'s to tell apart.
#[inline]
fn argv0(line: &str) -> Option<&str> {
    let word = first_word(line);
    if word.len() == line.len() || is_in_program_folder(word) {
        return Some(word);
    }
    let plausible = line[..argument_start(line)].trim_end_matches(' ');
    if word.len() >= plausible.len() {
        return Some(word);
    }
    let end = if let Some(bundle) = last_bundle(plausible) {
        let rest = &plausible[bundle.end..];
        match bundle_executable(bundle.name, rest) {
            Some(end) => bundle.end + end,
            None if is_in_program_folder(&plausible[..bundle.end + first_word(rest).len()]) => {
                bundle.end + first_word(rest).len()
            }
            None => bundle.end + file_end(rest)?,
        }
    } else {
        // Outside bundles, blanks are rare in the names of files, but not in those of folders.
        let start = match &plausible[word.len()..] {
            rest if word.ends_with("/Application") && rest.starts_with(SUPPORT) => {
                word.len() + SUPPORT.len()
            }
            _ => 0,
        };
        let rest = &plausible[start..];
        let first = first_word(rest);
        if goes_on_with_folder(&rest[first.len()..]) {
            return None;
        }
        start + first.len()
    };
    Some(&plausible[..end])
}

/// A bundle in a path.
struct Bundle<'a> {
    /// Without its ending.
    name: &'a str,
    /// Where what is inside begins.
    end: usize,
}

fn last_bundle(path: &str) -> Option<Bundle<'_>> {
    let bytes = path.as_bytes();
    let mut slashes = bits::positions_from_end(bytes, b'/');
    while let Some(slash) = slashes.next() {
        if let Some(length) = bundle_ending(&bytes[..slash]) {
            let start = slashes.next().map_or(0, |slash| slash + 1);
            return Some(Bundle {
                name: &path[start..slash - length],
                end: slash + 1,
            });
        }
    }
    None
}

/// How long the ending is that makes a folder a bundle; `None` of other folders.
#[inline]
fn bundle_ending(folder: &[u8]) -> Option<usize> {
    let ending: &[u8] = match folder.last()? {
        b'p' => b".app",
        b'k' => b".framework",
        b'c' => b".xpc",
        b'x' => b".appex",
        b'e' => b".bundle",
        b't' => b".kext",
        b'n' if folder.ends_with(b".plugin") => b".plugin",
        b'n' => b".systemextension",
        _ => return None,
    };
    folder.ends_with(ending).then_some(ending.len())
}

/// Where the executable that has its bundle's own name ends in `rest`, which is inside the bundle.
fn bundle_executable(bundle: &str, rest: &str) -> Option<usize> {
    let after = rest.strip_prefix(EXECUTABLE_FOLDER)?.strip_prefix(bundle)?;
    (!bundle.is_empty() && (after.is_empty() || after.starts_with(' ')))
        .then_some(rest.len() - after.len())
}

/// Where a file's path inside a bundle ends in `rest`, which may go on with arguments.
///
/// Names of several words have a capital letter each (`Citrix Viewer`, `Foo Helper (GPU)`), an argument that begins with
/// a small letter or a dot is none (`run`, `main.js`, `.`). All else is doubtful.
fn file_end(rest: &str) -> Option<usize> {
    let first = first_word(rest);
    if goes_on_with_folder(&rest[first.len()..]) {
        return None;
    }
    let mut end = first.len();
    for word in rest[end..].split(' ').skip(1) {
        let mut characters = word.chars();
        match characters.next() {
            Some(letter) if letter.is_lowercase() || letter == '.' => break,
            Some(letter) if letter == '(' || letter.is_alphabetic() => {
                if !characters.all(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | '(' | ')')) {
                    return None;
                }
            }
            _ => return None,
        }
        end += 1 + word.len();
    }
    let count = |parenthesis: char| rest[..end].matches(parenthesis).count();
    (end > 0 && !rest[..end].ends_with('/') && count('(') == count(')')).then_some(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, expect: (&str, Option<&str>)) {
        let command = Command::read(line).map(|command| (command.name, command.path));
        assert_eq!(command, Ok(expect), "{line}");
    }

    #[test]
    fn commands_that_were_cut() {
        let cut = |line: &'static str| {
            let command = Command::read(line).expect("a command").cut();
            (command.name, command.path, command.bundle)
        };
        assert_eq!(cut("/System/Library/Privat"), (UNKNOWN, None, None));
        assert_eq!(cut("/Applications/Google Chrome.ap"), (UNKNOWN, None, None));
        assert_eq!(
            cut("/Applications/Google Chrome.app/Contents/MacOS/Goog"),
            (UNKNOWN, None, Some("Google Chrome"))
        );
        assert_eq!(cut("/sbin/x -a"), ("x", Some("/sbin/x"), None));
        assert_eq!(cut("/bin/x y"), ("x", Some("/bin/x"), None));
        assert_eq!(cut("-bash"), (UNKNOWN, None, None));
        assert_eq!(cut("(mdworker_sha"), (UNKNOWN, None, None));
        assert_eq!(cut("(mdworker)"), ("mdworker", None, None));
    }

    #[test]
    fn bundles() {
        let check = |path: &str, expect: Option<(&str, &str)>| {
            let bundle = last_bundle(path);
            assert_eq!(
                bundle.map(|bundle| (bundle.name, &path[bundle.end..])),
                expect,
                "{path}"
            );
        };
        for ending in [
            "app",
            "framework",
            "xpc",
            "appex",
            "bundle",
            "plugin",
            "kext",
            "systemextension",
        ] {
            check(
                &format!("/Library/A B.{ending}/Contents/x y"),
                Some(("A B", "Contents/x y")),
            );
            check(&format!("/Library/{ending}/x y"), None);
        }
        check("/A.app/B.framework/c", Some(("B", "c")));
        check("/A.app", None);
        check("A.app/b", Some(("A", "b")));
    }

    #[test]
    fn commands() {
        let powerpoint =
            "/Applications/Microsoft PowerPoint.app/Contents/MacOS/Microsoft PowerPoint";
        check(powerpoint, ("Microsoft PowerPoint", Some(powerpoint)));
        check(
            &format!("{powerpoint} -psn_0_1"),
            ("Microsoft PowerPoint", Some(powerpoint)),
        );
        check(
            &format!("{powerpoint} talk.pptx"),
            ("Microsoft PowerPoint", Some(powerpoint)),
        );
        let helper = "/Applications/Google Chrome.app/Contents/Frameworks/Google Chrome Framework.framework/Versions/130.0/Helpers/Google Chrome Helper (Renderer).app/Contents/MacOS/Google Chrome Helper (Renderer)";
        check(
            &format!("{helper} --type=renderer --lang=de"),
            ("Google Chrome Helper (Renderer)", Some(helper)),
        );
        let code = "/Applications/Visual Studio Code.app/Contents/MacOS/Electron";
        check(code, ("Electron", Some(code)));
        check(
            &format!("{code} --ms-enable-electron-run-as-node"),
            ("Electron", Some(code)),
        );
        let viewer = "/Applications/Citrix Workspace.app/Contents/MacOS/Citrix Viewer";
        check(
            &format!("{viewer} /tmp/x.ica"),
            ("Citrix Viewer", Some(viewer)),
        );
        let nested = "/Applications/A.app/Contents/MacOS/B C.app/Contents/MacOS/B C";
        check(&format!("{nested} x"), ("B C", Some(nested)));
        let dash = "/Applications/Foo - Bar.app/Contents/MacOS/Foo - Bar";
        check(&format!("{dash} -x"), ("Foo - Bar", Some(dash)));
        check(
            "/usr/bin/open /Applications/A.app/Contents/MacOS/A",
            ("open", Some("/usr/bin/open")),
        );
        let support = "/Library/Application Support/Logitech/agent";
        check(&format!("{support} run"), ("agent", Some(support)));
        check(
            "/Library/Application Support/Adobe/Adobe Desktop Common/HEX/helper run",
            (UNKNOWN, None),
        );
        check("/sbin/launchd", ("launchd", Some("/sbin/launchd")));
        check(
            "/usr/libexec/UserEventAgent (System)",
            ("UserEventAgent", Some("/usr/libexec/UserEventAgent")),
        );
        check("-zsh", ("zsh", None));
        check("(Google Chrome He)", ("Google Chrome He", None));
        check("gina: api@shop  ", ("gina", None));
        check("<defunct>", (UNKNOWN, None));
        assert!(Command::read("  ").is_err());
    }

    #[test]
    fn arguments_after_a_file_in_a_bundle() {
        let electron = "/Applications/Visual Studio Code.app/Contents/MacOS/Electron";
        for arguments in [".", "main.js", "run Now", "-x", "/tmp/a b"] {
            check(
                &format!("{electron} {arguments}"),
                ("Electron", Some(electron)),
            );
        }
        for arguments in ["data/x.csv", "Talk.pdf", "2", "~", "Foo (a b"] {
            check(&format!("{electron} {arguments}"), (UNKNOWN, None));
        }
        let helper = "/Applications/Google Chrome.app/Contents/Frameworks/Google Chrome Framework.framework/Versions/130.0/Helpers/chrome_crashpad_handler";
        check(
            &format!("{helper} --monitor-self-annotation=ptype=crashpad-handler"),
            ("chrome_crashpad_handler", Some(helper)),
        );
        let java = "/Library/Java/JavaVirtualMachines/Some jdk.bundle/Contents/Home/bin/java";
        check(&format!("{java} Main"), ("java", Some(java)));
        let docker = "/Applications/Docker.app/Contents/MacOS/com.docker.backend";
        check(
            &format!("{docker} services"),
            ("com.docker.backend", Some(docker)),
        );
        let open = "/usr/bin/open";
        check(
            &format!("{open} Foo.app/Contents/MacOS/Foo"),
            ("open", Some(open)),
        );
        let server = "/Users/ada/server";
        check(
            &format!("{server} http://localhost a=/b"),
            ("server", Some(server)),
        );
        check("/Users/ada/My Tools/server", (UNKNOWN, None));
        check("/Applications/My App.app/ x", (UNKNOWN, None));
        check("/.app/ /x", ("/.app/", None));
    }

    #[test]
    fn a_doubtful_executables_bundle() {
        let bundle = |line| Command::read(line).map(|command| command.bundle);
        let code = "/Applications/Visual Studio Code.app/Contents/Resources/My Data/x";
        assert_eq!(bundle(code), Ok(Some("Visual Studio Code")));
        assert_eq!(bundle("/Users/ada/My Tools/server"), Ok(None));
        assert_eq!(
            bundle("/Applications/Safari.app/Contents/MacOS/Safari"),
            Ok(None)
        );
    }
}
