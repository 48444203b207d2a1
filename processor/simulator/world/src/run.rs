//! A world from its first moment to its judgement.

use crate::broker::Broker;
use crate::database::{self, Postgres};
use crate::executor::{ENVIRONMENT, Executor, ProcessId};
use crate::load::{ACCEPTANCE_US, FUTURE_TOLERANCE_US, Ledger, Load};
use crate::oracle;
use crate::ports::{BEGIN_US, DEPLOYMENT, Shared, Weather, World};
use crate::watch::Watch;
use rollcall_domain::GroupingSet;
use rollcall_driver::sink::{SinkLane, run_sink_lane};
use rollcall_driver::{
    Control, NormalizeKind, RollupKind, SharedDirectory, Signal, StageKind, Users, run_stage,
};
use rollcall_engine::limits::WindowLimits;
use rollcall_engine::task::TaskConfig;
use rollcall_normalize::ApplicationRules;
use rollcall_simulator::random::Random;
use rollcall_stages::layout::{self, Partitions, TOPICS};
use rollcall_stages::{NormalizeConfig, RollupConfig};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

const SECOND_US: i64 = 1_000_000;
/// How long machines send.
const LOAD_US: i64 = 60 * SECOND_US;
/// How long faults are injected.
const FAULTS_US: i64 = 75 * SECOND_US;
/// How long it may take until everything is level once there are no faults.
const LEVEL_US: i64 = 120 * SECOND_US;
/// How long tombstones stay: longer than any restore takes, as a day does outside.
const TOMBSTONES_US: i64 = 60 * SECOND_US;
/// Steps after which a world counts as hanging.
const STEPS_MAX: u64 = 5_000_000;

static RULES: LazyLock<Arc<ApplicationRules>> =
    LazyLock::new(|| Arc::new(ApplicationRules::builtin()));

/// How a world ended.
#[derive(Debug)]
pub struct Report {
    /// Digest of its trace.
    pub hash: u64,
    /// What happened how often.
    pub counts: BTreeMap<&'static str, u64>,
    /// What went wrong, if anything.
    pub failure: Option<String>,
    /// Its trace, where it was asked for.
    pub trace: Vec<String>,
}

/// One running program.
struct Program {
    process: ProcessId,
    stop: Control,
    restart_us: Option<i64>,
}

/// What differs between worlds.
struct Setting {
    partitions: Partitions,
    programs: usize,
    records: u64,
    task: TaskConfig,
    grace_us: [i64; 3],
    limits: WindowLimits,
    /// How long details, and rollups, wait for a flush.
    intervals: [Duration; 2],
    /// The mean time between two faults; 0: there are none.
    faults_every_us: i64,
    /// What the weather is like where nothing else is said.
    loss: u64,
    late: u64,
    delay_us: u64,
}

impl Setting {
    fn draw(random: &mut Random) -> Self {
        let closings_per_transaction = *random.pick(&[5, 20_000]);
        Self {
            partitions: Partitions {
                snapshots: random.between(1, 3) as i32,
                rollups: random.between(1, 2) as i32,
            },
            programs: random.between(1, 3) as usize,
            records: *random.pick(&[20, 60, 120, 300]),
            task: TaskConfig {
                commit_interval_us: *random.pick(&[100_000, 500_000]),
                idle_commit_interval_us: *random.pick(&[1_000_000, 4_000_000]),
                max_batch_records: *random.pick(&[3, 20, 20_000]),
                ..TaskConfig::default()
            },
            grace_us: [*random.pick(&[0, 5, 30]), 60, 90].map(|s| s * SECOND_US),
            limits: WindowLimits {
                live_entries: *random.pick(&[10, 2_000_000]),
                closings_per_transaction: closings_per_transaction.min(20_000),
                ..WindowLimits::default()
            },
            intervals: [
                *random.pick(&[100, 500]),
                *random.pick(&[200, 2_000, 5_000]),
            ]
            .map(Duration::from_millis),
            faults_every_us: *random.pick(&[0, 3, 5, 12]) * SECOND_US,
            loss: *random.pick(&[0, 2_000, 20_000]),
            late: *random.pick(&[0, 50_000, 300_000]),
            delay_us: *random.pick(&[200, 5_000, 50_000]),
        }
    }

