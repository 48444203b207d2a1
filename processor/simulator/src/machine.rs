//! A machine at work: processes start, take CPU time and memory, and end.
//!
//! Invariants:
//! - What a machine does depends on its seed and the times it is advanced to, on nothing else.
//! - A process' CPU time never goes down, and all processes together take less than elapsed time × CPUs.
//! - No pid is given twice within memory to processes with the same name: without a creation time nobody could tell
//!   the two apart, so that no CPU time could be said to be expected.

use crate::catalogue::{self, Kind, Program, Suite};
use crate::profile::{Account, MachineProfile};
use crate::random::{MILLION, Random, mix};
use rollcall_domain::time::{DAY_US, HOUR_US, MINUTE_US, SECOND_US};
use rollcall_domain::{Os, Timestamp};
use std::collections::VecDeque;

/// How many (pid, name) pairs a machine remembers having given.
const REMEMBERED_PIDS: usize = 2_048;
/// Chance, in a million, that a new process gets the pid of one that ended.
const REUSE: u64 = 60_000;
/// Chance, in a million, that an ended process stays as a zombie for a while.
const ZOMBIE: u64 = 40_000;
/// How often users close something, about.
const CLOSING_US: i64 = 4 * MINUTE_US;
/// Longest name that a zombie may have: the kernels keep no more of it.
const ZOMBIE_NAME: usize = 15;

/// What a process is doing, as the kernel knows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Activity {
    Running,
    Sleeping,
    /// Asleep for more than 20 s.
    Resting,
    Blocked,
    Stopped,
    /// Its window does not answer.
    Hanging,
    Zombie,
}

/// A simulated process.
#[derive(Clone, Debug)]
pub(crate) struct SimulatedProcess {
    /// Never given to another process of the fleet.
    pub(crate) identity: u64,
    pub(crate) pid: i32,
    pub(crate) parent_pid: i32,
    pub(crate) program: &'static Program,
    pub(crate) path: String,
    pub(crate) arguments: Vec<String>,
    /// Its account; `None`: the program's own.
    pub(crate) account: Option<usize>,
    pub(crate) terminal: u8,
    pub(crate) started_at: Timestamp,
    pub(crate) ends_at: Option<Timestamp>,
    pub(crate) cpu_us: i64,
    /// CPU that it took lately, in thousandths of one.
    pub(crate) recent_permille: i64,
    pub(crate) resident_kib: i64,
    pub(crate) virtual_kib: i64,
    pub(crate) threads: i32,
    pub(crate) activity: Activity,
    pub(crate) window_title: &'static str,
    pub(crate) activity_ppm: u64,
}

#[cfg(test)]
impl SimulatedProcess {
    /// A process that does nothing, for tests to fill in.
    pub(crate) fn blank(program: &'static Program) -> Self {
        Self {
            identity: 0,
            pid: 0,
            parent_pid: 0,
            program,
            path: String::new(),
            arguments: Vec::new(),
            account: None,
            terminal: 0,
            started_at: Timestamp::default(),
            ends_at: None,
            cpu_us: 0,
            recent_permille: 0,
            resident_kib: 0,
            virtual_kib: 0,
            threads: 1,
            activity: Activity::Sleeping,
            window_title: "",
            activity_ppm: 0,
        }
    }
}

/// A machine and its processes, in the order in which they started.
#[derive(Clone, Debug)]
pub(crate) struct Machine {
    pub(crate) profile: MachineProfile,
    pub(crate) processes: Vec<SimulatedProcess>,
    pub(crate) booted_at: Timestamp,
    pub(crate) now: Timestamp,
    random: Random,
    identities: u64,
    next_pid: i32,
    given: VecDeque<(i32, &'static str)>,
    snapshots: u64,
}

impl Machine {
    /// The machine as it is at `now`.
    pub(crate) fn new(profile: MachineProfile, now: Timestamp, random: Random, seed: u64) -> Self {
        // Boot times are whole seconds, as `/proc/stat` gives them.
        let booted_at = now.as_micros() - profile.up_us;
        let booted_at = Timestamp::from_micros(booted_at - booted_at.rem_euclid(SECOND_US));
        let next_pid = match profile.os {
            Os::Linux => 1,
            Os::Macos => 1,
            Os::Windows => 0,
        };
        let mut machine = Self {
            profile,
            processes: Vec::new(),
            booted_at,
            now,
            random,
            identities: seed,
            next_pid,
            given: VecDeque::new(),
            snapshots: 0,
        };
        machine.populate();
        machine
    }

    /// An id for the next snapshot.
    pub(crate) fn next_snapshot_id(&mut self) -> u128 {
        self.snapshots += 1;
        let high = mix(self.identities ^ mix(self.snapshots));
        let low = mix(high ^ 0x5eed);
        // The bits of a random UUID's version and variant.
        let id = (u128::from(high) << 64) | u128::from(low);
        (id & !(0xf << 76) & !(0b11 << 62)) | (0x4 << 76) | (0b10 << 62)
    }

