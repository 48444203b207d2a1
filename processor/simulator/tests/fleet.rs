//! The fleet as a whole: the same bytes from the same seed, and true to life.

use rollcall_domain::snapshot::Payload;
use rollcall_domain::time::{DAY_US, HOUR_US, MINUTE_US};
use rollcall_domain::{Os, ProcessState, Snapshot, Timestamp};
use rollcall_simulator::{Fleet, FleetConfig, Form, SimulatedSnapshot, TruthRow};
use std::collections::{BTreeMap, BTreeSet};

fn config() -> FleetConfig {
    FleetConfig {
        machines: 60,
        interval_us: MINUTE_US,
        structured_share: 0.3,
        ..FleetConfig::default()
    }
}

fn sent(config: FleetConfig, count: usize) -> Vec<SimulatedSnapshot> {
    Fleet::new(config)
        .into_stream()
        .take(count)
        .map(|turn| turn.simulated)
        .collect()
}

fn text<'a>(snapshot: &'a Snapshot<'_>) -> Option<&'a [u8]> {
    match &snapshot.payload {
        Payload::CommandOutput(output) => Some(&output.text),
        _ => None,
    }
}

/// FNV-1a of the debug form, which holds every byte.
fn digest(snapshots: &[SimulatedSnapshot]) -> u64 {
    let text = format!("{snapshots:?}");
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let one = sent(config(), 240);
    assert!(one == sent(config(), 240));
    assert_ne!(
        digest(&one),
        digest(&sent(
            FleetConfig {
                seed: 2,
                ..config()
            },
            240
        ))
    );
    let directory = |seed| {
        let fleet = Fleet::new(FleetConfig { seed, ..config() });
        fleet
            .directory()
            .map(|(user, faculty)| format!("{user}/{faculty:?}"))
            .collect::<Vec<_>>()
    };
    assert_eq!(directory(1), directory(1));
    assert_ne!(directory(1), directory(2));
}

#[test]
fn what_other_machines_do_does_not_matter() {
    let mut alone = Fleet::new(config());
    let mut together = Fleet::new(config());
    let at = config().start.plus_micros(HOUR_US);
    for index in 0..60 {
        together.snapshot(index, at);
    }
    assert_eq!(alone.snapshot(7, at).truth.rows, {
        let mut fleet = Fleet::new(FleetConfig {
            machines: 8,
            ..config()
        });
        fleet.snapshot(7, at).truth.rows
    });
}

#[test]
fn every_form_is_there_and_every_machine_keeps_to_its_own() {
    let mut forms: BTreeMap<String, BTreeSet<Form>> = BTreeMap::new();
    for snapshot in sent(
        FleetConfig {
            machines: 2_400,
            processes_per_machine: 20..=30,
            ..config()
        },
        2_400,
    ) {
        forms
            .entry(snapshot.truth.machine_id)
            .or_default()
            .insert(snapshot.truth.form);
    }
    assert!(forms.values().all(|forms| forms.len() == 1));
    let all: BTreeSet<_> = forms.into_values().flatten().collect();
    let missing: Vec<_> = Form::ALL
        .into_iter()
        .filter(|form| !all.contains(form))
        .collect();
    assert_eq!(missing, [Form::LinuxColumnsSeconds]);
}

#[test]
fn text_has_a_line_for_each_row() {
    for SimulatedSnapshot { snapshot, truth } in sent(config(), 120) {
        let Some(text) = text(&snapshot) else {
            continue;
        };
        let lines = text.iter().filter(|byte| **byte == b'\n').count();
        let headers = match truth.form {
            Form::Tasklist | Form::TasklistVerbose => 3,
            Form::LinuxPsAux
            | Form::LinuxPsEf
            | Form::LinuxColumns
            | Form::Busybox
            | Form::MacosPsAux
            | Form::MacosPsEf
            | Form::TasklistCsv
            | Form::TasklistVerboseCsv => 1,
            _ => continue,
        };
        assert_eq!(lines, truth.rows.len() + headers, "{:?}", truth.form);
    }
}

