//! What machines send, and the ledger of it: what each raw record is, known to who made it and to nobody else.

use crate::broker::Bytes;
use rollcall_codec::Encoder;
use rollcall_domain::snapshot::{LinuxProcess, LinuxProcesses, Machine};
use rollcall_domain::{Os, Payload, Snapshot, SnapshotId, Timestamp};
use rollcall_simulator::random::Random;
use std::collections::BTreeMap;
use std::rc::Rc;

/// What is too early: that far ahead of the broker's clock.
pub(crate) const FUTURE_TOLERANCE_US: i64 = 300_000_000;
/// What is too late.
pub(crate) const ACCEPTANCE_US: i64 = 30 * 86_400_000_000;
/// Bytes of a page of memory.
const PAGE: i64 = 4_096;

/// A snapshot that was sent.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) id: u128,
    pub(crate) machine: String,
    pub(crate) observed_us: i64,
    pub(crate) user: String,
    pub(crate) faculty: String,
    /// Application and resident memory of each process.
    pub(crate) processes: Vec<(&'static str, i64)>,
}

/// What a raw record is.
#[derive(Clone, Debug)]
pub(crate) enum Made {
    /// A snapshot, sent for the first time or again.
    Snapshot(Sent),
    /// Something that must be rejected, for this reason.
    Poison(&'static str),
}

/// A record to be sent.
#[derive(Clone, Debug)]
pub(crate) struct Shipment {
    pub(crate) partition: i32,
    pub(crate) key: Bytes,
    pub(crate) value: Bytes,
    pub(crate) made: Rc<Made>,
}

/// What stands at each raw offset, by partition and offset.
pub(crate) type Ledger = BTreeMap<(i32, i64), Rc<Made>>;

/// The machines.
pub(crate) struct Load {
    encoder: Encoder,
    partitions: i32,
    next_id: u128,
    last: Vec<Shipment>,
}

/// What stands for a process' command line in the tables: many, so that keys are given out all the time.
pub(crate) fn command_line(application: &str, memory_bytes: i64) -> String {
    format!("{application} --size {}", memory_bytes / PAGE % 50)
}

const APPLICATIONS: [&str; 3] = ["qqa", "qqb", "qqc"];
const USERS: u64 = 4;

impl Load {
    pub(crate) fn new(partitions: i32) -> Self {
        Self {
            encoder: Encoder::new(&crate::schemas::ids()),
            partitions,
            next_id: 1,
            last: Vec::new(),
        }
    }

    /// What is sent next, while the broker's clock shows `now_us`.
    pub(crate) fn next(&mut self, now_us: i64, random: &mut Random) -> Shipment {
        if !self.last.is_empty() && random.chance(80_000) {
            // Producers send again what they have no answer for.
            return random.pick(&self.last).clone();
        }
        let machine = random.below(3 * self.partitions as u64);
        let partition = (machine % self.partitions as u64) as i32;
        let age_us = match random.below(20) {
            0 => random.between(60_000_000, 400_000_000),
            1 => -random.between(1_000_000, 2 * FUTURE_TOLERANCE_US),
            2 if random.chance(200_000) => ACCEPTANCE_US + random.between(1_000_000, 2_000_000),
            _ => random.between(0, 3_000_000),
        };
        let user = random.below(USERS);
        let processes = (0..random.below(4))
            .map(|_| {
                let pages = random.between(1, 5_000);
                (*random.pick(&APPLICATIONS), pages * PAGE)
            })
            .collect();
        let sent = Sent {
            id: self.next_id,
            machine: format!("m{machine}"),
            observed_us: now_us - age_us,
            user: format!("user-{user}"),
            faculty: format!("faculty-{}", user % 2),
            processes,
        };
        self.next_id += 1;
        let mut value = Vec::new();
        let encoded = self.encoder.encode_snapshot(&snapshot(&sent), &mut value);
        encoded.expect("a snapshot of ours can be encoded");
        let mut shipment = Shipment {
            partition,
            key: Some(Rc::from(sent.machine.as_bytes())),
            value: Some(Rc::from(value)),
            made: Rc::new(Made::Snapshot(sent)),
        };
        match random.below(40) {
            0 => {
                shipment.value = None;
                shipment.made = Rc::new(Made::Poison("empty_value"));
            }
            1 => {
                shipment.value = Some(Rc::from(&b"junk"[..]));
                shipment.made = Rc::new(Made::Poison("bad_magic"));
            }
            2 => {
                shipment.key = Some(Rc::from(&b"somebody else"[..]));
                shipment.made = Rc::new(Made::Poison("key_mismatch"));
            }
            3 => {
                shipment.key = None;
                shipment.made = Rc::new(Made::Poison("missing_key"));
            }
            _ => {
                self.last.push(shipment.clone());
                if self.last.len() > 8 {
                    self.last.remove(0);
                }
            }
        }
        shipment
    }
}

fn snapshot(sent: &Sent) -> Snapshot<'_> {
    let process = |(index, (application, memory)): (usize, &(&'static str, i64))| LinuxProcess {
        pid: 100 + index as i64,
        parent_pid: None,
        comm: (*application).into(),
        executable_path: None,
        arguments: Vec::new(),
        owner: Some(sent.user.as_str().into()),
        state: None,
        utime_ticks: None,
        stime_ticks: None,
        start_time_ticks: None,
        resident_pages: Some(memory / PAGE),
        virtual_bytes: None,
        thread_count: None,
    };
    Snapshot {
        id: SnapshotId(sent.id),
        observed_at: Timestamp::from_micros(sent.observed_us),
        utc_offset_seconds: Some(0),
        machine: Machine {
            id: sent.machine.as_str().into(),
            name: None,
            os: Os::Linux,
            os_version: None,
            cpu_count: None,
            memory_bytes: None,
        },
        user: Some(sent.user.as_str().into()),
        faculty: Some(sent.faculty.as_str().into()),
        command: None,
        attributes: BTreeMap::new(),
        payload: Payload::Linux(LinuxProcesses {
            clock_ticks_per_second: 100,
            page_size_bytes: PAGE,
            boot_time_seconds: None,
            processes: sent.processes.iter().enumerate().map(process).collect(),
        }),
    }
}
