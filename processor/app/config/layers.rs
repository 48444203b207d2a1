//! What the file and secrets' files say, checked against the catalogue, and laid under the command line.

use super::catalogue::{CONFIG_VARIABLE, Catalogue, Setting};
use super::nearest::nearest;
use clap::Command;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// Variables of our prefix that are no settings of this program.
const FOREIGN: [&str; 2] = ["ROLLCALL_STACK_ARTIFACTS", "ROLLCALL_STACK_KEEP"];
/// Our prefix.
const PREFIX: &str = "ROLLCALL_";

/// Why settings can't be read.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file can't be read.
    #[error("{what} {path} can't be read: {cause}")]
    Unreadable {
        /// Which file it is.
        what: String,
        /// Its path.
        path: String,
        /// Why.
        cause: String,
    },
    /// It is not TOML.
    #[error("the settings file {path} is not TOML: {detail}")]
    NotToml {
        /// Its path.
        path: String,
        /// Where and why.
        detail: String,
    },
    /// It has a key that means nothing.
    #[error(
        "the settings file {path} has an unknown key {key:?}; did you mean {nearest:?}? `rollcall config --describe` lists all"
    )]
    UnknownKey {
        /// Its path.
        path: String,
        /// The key.
        key: String,
        /// What may be meant.
        nearest: String,
    },
    /// A value is of a kind that no setting has.
    #[error("setting {key} in {path} is wrong; allowed is {allowed}")]
    WrongKind {
        /// Its path.
        path: String,
        /// The key.
        key: String,
        /// What is allowed.
        allowed: String,
    },
    /// A secret is given twice.
    #[error("only one of {variable} and {variable}_FILE may be set")]
    Twice {
        /// The variable.
        variable: String,
    },
}

/// A value and where it comes from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Layered {
    /// As the command line would have it; several where the setting takes several.
    pub values: Vec<String>,
    /// Where it comes from, for people.
    pub source: String,
}

/// What lies beneath flags and environment.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Layers {
    values: BTreeMap<String, Layered>,
    /// What is odd but harmless, a sentence each.
    pub warnings: Vec<String>,
}

impl Layers {
    /// Reads the file that the arguments or the environment name, if any, and the files of secrets.
    ///
    /// # Errors
    /// What is wrong, in one sentence.
    pub fn load(
        catalogue: &Catalogue,
        arguments: &[OsString],
        environment: &BTreeMap<String, String>,
    ) -> Result<Self, ConfigError> {
        let mut layers = Self::default();
        let named = environment.get(CONFIG_VARIABLE).map(PathBuf::from);
        if let Some(path) = config_flag(arguments).or(named) {
            layers.read_file(catalogue, &path)?;
        }
        layers.read_secret_variables(catalogue, environment)?;
        layers.find_unknown_variables(catalogue, environment);
        Ok(layers)
    }