#[test]
fn processes_go_on_and_come_and_go() {
    let mut fleet = Fleet::new(config());
    let mut reused = 0;
    let mut zombies = 0;
    for index in 0..60 {
        let mut before: BTreeMap<i32, TruthRow> = BTreeMap::new();
        let mut seen = BTreeSet::new();
        for minute in 1..=60 {
            let at = config().start.plus_micros(minute * MINUTE_US);
            let truth = fleet.snapshot(index, at).truth;
            let pids: BTreeSet<_> = truth.rows.iter().map(|row| row.pid).collect();
            assert_eq!(pids.len(), truth.rows.len(), "a pid stands once in a list");
            for row in &truth.rows {
                seen.insert(row.identity);
                assert!(row.started_at <= truth.observed_at);
                zombies += usize::from(row.state == Some(ProcessState::Zombie));
                let Some(earlier) = before.get(&row.pid) else {
                    continue;
                };
                if earlier.identity == row.identity {
                    assert!(row.cpu_time_us >= earlier.cpu_time_us);
                    assert_eq!(row.executable_name, earlier.executable_name);
                } else {
                    assert_ne!(row.executable_name, earlier.executable_name);
                    reused += 1;
                }
            }
            let kept = before
                .values()
                .filter(|row| seen.contains(&row.identity))
                .count();
            assert!(kept * 2 >= before.len(), "most processes go on");
            before = truth.rows.into_iter().map(|row| (row.pid, row)).collect();
        }
        assert!(seen.len() > before.len(), "some are new");
    }
    assert!(reused > 0 && zombies > 0, "{reused} {zombies}");
}

#[test]
fn cpu_time_fits_into_the_time_there_was() {
    let mut fleet = Fleet::new(config());
    for index in 0..60 {
        let mut before: BTreeMap<u64, i64> = BTreeMap::new();
        for minute in 0..20 {
            let at = config().start.plus_micros(minute * 15_000_000);
            let truth = fleet.snapshot(index, at).truth;
            let cpu: BTreeMap<_, _> = truth
                .rows
                .iter()
                .filter_map(|row| Some((row.identity, row.cpu_time_us?)))
                .collect();
            let used: i64 = cpu
                .iter()
                .filter_map(|(id, us)| Some(us - before.get(id)?))
                .sum();
            let quanta = cpu.len() as i64 * 1_000_000;
            assert!(used <= 15_000_000 * i64::from(truth.cpu_count) + quanta);
            before = cpu;
        }
    }
}

#[test]
fn law_writes_and_physics_computes() {
    let config = FleetConfig {
        machines: 300,
        shared_host_share: 0.0,
        ..FleetConfig::default()
    };
    let fleet = Fleet::new(config);
    let directory: BTreeMap<String, String> = fleet
        .directory()
        .filter_map(|(user, faculty)| Some((user.into_owned(), faculty?.to_owned())))
        .collect();
    let mut counts: BTreeMap<(String, String), usize> = BTreeMap::new();
    for turn in fleet.into_stream().take(300) {
        let truth = turn.simulated.truth;
        let Some(faculty) = truth.user.as_ref().and_then(|user| directory.get(user)) else {
            continue;
        };
        for row in truth.rows {
            *counts
                .entry((faculty.clone(), row.application))
                .or_default() += 1;
        }
    }
    let count = |faculty: &str, application: &str| {
        counts
            .get(&(faculty.to_owned(), application.to_owned()))
            .copied()
            .unwrap_or(0)
    };
    assert!(count("law", "word") > 3 * count("physics", "word"));
    assert!(count("physics", "python") > 3 * count("law", "python"));
    assert!(count("physics", "matlab") > count("law", "matlab"));
}

