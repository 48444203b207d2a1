//! What each form of Windows looks like, byte for byte.

use super::super::testing::{machine, process, text};
use super::language::Words;
use super::*;
use crate::catalogue;
use crate::form::{Dialect, Form, Language};
use rollcall_domain::Os;
use rollcall_domain::time::SECOND_US;

fn program(name: &str) -> &'static catalogue::Program {
    let suites = catalogue::suites(Os::Windows)
        .iter()
        .map(|suite| &suite.main);
    catalogue::daemons(Os::Windows)
        .iter()
        .chain(catalogue::session_programs(Os::Windows))
        .chain(suites)
        .find(|program| program.name == name)
        .expect("listed")
}

fn sample(form: Form) -> crate::machine::Machine {
    let mut machine = machine(Os::Windows, form, 0);
    process(
        &mut machine,
        program("System Idle Process"),
        0,
        86_400,
        445_296_000_000,
    );
    process(
        &mut machine,
        program("StartMenuExperienceHost.exe"),
        5_120,
        3_600,
        999_999,
    );
    let word = process(
        &mut machine,
        program("WINWORD.EXE"),
        12_344,
        600,
        61_500_000,
    );
    machine.processes[word].window_title = "draft.docx - Word";
    machine.processes[word].resident_kib = 123_456;
    let plugin = process(
        &mut machine,
        program("Microsoft.AAD.BrokerPlugin.exe"),
        900,
        60,
        0,
    );
    machine.processes[plugin].activity = Activity::Stopped;
    machine
}

#[test]
fn tasklist_as_windows_prints_it() {
    let (text, rows) = text(&sample(Form::Tasklist));
    let expect = "\r
Image Name                     PID Session Name        Session#    Mem Usage\r
========================= ======== ================ =========== ============\r
System Idle Process              0 Services                   0          8 K\r
StartMenuExperienceHost.e     5120 Console                    1     70,000 K\r
WINWORD.EXE                  12344 Console                    1    123,456 K\r
Microsoft.AAD.BrokerPlugi      900 Console                    1     34,000 K\r
";
    assert_eq!(text, expect);
    assert_eq!(rows[1].application, "startmenuexperiencehost");
    assert_eq!(rows[3].application, "microsoft.aad.brokerplugi");
    assert_eq!(
        (rows[2].cpu_time_us, &rows[2].owner, rows[2].state),
        (None, &None, None)
    );
    assert_eq!(rows[2].memory_usage_bytes, Some(123_456 * 1024));
}

#[test]
fn tasklist_verbose_as_windows_prints_it() {
    let (text, rows) = text(&sample(Form::TasklistVerbose));
    let header = "Image Name                     PID Session Name        Session#    Mem Usage Status          User Name                                              CPU Time Window Title                                                            ";
    let ruler = "========================= ======== ================ =========== ============ =============== ================================================== ============ ========================================================================";
    let idle = "System Idle Process              0 Services                   0          8 K Unknown         NT AUTHORITY\\SYSTEM                                   123:41:36 N/A                                                                     ";
    let word = "WINWORD.EXE                  12344 Console                    1    123,456 K Running         UNI\\ada                                                 0:01:01 draft.docx - Word                                                       ";
    let lines: Vec<_> = text.split("\r\n").collect();
    assert_eq!(lines[..4], ["", header, ruler, idle]);
    assert_eq!(lines[5], word);
    assert_eq!(rows[0].cpu_time_us, None, "idle time is nobody's");
    assert_eq!(rows[2].cpu_time_us, Some(61 * SECOND_US));
    assert_eq!(rows[3].state, Some(ProcessState::Stopped));
}

#[test]
fn csv_as_windows_prints_it() {
    let (text_verbose, rows) = text(&sample(Form::TasklistVerboseCsv));
    let lines: Vec<_> = text_verbose.split("\r\n").collect();
    let header = r#""Image Name","PID","Session Name","Session#","Mem Usage","Status","User Name","CPU Time","Window Title""#;
    let word = r#""WINWORD.EXE","12344","Console","1","123,456 K","Running","UNI\ada","0:01:01","draft.docx - Word""#;
    assert_eq!((lines[0], lines[3]), (header, word));
    assert_eq!(rows[3].executable_name, "Microsoft.AAD.BrokerPlugin.exe");
    let (plain, _) = text(&sample(Form::TasklistCsv));
    let lines: Vec<_> = plain.split("\r\n").collect();
    assert_eq!(
        lines[1],
        r#""System Idle Process","0","Services","0","8 K""#
    );
}

#[test]
fn digits_are_grouped_as_the_country_does() {
    let check = |language, kib, expect| assert_eq!(Words::of(language).memory(kib), expect);
    check(Language::English, 999, "999 K");
    check(Language::English, 1_234_567, "1,234,567 K");
    check(Language::EnglishIndia, 12_345_678, "1,23,45,678 K");
    check(Language::EnglishIndia, 43_404, "43,404 K");
    check(Language::German, 43_404, "43.404 K");
    check(Language::French, 43_404, "43\u{202f}404 Ko");
    check(Language::Russian, 43_404, "43\u{a0}404 КБ");
}