    /// What lies beneath a setting.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Layered> {
        self.values.get(key)
    }

    /// Lays the values under the command line: as defaults of its arguments.
    #[must_use]
    pub fn beneath(&self, mut command: Command) -> Command {
        let names: Vec<String> = command
            .get_subcommands()
            .map(|c| c.get_name().to_owned())
            .collect();
        for name in names {
            command = command.mut_subcommand(name, |subcommand| self.beneath_one(subcommand));
        }
        command
    }

    fn beneath_one(&self, mut command: Command) -> Command {
        let given: Vec<_> = command
            .get_arguments()
            .filter_map(|argument| {
                let layered = self.get(&Setting::of(argument)?.key)?;
                Some((argument.get_id().clone(), layered.values.clone()))
            })
            .collect();
        for (id, values) in given {
            // clap keeps defaults for ever, unless it is built with owned strings; there are few.
            let values = values
                .into_iter()
                .map(|value| &*Box::leak(value.into_boxed_str()));
            let values: Vec<&'static str> = values.collect();
            command = command.mut_arg(id, |argument| argument.default_values(values));
        }
        command
    }

    fn read_file(&mut self, catalogue: &Catalogue, path: &Path) -> Result<(), ConfigError> {
        let text = read("the settings file", path)?;
        let path = path.display().to_string();
        let table: Table = text.parse().map_err(|error: toml::de::Error| {
            let line = error
                .span()
                .map_or(0, |span| text[..span.start].lines().count().max(1));
            ConfigError::NotToml {
                path: path.clone(),
                detail: format!("line {line}: {}", error.message()),
            }
        })?;
        let mut flat = Vec::new();
        flatten("", table, &mut flat);
        for (key, value) in flat {
            self.take(catalogue, &path, key, value)?;
        }
        Ok(())
    }

    fn take(
        &mut self,
        catalogue: &Catalogue,
        path: &str,
        key: String,
        value: Value,
    ) -> Result<(), ConfigError> {
        let secret = key.strip_suffix("_file").and_then(|key| catalogue.get(key));
        if let (Some(setting), Value::String(file)) =
            (secret.filter(|setting| setting.secret), &value)
        {
            let read = secret_of(&setting.key, Path::new(file))?;
            self.values.insert(setting.key.clone(), read);
            return Ok(());
        }
        let Some(setting) = catalogue.get(&key) else {
            let known = catalogue.iter().map(|setting| setting.key.as_str());
            return Err(ConfigError::UnknownKey {
                path: path.to_owned(),
                nearest: nearest(&key, known).unwrap_or_default().to_owned(),
                key,
            });
        };
        let wrong = |allowed: &str| ConfigError::WrongKind {
            path: path.to_owned(),
            key: key.clone(),
            allowed: allowed.to_owned(),
        };
        let values = match value {
            Value::Array(values) if setting.many => values.iter().map(text_of).collect(),
            Value::Table(table) if setting.many => table
                .iter()
                .map(|(name, value)| Some(format!("{name}={}", text_of(value)?)))
                .collect(),
            value => text_of(&value).map(|value| vec![value]),
        };
        let values = values.ok_or_else(|| match setting.many {
            true => wrong("texts, numbers, true or false, as an array or a table"),
            false => wrong("one text, number, true or false"),
        })?;
        let source = format!("file {path}");
        self.values.insert(key.clone(), Layered { values, source });
        Ok(())
    }

    fn read_secret_variables(
        &mut self,
        catalogue: &Catalogue,
        environment: &BTreeMap<String, String>,
    ) -> Result<(), ConfigError> {
        for setting in catalogue.iter().filter(|setting| setting.secret) {
            let variable = &setting.environment;
            let Some(file) = environment.get(&format!("{variable}_FILE")) else {
                continue;
            };
            if environment.contains_key(variable) {
                let variable = variable.clone();
                return Err(ConfigError::Twice { variable });
            }
            let mut read = secret_of(&setting.key, Path::new(file))?;
            read.source = format!("{} (environment {variable}_FILE)", read.source);
            self.values.insert(setting.key.clone(), read);
        }
        Ok(())
    }

    /// Not refused: Kubernetes gives containers variables after the names of services, and one may be `rollcall`.
    fn find_unknown_variables(
        &mut self,
        catalogue: &Catalogue,
        environment: &BTreeMap<String, String>,
    ) {
        let known: Vec<&str> = catalogue.iter().map(|s| s.environment.as_str()).collect();
        for name in environment.keys().filter(|name| name.starts_with(PREFIX)) {
            let is_secret_file = name.strip_suffix("_FILE").is_some_and(|variable| {
                catalogue
                    .iter()
                    .any(|s| s.secret && s.environment == variable)
            });
            if name == CONFIG_VARIABLE
                || is_secret_file
                || FOREIGN.contains(&name.as_str())
                || known.contains(&name.as_str())
            {
                continue;
            }
            let near = nearest(name, known.iter().copied()).unwrap_or_default();
            self.warnings.push(format!(
                "the environment variable {name} means nothing to rollcall; did you mean {near}?"
            ));
        }
    }
}

/// `--config FILE` or `--config=FILE`, before the command line is read properly.
fn config_flag(arguments: &[OsString]) -> Option<PathBuf> {
    let mut arguments = arguments
        .iter()
        .skip(1)
        .take_while(|argument| *argument != "--");
    while let Some(argument) = arguments.next() {
        if argument == "--config" {
            return arguments.next().map(PathBuf::from);
        }
        if let Some(path) = argument
            .to_str()
            .and_then(|text| text.strip_prefix("--config="))
        {
            return Some(PathBuf::from(path));
        }
    }
    None
}

/// Tables are sections, but for `kafka.properties`, whose keys have dots of their own.
fn flatten(prefix: &str, table: Table, flat: &mut Vec<(String, Value)>) {
    for (name, value) in table {
        let key = if prefix.is_empty() {
            name
        } else {
            format!("{prefix}.{name}")
        };
        match value {
            Value::Table(table) if key != "kafka.properties" => flatten(&key, table, flat),
            value => flat.push((key, value)),
        }
    }
}

