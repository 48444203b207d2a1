//! One state of a machine, printed in every form and dialect and given as structured records, is normalized to the same
//! rows, up to what [`Holds`] says of each form.

mod seen;

use proptest::prelude::*;
use rollcall_domain::snapshot::Payload;
use rollcall_domain::{CreationTime, Os, Precision, Process, Timestamp};
use rollcall_normalize::{
    ApplicationRules, Context, Listing, decode_text, parse_structured, parse_text,
};
use rollcall_simulator::{
    Dialect, Fleet, FleetConfig, Form, Holds, Language, Owner, SimulatedSnapshot, Start, State,
    TruthRow,
};
use seen::seen;
use std::collections::BTreeMap;
use std::sync::LazyLock;

static RULES: LazyLock<ApplicationRules> = LazyLock::new(ApplicationRules::builtin);

fn fleet(seed: u64) -> Fleet {
    Fleet::new(FleetConfig {
        seed,
        machines: 3,
        os_shares: [1.0, 1.0, 1.0],
        shared_host_share: 0.5,
        processes_per_machine: 30..=90,
        ..FleetConfig::default()
    })
}

/// What a form is printed in: each of its dialects once.
fn dialects(form: Form) -> Vec<Dialect> {
    let both = [false, true];
    match (form.os(), form) {
        (Os::Macos, _) => both
            .into_iter()
            .flat_map(|decimal_comma| both.map(|hours_24| (decimal_comma, hours_24)))
            .map(|(decimal_comma, hours_24)| Dialect {
                decimal_comma,
                hours_24,
                ..Dialect::PLAIN
            })
            .collect(),
        (Os::Windows, _) => Language::ALL
            .into_iter()
            .flat_map(|language| both.map(|powershell_7| (language, powershell_7)))
            .map(|(language, powershell_7)| Dialect {
                language,
                powershell_7,
                ..Dialect::PLAIN
            })
            .collect(),
        _ => vec![Dialect::PLAIN],
    }
}

/// The machine's state at `at` in another form.
fn printed(
    fleet: &Fleet,
    machine: usize,
    at: Timestamp,
    form: Form,
    dialect: Dialect,
) -> SimulatedSnapshot {
    let mut fleet = fleet.clone();
    fleet.set_form(machine, form, dialect);
    fleet.snapshot(machine, at)
}