    /// Lets the machine work until `at`. Time never goes back.
    pub(crate) fn advance(&mut self, at: Timestamp) {
        if at <= self.now {
            return;
        }
        let before = self.now;
        self.now = at;
        self.close_something(at.micros_since(before));
        self.end_processes();
        self.start_processes(before);
        self.work(before);
    }

    fn populate(&mut self) {
        let target = self.profile.processes;
        for program in catalogue::daemons(self.profile.os).iter().take(target) {
            let start = self
                .booted_at
                .plus_micros(self.random.between(0, 40 * SECOND_US));
            let kernel = program.kind == Kind::Kernel;
            let start = if kernel { self.booted_at } else { start };
            self.start(program, None, 1, start.min(self.now), None);
        }
        // Half of what is left is for applications, however many people are logged in.
        let sessions_until = self.processes.len() + (target - self.processes.len()) / 2;
        for account in 0..self.profile.accounts.len() {
            let since = self.earlier(4 * DAY_US);
            for program in catalogue::session_programs(self.profile.os) {
                if self.processes.len() < sessions_until && self.random.chance(850_000) {
                    self.start(program, Some(account), 1, since, None);
                }
            }
        }
        while self.processes.len() < target && !self.profile.accounts.is_empty() {
            let since = self.earlier(9 * HOUR_US);
            self.start_something(since, target);
        }
        for index in 0..self.processes.len() {
            let age = self.now.micros_since(self.processes[index].started_at);
            let draw = self.random.between(200, 1_000);
            let process = &mut self.processes[index];
            process.cpu_us = scaled(age, process.activity_ppm, draw);
        }
        self.describe();
    }

    /// A moment up to `span` ago, after boot.
    fn earlier(&mut self, span: i64) -> Timestamp {
        let up = self.now.micros_since(self.booted_at);
        let ago = self.random.between(0, span.min(up * 9 / 10));
        self.now.plus_micros(-ago)
    }

    /// Users close something every few minutes.
    fn close_something(&mut self, elapsed_us: i64) {
        let chance = (elapsed_us / (CLOSING_US / MILLION as i64)) as u64;
        if self.processes.is_empty() || !self.random.chance(chance) {
            return;
        }
        let index = self.random.below(self.processes.len() as u64) as usize;
        let is_users = |process: &&mut SimulatedProcess| process.ends_at.is_some();
        if let Some(process) = self.processes[index..].iter_mut().find(is_users) {
            process.ends_at = Some(self.now);
        }
    }

    fn end_processes(&mut self) {
        let now = self.now;
        let mut kept = Vec::with_capacity(self.processes.len());
        let mut ended: Vec<i32> = Vec::new();
        for mut process in std::mem::take(&mut self.processes) {
            let orphan =
                process.program.kind == Kind::Helper && ended.contains(&process.parent_pid);
            if !orphan && process.ends_at.is_none_or(|end| end > now) {
                kept.push(process);
                continue;
            }
            if self.becomes_zombie(&process) {
                process.activity = Activity::Zombie;
                process.recent_permille = 0;
                process.activity_ppm = 0;
                process.resident_kib = 0;
                process.virtual_kib = 0;
                process.threads = 1;
                process.ends_at = Some(now.plus_micros(2 * MINUTE_US));
                kept.push(process);
            } else {
                ended.push(process.pid);
            }
        }
        self.processes = kept;
    }

    fn becomes_zombie(&mut self, process: &SimulatedProcess) -> bool {
        let may = self.profile.os != Os::Windows
            && process.activity != Activity::Zombie
            && matches!(process.program.kind, Kind::Helper | Kind::Command)
            && process.program.name.len() <= ZOMBIE_NAME;
        may && self.random.chance(ZOMBIE)
    }

    fn start_processes(&mut self, before: Timestamp) {
        if self.profile.accounts.is_empty() {
            return;
        }
        let middle = self.profile.processes as i64;
        let target = self.random.between(middle - middle / 12, middle) as usize;
        while self.processes.len() < target {
            let since = before.as_micros() + self.random.between(1, self.now.micros_since(before));
            self.start_something(Timestamp::from_micros(since), target);
        }
    }

