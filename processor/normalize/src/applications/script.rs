//! What an interpreter runs, read off its arguments.
//!
//! Each interpreter's options are known from a table in the rules. What is not known for certain is `None`: an option that
//! no table has may take the next word, and on a line of Linux or macOS a word may be the first piece of a file's name.

use super::words::{Arguments, Words, may_go_on_path};
use serde::Deserialize;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// An interpreter as the rules file has it. In options, `*` at the end stands for anything.
#[derive(Clone, Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct InterpreterFile {
    /// Names of executables.
    pub(super) names: Vec<String>,
    /// What the first word that is no option is.
    pub(super) runs: Runs,
    /// Endings of scripts' names.
    pub(super) endings: Vec<String>,
    /// Whether a word without such an ending is no script.
    pub(super) only_endings: bool,
    /// Options before a script's file.
    pub(super) files: Vec<String>,
    /// Options before the name of a module or class.
    pub(super) modules: Vec<String>,
    /// Options after which nothing is a script, as before code.
    pub(super) code: Vec<String>,
    /// Options that take the next word.
    pub(super) values: Vec<String>,
    /// Options that stand alone.
    pub(super) flags: Vec<String>,
    /// Words that may stand before the script.
    pub(super) commands: Vec<String>,
    /// Whether `-ab` means `-a -b`.
    pub(super) bundles: bool,
    /// Whether options may be in capitals.
    pub(super) ignore_case: bool,
}

impl InterpreterFile {
    /// Its options by the names of their lists.
    pub(super) fn options(&self) -> [(&'static str, &Vec<String>); 6] {
        [
            ("files", &self.files),
            ("modules", &self.modules),
            ("code", &self.code),
            ("values", &self.values),
            ("flags", &self.flags),
            ("commands", &self.commands),
        ]
    }
}

/// What the first word that is no option is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Runs {
    /// A script's file.
    #[default]
    File,
    /// A class.
    Class,
    /// No script.
    Nothing,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Meaning {
    File,
    Module,
    Code,
    Value,
    Flag,
    Command,
}

/// An interpreter's options.
#[derive(Clone, Debug)]
pub(super) struct Interpreter {
    runs: Runs,
    endings: Vec<Box<str>>,
    only_endings: bool,
    exact: BTreeMap<Box<str>, Meaning>,
    /// What stands before `*`.
    beginnings: Vec<(Box<str>, Meaning)>,
    bundles: bool,
    ignore_case: bool,
}

/// How an option goes on.
enum Found {
    Means(Meaning),
    /// Its value is joined to it, and begins at this byte.
    Joined(Meaning, usize),
    Unknown,
}

impl Interpreter {
    pub(super) fn new(file: &InterpreterFile) -> Self {
        let meanings = [
            Meaning::File,
            Meaning::Module,
            Meaning::Code,
            Meaning::Value,
            Meaning::Flag,
            Meaning::Command,
        ];
        let mut exact = BTreeMap::new();
        let mut beginnings = Vec::new();
        let words = file
            .options()
            .into_iter()
            .zip(meanings)
            .flat_map(|((_, words), meaning)| words.iter().map(move |word| (word, meaning)));
        for (word, meaning) in words {
            let word = match file.ignore_case {
                true => Cow::Owned(word.to_ascii_lowercase()),
                false => Cow::Borrowed(word.as_str()),
            };
            match word.strip_suffix('*') {
                Some(start) => beginnings.push((start.into(), meaning)),
                None => {
                    exact.insert((*word).into(), meaning);
                }
            }
        }
        Self {
            runs: file.runs,
            endings: file.endings.iter().map(|end| end.as_str().into()).collect(),
            only_endings: file.only_endings,
            exact,
            beginnings,
            bundles: file.bundles,
            ignore_case: file.ignore_case,
        }
    }