/// Its rows by pid, and the context is all that a snapshot tells: `auto` finds the form.
fn normalized<T>(simulated: &SimulatedSnapshot, check: impl FnOnce(&Listing<'_>) -> T) -> T {
    let snapshot = &simulated.snapshot;
    let context = Context {
        os: None,
        format: None,
        observed_at: snapshot.observed_at,
        utc_offset_seconds: snapshot.utc_offset_seconds,
    };
    match &snapshot.payload {
        Payload::CommandOutput(output) => {
            let text = decode_text(&output.text, output.encoding.as_deref()).expect("text");
            let listing = parse_text(&text, &context, &RULES).expect("a listing");
            check(&listing)
        }
        payload => check(&parse_structured(payload, &context, &RULES)),
    }
}

/// A row with its start.
type Row = (TruthRow, Option<CreationTime>);

fn row(process: &Process<'_>) -> Row {
    (seen(process), process.created_at)
}

fn by_pid(listing: &Listing<'_>) -> BTreeMap<i32, Row> {
    assert_eq!(listing.rejected, []);
    let rows: BTreeMap<_, _> = listing
        .processes
        .iter()
        .map(|process| (process.pid, row(process)))
        .collect();
    assert_eq!(rows.len(), listing.processes.len());
    rows
}

fn length_us(precision: Precision) -> i64 {
    let seconds = match precision {
        Precision::Exact => 0,
        Precision::Second => 1,
        Precision::Minute => 60,
        Precision::Hour => 3_600,
        Precision::Day => 86_400,
        Precision::Year => 366 * 86_400,
    };
    seconds * 1_000_000
}

/// Compares a row of text with that of the records, as far as the form goes.
fn compare(form: Form, text: &Row, record: &Row) -> Result<(), TestCaseError> {
    let holds = Holds::of(form);
    let mut expect = holds.seen(&record.0);
    // Not in Windows' records, so that there is nothing to compare; `parsers.rs` compares it with the fleet's truth.
    if holds.state != State::No && form.os() == Os::Windows {
        expect.state = text.0.state;
    }
    if holds.owner == Owner::Number {
        expect.owner.clone_from(&text.0.owner);
        prop_assert!(expect.owner.is_some());
    }
    // `Get-Process` has names without `.exe`, and whole ones where it shows the path.
    if matches!(
        form,
        Form::GetProcessCsv | Form::GetProcessCultureCsv | Form::GetProcessJson
    ) && text.0.executable_name != "Idle"
    {
        let whole = &record.0.executable_name;
        let stem = whole.len()
            - if whole.to_lowercase().ends_with(".exe") {
                4
            } else {
                0
            };
        let shown = &text.0.executable_name;
        prop_assert!(shown == whole || *shown == whole[..stem], "{shown} {whole}");
        expect.executable_name.clone_from(shown);
    } else if text.0.executable_name == "Idle" {
        expect.executable_name = "Idle".to_owned();
        expect.application.clone_from(&text.0.application);
    }
    // The records have 15 bytes of a kernel thread's name, procps prints all of it.
    let mut found = text.0.clone();
    if expect.executable_name.starts_with('[') && found.executable_name.len() > 17 {
        found.executable_name.truncate(16);
        found.executable_name.push(']');
    }
    // Some cut names are listed among their application's.
    let cut = found.executable_name.len() < record.0.executable_name.len();
    if cut && found.application == record.0.application {
        expect.application.clone_from(&found.application);
    }
    prop_assert_eq!(&found, &expect);
    match (holds.start, text.1, record.1) {
        (Start::No, start, _) => prop_assert_eq!(start, None),
        (Start::Second | Start::Minute, None, Some(_)) => prop_assert!(false, "no start"),
        (Start::Second, Some(start), _) if length_us(start.precision) > 1_000_000 => {
            prop_assert!(false, "{start:?} is coarse");
        }
        (_, Some(start), Some(exact)) => {
            // The records' own start is known to a second on Linux, and procps rounds the boot time.
            let (low, high) = (start.at, start.at.plus_micros(length_us(start.precision)));
            let slack = length_us(exact.precision);
            prop_assert!(low <= exact.at.plus_micros(slack), "{start:?} {exact:?}");
            prop_assert!(exact.at <= high.plus_micros(slack), "{start:?} {exact:?}");
        }
        (_, _, None) | (_, None, _) => {}
    }
    Ok(())
}

fn check(fleet: &Fleet, machine: usize, at: Timestamp) -> Result<(), TestCaseError> {
    let os = fleet.machines().nth(machine).expect("a machine").os;
    let records = printed(fleet, machine, at, Form::structured(os), Dialect::PLAIN);
    let records = normalized(&records, by_pid);
    for form in Form::ALL.into_iter().filter(|form| form.os() == os) {
        for dialect in dialects(form) {
            let text = printed(fleet, machine, at, form, dialect);
            let rows = normalized(&text, by_pid);
            prop_assert!(rows.keys().eq(records.keys()), "{form:?} {dialect:?}");
            for (pid, row) in &rows {
                compare(form, row, &records[pid]).map_err(|error| {
                    TestCaseError::fail(format!("{form:?} {dialect:?}: {error}"))
                })?;
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(12) })]

    #[test]
    fn every_form_gives_the_rows_of_the_records(seed in any::<u64>(), days in 0..400_i64, second in 0..86_400_i64) {
        let mut fleet = fleet(seed);
        let at = fleet.config().start.plus_micros((days * 86_400 + second) * 1_000_000);
        for machine in 0..3 {
            fleet.snapshot(machine, at);
            check(&fleet, machine, at)?;
        }
    }
}

/// What is read of the starts of a form, so that [`Start::Sometimes`] does not come to mean never.
#[test]
fn most_starts_are_read() {
    let fleet = fleet(7);
    let at = fleet.config().start.plus_micros(90_000_000);
    for machine in 0..3 {
        let os = fleet.machines().nth(machine).expect("a machine").os;
        for form in Form::ALL.into_iter().filter(|form| form.os() == os) {
            if Holds::of(form).start == Start::No {
                continue;
            }
            let text = printed(&fleet, machine, at, form, Dialect::PLAIN);
            let (known, all) = normalized(&text, |listing| {
                let known = |process: &&Process<'_>| process.created_at.is_some();
                (
                    listing.processes.iter().filter(known).count(),
                    listing.processes.len(),
                )
            });
            // A day without its year, after a day: it may be any year's.
            let least = if form == Form::LinuxColumnsStart {
                4
            } else {
                9
            };
            assert!(known * 10 >= all * least, "{form:?}: {known} of {all}");
        }
    }
}