    /// An application with its helpers, or a command; all of it no more than fits up to `target`.
    fn start_something(&mut self, since: Timestamp, target: usize) {
        let account = self.random.below(self.profile.accounts.len() as u64) as usize;
        if self.random.chance(250_000) {
            let program = self.random.pick(catalogue::commands(self.profile.os));
            let life = self.random.between(10 * SECOND_US, 8 * MINUTE_US);
            let begun = since.max(self.now.plus_micros(-life / 2));
            self.start(program, Some(account), 1, begun, Some(life));
            return;
        }
        let Some(suite) = self.favourite(account) else {
            return;
        };
        let life = self.random.between(3 * MINUTE_US, 6 * HOUR_US);
        let main = self.start(&suite.main, Some(account), 1, since, Some(life));
        self.processes[main].window_title = suite.title;
        let parent = self.processes[main].pid;
        let helpers = self
            .random
            .between(suite.helper_count.0, suite.helper_count.1);
        for _ in 0..helpers {
            if self.processes.len() >= target {
                return;
            }
            let program = self.random.pick(suite.helpers);
            let begun = since
                .plus_micros(self.random.between(0, 30 * SECOND_US))
                .min(self.now);
            let life = self.random.between(MINUTE_US, 2 * life);
            self.start(program, Some(account), parent, begun, Some(life));
        }
    }

    /// What an account's user would open next.
    fn favourite(&mut self, account: usize) -> Option<&'static Suite> {
        let suites = catalogue::suites(self.profile.os);
        let preferences = catalogue::preferences(self.profile.accounts[account].faculty);
        for _ in 0..16 {
            let name = *self.random.weighted(preferences);
            if let Some(suite) = suites.iter().find(|suite| suite.application == name) {
                return Some(suite);
            }
        }
        suites.first()
    }

    /// Starts one process; returns its index. It ends `life` after now or after its start, whichever is later.
    fn start(
        &mut self,
        program: &'static Program,
        account: Option<usize>,
        parent_pid: i32,
        started_at: Timestamp,
        life: Option<i64>,
    ) -> usize {
        let account = account.filter(|_| program.owner.is_empty());
        self.identities = self.identities.wrapping_add(1);
        let identity = mix(self.identities);
        let pid = self.pid_for(program);
        let parent_pid = match (program.kind, self.profile.os) {
            (_, Os::Linux) if pid <= 2 => 0,
            (Kind::Kernel, _) => 2,
            (_, Os::Windows) if pid <= 4 => 0,
            (_, Os::Windows) if parent_pid == 1 => 4,
            (_, Os::Macos) if pid == 1 => 0,
            _ => parent_pid,
        };
        let jitter = self.random.between(700, 1_400);
        let resident_kib = program.resident_kib * jitter / 1_000 / 4 * 4;
        let login = account.map_or("", |account| self.profile.accounts[account].login.as_str());
        let number = self.random.between(1, 99);
        let virtual_factor = self.random.between(3, 12);
        let process = SimulatedProcess {
            identity,
            pid,
            parent_pid,
            program,
            path: filled(program.path, login, number, identity),
            arguments: arguments(program, login, number, identity),
            account,
            terminal: number as u8 % 12,
            started_at,
            ends_at: life.map(|life| self.now.max(started_at).plus_micros(life)),
            cpu_us: 0,
            recent_permille: 0,
            resident_kib,
            virtual_kib: virtual_kib(self.profile.os, resident_kib, virtual_factor),
            threads: program.threads,
            activity: Activity::Sleeping,
            window_title: "",
            activity_ppm: u64::from(program.activity_ppm) * jitter as u64 / 1_000,
        };
        self.processes.push(process);
        self.processes.len() - 1
    }

    fn pid_for(&mut self, program: &Program) -> i32 {
        if self.random.chance(REUSE) && !self.given.is_empty() {
            let recent = self.given.len().min(48);
            let at = self.given.len() - 1 - self.random.below(recent as u64) as usize;
            let pid = self.given[at].0;
            if self.may_have(pid, program.name) {
                return self.give(pid, program.name);
            }
        }
        loop {
            let pid = self.next_pid;
            self.next_pid = self.pid_after(pid);
            if self.may_have(pid, program.name) {
                return self.give(pid, program.name);
            }
        }
    }

    fn may_have(&self, pid: i32, name: &str) -> bool {
        self.processes.iter().all(|process| process.pid != pid)
            && self.given.iter().all(|given| *given != (pid, name))
    }

    fn give(&mut self, pid: i32, name: &'static str) -> i32 {
        if self.given.len() == REMEMBERED_PIDS {
            self.given.pop_front();
        }
        self.given.push_back((pid, name));
        pid
    }

    /// Other processes come and go between those that are simulated, so that pids have gaps.
    fn pid_after(&mut self, pid: i32) -> i32 {
        let (max, wrapped) = match self.profile.os {
            Os::Linux if self.profile.pid_digits == 5 => (32_767, 300),
            Os::Linux => (4_194_303, 300),
            Os::Macos => (99_998, 100),
            Os::Windows => {
                // Windows gives the lowest handles that are free: multiples of four, in no order.
                return match pid {
                    0 => 4,
                    4 => 108,
                    _ => (self.random.between(90, 6_000) * 4) as i32,
                };
            }
        };
        let early = self.processes.len() < 30;
        let gap = if early {
            1
        } else {
            self.random.between(1, 60) as i32
        };
        if pid + gap > max { wrapped } else { pid + gap }
    }

