//! What runs on the fleet: system processes per operating system, and the applications that each faculty prefers.
//!
//! A [`Program`]'s `application` is the canonical name that the pipeline is expected to give it. Those names are
//! written down here by hand: the fleet's expectation must not come from the rules that it is there to test.

mod linux;
mod macos;
mod windows;

use rollcall_domain::Os;

/// What part a program plays on its machine, which decides how long it lives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// A thread of the Linux kernel.
    Kernel,
    /// Runs from boot on.
    Daemon,
    /// Runs while its user is logged in.
    Session,
    /// A user's application.
    Application,
    /// Belongs to an application and ends with it, or before.
    Helper,
    /// A command that ends soon.
    Command,
}

/// A program as one operating system runs it.
#[derive(Debug)]
pub(crate) struct Program {
    /// The executable's file name; of a kernel thread, its name without brackets.
    pub(crate) name: &'static str,
    /// The canonical application name.
    pub(crate) application: &'static str,
    /// The account that runs it; empty: the session's user.
    pub(crate) owner: &'static str,
    /// Full path of the executable; empty where it has none.
    pub(crate) path: &'static str,
    /// Arguments, argv[0] first; empty: the path alone. `{user}`, `{n}` and `{hex}` are filled in.
    pub(crate) arguments: &'static [&'static str],
    /// CPU that it takes while it runs, in millionths of one CPU, on average.
    pub(crate) activity_ppm: u32,
    /// Resident memory in KiB, about.
    pub(crate) resident_kib: i64,
    /// Threads.
    pub(crate) threads: i32,
    /// Its part.
    pub(crate) kind: Kind,
}

impl Program {
    /// A program that takes this much CPU (millionths of one), memory (KiB) and threads.
    const fn new(
        kind: Kind,
        name: &'static str,
        application: &'static str,
        path: &'static str,
        load: (u32, i64, i32),
    ) -> Self {
        Self {
            name,
            application,
            owner: "",
            path,
            arguments: &[],
            activity_ppm: load.0,
            resident_kib: load.1,
            threads: load.2,
            kind,
        }
    }

    const fn owned_by(mut self, owner: &'static str) -> Self {
        self.owner = owner;
        self
    }

    const fn with(mut self, arguments: &'static [&'static str]) -> Self {
        self.arguments = arguments;
        self
    }
}

const fn daemon(
    name: &'static str,
    application: &'static str,
    path: &'static str,
    owner: &'static str,
    load: (u32, i64, i32),
) -> Program {
    Program::new(Kind::Daemon, name, application, path, load).owned_by(owner)
}

const fn session(
    name: &'static str,
    application: &'static str,
    path: &'static str,
    load: (u32, i64, i32),
) -> Program {
    Program::new(Kind::Session, name, application, path, load)
}

const fn main(
    name: &'static str,
    application: &'static str,
    path: &'static str,
    load: (u32, i64, i32),
) -> Program {
    Program::new(Kind::Application, name, application, path, load)
}

const fn helper(
    name: &'static str,
    application: &'static str,
    path: &'static str,
    load: (u32, i64, i32),
) -> Program {
    Program::new(Kind::Helper, name, application, path, load)
}

const fn command(
    name: &'static str,
    application: &'static str,
    path: &'static str,
    load: (u32, i64, i32),
) -> Program {
    Program::new(Kind::Command, name, application, path, load)
}

/// An application as one operating system runs it: a main process and some helpers.
#[derive(Debug)]
pub(crate) struct Suite {
    /// Canonical name of the application, by which faculties prefer it.
    pub(crate) application: &'static str,
    /// The first process.
    pub(crate) main: Program,
    /// What helpers are drawn from.
    pub(crate) helpers: &'static [Program],
    /// How many helpers, at least and at most.
    pub(crate) helper_count: (i64, i64),
    /// The main window's title.
    pub(crate) title: &'static str,
}

const fn suite(
    title: &'static str,
    main: Program,
    helpers: &'static [Program],
    helper_count: (i64, i64),
) -> Suite {
    Suite {
        application: main.application,
        main,
        helpers,
        helper_count,
        title,
    }
}

/// What runs on every machine of `os`, in starting order.
pub(crate) fn daemons(os: Os) -> &'static [Program] {
    match os {
        Os::Linux => linux::DAEMONS,
        Os::Macos => macos::DAEMONS,
        Os::Windows => windows::DAEMONS,
    }
}

/// What runs for each user who is logged in.
pub(crate) fn session_programs(os: Os) -> &'static [Program] {
    match os {
        Os::Linux => linux::SESSION,
        Os::Macos => macos::SESSION,
        Os::Windows => windows::SESSION,
    }
}

/// Commands that come and go.
pub(crate) fn commands(os: Os) -> &'static [Program] {
    match os {
        Os::Linux => linux::COMMANDS,
        Os::Macos => macos::COMMANDS,
        Os::Windows => windows::COMMANDS,
    }
}

/// The applications that exist for `os`.
pub(crate) fn suites(os: Os) -> &'static [Suite] {
    match os {
        Os::Linux => linux::SUITES,
        Os::Macos => macos::SUITES,
        Os::Windows => windows::SUITES,
    }
}