    fn normalize(&self) -> Arc<NormalizeKind> {
        let directory = SharedDirectory::default();
        directory.publish(Users::default());
        Arc::new(NormalizeKind {
            config: NormalizeConfig {
                deployment: DEPLOYMENT.to_owned(),
                partition: 0,
                partitions: self.partitions,
                source_topic: layout::SNAPSHOTS.name.to_owned(),
                future_tolerance_us: FUTURE_TOLERANCE_US,
                acceptance_us: ACCEPTANCE_US,
                store_command_output: false,
                finest_grains: GroupingSet::ALL.map(|set| set.default_grains()[0]),
                max_message_bytes: 1 << 20,
            },
            task: self.task,
            rules: Arc::clone(&RULES),
            directory,
        })
    }

    fn rollup(&self) -> Arc<RollupKind> {
        Arc::new(RollupKind {
            config: RollupConfig {
                deployment: DEPLOYMENT.to_owned(),
                partition: 0,
                partitions: self.partitions,
                grains: GroupingSet::ALL.map(|set| set.default_grains().to_vec()),
                grace_us: self.grace_us,
                limits: self.limits,
            },
            task: self.task,
        })
    }
}

/// Runs the world of a seed.
#[must_use]
pub fn run(seed: u64, with_trace: bool) -> Report {
    let mut random = Random::new(seed, 0);
    let setting = Rc::new(Setting::draw(&mut random));
    let counts: Vec<i32> = TOPICS
        .iter()
        .map(|topic| topic.partitions.of(setting.partitions))
        .collect();
    let shared = Rc::new(Shared {
        executor: Executor::new(),
        random: RefCell::new(random),
        broker: RefCell::new(Broker::new(&counts, 60 * SECOND_US)),
        database: RefCell::new(Postgres::default()),
        groups: RefCell::default(),
        weather: RefCell::new(Weather {
            loss: setting.loss,
            late: setting.late,
            delay_us: setting.delay_us,
            ..Weather::default()
        }),
        watch: RefCell::new(Watch::new(with_trace)),
    });
    let ledger = Rc::new(RefCell::new(Ledger::new()));
    let executor = &shared.executor;
    executor.spawn(ENVIRONMENT, serve(Rc::clone(&shared)));
    executor.spawn(
        ENVIRONMENT,
        send(Rc::clone(&shared), Rc::clone(&setting), Rc::clone(&ledger)),
    );
    let judged = Rc::new(RefCell::new(None));
    executor.spawn(
        ENVIRONMENT,
        live(Rc::clone(&shared), Rc::clone(&setting), Rc::clone(&judged)),
    );
    let mut steps = 0;
    while judged.borrow().is_none() && steps < STEPS_MAX && executor.step() {
        steps += 1;
    }
    let failure = match judged.take() {
        None => Some(format!("the world hangs after {steps} steps")),
        Some(Err(failure)) => Some(failure),
        Some(Ok(())) => oracle::compare(
            &shared.broker.borrow(),
            &ledger.borrow(),
            &shared.database.borrow(),
        )
        .err(),
    };
    // What is left holds the world, and the world holds what is left.
    for process in 1..executor.new_process() {
        executor.kill(process);
    }
    executor.kill(ENVIRONMENT);
    let mut watch = shared.watch.borrow_mut();
    Report {
        hash: watch.hash(),
        counts: std::mem::take(&mut watch.counts),
        failure: watch.failure.take().or(failure),
        trace: watch.trace.take().unwrap_or_default(),
    }
}

/// The services' own work: markers, groups, connections that end.
pub(crate) async fn serve(shared: Rc<Shared>) {
    loop {
        let pause_us = shared.random.borrow_mut().between(1_000, 20_000);
        shared.executor.sleep(pause_us).await;
        let now_us = shared.executor.now_us();
        shared.database.borrow_mut().housekeep(now_us);
        if shared.weather.borrow().broker_away_until_us > now_us {
            continue;
        }
        let clock_us = shared.broker_time_us();
        let mut broker = shared.broker.borrow_mut();
        broker.housekeep(clock_us, &mut shared.random.borrow_mut());
        drop(broker);
        for group in shared.groups.borrow_mut().values_mut() {
            group.coordinate(now_us, &shared.executor, |process| shared.is_heard(process));
        }
    }
}

