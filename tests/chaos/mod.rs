//! Several instances under load on the real services, and one fault after the other: `make chaos MINUTES=n SEED=x`.
//!
//! A seed fixes the faults, their order and lengths, and the fleet; not the moments at which they meet the work. In the
//! end every table must be what the generator's ledger says. That ledger knows what was sent and, from the broker's
//! acknowledgements, when it was appended; it reads no topic.

mod disk;
mod faults;
mod freshness;
mod instances;
mod load;
mod plan;
mod proxy;
mod report;

use crate::crowd::Crowd;
use crate::support::eventually;
use crate::tables::Tables;
use faults::World;
use freshness::Freshness;
use load::Load;
use plan::{Plan, Step};
use report::{Checked, FRESH, Injected};
use rollcall_simulator::MischiefConfig;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

/// This test's own name.
const SELF: &str = "chaos::chaos";
const MINUTES: u64 = 3;
/// The ledger keeps every row in memory.
const MINUTES_MAX: u64 = 60;
/// Machines, each asked every ten seconds; so many records a second keep them at the pace of the clock.
const MACHINES: u32 = 400;
const PER_SECOND: usize = 45;
/// What is sent was seen so many rounds of ten seconds before: each minute's window closes while we look.
const ROUNDS_BEHIND: i64 = 25;
/// Share of snapshots that some mischief touches.
const MISCHIEF: f64 = 0.3;
/// Room for the tables: to begin with, and for each minute.
const DISK_MEBIBYTES: (u32, u32) = (192, 64);

#[test]
fn chaos() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("chaos");
    let report = folder.join("report.txt");
    if let Some(succeeded) = disk::again_inside(SELF) {
        // Not by way of a macro: it is to be seen though the test succeeds.
        let text = fs::read_to_string(&report).unwrap_or_default();
        let _ = writeln!(std::io::stderr(), "{text}");
        assert!(succeeded, "chaos failed: logs are in {}", folder.display());
        return;
    }
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("a folder");
    let minutes = setting("MINUTES").unwrap_or(MINUTES).clamp(1, MINUTES_MAX);
    let seed = setting("SEED").unwrap_or_else(|| uuid::Uuid::new_v4().as_u64_pair().0 % 100_000);
    eprintln!("chaos: MINUTES={minutes} SEED={seed}");
    let text = run(minutes, seed, &folder);
    let text = format!("chaos: MINUTES={minutes} SEED={seed}\n{text}");
    fs::write(&report, text).expect("a file");
}

fn setting(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok().filter(|text| !text.is_empty())?;
    let number = text.parse();
    Some(number.unwrap_or_else(|_| panic!("{name} is a number, not {text}")))
}

fn run(minutes: u64, seed: u64, folder: &Path) -> String {
    let room = DISK_MEBIBYTES.0 + DISK_MEBIBYTES.1 * minutes as u32;
    let mut world = World::start(room, folder);
    let mischief = MischiefConfig::of_share(seed, MISCHIEF);
    let crowd = Crowd::new(&world.services, MACHINES, ROUNDS_BEHIND, mischief);
    let load = Load::start(crowd, PER_SECOND);
    let freshness = Freshness::watch(&world.services.database_url);
    await_fresh(&freshness);
    let begun = Instant::now();
    let faults = inject_all(
        &mut world,
        &freshness,
        seed,
        Duration::from_secs(60 * minutes),
    );
    await_fresh(&freshness);
    eprintln!("{:6.1} s  no more faults", begun.elapsed().as_secs_f64());
    let crowd = load.end();
    let samples = freshness.samples();
    let checked = compare(&world, &crowd);
    world.end_instances();
    let mut text = report::table(&faults, &samples);
    if world.can(plan::Kind::DiskFull) {
        text.push_str("The disk is a tmpfs that holds all tables, filled to its last byte.\n");
    } else {
        text.push_str("NOT INJECTED: disk full. This account may not mount a tmpfs in a namespace of its own.\n");
    }
    text + &report::checked(checked)
}

/// One fault after the other until time is up.
fn inject_all(
    world: &mut World,
    freshness: &Freshness,
    seed: u64,
    time: Duration,
) -> Vec<Injected> {
    let begun = Instant::now();
    let mut faults = Vec::new();
    for step in Plan::new(seed) {
        if begun.elapsed() >= time {
            break;
        }
        if !world.can(step.kind) {
            continue;
        }
        let (name, unit) = step.kind.words();
        eprintln!("{:6.1} s  {name}", begun.elapsed().as_secs_f64());
        let fault = inject(world, &step);
        let took = fault.ended - fault.begun;
        eprintln!(
            "{:>8}  … {:.1} s, {} {unit}",
            "",
            took.as_secs_f64(),
            fault.hits
        );
        faults.push(fault);
        if let Some(pause) = step.pause {
            await_fresh(freshness);
            std::thread::sleep(pause);
        }
    }
    faults
}

fn inject(world: &mut World, step: &Step) -> Injected {
    let begun = Instant::now();
    let hits = world.inject(step);
    Injected {
        kind: step.kind,
        begun,
        ended: Instant::now(),
        hits,
    }
}

fn await_fresh(freshness: &Freshness) {
    let since = Instant::now();
    eventually("what is stored is fresh again", || {
        freshness.is_fresher_than(FRESH, since)
    });
}

/// Compares every table with the ledger.
fn compare(world: &World, crowd: &Crowd) -> Checked {
    let ledger = crowd.ledger();
    let mut tables = Tables::new(&world.services.database_url);
    tables.await_everything(&crowd.ends(), &ledger);
    tables.assert_equal(&ledger);
    Checked {
        sent: crowd.ends().iter().sum::<i64>() as usize,
        snapshots: ledger.accepted(),
        details: ledger.details().len(),
        rollups: ledger.rollups().len(),
        rejected: ledger.rejected().map(|(_, count)| count).sum::<u64>() + ledger.rejected_lines(),
    }
}
