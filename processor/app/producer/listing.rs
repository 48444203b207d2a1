//! Runs the operating system's own tool for listing processes, as anyone would type it.
//!
//! Its output is passed on byte by byte; what the bytes mean is NORMALIZE's to say.

use super::link::ProducerError;
use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// How long the tool may take: a process that hangs in the kernel can hang whoever looks at it.
const TIMEOUT: Duration = Duration::from_secs(30);
const STEP: Duration = Duration::from_millis(10);

/// Variables that change what `ps` prints; [`LOCALE`] is set after they are gone.
const CHANGES_PS: [&str; 9] = [
    "PS_FORMAT",
    "PS_PERSONALITY",
    "CMD_ENV",
    "I_WANT_A_BROKEN_PS",
    "COLUMNS",
    "LC_ALL",
    "LC_CTYPE",
    "LC_NUMERIC",
    "LC_TIME",
];

/// The language that the tool prints in: English dates and numbers, and characters as they are. In the plain `C` locale
/// `ps` of Linux prints `?` for each byte of what is not ASCII. macOS has no `C.UTF-8`, and `LC_ALL` would override the
/// others; `tasklist` has no such variables.
const LOCALE: &[(&str, &str)] = if cfg!(target_os = "macos") {
    &[
        ("LC_CTYPE", "en_US.UTF-8"),
        ("LC_NUMERIC", "C"),
        ("LC_TIME", "C"),
    ]
} else if cfg!(windows) {
    &[]
} else {
    &[("LC_ALL", "C.UTF-8")]
};

/// A tool and its arguments.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Tool {
    /// As one would type it; also what the snapshot says.
    pub(super) command: &'static str,
    /// What to do where it is missing.
    pub(super) remedy: &'static str,
}

/// This operating system's tool.
pub(super) const TOOL: Tool = if cfg!(windows) {
    Tool {
        command: "tasklist /v /fo csv",
        remedy: "the agent needs tasklist, which is part of Windows",
    }
} else {
    Tool {
        command: "ps auxww",
        remedy: "install procps (Debian, Ubuntu: apt-get install procps)",
    }
};

impl Tool {
    /// Its output.
    ///
    /// # Errors
    /// If it is missing, takes too long, or fails.
    pub(super) fn run(self) -> Result<Vec<u8>, ProducerError> {
        let mut words = self.command.split(' ');
        let mut command = Command::new(words.next().unwrap_or_default());
        command
            .args(words)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        for name in CHANGES_PS {
            command.env_remove(name);
        }
        command.envs(LOCALE.iter().copied());
        let child = command.spawn().map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => {
                self.wrong(format!("it is not installed; {}", self.remedy))
            }
            _ => self.wrong(error.to_string()),
        })?;
        self.output(child)
    }

    fn output(self, mut child: Child) -> Result<Vec<u8>, ProducerError> {
        let Some(mut pipe) = child.stdout.take() else {
            return Err(self.wrong("it has no standard output".to_owned()));
        };
        // A pipe that is not read would stop the tool once it is full.
        let reader = std::thread::spawn(move || {
            let mut output = Vec::with_capacity(64 * 1024);
            pipe.read_to_end(&mut output).map(|_| output)
        });
        let mut waited = Duration::ZERO;
        let status = loop {
            match child
                .try_wait()
                .map_err(|error| self.wrong(error.to_string()))?
            {
                Some(status) => break status,
                None if waited >= TIMEOUT => {
                    let _ = child.kill();
                    let _ = child.wait();
                    let seconds = TIMEOUT.as_secs();
                    return Err(self.wrong(format!("it did not end within {seconds} s")));
                }
                None => std::thread::sleep(STEP),
            }
            waited += STEP;
        };
        let output = reader
            .join()
            .map_err(|_| self.wrong("its reader panicked".to_owned()))?
            .map_err(|error| self.wrong(error.to_string()))?;
        if status.success() {
            Ok(output)
        } else {
            Err(self.wrong(format!("it ended with {status}")))
        }
    }

    fn wrong(self, detail: String) -> ProducerError {
        ProducerError::Tool {
            command: self.command,
            detail,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(command: &'static str, expect: Result<&str, &str>) {
        let tool = Tool {
            command,
            remedy: "install it",
        };
        let said = tool.run().map_err(|error| error.to_string());
        let said = said.map(|output| String::from_utf8_lossy(&output).into_owned());
        assert_eq!(said.as_deref().map_err(|error| error.as_str()), expect);
    }

    #[test]
    fn output_comes_as_it_is_printed() {
        check("printf a\\tb\\n", Ok("a\tb\n"));
    }

    #[test]
    fn what_goes_wrong_is_said() {
        check(
            "no-such-tool -x",
            Err("no-such-tool -x can't be run: it is not installed; install it"),
        );
        check(
            "false",
            Err("false can't be run: it ended with exit status: 1"),
        );
    }

    /// A child that does nothing, ended when it goes out of scope.
    #[cfg(unix)]
    struct Idler(Child);

    #[cfg(unix)]
    impl Drop for Idler {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    #[cfg(unix)]
    #[test]
    fn names_that_are_not_ascii_are_printed_as_they_are() {
        use std::os::unix::process::CommandExt;
        let name = "jörg-日本-ż";
        let idler = Command::new("sleep").arg0(name).arg("600").spawn();
        let idler = Idler(idler.expect("sleep"));
        let output = TOOL.run().expect("a listing");
        let output = String::from_utf8_lossy(&output);
        let pid = idler.0.id().to_string();
        let line = output
            .lines()
            .find(|line| line.split_whitespace().nth(1) == Some(&pid))
            .expect("the child's line");
        assert!(line.ends_with(&format!(" {name} 600")), "{line}");
    }

    #[test]
    fn the_environment_does_not_change_the_form() {
        let output = TOOL.run().expect("a listing");
        let first = output.split(|byte| *byte == b'\n').next().expect("a line");
        assert!(
            first.starts_with(b"USER "),
            "{:?}",
            String::from_utf8_lossy(first)
        );
    }
}
