//! The instances of the processor: all stages each, through the proxies, each with a log of its own.

use crate::support::{Processor, Services};
use std::fs::File;
use std::path::PathBuf;

const ALL: &str = "normalize,rollup,sink";

/// Where instances find the services, and where their logs go.
pub struct Surroundings {
    pub brokers: String,
    pub database_url: String,
    pub logs: PathBuf,
}

/// Running instances. Killed when dropped.
pub struct Instances {
    surroundings: Surroundings,
    running: Vec<(usize, Processor)>,
    leaving: Vec<(usize, Processor)>,
    started: usize,
}

impl Instances {
    pub fn new(surroundings: Surroundings) -> Self {
        Self {
            surroundings,
            running: Vec::new(),
            leaving: Vec::new(),
            started: 0,
        }
    }

    /// One more.
    pub fn join(&mut self, services: &Services) {
        self.started += 1;
        let log = self.log(self.started);
        let log = File::create(&log).unwrap_or_else(|error| panic!("{}: {error}", log.display()));
        let mut command = services.stages(ALL);
        command
            .args(["--http-address", "127.0.0.1:0"])
            .env("ROLLCALL_KAFKA_BROKERS", &self.surroundings.brokers)
            .env("DATABASE_URL", &self.surroundings.database_url)
            .stdout(log.try_clone().expect("the log twice"))
            .stderr(log);
        let child = command.spawn().expect("the binary runs");
        self.running.push((self.started, Processor::of(child)));
    }

    /// Kills one with kill -9.
    pub fn kill(&mut self, choice: u64) {
        let (_, processor) = self.running.remove(self.chosen(choice));
        processor.kill9();
    }

    /// Asks the one that has run longest to leave.
    pub fn leave(&mut self) {
        let (number, processor) = self.running.remove(0);
        processor.ask_to_stop();
        self.leaving.push((number, processor));
    }

    pub fn one(&self, choice: u64) -> &Processor {
        &self.running[self.chosen(choice)].1
    }

    /// Those that run and those that are leaving.
    pub fn all(&self) -> Vec<&Processor> {
        let all = self.running.iter().chain(&self.leaving);
        all.map(|(_, processor)| processor).collect()
    }

    /// Those that were asked to leave have left in peace.
    pub fn await_leavers(&mut self) {
        for (number, processor) in std::mem::take(&mut self.leaving) {
            let code = processor.await_end();
            assert_eq!(
                code,
                Some(0),
                "leaving in peace ends with 0: {}",
                self.name(number)
            );
        }
    }

    /// No fault ends an instance but a kill.
    pub fn assert_running(&mut self) {
        for at in 0..self.running.len() {
            let (number, processor) = &mut self.running[at];
            let (number, runs) = (*number, processor.is_running());
            assert!(runs, "ended by itself: {}", self.name(number));
        }
    }

    /// All leave in peace.
    pub fn end(&mut self) {
        while !self.running.is_empty() {
            self.leave();
        }
        self.await_leavers();
    }

    fn chosen(&self, choice: u64) -> usize {
        (choice % self.running.len() as u64) as usize
    }

    fn log(&self, number: usize) -> PathBuf {
        self.surroundings
            .logs
            .join(format!("instance-{number}.log"))
    }

    fn name(&self, number: usize) -> String {
        format!(
            "instance {number} (its log: {})",
            self.log(number).display()
        )
    }
}
