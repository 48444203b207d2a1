use super::*;
use clap::Parser;

#[derive(Parser)]
struct Only {
    #[command(flatten)]
    arguments: NormalizeArgs,
}

/// A folder with these files, `normalize` run on all of them in order: exit code, stdout, stderr with the folder's name
/// left out.
fn run(files: &[(&str, &[u8])], flags: &[&str]) -> (u8, String, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let paths = files.iter().map(|(name, bytes)| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).expect("written");
        path.to_str().expect("text").to_owned()
    });
    let paths: Vec<String> = paths.collect();
    run_on(
        &paths,
        flags,
        &format!("{}/", folder.path().to_str().expect("text")),
    )
}

fn run_on(paths: &[String], flags: &[&str], prefix: &str) -> (u8, String, String) {
    let arguments = ["normalize"].iter().chain(flags).copied();
    let arguments = arguments.chain(paths.iter().map(String::as_str));
    let arguments = Only::try_parse_from(arguments)
        .expect("arguments")
        .arguments;
    let (mut out, mut say) = (Vec::new(), Vec::new());
    let code = normalize_to(&arguments, &mut out, &mut say);
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    (code, text(out), text(say).replace(prefix, ""))
}

#[track_caller]
fn check(files: &[(&str, &[u8])], flags: &[&str], code: u8, out: &[&str], say: &[&str]) {
    let got = run(files, flags);
    assert_eq!(got.1.lines().collect::<Vec<_>>(), out);
    assert_eq!(got.2.lines().collect::<Vec<_>>(), say);
    assert_eq!(got.0, code);
}

const MAC: &[u8] = b"USER   PID  %CPU %MEM      VSZ    RSS   TT  STAT STARTED      TIME COMMAND\n\
    ada   8361   0,0  0,0  2435548    208 s003  S+    9:24   123:00,14 -bash\n";
const MAC_ROW: &str = r#"{"process.pid":8361,"process.parent_pid":null,"process.executable.name":"bash","process.executable.path":null,"process.command_line":"-bash","process.owner":"ada","process.state":"sleeping","process.creation.time":"2026-11-20T08:24:00Z","process.creation.precision":"minute","process.cpu.time":7380.14,"process.memory.usage":212992,"process.memory.virtual":2494001152,"process.thread.count":null,"os.type":"darwin","application":"bash","script":null}"#;

#[test]
fn a_process_is_a_flat_object_of_opentelemetrys_names() {
    check(
        &[("mac.txt", MAC)],
        &[
            "--utc-offset",
            "+01:00",
            "--observed-at",
            "2026-11-20T12:00:00Z",
        ],
        0,
        &[MAC_ROW],
        &[
            "mac.txt: macos-ps-aux, macos, UTF-8: 1 process, 0 lines rejected",
            "1 file: 1 process, 0 lines rejected, 0 unusable",
        ],
    );
}

#[test]
fn what_is_known_may_be_said() {
    let said = [
        "--os",
        "macos",
        "--format",
        "macos-ps-aux",
        "--encoding",
        "utf-8",
        "--utc-offset",
        "-0530",
        "--observed-at",
        "2026-11-20T12:00:00Z",
    ];
    let row = MAC_ROW.replace("08:24", "14:54").replace("20T", "19T");
    check(
        &[("mac.txt", MAC)],
        &said,
        0,
        &[&row],
        &[
            "mac.txt: macos-ps-aux, macos, UTF-8: 1 process, 0 lines rejected",
            "1 file: 1 process, 0 lines rejected, 0 unusable",
        ],
    );
}

#[test]
fn a_bad_line_is_told_by_its_number_and_a_bad_file_by_its_reason() {
    let csv = b"\"chrome.exe\",\"9120\",\"Console\",\"1\",\"243.404 K\"\r\nrubbish\r\n";
    let (code, out, say) = run(
        &[
            ("good.csv", csv),
            ("empty.txt", b""),
            ("letter.txt", b"Dear Ada,\nall is well.\n"),
            (
                "notice.txt",
                b"INFO: No tasks are running which match the specified criteria.\r\n",
            ),
        ],
        &["--os", "auto", "--format", "auto", "--encoding", "auto"],
    );
    let rows: Vec<serde_json::Value> = out
        .lines()
        .map(|line| serde_json::from_str(line).expect("json"))
        .collect();
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0]["process.memory.usage"], 249_245_696);
    assert_eq!(rows[0]["process.cpu.time"], serde_json::Value::Null);
    assert_eq!(rows[0]["application"], "chrome");
    let say: Vec<&str> = say.lines().collect();
    assert!(say[0].starts_with("good.csv:2: "), "{}", say[0]);
    assert_eq!(
        say[1..],
        [
            "good.csv: tasklist-csv, windows, UTF-8: 1 process, 1 line rejected",
            "empty.txt: unusable: empty_output: the output is empty",
            "letter.txt: unusable: unknown_format: neither ps nor tasklist nor PowerShell prints such text",
            "notice.txt: tasklist-notice, windows, UTF-8: 0 processes, 0 lines rejected",
            "4 files: 1 process, 1 line rejected, 2 unusable",
        ]
    );
    assert_eq!(code, 2);
}

