//! Wrong settings: one clear sentence and exit code 2; services that are away: a clear sentence and no hang.

use crate::support::rollcall;
use std::path::Path;
use std::process::Command;

#[track_caller]
fn check(arguments: &[&str], code: i32, expect: &str) {
    let output = rollcall(arguments).output().expect("the binary runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), said.trim()), (Some(code), expect));
}

#[test]
fn wrong_settings_exit_with_2() {
    check(
        &["run", "--partitions-snapshots", "0"],
        2,
        "rollcall: setting partitions-snapshots = \"0\" is wrong; allowed is 1 to 4096",
    );
    check(
        &["bootstrap", "--kafka-property", "group.id=x"],
        2,
        "rollcall: setting kafka-property = \"group.id=x\" is wrong; allowed is the setting deployment in its stead",
    );
}

#[test]
fn config_refuses_what_run_refuses() {
    for (arguments, expect) in [
        (
            ["--http-address", "nowhere"],
            "http-address = \"nowhere\" is wrong; allowed is an IP address and a port, as 127.0.0.1:9464",
        ),
        (
            ["--database-url", "mysql://u:p@h/x"],
            "database-url = \"(hidden)\" is wrong; allowed is postgres://user:password@host:port/database, by --database-url or DATABASE_URL",
        ),
        (
            ["--registry-username", "ada"],
            "registry-password = \"\" is wrong; allowed is a password, where registry-username is set",
        ),
        (
            ["--registry-url", "registry:8081"],
            "registry-url = \"registry:8081\" is wrong; allowed is http://host:port or https://host:port",
        ),
    ] {
        let expect = format!("rollcall: setting {expect}");
        check(&["config", arguments[0], arguments[1]], 2, &expect);
    }
}

#[test]
fn a_login_in_the_registrys_address_is_refused_and_not_shown() {
    let mut command = rollcall(&[
        "config",
        "--registry-url",
        "http://ada:secret@registry:8081",
    ]);
    let output = command.output().expect("the binary runs");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    let expect = "which registry-username and registry-password give";
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains(expect) && !said.contains("secret"), "{said}");
}

/// A command with a settings file that holds `text`.
fn with_file(arguments: &[&str], text: &str) -> (tempfile::TempDir, Command) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("rollcall.toml");
    std::fs::write(&path, text).expect("a file");
    let mut command = rollcall(arguments);
    command.env("ROLLCALL_CONFIG", path);
    (folder, command)
}

#[track_caller]
fn check_file(text: &str, expect: &str) {
    let (folder, mut command) = with_file(&["config"], text);
    let output = command.output().expect("the binary runs");
    let said = String::from_utf8_lossy(&output.stderr)
        .replace(&folder.path().display().to_string(), "FOLDER");
    assert_eq!((output.status.code(), said.trim()), (Some(2), expect));
}

#[test]
fn a_wrong_file_exits_with_2_and_names_key_value_and_what_is_allowed() {
    check_file(
        "[kafka]\nbroker = \"x\"",
        "rollcall: the settings file FOLDER/rollcall.toml has an unknown key \"kafka.broker\"; did you mean \"kafka.brokers\"? \
         `rollcall config --describe` lists all",
    );
    check_file(
        "[details]\nlanes = 65",
        "rollcall: setting details-lanes = \"65\" (from file FOLDER/rollcall.toml) is wrong; allowed is 1 to 64",
    );
    check_file(
        "[log]\nformat = \"xml\"",
        "rollcall: setting log-format = \"xml\" (from file FOLDER/rollcall.toml) is wrong; allowed is text, json",
    );
    check_file(
        "[partitions]\nsnapshots = \"many\"",
        "rollcall: setting partitions-snapshots = \"many\" (from file FOLDER/rollcall.toml) is wrong; allowed is a whole number",
    );
    check_file(
        "[topic]\nraw_retention_hours = 200",
        "rollcall: setting topic-derived-retention-hours = \"168\" is wrong; allowed is topic-raw-retention-hours (200) or \
         more: what is read later must be there as long",
    );
}

#[test]
fn config_tells_where_each_setting_comes_from_and_hides_secrets() {
    let (folder, mut command) = with_file(
        &["config", "--format", "json", "--deployment", "flag"],
        "deployment = \"file\"\n[kafka]\nbrokers = \"file:1\"\n[kafka.properties]\n\"security.protocol\" = \"SSL\"\n\
         \"sasl.oauthbearer.config\" = \"opensesame\"\n[http]\naddress = \"file:2\"",
    );
    std::fs::write(folder.path().join("password"), "opensesame\n").expect("a file");
    command
        .env("DATABASE_URL", "postgres://me:opensesame@there/db")
        .env(
            "ROLLCALL_KAFKA_SASL_PASSWORD_FILE",
            folder.path().join("password"),
        )
        .env("ROLLCALL_HTTP_ADDRESS", "0.0.0.0:3")
        .env("ROLLCALL_HTTP_ADRESS", "0.0.0.0:4");
    let output = command.output().expect("the binary runs");
    let (said, printed) = (
        String::from_utf8_lossy(&output.stderr),
        String::from_utf8_lossy(&output.stdout),
    );
    assert_eq!(
        (output.status.code(), said.trim()),
        (
            Some(0),
            "rollcall: the environment variable ROLLCALL_HTTP_ADRESS means nothing to rollcall; did you mean \
             ROLLCALL_HTTP_ADDRESS?"
        )
    );
    assert!(!printed.contains("opensesame"), "{printed}");
    let settings: serde_json::Value = serde_json::from_str(&printed).expect("JSON");
    let file = format!("file {}", folder.path().join("rollcall.toml").display());
    let password = folder.path().join("password");
    let password = format!(
        "file {} (environment ROLLCALL_KAFKA_SASL_PASSWORD_FILE)",
        password.display()
    );
    for (key, value, source) in [
        ("deployment", "flag", "flag --deployment"),
        ("kafka.brokers", "file:1", file.as_str()),
        (
            "http.address",
            "0.0.0.0:3",
            "environment ROLLCALL_HTTP_ADDRESS",
        ),
        ("database.url", "(hidden)", "environment DATABASE_URL"),
        ("kafka.sasl_password", "(hidden)", password.as_str()),
        ("log.level", "info", "default"),
    ] {
        assert_eq!(
            (&settings[key]["value"], &settings[key]["source"]),
            (&value.into(), &source.into()),
            "{key}"
        );
    }
    assert_eq!(
        settings["kafka.properties"]["value"],
        serde_json::json!(["sasl.oauthbearer.config=(hidden)", "security.protocol=SSL"])
    );
    assert_eq!(settings["kafka.ssl_key_password"]["source"], "not set");
}