/// Applications with weights.
type Preferences = &'static [(&'static str, u32)];

const OFFICE: Preferences = &[
    ("word", 30),
    ("edge", 24),
    ("outlook", 14),
    ("teams", 10),
    ("chrome", 8),
    ("excel", 5),
    ("acrobat", 8),
    ("libreoffice", 14),
    ("safari", 6),
    ("firefox", 5),
];
const CLINICAL: Preferences = &[
    ("chrome", 24),
    ("outlook", 14),
    ("powerpoint", 14),
    ("zoom", 10),
    ("excel", 8),
    ("r", 6),
    ("rstudio", 8),
    ("acrobat", 8),
    ("firefox", 5),
    ("safari", 6),
    ("libreoffice", 5),
];
const EXACT: Preferences = &[
    ("python", 26),
    ("matlab", 24),
    ("firefox", 16),
    ("vscode", 10),
    ("chrome", 8),
    ("zoom", 4),
    ("slack", 4),
    ("thunderbird", 6),
    ("safari", 3),
];
const CREATIVE: Preferences = &[
    ("safari", 20),
    ("photoshop", 18),
    ("firefox", 14),
    ("gimp", 10),
    ("spotify", 10),
    ("word", 8),
    ("chrome", 8),
    ("zoom", 6),
    ("libreoffice", 6),
];
const COUNTING: Preferences = &[
    ("excel", 28),
    ("rstudio", 14),
    ("chrome", 14),
    ("edge", 10),
    ("powerpoint", 10),
    ("teams", 8),
    ("r", 8),
    ("python", 6),
    ("libreoffice", 10),
];
const BUILDING: Preferences = &[
    ("matlab", 22),
    ("vscode", 16),
    ("java", 14),
    ("chrome", 12),
    ("teams", 8),
    ("python", 8),
    ("slack", 4),
    ("firefox", 6),
    ("excel", 6),
];
const CODING: Preferences = &[
    ("vscode", 26),
    ("chrome", 16),
    ("node", 14),
    ("java", 12),
    ("python", 12),
    ("slack", 10),
    ("firefox", 10),
    ("zoom", 4),
];
const READING: Preferences = &[
    ("firefox", 22),
    ("word", 20),
    ("zotero", 14),
    ("thunderbird", 8),
    ("chrome", 10),
    ("acrobat", 8),
    ("zoom", 6),
    ("libreoffice", 12),
    ("safari", 6),
];

/// What the members of the faculty with this index like to use. Not all of it exists on every operating system.
pub(crate) fn preferences(faculty: Option<usize>) -> Preferences {
    match faculty.map(|index| crate::people::FACULTIES[index % crate::people::FACULTIES.len()]) {
        Some("law" | "theology" | "political science") => OFFICE,
        Some("medicine" | "psychology" | "pharmacy" | "dentistry") => CLINICAL,
        Some("physics" | "mathematics" | "chemistry") => EXACT,
        Some("arts" | "music" | "architecture") => CREATIVE,
        Some("economics" | "sociology" | "agriculture" | "biology" | "geography") => COUNTING,
        Some("engineering") => BUILDING,
        Some("computer science") => CODING,
        _ => READING,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn programs(os: Os) -> Vec<&'static Program> {
        let suites = suites(os)
            .iter()
            .flat_map(|suite| suite.helpers.iter().chain([&suite.main]));
        daemons(os)
            .iter()
            .chain(session_programs(os))
            .chain(commands(os))
            .chain(suites)
            .collect()
    }

    #[test]
    fn paths_and_arguments_name_the_executable() {
        for os in [Os::Linux, Os::Macos] {
            for program in programs(os).into_iter().filter(|p| p.kind != Kind::Kernel) {
                let file = program.path.rsplit('/').next();
                assert_eq!(file, Some(program.name), "{program:?}");
                if let Some(argv0) = program.arguments.first() {
                    let word = argv0
                        .trim_start_matches('-')
                        .split(": ")
                        .next()
                        .unwrap_or("");
                    let shown = word.rsplit('/').next();
                    assert_eq!(shown, Some(program.name), "{program:?}");
                }
            }
        }
        for program in programs(Os::Windows) {
            assert!(
                program.path.is_empty() || program.path.ends_with(program.name),
                "{program:?}"
            );
        }
    }

    #[test]
    fn no_two_windows_names_look_alike_when_cut() {
        let mut names: Vec<_> = programs(Os::Windows)
            .iter()
            .map(|program| program.name)
            .collect();
        names.sort_unstable();
        names.dedup();
        let whole = names.len();
        names.dedup_by_key(|name| &name[..name.len().min(25)]);
        assert_eq!(names.len(), whole);
        assert!(names.iter().any(|name| name.len() > 25));
    }

    #[test]
    fn every_faculty_finds_most_of_its_applications() {
        for faculty in 0..crate::people::FACULTIES.len() {
            for os in Os::ALL {
                let there: u32 = preferences(Some(faculty))
                    .iter()
                    .filter(|(name, _)| suites(os).iter().any(|suite| suite.application == *name))
                    .map(|(_, weight)| weight)
                    .sum();
                assert!(there >= 25, "{faculty} on {os:?}");
            }
        }
    }
}