    fn work(&mut self, before: Timestamp) {
        let elapsed = self.now.micros_since(before);
        let mut taken = Vec::with_capacity(self.processes.len());
        for index in 0..self.processes.len() {
            let burst = self.burst();
            let process = &self.processes[index];
            let ran = elapsed.min(self.now.micros_since(process.started_at));
            // One that does nothing but idle time is not bounded by it.
            taken.push(
                scaled(ran, process.activity_ppm, burst).min(ran * i64::from(process.threads)),
            );
        }
        let total: i128 = taken.iter().map(|us| i128::from(*us)).sum();
        let budget = i128::from(elapsed) * i128::from(self.profile.cpu_count) / 2;
        for (process, taken) in self.processes.iter_mut().zip(&mut taken) {
            if total > budget {
                *taken = (i128::from(*taken) * budget / total) as i64;
            }
            process.cpu_us += *taken;
            process.recent_permille = (i128::from(*taken) * 1_000 / i128::from(elapsed)) as i64;
        }
        for index in 0..self.processes.len() {
            self.breathe(index);
        }
        self.describe();
    }

    /// How busy a process is for one interval, in thousandths of its average. Most rest most of the time.
    fn burst(&mut self) -> i64 {
        match self.random.below(100) {
            0..35 => 0,
            35..85 => self.random.between(100, 1_000),
            _ => self.random.between(1_000, 4_000),
        }
    }

    /// Memory walks, and comes back to where it belongs.
    fn breathe(&mut self, index: usize) {
        let drift = self.random.between(-40, 42);
        let process = &mut self.processes[index];
        let base = process.program.resident_kib;
        if process.activity == Activity::Zombie || base == 0 {
            return;
        }
        let walked = process.resident_kib + process.resident_kib * drift / 1_000;
        let walked = walked.clamp(base / 2, base * 3) / 4 * 4;
        process.virtual_kib += (walked - process.resident_kib).max(0);
        process.resident_kib = walked.max(4);
    }

    fn describe(&mut self) {
        for index in 0..self.processes.len() {
            let draw = self.random.below(1_000);
            let process = &mut self.processes[index];
            process.activity = match process.activity {
                Activity::Zombie => Activity::Zombie,
                _ if process.recent_permille > 250 || draw < 4 => Activity::Running,
                _ if draw < 10 => Activity::Blocked,
                _ if draw < 14 && process.program.kind == Kind::Command => Activity::Stopped,
                _ if draw < 24 && !process.window_title.is_empty() => Activity::Hanging,
                _ if process.recent_permille == 0 => Activity::Resting,
                _ => Activity::Sleeping,
            };
        }
    }

    /// The owner's name in full.
    pub(crate) fn owner(&self, process: &SimulatedProcess) -> &str {
        match process
            .account
            .map(|account| &self.profile.accounts[account])
        {
            Some(Account { owner, .. }) => owner,
            None => process.program.owner,
        }
    }
}

/// `micros × activity × burst`, where activity is in millionths and burst in thousandths.
fn scaled(micros: i64, activity_ppm: u64, burst_permille: i64) -> i64 {
    let product = i128::from(micros) * i128::from(activity_ppm) * i128::from(burst_permille);
    (product / i128::from(MILLION) / 1_000) as i64
}

fn virtual_kib(os: Os, resident_kib: i64, factor: i64) -> i64 {
    match (os, resident_kib) {
        (_, 0) => 0,
        (Os::Linux, _) => 2_200 + resident_kib * factor,
        // Every 64-bit process of a Mac reserves hundreds of gigabytes of addresses.
        (Os::Macos, _) => 407_800_000 + resident_kib * factor,
        (Os::Windows, _) => 2_147_500_000 + resident_kib * factor,
    }
}

fn arguments(program: &Program, login: &str, number: i64, identity: u64) -> Vec<String> {
    let fill = |text: &&str| filled(text, login, number, identity);
    match (program.arguments, program.path) {
        ([], "") => Vec::new(),
        ([], path) => vec![fill(&path)],
        (arguments, _) => arguments.iter().map(fill).collect(),
    }
}

fn filled(text: &str, login: &str, number: i64, identity: u64) -> String {
    if !text.contains('{') {
        return text.to_owned();
    }
    let hex = format!("{:08x}", identity as u32);
    text.replace("{user}", login)
        .replace("{n}", &number.to_string())
        .replace("{hex}", &hex)
}