    /// The script among these arguments, where it is certain.
    pub(super) fn script<'l>(
        &self,
        arguments: Arguments<'l, 'l>,
        name: &str,
        path: Option<&str>,
    ) -> Option<Cow<'l, str>> {
        let mut words = Words::after_program(arguments, name, path)?;
        let mut options_end = false;
        // Whether the word before may be a path that goes on after a blank.
        let mut may_go_on = false;
        loop {
            let word = words.next()?;
            if may_go_on && may_go_on_path(&word) && (word.contains('/') || self.has_ending(&word))
            {
                return None;
            }
            may_go_on = false;
            if options_end {
                return self.first(word, &words);
            }
            match self.option(&word) {
                Found::Means(Meaning::Flag | Meaning::Command)
                | Found::Joined(Meaning::Flag | Meaning::Value | Meaning::Command, _) => {
                    may_go_on = !words.are_certain() && ends_with_folder(&word);
                }
                Found::Means(Meaning::Value) => {
                    let value = words.next()?;
                    may_go_on = !words.are_certain() && ends_with_folder(&value);
                }
                Found::Means(Meaning::File) => {
                    let word = words.next()?;
                    return self.file(word, &words);
                }
                Found::Joined(Meaning::File, at) => return self.file(tail(word, at), &words),
                Found::Means(Meaning::Module) => return module(words.next()?),
                Found::Joined(Meaning::Module, at) => return module(tail(word, at)),
                Found::Means(Meaning::Code) | Found::Joined(Meaning::Code, _) => return None,
                Found::Unknown if word == "--" => options_end = true,
                Found::Unknown if word.starts_with('-') => return None,
                Found::Unknown => return self.first(word, &words),
            }
        }
    }

    fn option(&self, word: &str) -> Found {
        let folded = match self.ignore_case {
            true => Cow::Owned(word.to_ascii_lowercase()),
            false => Cow::Borrowed(word),
        };
        if let Some(meaning) = self.exact.get(&*folded) {
            return Found::Means(*meaning);
        }
        if self.bundles && word.len() > 2 && word.starts_with('-') && !word.starts_with("--") {
            return self.bundle(word);
        }
        let beginning = self
            .beginnings
            .iter()
            .find(|(start, _)| folded.starts_with(&**start));
        match beginning {
            Some((start, Meaning::File)) => {
                return Found::Joined(Meaning::File, start.len());
            }
            Some((_, meaning)) => return Found::Means(*meaning),
            None => {}
        }
        // With a value of its own, it takes no other word, whatever it means.
        match word.split_once('=') {
            Some((option, _)) if option.starts_with("--") && option.len() > 2 => {
                let meaning = self.exact.get(&folded[..option.len()]);
                Found::Joined(meaning.copied().unwrap_or(Meaning::Flag), option.len() + 1)
            }
            _ => Found::Unknown,
        }
    }

    /// `-uB`: one letter after another, until one takes the rest.
    fn bundle(&self, word: &str) -> Found {
        for (at, letter) in word.char_indices().skip(1) {
            let rest = at + letter.len_utf8();
            let mut option = [0; 5];
            option[0] = b'-';
            let end = 1 + letter.encode_utf8(&mut option[1..]).len();
            let Ok(option) = std::str::from_utf8(&option[..end]) else {
                return Found::Unknown;
            };
            let takes_rest = self.beginnings.iter().find(|(start, _)| **start == *option);
            match (self.exact.get(option), takes_rest) {
                (Some(Meaning::Flag), _) => {}
                (Some(meaning), _) if rest == word.len() => return Found::Means(*meaning),
                (Some(meaning), _) => return Found::Joined(*meaning, rest),
                (None, Some((_, meaning))) => return Found::Joined(*meaning, rest),
                (None, None) => return Found::Unknown,
            }
        }
        Found::Means(Meaning::Flag)
    }

    /// The first word that is no option.
    fn first<'l>(&self, word: Cow<'l, str>, rest: &Words<'l>) -> Option<Cow<'l, str>> {
        match self.runs {
            Runs::File => self.file(word, rest),
            Runs::Class if self.has_ending(&word) => self.file(word, rest),
            Runs::Class => class(word, rest),
            Runs::Nothing => None,
        }
    }

    /// The name of a script's file. On a line of Unix, it may go on after a blank, unless it has the ending of one, nothing
    /// follows, or it lies where commands do.
    fn file<'l>(&self, word: Cow<'l, str>, rest: &Words<'l>) -> Option<Cow<'l, str>> {
        let has_ending = self.has_ending(&word);
        let (folder, start) = match rest.are_of_windows() {
            true => folder_of(&word, &['/', '\\']),
            false => folder_of(&word, &['/']),
        };
        let whole = has_ending
            || rest.are_certain()
            || rest.is_empty()
            || (matches!(folder, "bin" | "sbin" | "libexec") && !rest.go_on_with_path());
        // A title of a process, as `node (vitest)`.
        let is_title = word.starts_with('(');
        if is_title
            || start == word.len()
            || word == "-"
            || !whole
            || (self.only_endings && !has_ending)
        {
            return None;
        }
        Some(tail(word, start))
    }

    fn has_ending(&self, word: &str) -> bool {
        self.endings.iter().any(|ending| {
            let at = word.len().checked_sub(ending.len());
            at.and_then(|at| word.get(at..))
                .is_some_and(|end| end.eq_ignore_ascii_case(ending))
        })
    }
}