/// Machines send.
async fn send(shared: Rc<Shared>, setting: Rc<Setting>, ledger: Rc<RefCell<Ledger>>) {
    let mut load = Load::new(setting.partitions.snapshots);
    let mean_us = LOAD_US / setting.records as i64;
    for _ in 0..setting.records {
        let pause_us = shared.random.borrow_mut().between(0, 2 * mean_us);
        shared.executor.sleep(pause_us).await;
        let now_us = shared.broker_time_us();
        let shipment = load.next(now_us, &mut shared.random.borrow_mut());
        let place = (layout::SNAPSHOTS.index, shipment.partition);
        let mut broker = shared.broker.borrow_mut();
        let offset = broker.append(place, now_us, shipment.key, shipment.value);
        let at = (shipment.partition, offset);
        ledger.borrow_mut().insert(at, shipment.made);
        shared.watch.borrow_mut().count("raw records");
    }
}

/// Starts programs, injects faults, stops that, and waits until everything is level.
async fn live(
    shared: Rc<Shared>,
    setting: Rc<Setting>,
    judged: Rc<RefCell<Option<Result<(), String>>>>,
) {
    let mut programs: Vec<Program> = (0..setting.programs)
        .map(|_| start(&shared, &setting))
        .collect();
    let mut next_fault_us = setting.faults_every_us;
    while shared.executor.now_us() < FAULTS_US {
        shared.executor.sleep(100_000).await;
        let now_us = shared.executor.now_us();
        restart(&shared, &setting, &mut programs, now_us);
        if setting.faults_every_us > 0 && now_us >= next_fault_us {
            let pause_us = shared
                .random
                .borrow_mut()
                .between(0, 2 * setting.faults_every_us);
            next_fault_us = now_us + pause_us;
            inject(&shared, &mut programs, now_us);
            // Troubles seldom come alone.
            while shared.random.borrow_mut().chance(400_000) {
                inject(&shared, &mut programs, now_us);
            }
        }
    }
    *shared.weather.borrow_mut() = Weather {
        delay_us: 1_000,
        ..Weather::default()
    };
    for program in &mut programs {
        program.restart_us = program.restart_us.map(|_| 0);
        shared.executor.stop(program.process, 0);
    }
    restart(&shared, &setting, &mut programs, shared.executor.now_us());
    let result = loop {
        // What came while faults were injected is closed by then, if windows close while nothing comes.
        let closed_us = BEGIN_US + FAULTS_US - setting.grace_us[0];
        let Err(lack) = check_level(&shared, closed_us) else {
            break Ok(());
        };
        if shared.executor.now_us() > FAULTS_US + LEVEL_US {
            break Err(format!(
                "{} s after the last fault, not everything is folded, closed and stored: {lack}",
                LEVEL_US / SECOND_US
            ));
        }
        shared.executor.sleep(1_000_000).await;
    };
    *judged.borrow_mut() = Some(result);
}

/// Whether everything that was sent is folded, closed through that time, and stored; `Err`: what is not.
fn check_level(shared: &Shared, closed_us: i64) -> Result<(), String> {
    let (broker, database) = (shared.broker.borrow(), shared.database.borrow());
    oracle::check_folded(&broker, closed_us)?;
    oracle::check_stored(&broker, &database, closed_us)
}

fn start(shared: &Rc<Shared>, setting: &Setting) -> Program {
    let process = shared.executor.new_process();
    let world = World {
        shared: Rc::clone(shared),
        process,
    };
    let stop = Control::new();
    world.note("starts");
    spawn_stage(&world, setting.normalize(), &stop);
    spawn_stage(&world, setting.rollup(), &stop);
    let [copied, coalesced] = setting.intervals;
    spawn_lane(&world, SinkLane::Details, copied, &stop);
    spawn_lane(&world, SinkLane::Rollups, coalesced, &stop);
    spawn_lane(&world, SinkLane::DeadLetters, copied, &stop);
    Program {
        process,
        stop,
        restart_us: None,
    }
}