#[test]
fn times_are_printed_by_age() {
    let texts: Vec<(Form, String)> = sent(
        FleetConfig {
            machines: 200,
            structured_share: 0.0,
            ..config()
        },
        200,
    )
    .iter()
    .filter_map(|sent| {
        Some((
            sent.truth.form,
            String::from_utf8_lossy(text(&sent.snapshot)?).into_owned(),
        ))
    })
    .collect();
    let column = |form: Form, number: usize| -> BTreeSet<String> {
        let cell = |line: &str| line.split_whitespace().nth(number).unwrap_or("").to_owned();
        let lines = texts
            .iter()
            .filter(|(found, _)| *found == form)
            .flat_map(|(_, text)| text.lines().skip(1));
        lines.map(cell).collect()
    };
    let shape = |text: &String| -> String {
        text.chars()
            .map(|c| match c {
                '0'..='9' => '9',
                c if c.is_alphabetic() => 'a',
                c => c,
            })
            .collect()
    };
    let shapes = |cells: BTreeSet<String>| cells.iter().map(shape).collect::<BTreeSet<_>>();
    let set = |shapes: &[&str]| {
        shapes
            .iter()
            .map(|shape| (*shape).to_owned())
            .collect::<BTreeSet<_>>()
    };
    assert_eq!(
        shapes(column(Form::LinuxPsAux, 8)),
        set(&["99:99", "aaa99", "9999"])
    );
    assert_eq!(
        shapes(column(Form::LinuxPsEf, 4)),
        set(&["99:99", "aaa99", "9999"])
    );
    let macos = set(&[
        "9:99aa", "99:99aa", "aaa99aa", "9aaa99", "99aaa99", "9:99", "99:99", "aaa99",
    ]);
    assert!(macos.is_superset(&shapes(column(Form::MacosPsAux, 8))));
    assert!(
        column(Form::LinuxPsAux, 0)
            .iter()
            .any(|user| user.len() == 8 && user.ends_with('+'))
    );
    assert!(
        column(Form::LinuxPsAux, 0)
            .iter()
            .all(|user| user.len() <= 8)
    );
}

#[test]
fn machines_are_as_many_kinds_as_there_are_settings() {
    let fleet = Fleet::new(FleetConfig {
        shared_host_share: 0.2,
        ..FleetConfig::default()
    });
    assert_eq!(fleet.machines().len(), 300);
    for os in Os::ALL {
        assert!(fleet.machines().filter(|machine| machine.os == os).count() > 60);
    }
    let offsets: BTreeSet<_> = fleet
        .machines()
        .map(|machine| machine.utc_offset_seconds)
        .collect();
    assert_eq!(offsets, BTreeSet::from([-18_000, 0, 3_600, 19_800]));
    assert!(
        fleet
            .machines()
            .any(|machine| machine.shared && machine.user.is_none())
    );
    assert!(
        fleet
            .machines()
            .filter(|machine| !machine.shared)
            .all(|machine| machine.user.is_some())
    );
    assert_eq!(fleet.faculties().len(), 10);
    assert!(fleet.directory().count() > 2_000);
}

#[test]
fn a_machine_runs_as_many_processes_as_are_set() {
    for range in [10..=20, 250..=250] {
        let config = FleetConfig {
            machines: 12,
            processes_per_machine: range.clone(),
            ..config()
        };
        for snapshot in sent(config, 36) {
            let count = snapshot.truth.rows.len() as u32;
            assert!(
                count <= *range.end() && count * 10 >= range.start() * 8,
                "{count} of {range:?}"
            );
        }
    }
}

#[test]
fn odd_settings_do_no_harm() {
    assert_eq!(
        sent(
            FleetConfig {
                machines: 0,
                ..config()
            },
            3
        )
        .len(),
        0
    );
    let odd = FleetConfig {
        machines: 5,
        users: 0,
        faculties: 0,
        ..config()
    };
    assert_eq!(sent(odd, 10).len(), 10);
    let one = FleetConfig {
        machines: 3,
        processes_per_machine: 1..=1,
        users: 1,
        faculties: 1,
        ..config()
    };
    assert_eq!(sent(one, 9).len(), 9);
    let far = config().start.plus_micros(700 * DAY_US);
    assert!(!Fleet::new(config()).snapshot(0, far).truth.rows.is_empty());
}

#[test]
fn a_fleet_that_starts_again_later_says_something_new() {
    let ids = |start: Timestamp| -> BTreeSet<_> {
        let config = FleetConfig { start, ..config() };
        let said = sent(config, 200);
        said.iter().map(|said| said.snapshot.id).collect()
    };
    let first = ids(config().start);
    let second = ids(config().start.plus_micros(60_000_000));
    assert_eq!(first.len(), 200);
    assert!(first.is_disjoint(&second));
}

#[test]
fn machines_can_be_asked_before_it_is_their_turn() {
    let mut stream = Fleet::new(config()).into_stream();
    let at = stream.due().expect("a machine").0;
    let turns: Vec<_> = (0..3).filter_map(|_| stream.next_at(at)).collect();
    let machines: Vec<_> = turns.iter().map(|turn| turn.machine_index).collect();
    assert_eq!(machines, [0, 1, 2]);
    assert!(
        turns
            .iter()
            .all(|turn| turn.simulated.truth.observed_at == at)
    );
}