#[test]
fn records_have_windows_units() {
    let machine = sample(Form::WindowsStructured);
    let (payload, rows) = structured(&View {
        machine: &machine,
        observed_at: machine.now,
    });
    let Payload::Windows(list) = payload else {
        panic!("no records")
    };
    assert_eq!(
        list[2]
            .user_time_100ns
            .zip(list[2].kernel_time_100ns)
            .map(|(u, k)| u + k),
        Some(615_000_000)
    );
    // 2026-11-21T13:20:15Z.
    assert_eq!(list[2].creation_time_100ns, Some(134_397_408_150_000_000));
    assert_eq!(rows[2].cpu_time_us, Some(61_500_000));
    let expect = "\"C:\\Program Files\\Microsoft Office\\root\\Office16\\WINWORD.EXE\" /n \"C:\\Users\\{user}\\Documents\\draft {n}.docx\"";
    assert_eq!(rows[2].command_line.as_deref(), Some(expect));
}

/// A few lines of a form that needs no encoding of its own.
#[track_caller]
fn check(form: Form, dialect: Dialect, skip: usize, expect: &[&str]) {
    let mut machine = sample(form);
    machine.profile.dialect = dialect;
    let (text, _) = text(&machine);
    let lines: Vec<_> = text.split("\r\n").skip(skip).take(expect.len()).collect();
    assert_eq!(lines, expect);
}

#[test]
fn lists_as_windows_prints_them() {
    let plain = [
        "",
        "Image Name:   WINWORD.EXE",
        "PID:          12344",
        "Session Name: Console",
        "Session#:     1",
        "Mem Usage:    123,456 K",
        "",
    ];
    check(Form::TasklistList, Dialect::PLAIN, 12, &plain);
    let verbose = [
        "Mem Usage:    123,456 K",
        "Status:       Running",
        "User Name:    UNI\\ada",
        "CPU Time:     0:01:01",
        "Window Title: draft.docx - Word",
    ];
    check(Form::TasklistVerboseList, Dialect::PLAIN, 25, &verbose);
}

#[test]
fn services_go_on_in_the_next_line() {
    let services = ["BrokerInfrastructure", "DcomLaunch", "PlugPlay", "Power"];
    assert_eq!(
        tasklist::wrapped(&services, 44),
        ["BrokerInfrastructure, DcomLaunch, PlugPlay, ", "Power"]
    );
    let rows = [
        "Image Name                     PID Services                                    ",
        "========================= ======== ============================================",
        "System Idle Process              0 N/A                                         ",
    ];
    check(Form::TasklistServices, Dialect::PLAIN, 1, &rows);
}

#[test]
fn other_languages_in_their_code_pages() {
    let mut machine = sample(Form::Tasklist);
    let mut check = |language, expect: &str, bytes: &[u8]| {
        machine.profile.dialect.language = language;
        let view = View {
            machine: &machine,
            observed_at: machine.now,
        };
        let (payload, _) = tasklist::table(&view, tasklist::Columns::Plain);
        let Payload::CommandOutput(output) = payload else {
            panic!("no text")
        };
        assert_eq!(output.encoding.as_deref(), Some(expect));
        let found = output
            .text
            .windows(bytes.len())
            .any(|window| window == bytes);
        assert!(found, "{language:?}");
    };
    check(Language::German, "cp850", b"Sitz.-Nr. Speichernutzung\r\n");
    check(
        Language::Spanish,
        "cp850",
        b"Nombre de sesi\xa2n N\xa3m. de ses Uso de memor\r\n",
    );
    check(Language::Polish, "cp852", b"123\xff456 KB\r\n");
    check(Language::Russian, "cp866", b"123\xff456 \x8a\x81\r\n");
    check(Language::French, "utf-16le", b"3\x00\x2f\x204\x005\x00");
    // Ten columns of five letters, then the blanks up to 25 and the pid's 8.
    check(
        Language::Japanese,
        "cp932",
        b"\x83C\x83\x81\x81[\x83W\x96\xbc                     PID \x83Z",
    );
    check(
        Language::Chinese,
        "cp936",
        b"\xd3\xb3\xcf\xf1\xc3\xfb\xb3\xc6                       PID ",
    );
}

#[test]
fn csv_of_powershell() {
    let german = Dialect {
        language: Language::German,
        ..Dialect::PLAIN
    };
    let word = "C:\\Program Files\\Microsoft Office\\root\\Office16\\WINWORD.EXE";
    let newer = Dialect {
        powershell_7: true,
        ..Dialect::PLAIN
    };
    check(
        Form::GetProcessCsv,
        Dialect::PLAIN,
        0,
        &[
            "#TYPE Selected.System.Diagnostics.Process",
            "\"Id\",\"ProcessName\",\"CPU\",\"WorkingSet64\",\"VirtualMemorySize64\",\"StartTime\",\"Path\"",
        ],
    );
    let row = format!(
        "\"12344\",\"WINWORD\",\"61.5\",\"126418944\",\"2662400000\",\"11/21/2026 1:20:15 PM\",\"{word}\""
    );
    check(Form::GetProcessCsv, newer, 4, &[&row]);
    let row = format!(
        "\"12344\";\"WINWORD\";\"61,5\";\"126418944\";\"2662400000\";\"21.11.2026 13:20:15\";\"{word}\""
    );
    check(Form::GetProcessCultureCsv, german, 5, &[&row]);
}

#[test]
fn json_of_powershell() {
    let newer = Dialect {
        powershell_7: true,
        ..Dialect::PLAIN
    };
    check(
        Form::CimJson,
        Dialect::PLAIN,
        0,
        &["[", "    {", "        \"ProcessId\":  0,"],
    );
    let old = "        \"CreationDate\":  \"\\/Date(1795267215000)\\/\",";
    check(Form::CimJson, Dialect::PLAIN, 33, &[old]);
    check(
        Form::CimJson,
        newer,
        33,
        &["    \"CreationDate\": \"2026-11-21T13:20:15.0000000+00:00\","],
    );
}