#[test]
fn what_config_prints_is_a_settings_file() {
    let output = rollcall(&["config"]).output().expect("the binary runs");
    let text = String::from_utf8_lossy(&output.stdout);
    let (_folder, mut command) = with_file(&["config"], &text);
    let again = command.output().expect("the binary runs");
    assert_eq!(
        (
            again.status.code(),
            String::from_utf8_lossy(&again.stderr).as_ref()
        ),
        (Some(0), "")
    );
    let values = |text: &str| -> Vec<String> {
        let lines = text
            .lines()
            .map(|line| line.split(" # ").next().unwrap_or_default().to_owned());
        lines.collect()
    };
    assert_eq!(
        values(&String::from_utf8_lossy(&again.stdout)),
        values(&text)
    );
}

/// To renew it: `rollcall config --describe > processor/app/config/SETTINGS.md`.
#[test]
fn the_table_of_settings_is_the_code_s() {
    let output = rollcall(&["config", "--describe"])
        .output()
        .expect("the binary runs");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("processor/app/config/SETTINGS.md");
    let golden = std::fs::read_to_string(path).expect("the table");
    assert_eq!(String::from_utf8_lossy(&output.stdout), golden);
}

/// A client is made before anything is sent: what this build lacks is refused then.
#[track_caller]
fn check_properties(properties: &[&str], expect: Result<(), &str>) {
    let mut command = rollcall(&["config", "--brokers", "127.0.0.1:1"]);
    command.env("ROLLCALL_KAFKA_PROPERTIES", properties.join(";"));
    command.env("ROLLCALL_KAFKA_SASL_PASSWORD", "opensesame");
    let output = command.output().expect("the binary runs");
    let said = String::from_utf8_lossy(&output.stderr);
    let refused = said
        .trim()
        .strip_prefix("rollcall: setting kafka-property = ");
    match expect {
        Ok(()) => assert_eq!((output.status.code(), said.as_ref()), (Some(0), "")),
        Err(expect) => assert_eq!((output.status.code(), refused), (Some(2), Some(expect))),
    }
}

#[test]
fn the_client_library_knows_sasl_and_tls_but_no_kerberos() {
    let sasl = "security.protocol=SASL_SSL";
    for mechanism in ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] {
        let mechanism = format!("sasl.mechanism={mechanism}");
        check_properties(&[sasl, &mechanism, "sasl.username=me"], Ok(()));
    }
    check_properties(&[sasl, "sasl.mechanism=OAUTHBEARER"], Ok(()));
    check_properties(
        &[sasl, "sasl.mechanism=GSSAPI"],
        Err(
            "\"security.protocol=SASL_SSL;sasl.mechanism=GSSAPI\" is wrong; allowed is what this build of librdkafka takes \
             (No provider for SASL mechanism GSSAPI: recompile librdkafka with libsasl2 or openssl support. Current build \
             options: PLAIN SASL_SCRAM OAUTHBEARER)",
        ),
    );
    check_properties(
        &["nonsense=1"],
        Err(
            "\"nonsense=1\" is wrong; allowed is what this build of librdkafka takes (nonsense: No such configuration \
             property: \"nonsense\")",
        ),
    );
}

#[test]
fn logs_are_text_or_json() {
    let lines = |format: &str| {
        // It ends at once, for the address is none.
        let mut command = rollcall(&["run", "--http-address", "nowhere", "--log-format", format]);
        command.env("ROLLCALL_HTTP_ADRESS", "x");
        command.env("DATABASE_URL", "postgres://nobody@127.0.0.1:1/none");
        let output = command.output().expect("the binary runs");
        assert_eq!(output.status.code(), Some(2));
        String::from_utf8_lossy(&output.stderr)
            .lines()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let json: serde_json::Value = serde_json::from_str(&lines("json")[0]).expect("JSON");
    assert_eq!(json["level"], "WARN");
    let message = "the environment variable ROLLCALL_HTTP_ADRESS means nothing to rollcall; did you mean ROLLCALL_HTTP_ADDRESS?";
    assert_eq!(json["message"], message);
    assert!(lines("text")[0].ends_with(&format!(" WARN rollcall::cli: {message}")));
}

#[test]
fn topology_prints_the_picture_from_the_code() {
    let output = rollcall(&["topology"]).output().expect("the binary runs");
    let golden = include_str!("topology.txt");
    assert_eq!(String::from_utf8_lossy(&output.stdout), golden);
}