/// Whether a word has a path whose last piece has no ending, as `/opt/My` of `/opt/My App`, or `-javaagent:/opt/New`.
fn ends_with_folder(word: &str) -> bool {
    let path = word.find('/').filter(|at| {
        let before = &word[..*at];
        let is_letter = before.len() == 2 && before.starts_with('-');
        before.is_empty() || before.ends_with([':', '=']) || is_letter
    });
    path.is_some() && !word.rsplit('/').next().unwrap_or_default().contains('.')
}

/// The name of the folder that a file lies in, and where the file's own name begins.
fn folder_of<'w>(word: &'w str, separators: &[char]) -> (&'w str, usize) {
    let Some(at) = word.rfind(separators) else {
        return ("", 0);
    };
    let folder = word[..at].rsplit(separators).next().unwrap_or_default();
    (folder, at + 1)
}

fn tail(word: Cow<'_, str>, at: usize) -> Cow<'_, str> {
    match word {
        Cow::Borrowed(word) => Cow::Borrowed(&word[at..]),
        Cow::Owned(word) if at == 0 => Cow::Owned(word),
        Cow::Owned(word) => Cow::Owned(word[at..].to_owned()),
    }
}

/// The name of a module, as `http.server` or `my.module/com.acme.Main`: it has no blanks.
fn module(word: Cow<'_, str>) -> Option<Cow<'_, str>> {
    (!word.is_empty() && !word.starts_with('-') && !word.contains(char::is_whitespace))
        .then_some(word)
}

/// A class. On a line of Unix the word may be a piece of a value with blanks: then only a name with a package and a
/// capital, as `com.acme.Main`, is sure to be one.
fn class<'l>(word: Cow<'l, str>, rest: &Words<'l>) -> Option<Cow<'l, str>> {
    let is_identifier = |piece: &str| {
        let mut chars = piece.chars();
        let first = chars.next();
        first.is_some_and(|c| c.is_alphabetic() || matches!(c, '_' | '$'))
            && chars.all(|c| c.is_alphanumeric() || matches!(c, '_' | '$'))
    };
    let own = match word.rsplit_once('.') {
        Some((_, own)) => own.starts_with(char::is_uppercase),
        None => rest.are_certain(),
    };
    let is_class = word.split('.').all(is_identifier);
    (is_class && (own || rest.are_certain())).then_some(word)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ApplicationRules;
    use rollcall_domain::Process;

    fn process<'a>(name: &'a str, line: Option<&'a str>) -> Process<'a> {
        Process {
            pid: 1,
            parent_pid: None,
            created_at: None,
            executable_name: Cow::Borrowed(name),
            executable_path: None,
            command_line: line.map(Cow::Borrowed),
            owner: None,
            state: None,
            cpu_time_us: None,
            memory_usage_bytes: None,
            memory_virtual_bytes: None,
            thread_count: None,
            application: Cow::Borrowed(""),
            script: None,
        }
    }

    /// A line of Linux or macOS, whose first word is the program.
    #[track_caller]
    fn check(line: &str, expect: Option<&str>) {
        let rules = ApplicationRules::builtin();
        let word = line.split(' ').next().expect("a word");
        let name = word.rsplit('/').next().expect("a name");
        let path = word.starts_with('/').then_some(word);
        let read = rules.runs(name, path, Some(line));
        assert_eq!(read.script, expect, "{line}");
    }

    #[track_caller]
    fn check_windows(name: &str, line: &str, expect: Option<&str>) {
        let rules = ApplicationRules::builtin();
        let mut read = process(name, Some(line));
        rules.apply_windows(&mut read);
        assert_eq!(read.script.as_deref(), expect, "{line}");
    }

    #[track_caller]
    fn check_arguments(name: &str, arguments: &[&'static str], expect: Option<&str>) {
        let rules = ApplicationRules::builtin();
        let arguments: Vec<_> = arguments.iter().map(|word| Cow::Borrowed(*word)).collect();
        let mut read = process(name, None);
        rules.apply_arguments(&mut read, false, &arguments);
        assert_eq!(read.script.as_deref(), expect, "{arguments:?}");
    }

    #[test]
    fn python() {
        check("python3 -u -m http.server 8000", Some("http.server"));
        check("python3 -mhttp.server", Some("http.server"));
        check(
            "/usr/bin/python3.11 -uB /opt/x/script.py a b",
            Some("script.py"),
        );
        check(
            "/usr/bin/python3 /usr/bin/networkd-dispatcher --run",
            Some("networkd-dispatcher"),
        );
        check("/usr/bin/python3 -Es /usr/sbin/tuned -l -P", Some("tuned"));
        check("python3 -W ignore -X dev x.py", Some("x.py"));
        check("python3 -Wignore x.py", Some("x.py"));
        check("python3 manage", Some("manage"));
        check("python3 -- -x.py", Some("-x.py"));
        check("python3 -c import x.py", None);
        check("python3 -uc import x.py", None);
        check("python3 -", None);
        check("python3", None);
        check("python3 -Z x.py", None);
        check("python3 --unknown x.py", None);
        check("python3 --unknown=x x.py", Some("x.py"));
        check("python3 /opt/", None);
    }

    #[test]
    fn what_a_blank_may_have_cut_is_not_told() {
        check("python3 /home/ada/My Scripts/run.py", None);
        check("python3 /home/ada/tool serve", None);
        check("java -jar /opt/My App/app.jar", None);
        check("java -cp /opt/My App/lib/* com.acme.Main", None);
        check("java -Dtitle=My App -jar x.jar", None);
        check("java -Dfile=My file.txt -jar x.jar", None);
        check_arguments(
            "python3.11",
            &["python3", "/home/ada/My Scripts/run"],
            Some("run"),
        );
        check_arguments(
            "java",
            &["java", "-Dtitle=My App", "-jar", "/opt/My App/app"],
            Some("app"),
        );
    }

    #[test]
    fn values_with_blanks_are_not_told_from_scripts() {
        check(
            "/bin/bash --rcfile /Applications/IntelliJ IDEA.app/Contents/x/bash-integration.bash -i",
            None,
        );
        check("bash --rcfile /etc/bashrc /srv/x.sh", Some("x.sh"));
        check("java -cp /opt/My App/lib/app.jar com.acme.Main", None);
        check("java -cp /opt/lib/* com.acme.Main", Some("com.acme.Main"));
        check(
            "java -javaagent:/opt/New Relic/newrelic.jar -jar app.jar",
            None,
        );
        check("java -javaagent:/opt/a.jar -jar app.jar", Some("app.jar"));
        check("java -Dlog=/var/log -jar lib/app.jar", Some("app.jar"));
        check("node --require /home/ada/My Tools/hook.js server.js", None);
        check(
            "node --require /home/ada/hook.js server.js",
            Some("server.js"),
        );
        check("perl -I /Users/ada/My Lib/x.pm /Users/ada/run.pl", None);
        check("perl -I/Users/ada/My Lib/x.pm /Users/ada/run.pl", None);
        check("python3 -u /home/ada/bin/My Tool/run.py", None);
        check("python3 -u /home/ada/bin/tool /home/ada/x", Some("tool"));
    }

    #[test]
    fn titles_are_no_scripts() {
        check("node (vitest)", None);
        check("zsh (figterm)", None);
        check("python3 /srv/(x)", Some("(x)"));
    }

    #[test]
    fn java() {
        check(
            "java -Xmx1g -cp /a.jar:/b.jar com.acme.Main x",
            Some("com.acme.Main"),
        );
        check(
            "/usr/lib/jvm/bin/java -Xmx1g -Da=b -jar /srv/app.jar --port=1",
            Some("app.jar"),
        );
        check(
            "java --add-opens java.base/java.lang=ALL-UNNAMED -m a.b/c.D",
            Some("a.b/c.D"),
        );
        check("java --module-path=/x --module a.b/c.D", Some("a.b/c.D"));
        check("java Main", None);
        check("java -version", None);
        check(
            "java -jar /usr/share/jenkins.war --port=1",
            Some("jenkins.war"),
        );
        check("java @options com.acme.Main", None);
        check("java -Xshare:auto -XX:+UseG1GC Foo.java", Some("Foo.java"));
        check_arguments("java", &["java", "Main", "x"], Some("Main"));
        check_arguments("java", &["java", "not a class"], None);
    }

    #[test]
    fn node_and_its_like() {
        check("node --inspect server.js", Some("server.js"));
        check(
            "/usr/bin/node --max-old-space-size=4096 -r ts-node/register /srv/app.ts",
            Some("app.ts"),
        );
        check(
            "node --require ./x.js /home/ada/.nvm/bin/npm run x",
            Some("npm"),
        );
        check("node inspect app.js", Some("app.js"));
        check("node --eval 1 x.js", None);
        check("node --eval=1 x.js", None);
        check("node --never-heard-of x.js", None);
        check("npm start", None);
        check(
            "deno run --allow-net -A https://deno.land/std/http/file_server.ts",
            Some("file_server.ts"),
        );
        check("deno task x", None);
        check("bun run dev", None);
        check("bun --watch x.tsx", Some("x.tsx"));
    }

    #[test]
    fn shells() {
        check("bash -c ./x.sh", None);
        check("bash -lc ./x.sh", None);
        check("/bin/bash -euo pipefail ./x.sh a", Some("x.sh"));
        check("/bin/sh /usr/sbin/service x start", Some("service"));
        check("sh -x /etc/init.d/x start", None);
        check("-bash", None);
        check("bash", None);
        check("fish -C true x.fish", Some("x.fish"));
    }

    #[test]
    fn others() {
        check("/usr/bin/perl -wT -I/x /srv/a.pl", Some("a.pl"));
        check("perl -lne print x.pl", None);
        check("perl -Mstrict -i.bak -pe s/a/b/ x.pl", None);
        check("ruby -I lib -rx bin/rails server", Some("rails"));
        check("php -d a=b artisan", Some("artisan"));
        check("php -S 0.0.0.0:80 router.php", Some("router.php"));
        check("php-fpm: pool www", None);
        check("Rscript --vanilla /x/fit.R 1", Some("fit.R"));
        check(
            "/usr/lib/R/bin/exec/R --no-echo --no-restore --file=/x/fit.R --args 1",
            Some("fit.R"),
        );
        check("R --no-save", None);
        check("julia -t 4 --project=x -O3 run.jl", Some("run.jl"));
        check("lua5.4 x.lua", Some("x.lua"));
        check(
            "dotnet exec --runtimeconfig x.json /srv/App.dll a",
            Some("App.dll"),
        );
        check("dotnet run", None);
        check("mono --debug /x/App.exe", Some("App.exe"));
        check("firefox script.py", None);
    }

    #[test]
    fn lines_of_windows() {
        check_windows(
            "python.exe",
            r#""C:\Program Files\Python\python.exe" "C:\My Scripts\run.py" x"#,
            Some("run.py"),
        );
        check_windows("pythonw.exe", r"pythonw -m idlelib", Some("idlelib"));
        check_windows("py.exe", r"py -3.11 -u C:\x\run", Some("run"));
        check_windows(
            "java.exe",
            r#"java -cp "C:\My App\a.jar" Main"#,
            Some("Main"),
        );
        check_windows(
            "node.exe",
            r#""C:\nodejs\node.exe" "a\"b\x.js""#,
            Some("x.js"),
        );
        check_windows(
            "powershell.exe",
            r#"powershell.exe -NoProfile -ExecutionPolicy Bypass -File "C:\x y\z.ps1" -a"#,
            Some("z.ps1"),
        );
        check_windows(
            "powershell.exe",
            r"powershell -nop -ep bypass -f z.ps1",
            Some("z.ps1"),
        );
        check_windows("powershell.exe", r"powershell -Command .\z.ps1", None);
        check_windows("powershell.exe", r"powershell -enc AAAA z.ps1", None);
        check_windows("powershell.exe", r"powershell .\z.ps1", None);
        check_windows("pwsh.exe", r"pwsh .\z.ps1", Some("z.ps1"));
        check_windows(
            "cscript.exe",
            r"cscript //nologo \\server\x\logon.vbs",
            Some("logon.vbs"),
        );
        check_windows("python.exe", "other.exe run.py", None);
    }

    #[test]
    fn arguments_on_their_own() {
        check_arguments(
            "python3.11",
            &["python3", "-m", "http.server", "80"],
            Some("http.server"),
        );
        check_arguments("node", &["node", "", "x.js"], None);
        check_arguments("node", &[], None);
    }
}
