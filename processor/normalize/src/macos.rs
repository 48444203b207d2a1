//! macOS: what start times, states and commands mean in `ps aux` and `ps -ef`.
//!
//! Invariants: argv[0] may hold blanks: inside a bundle (`….app/Contents/MacOS/`) the executable's name is the bundle's
//! own where the text goes on with it, else all up to what looks like an argument. `(name)` stands for a process whose
//! arguments can't be read.

use crate::applications::ApplicationRules;
use crate::columns::{after_slash, executable, macos_state, without_branches};
use crate::listing::{Builder, Listing, Row, RowError};
use crate::ps::{self, Meaning, PsRow};
use crate::time::LocalClock;
use memchr::memmem::Finder;
use rollcall_domain::LineReason;
use std::sync::LazyLock;

/// Between a bundle's name and its executable.
const IN_BUNDLE: &str = ".app/Contents/MacOS/";
static BUNDLE_FINDER: LazyLock<Finder<'static>> =
    LazyLock::new(|| Finder::new(IN_BUNDLE.as_bytes()));

pub(crate) fn parse<'a>(
    text: &'a str,
    builder: Builder<'a>,
    clock: &LocalClock,
    rules: &'a ApplicationRules,
) -> Listing<'a> {
    ps::parse(text, builder, |row| process(row, clock, rules))
}

#[inline]
fn process<'a>(row: PsRow<'a>, clock: &LocalClock, rules: &'a ApplicationRules) -> Row<'a> {
    let command = Command::read(row.command)?;
    let created_at = clock.macos_start(row.start);
    let state = macos_state(row.stat);
    let process = row.process(Meaning {
        created_at,
        state,
        name: command.name,
        path: command.path,
        line: command.line,
    });
    Ok(rules.apply(process, false))
}

/// The last column, taken apart.
struct Command<'a> {
    name: &'a str,
    path: Option<&'a str>,
    /// `None` where a name in parentheses stands for it.
    line: Option<&'a str>,
}

impl<'a> Command<'a> {
    #[inline]
    fn read(rest: &'a str) -> Result<Self, RowError> {
        // A title that a program has set is padded with blanks.
        let line = without_branches(rest).trim_end_matches(' ');
        if let [b'(', _, .., b')'] = line.as_bytes() {
            let name = &line[1..line.len() - 1];
            return Ok(Self {
                name,
                path: None,
                line: None,
            });
        }
        if line.is_empty() {
            return Err(RowError::new(
                LineReason::MissingName,
                "the line has no command",
            ));
        }
        let word = match line.as_bytes()[0] {
            b'/' => argv0(line),
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
        })
    }
}

#[inline]
fn first_word(line: &str) -> &str {
    &line[..memchr::memchr(b' ', line.as_bytes()).unwrap_or(line.len())]
}

/// The path that a command line begins with, which may hold blanks.
#[inline]
fn argv0(line: &str) -> &str {
    let word = first_word(line);
    if word.len() == line.len() {
        return line;
    }
    // Everything up to what can't be part of a path: an argument that begins with `-` or `/`.
    let plausible = &line[..argument_start(line)];
    match bundle_executable(plausible) {
        Some(path) => path,
        None if word.ends_with("/Application") => application_support(line).unwrap_or(word),
        None => word,
    }
}

/// Where ` -x`, ` --x` or ` /x` begins. A lone dash between words (`Foo - Bar.app`) is no argument.
fn argument_start(line: &str) -> usize {
    let bytes = line.as_bytes();
    memchr::memchr_iter(b' ', bytes)
        .find(|&at| match bytes.get(at + 1) {
            Some(b'/') => true,
            Some(b'-') => bytes.get(at + 2).is_some_and(|&next| next != b' '),
            _ => false,
        })
        .unwrap_or(line.len())
}

/// The innermost bundle's executable in `text`, which begins with a path and ends before the first argument that looks
/// like one.
fn bundle_executable(text: &str) -> Option<&str> {
    let at = BUNDLE_FINDER.find_iter(text.as_bytes()).last()?;
    let bundle = after_slash(&text[..at]);
    let start = at + IN_BUNDLE.len();
    let rest = &text[start..];
    let is_bundle = rest
        .strip_prefix(bundle)
        .is_some_and(|after| after.is_empty() || after.starts_with(' '));
    let length = if is_bundle {
        bundle.len()
    } else {
        rest.trim_end_matches(' ').len()
    };
    (length > 0).then(|| &text[..start + length])
}

/// A path below an `Application Support` folder, the one folder of macOS with a blank in its name.
fn application_support(line: &str) -> Option<&str> {
    let at = memchr::memmem::find(line.as_bytes(), b"/Application Support/")?;
    let tail = &line[at + "/Application ".len()..];
    Some(&line[..line.len() - tail.len() + first_word(tail).len()])
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
        check("/sbin/launchd", ("launchd", Some("/sbin/launchd")));
        check(
            "/usr/libexec/UserEventAgent (System)",
            ("UserEventAgent", Some("/usr/libexec/UserEventAgent")),
        );
        check("-zsh", ("zsh", None));
        check("(Google Chrome He)", ("Google Chrome He", None));
        check("gina: api@shop  ", ("gina", None));
        check("<defunct>", ("<defunct>", None));
        assert!(Command::read("  ").is_err());
    }
}