fn text_of(value: &Value) -> Option<String> {
    Some(match value {
        Value::String(text) => text.clone(),
        Value::Integer(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        Value::Boolean(truth) => truth.to_string(),
        Value::Datetime(_) | Value::Array(_) | Value::Table(_) => return None,
    })
}

fn secret_of(key: &str, path: &Path) -> Result<Layered, ConfigError> {
    let text = read(&format!("the file of setting {key}"), path)?;
    Ok(Layered {
        values: vec![text.trim_end_matches(['\r', '\n']).to_owned()],
        source: format!("file {}", path.display()),
    })
}

fn read(what: &str, path: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(path).map_err(|cause| ConfigError::Unreadable {
        what: what.to_owned(),
        path: path.display().to_string(),
        cause: cause.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Arg;

    fn command() -> Command {
        let argument =
            |name: &'static str, variable: &'static str| Arg::new(name).long(name).env(variable);
        Command::new("rollcall").subcommand(
            Command::new("run")
                .arg(argument("http-address", "ROLLCALL_HTTP_ADDRESS").default_value("127.0.0.1:1"))
                .arg(argument("database-url", "DATABASE_URL").hide_env_values(true))
                .arg(
                    argument("kafka-property", "ROLLCALL_KAFKA_PROPERTIES")
                        .action(clap::ArgAction::Append)
                        .value_delimiter(';'),
                ),
        )
    }

    fn load(file: &str, environment: &[(&str, &str)]) -> Result<Layers, String> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("rollcall.toml");
        let secret = folder.path().join("secret");
        std::fs::write(&secret, "postgres://a:b@c/d\n").expect("a file");
        let place = |text: &str| text.replace("SECRET", &secret.display().to_string());
        std::fs::write(&path, place(file)).expect("a file");
        let environment = environment
            .iter()
            .map(|(name, value)| ((*name).to_owned(), place(value)))
            .collect();
        let arguments = ["rollcall", "run", "--config"].map(OsString::from);
        let arguments = [&arguments[..], &[path.clone().into()]].concat();
        let loaded = Layers::load(&Catalogue::of(&command()), &arguments, &environment);
        loaded.map_err(|error| {
            error
                .to_string()
                .replace(&folder.path().display().to_string(), "FOLDER")
        })
    }

    #[track_caller]
    fn check_error(file: &str, environment: &[(&str, &str)], expect: &str) {
        assert_eq!(load(file, environment).map(|_| ()), Err(expect.to_owned()));
    }

    #[track_caller]
    fn check(file: &str, environment: &[(&str, &str)], key: &str, expect: &[&str]) {
        let layers = load(file, environment).expect("settings");
        assert_eq!(
            layers
                .get(key)
                .map(|found| found.values.clone())
                .unwrap_or_default(),
            expect
        );
    }

    #[test]
    fn a_flag_is_a_key_in_a_section() {
        check(
            "[http]\naddress = \"0.0.0.0:9\"",
            &[],
            "http.address",
            &["0.0.0.0:9"],
        );
        check(
            "http.address = \"0.0.0.0:9\"",
            &[],
            "http.address",
            &["0.0.0.0:9"],
        );
        check(
            "[kafka.properties]\n\"security.protocol\" = \"SSL\"\n\"socket.timeout.ms\" = 5",
            &[],
            "kafka.properties",
            &["security.protocol=SSL", "socket.timeout.ms=5"],
        );
    }

    #[test]
    fn a_secret_may_be_a_file() {
        check(
            "database.url_file = \"SECRET\"",
            &[],
            "database.url",
            &["postgres://a:b@c/d"],
        );
        check(
            "",
            &[("DATABASE_URL_FILE", "SECRET")],
            "database.url",
            &["postgres://a:b@c/d"],
        );
        check_error(
            "",
            &[("DATABASE_URL_FILE", "SECRET"), ("DATABASE_URL", "x")],
            "only one of DATABASE_URL and DATABASE_URL_FILE may be set",
        );
        check_error(
            "",
            &[("DATABASE_URL_FILE", "/nowhere")],
            "the file of setting database.url /nowhere can't be read: No such file or directory (os error 2)",
        );
    }

    #[test]
    fn what_is_wrong_is_said_in_one_sentence() {
        check_error(
            "[http]\nadress = 1",
            &[],
            "the settings file FOLDER/rollcall.toml has an unknown key \"http.adress\"; did you mean \"http.address\"? \
             `rollcall config --describe` lists all",
        );
        check_error(
            "[http]\naddress = [1]",
            &[],
            "setting http.address in FOLDER/rollcall.toml is wrong; allowed is one text, number, true or false",
        );
        // Only secrets have files of their own.
        check_error(
            "http.address_file = \"SECRET\"",
            &[],
            "the settings file FOLDER/rollcall.toml has an unknown key \"http.address_file\"; did you mean \"http.address\"? \
             `rollcall config --describe` lists all",
        );
        let broken = load("a = 1\n[http", &[]).expect_err("no TOML");
        assert!(
            broken.starts_with("the settings file FOLDER/rollcall.toml is not TOML: line 2: "),
            "{broken}"
        );
    }

    #[test]
    fn unknown_variables_are_warned_of() {
        let layers = load(
            "",
            &[
                ("ROLLCALL_HTTP_ADRESS", "x"),
                ("ROLLCALL_HTTP_ADDRESS", "y"),
                ("OTHER", "z"),
            ],
        );
        assert_eq!(
            layers.expect("settings").warnings,
            [
                "the environment variable ROLLCALL_HTTP_ADRESS means nothing to rollcall; did you mean ROLLCALL_HTTP_ADDRESS?"
            ]
        );
    }

    #[test]
    fn flags_come_before_the_file() {
        let layers = load("[http]\naddress = \"file\"", &[]).expect("settings");
        let address = |arguments: &[&str]| {
            let matches = layers.beneath(command()).get_matches_from(arguments);
            let (_, run) = matches.subcommand().expect("a subcommand");
            run.get_one::<String>("http-address")
                .cloned()
                .expect("a value")
        };
        assert_eq!(address(&["rollcall", "run"]), "file");
        assert_eq!(
            address(&["rollcall", "run", "--http-address", "flag"]),
            "flag"
        );
    }
}
