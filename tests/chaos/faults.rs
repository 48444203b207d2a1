//! Each kind of fault: how it is injected, and how it ends.

use super::disk::Disk;
use super::instances::{Instances, Surroundings};
use super::plan::{Kind, Step};
use super::proxy::wire::Protocol;
use super::proxy::{Proxy, Weather};
use crate::support::{Services, Setup, eventually};
use rollcall_stack::StackOptions;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Instances at work between faults.
const INSTANCES: usize = 3;
/// After so long without a sign of life an instance loses its partitions (`support.rs` sets it).
const SESSION: Duration = Duration::from_secs(2);
/// Each of the instances that join and leave has so much time.
const EACH: Duration = Duration::from_secs(1);
/// All connections are cut so often.
const CUTS: Duration = Duration::from_millis(400);
/// How late pieces come on a slow network, in milliseconds, at least and beyond that at most.
const LATE_MS: (u64, u64) = (20, 100);
/// How long silence may follow a swallowed reply, in milliseconds.
const SILENCE_MS: u64 = 1_500;

/// The services, the proxies before them, and the instances. All end with it, also when it is dropped by a panic.
pub struct World {
    instances: Instances,
    kafka: Proxy,
    postgres: Proxy,
    disk: Option<Disk>,
    pub services: Services,
}

impl World {
    /// Starts everything; tables have so much room.
    pub fn start(disk_mebibytes: u32, logs: &Path) -> Self {
        let kafka = Proxy::new(Protocol::Kafka);
        let postgres = Proxy::new(Protocol::Postgres);
        let setup = Setup {
            stack: StackOptions {
                kafka_proxy: Some(kafka.address()),
                ..StackOptions::for_tests()
            },
            ..Setup::default()
        };
        let mut disk = None;
        let mut services = Services::start_prepared(setup, |stack| {
            disk = Disk::mount(stack, disk_mebibytes);
        });
        let server = services.stack.postgres().address();
        let proxied = postgres.address().to_string();
        let surroundings = Surroundings {
            brokers: kafka.address().to_string(),
            database_url: services.database_url.replace(&server.to_string(), &proxied),
            logs: logs.to_owned(),
        };
        kafka.lead_to(services.stack.kafka_proxied());
        postgres.lead_to(server);
        let mut world = Self {
            instances: Instances::new(surroundings),
            kafka,
            postgres,
            disk,
            services,
        };
        for _ in 0..INSTANCES {
            world.instances.join(&world.services);
        }
        world
    }

    /// Whether a fault of this kind can be injected here.
    pub fn can(&self, kind: Kind) -> bool {
        kind != Kind::DiskFull || self.disk.is_some()
    }

    /// Injects a fault and ends it. Returns how often it did what its kind counts.
    pub fn inject(&mut self, step: &Step) -> u64 {
        let before = self.kafka.hits() + self.postgres.hits();
        let (lasts, choice) = (step.lasts, step.choice);
        let late = Duration::from_millis(LATE_MS.0 + choice % LATE_MS.1);
        let silence = Duration::from_millis(choice % SILENCE_MS);
        let hits = match step.kind {
            Kind::InstanceKilled => self.kill_instance(lasts, choice),
            Kind::InstanceFrozen => self.freeze_instance(lasts, choice),
            Kind::InstancesJoinAndLeave => self.join_and_leave(lasts),
            Kind::BrokerKilled => self.kill_broker(),
            Kind::BrokerCut => cut(&self.kafka, lasts),
            Kind::BrokerSlow => spoil(&self.kafka, Weather::Slow(late), lasts),
            Kind::BrokerCommitsSwallowed => {
                spoil(&self.kafka, Weather::SwallowCommits(silence), lasts)
            }
            Kind::PostgresKilled | Kind::PostgresStopped => {
                self.restart_postgres(step.kind == Kind::PostgresKilled, lasts)
            }
            Kind::PostgresCut => cut(&self.postgres, lasts),
            Kind::PostgresSlow => spoil(&self.postgres, Weather::Slow(late), lasts),
            Kind::PostgresCommitsSwallowed => {
                spoil(&self.postgres, Weather::SwallowCommits(silence), lasts)
            }
            Kind::DiskFull => self.disk.as_ref().map_or(0, |disk| fill(disk, lasts)),
            Kind::RegistryAway => self.registry_away(lasts, choice),
        };
        self.instances.assert_running();
        hits.max(self.kafka.hits() + self.postgres.hits() - before)
    }

    fn kill_instance(&mut self, lasts: Duration, choice: u64) -> u64 {
        self.instances.kill(choice);
        sleep(lasts);
        self.instances.join(&self.services);
        1
    }

    fn freeze_instance(&mut self, lasts: Duration, choice: u64) -> u64 {
        let instance = self.instances.one(choice);
        instance.pause();
        sleep(SESSION + lasts);
        instance.resume();
        1
    }

    fn join_and_leave(&mut self, lasts: Duration) -> u64 {
        let rounds = (2 * lasts).as_secs().max(1);
        for _ in 0..rounds {
            self.instances.join(&self.services);
            self.instances.leave();
            sleep(EACH);
        }
        self.instances.await_leavers();
        2 * rounds
    }

    fn kill_broker(&mut self) -> u64 {
        self.services.kill_broker(&self.instances.all());
        1
    }

    fn restart_postgres(&mut self, by_force: bool, lasts: Duration) -> u64 {
        let postgres = self.services.stack.postgres();
        match by_force {
            true => postgres.kill9().expect("it dies"),
            false => postgres.stop().expect("it stops"),
        }
        sleep(lasts);
        postgres.start().expect("it starts");
        1
    }

    /// Whoever joins meanwhile must look up all schemas, and can't.
    fn registry_away(&mut self, lasts: Duration, choice: u64) -> u64 {
        self.services.stack.registry().kill9().expect("it dies");
        self.instances.kill(choice);
        self.instances.join(&self.services);
        sleep(lasts);
        self.services.stack.registry().start().expect("it starts");
        1
    }

    /// All instances leave in peace.
    pub fn end_instances(&mut self) {
        self.instances.end();
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(disk) = &self.disk {
            let _ = self.services.stack.postgres().kill9();
            disk.unmount();
        }
    }
}

fn cut(proxy: &Proxy, lasts: Duration) -> u64 {
    let begun = Instant::now();
    while begun.elapsed() < lasts {
        proxy.cut();
        sleep(CUTS);
    }
    0
}

fn spoil(proxy: &Proxy, weather: Weather, lasts: Duration) -> u64 {
    let before = proxy.hits();
    proxy.set(weather);
    sleep(lasts);
    eventually("something has come by", || proxy.hits() > before);
    proxy.set(Weather::Fair);
    0
}

fn fill(disk: &Disk, lasts: Duration) -> u64 {
    let before = disk.refused();
    disk.fill();
    eventually("a statement finds the disk full", || {
        disk.refused() > before
    });
    sleep(lasts);
    disk.free();
    disk.refused() - before
}
