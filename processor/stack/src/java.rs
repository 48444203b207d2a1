//! The Java that Kafka and the registry run on.
//!
//! Must not know: either of them.

use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::error::StackError;

const OLDEST: u32 = 17;
const QUICK_COMPILER: &str = "-XX:TieredStopAtLevel=1";

/// A Java that is new enough.
#[derive(Debug, Clone)]
pub(crate) struct Java {
    path: PathBuf,
}

impl Java {
    /// Finds `java` in JAVA_HOME, else on the PATH, and checks its version.
    pub(crate) fn find() -> Result<Self, StackError> {
        let path = match env::var_os("JAVA_HOME") {
            Some(home) if !home.is_empty() => PathBuf::from(home).join("bin/java"),
            _ => PathBuf::from("java"),
        };
        let output = Command::new(&path)
            .arg("-version")
            .stdin(Stdio::null())
            .output();
        let output = output.map_err(|_| StackError::ProgramMissing {
            program: format!("Java ({})", path.display()),
            install: "apt-get install openjdk-17-jre-headless",
        })?;
        let text = String::from_utf8_lossy(&output.stderr);
        match version(&text) {
            Some(version) if version >= OLDEST => Ok(Self { path }),
            version => Err(StackError::JavaTooOld {
                path,
                found: version.map_or_else(
                    || format!("of an unknown version ({text})"),
                    |version| version.to_string(),
                ),
            }),
        }
    }

    /// The program.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Options that each of our JVMs gets: no shared files in /tmp, crash reports beside the log.
    pub(crate) fn arguments(&self, log: &Path) -> Vec<OsString> {
        let mut crash = OsString::from("-XX:ErrorFile=");
        crash.push(log.with_extension("crash"));
        vec![
            "-XX:-UsePerfData".into(),
            "-XX:+ExitOnOutOfMemoryError".into(),
            "-Djava.awt.headless=true".into(),
            crash,
        ]
    }

    /// Runs a short Java command to its end.
    pub(crate) fn run(&self, arguments: &[OsString]) -> Result<(), StackError> {
        let mut command = Command::new(&self.path);
        command.args(small("128m", false)).args(arguments);
        run(command)
    }
}

/// Options of a small JVM: its largest heap, the collector that needs fewest threads, and, unless it is to work hard, a
/// compiler that is quick rather than thorough: it is ready in half the time, for half the CPU.
pub(crate) fn small(heap: &str, hard_working: bool) -> Vec<OsString> {
    let mut options = vec![format!("-Xmx{heap}").into(), "-XX:+UseSerialGC".into()];
    if !hard_working {
        options.push(QUICK_COMPILER.into());
    }
    options
}

/// Runs a command to its end and quotes its output if it fails.
pub(crate) fn run(mut command: Command) -> Result<(), StackError> {
    const QUOTED: usize = 4000;
    let name = command.get_program().to_string_lossy().into_owned();
    let words = command
        .get_args()
        .map(|argument| format!(" {}", argument.to_string_lossy()));
    let line = words.fold(name, |line, word| line + &word);
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(StackError::file("run", command.get_program()))?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    let start = text
        .char_indices()
        .rev()
        .nth(QUOTED)
        .map_or(0, |(index, _)| index);
    Err(StackError::CommandFailed {
        command: line,
        status: output.status.to_string(),
        output: text[start..].trim().to_owned(),
    })
}

/// The feature release out of `java -version`: `openjdk version "17.0.15" …`, `java version "1.8.0_401"`.
fn version(text: &str) -> Option<u32> {
    let number = text.split('"').nth(1)?;
    let mut parts = number.split(['.', '-', '_', '+']).map(str::parse);
    match parts.next()?.ok()? {
        1 => parts.next()?.ok(),
        version => Some(version),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        let check = |text: &str, expected| assert_eq!(version(text), expected, "{text}");
        check(
            "openjdk version \"17.0.15\" 2025-04-15\nOpenJDK Runtime",
            Some(17),
        );
        check("openjdk version \"21\" 2023-09-19", Some(21));
        check("openjdk version \"25-ea\" 2025-09-16", Some(25));
        check("java version \"1.8.0_401\"", Some(8));
        check("command not found", None);
    }

    #[test]
    fn a_failing_command_is_quoted() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo why >&2; exit 3"]);
        let text = run(command).expect_err("it fails").to_string();
        assert!(text.contains("exit 3") && text.ends_with("why"), "{text}");
    }
}