#[test]
fn why_a_value_is_null_is_told_with_the_first_line() {
    let (code, out, say) = run(&[("mac.txt", MAC)], &[]);
    assert_eq!(code, 0);
    assert!(out.contains(r#""process.creation.time":null"#), "{out}");
    let first = say.lines().next();
    let expect = "mac.txt:2: null: utc_offset_missing: start times are local and the machine's offset from UTC was not \
                  given (1 row in all)";
    assert_eq!(first, Some(expect));
}

#[test]
fn a_file_of_which_no_line_can_be_read_is_unusable() {
    let (code, out, say) = run(
        &[("a", b"rubbish\nmore\n")],
        &["--format", "ps-aux", "--os", "linux"],
    );
    assert_eq!((code, out.as_str()), (2, ""));
    let last: Vec<&str> = say.lines().rev().take(2).collect();
    assert_eq!(
        last,
        [
            "1 file: 0 processes, 0 lines rejected, 1 unusable",
            "a: unusable: none of its lines can be read",
        ]
    );
}

#[test]
fn a_file_that_is_not_there_is_unusable() {
    let (code, out, say) = run_on(&["/nowhere/at/all".to_owned()], &[], "");
    assert_eq!((code, out.as_str()), (2, ""));
    assert!(
        say.starts_with("/nowhere/at/all: unusable: the file can't be read: "),
        "{say}"
    );
}

#[test]
fn the_encoding_may_be_said() {
    let line = b"\"M\x81ller.exe\",\"12\",\"Console\",\"1\",\"10 K\"\r\n";
    let (code, out, _) = run(&[("a", line)], &["--encoding", "cp850"]);
    assert_eq!(code, 0);
    assert!(out.contains("Müller.exe"), "{out}");
    let (code, _, say) = run(&[("a", line)], &["--encoding", "klingon"]);
    assert_eq!(code, 2);
    assert!(say.contains("unknown_encoding"), "{say}");
}

#[test]
fn rules_may_be_given() {
    let folder = tempfile::tempdir().expect("a folder");
    let rules = folder.path().join("rules.toml");
    let flags = ["--application-rules", rules.to_str().expect("text")];
    std::fs::write(&rules, "[applications]\nshell = [\"bash\"]").expect("written");
    let (code, out, _) = run(&[("mac.txt", MAC)], &flags);
    assert_eq!(code, 0);
    assert!(out.contains("\"application\":\"shell\""), "{out}");
    std::fs::write(&rules, "colour = 1").expect("written");
    let (code, out, say) = run(&[("mac.txt", MAC)], &flags);
    assert_eq!((code, out.as_str()), (2, ""));
    assert!(
        say.contains("application-rules = ") && say.contains("line 1: unknown field"),
        "{say}"
    );
}

#[test]
fn a_script_is_told() {
    let line = b"root 12 0.0 0.1 169236 13296 ? Ss Nov02 1:12 /usr/bin/python3 -m http.server\n";
    let (_, out, _) = run(&[("linux.txt", line)], &["--format", "ps-aux"]);
    assert!(
        out.contains(r#""application":"python","script":"http.server""#),
        "{out}"
    );
}

/// A reader that wants no more.
struct Closed;

impl Write for Closed {
    fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
        Err(std::io::ErrorKind::BrokenPipe.into())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_reader_that_has_seen_enough_is_no_fault() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("mac.txt");
    std::fs::write(&path, MAC).expect("written");
    let arguments = Only::parse_from([Path::new("normalize"), &path]).arguments;
    assert_eq!(normalize_to(&arguments, &mut Closed, &mut Vec::new()), 0);
}

#[test]
fn offsets() {
    assert_eq!(parse_offset("+05:30"), Ok(19_800));
    assert_eq!(parse_offset("-0500"), Ok(-18_000));
    assert_eq!(parse_offset("Z"), Ok(0));
    for wrong in [
        "", "5", "+5", "+19:00", "+01:75", "01:00", "+ab:cd", "++100", "Zz",
    ] {
        assert!(parse_offset(wrong).is_err(), "{wrong:?}");
    }
}

#[test]
fn wrong_words_are_told_what_is_allowed() {
    let allowed = |result: Result<(), String>| result.expect_err("wrong");
    assert_eq!(
        allowed(parse_os("dos").map(|_| ())),
        "allowed are auto, linux, macos, windows"
    );
    let formats = allowed(parse_format("top").map(|_| ()));
    assert!(
        formats.starts_with("allowed are auto, ps-aux, ps-ef, "),
        "{formats}"
    );
}

#[test]
fn seconds_are_exact() {
    let check = |micros, expect: &str| {
        let number = seconds(micros).map(|number| number.get().to_owned());
        assert_eq!(number.as_deref(), Some(expect));
    };
    check(0, "0");
    check(1, "0.000001");
    check(140_000, "0.14");
    check(60_000_000, "60");
    check(7_380_140_000, "7380.14");
    check(i64::MAX, "9223372036854.775807");
    check(-1, "-0.000001");
    check(-1_500_000, "-1.5");
}