fn spawn_stage<K: StageKind>(world: &World, kind: Arc<K>, stop: &Control) {
    let (world, stop) = (world.clone(), stop.clone());
    let executor = Rc::clone(&world.shared.executor);
    executor.spawn(world.process, async move {
        if let Err(error) = run_stage(&kind, &world, &stop).await {
            let fault = format!("{} ended: {error:#}", kind.name());
            world.shared.watch.borrow_mut().fail(fault);
        }
    });
}

fn spawn_lane(world: &World, lane: SinkLane, interval: Duration, stop: &Control) {
    let (world, stop) = (world.clone(), stop.clone());
    let executor = Rc::clone(&world.shared.executor);
    executor.spawn(world.process, async move {
        if let Err(error) = run_sink_lane(lane, interval, &world, &world, &stop).await {
            let fault = format!("{} ended: {error:#}", lane.name());
            world.shared.watch.borrow_mut().fail(fault);
        }
    });
}

/// Starts anew what was ended and is due.
fn restart(shared: &Rc<Shared>, setting: &Setting, programs: &mut [Program], now_us: i64) {
    for program in programs {
        if program.restart_us.is_some_and(|at_us| at_us <= now_us) {
            // One that drains may take longer than that: it is killed then.
            shared.executor.kill(program.process);
            *program = start(shared, setting);
        }
    }
}

/// One fault.
fn inject(shared: &Rc<Shared>, programs: &mut [Program], now_us: i64) {
    let mut random = shared.random.borrow_mut();
    let program = random.below(programs.len() as u64) as usize;
    let program = &mut programs[program];
    let process = program.process;
    let until_us = now_us + random.between(SECOND_US / 2, 20 * SECOND_US);
    let what = match random.below(16) {
        0 | 1 => {
            program.restart_us = Some(now_us + random.between(0, 8 * SECOND_US));
            shared.executor.kill(process);
            "processes killed"
        }
        2 | 3 => {
            shared.executor.stop(process, until_us);
            "processes stopped for a while"
        }
        4 => {
            program.stop.send(Signal::Drain);
            program.restart_us = Some(until_us);
            "processes ended in order"
        }
        5 => {
            let mut weather = shared.weather.borrow_mut();
            weather.cut_until_us.insert(process, until_us);
            "processes cut off"
        }
        6 => {
            shared.weather.borrow_mut().broker_away_until_us = until_us;
            "brokers away"
        }
        7 | 8 => {
            let mut weather = shared.weather.borrow_mut();
            weather.unheard_until_us.insert(process, until_us);
            "processes that the group does not hear"
        }
        9 => {
            let mut weather = shared.weather.borrow_mut();
            weather.starved_until_us.insert(process, until_us);
            "processes that nothing is fetched for"
        }
        10 => {
            shared.weather.borrow_mut().registry_away_until_us = until_us;
            "registries away"
        }
        11 => {
            shared.database.borrow_mut().restart();
            shared.weather.borrow_mut().database_away_until_us = until_us;
            "databases restarted"
        }
        12 => {
            let lacking = database::lag(&mut random);
            shared.database.borrow_mut().fail_over(lacking);
            shared.weather.borrow_mut().database_away_until_us = now_us + SECOND_US;
            "databases failed over"
        }
        13 => {
            let mut weather = shared.weather.borrow_mut();
            weather.database_cut_until_us.insert(process, until_us);
            "processes cut off from the database"
        }
        _ => {
            let mut broker = shared.broker.borrow_mut();
            for topic in TOPICS.iter().filter(|topic| topic.compacted) {
                for place in broker.partitions(topic.index) {
                    let active = random.below(4) as usize;
                    broker.compact(place, now_us, active, TOMBSTONES_US);
                }
            }
            "compactions"
        }
    };
    drop(random);
    let mut watch = shared.watch.borrow_mut();
    watch.count(what);
    watch.note(now_us, process, what);
}
