//! Input that leaves many windows open: a snapshot for each of many users, all of the same minute.

use crate::support::Services;
use rollcall::kafka::sender::Sender;
use rollcall_codec::Encoder;
use rollcall_domain::hash::partition_for;
use rollcall_domain::snapshot::{LinuxProcess, LinuxProcesses, Machine, Os, Payload, SnapshotId};
use rollcall_domain::{Snapshot, Timestamp};
use rollcall_stages::layout;
use std::collections::BTreeMap;
use std::time::Duration;

/// Machines that report for all users in turn.
const MACHINES: usize = 2_000;
/// How long the broker may take to acknowledge everything.
const ACKNOWLEDGED: Duration = Duration::from_secs(120);

/// Sends a snapshot for each of so many users, observed at this time. Each opens a window of a minute, of an hour and of a
/// day, or is folded into them; `version` tells the snapshots of several such calls apart.
pub fn send(services: &Services, users: usize, at: Timestamp, version: u32, partitions: i32) {
    let ids = services.registry.schema_ids().expect("registered schemas");
    let mut encoder = Encoder::new(&ids);
    let sender = Sender::new(&services.kafka, "windows").expect("a producer");
    let topic = services.kafka.topic(layout::SNAPSHOTS.name);
    let mut value = Vec::new();
    for user in 0..users {
        let machine = format!("machine-{:04}", user % MACHINES);
        let id = SnapshotId(u128::from(version) << 64 | user as u128);
        value.clear();
        encoder
            .encode_snapshot(
                &snapshot(id, at, &machine, &format!("user-{user}")),
                &mut value,
            )
            .expect("it encodes");
        let partition = partition_for(machine.as_bytes(), partitions);
        let key = Some(machine.as_bytes());
        let sent = sender.send(&topic, Some(partition), key, Some(&value));
        sent.expect("a record is taken");
    }
    let (_, failed) = sender.flush(ACKNOWLEDGED).expect("acknowledged");
    assert_eq!(failed, 0, "records were not delivered");
}

fn snapshot<'a>(id: SnapshotId, at: Timestamp, machine: &'a str, user: &'a str) -> Snapshot<'a> {
    Snapshot {
        id,
        observed_at: at,
        utc_offset_seconds: None,
        machine: Machine {
            id: machine.into(),
            name: None,
            os: Os::Linux,
            os_version: None,
            cpu_count: Some(8),
            memory_bytes: None,
        },
        user: Some(user.into()),
        faculty: Some("law".into()),
        command: None,
        attributes: BTreeMap::new(),
        payload: Payload::Linux(LinuxProcesses {
            clock_ticks_per_second: 100,
            page_size_bytes: 4_096,
            boot_time_seconds: None,
            processes: vec![process()],
        }),
    }
}

fn process() -> LinuxProcess<'static> {
    LinuxProcess {
        pid: 1_000,
        parent_pid: Some(1),
        comm: "bash".into(),
        executable_path: Some("/usr/bin/bash".into()),
        arguments: vec!["bash".into()],
        owner: None,
        state: Some("S".into()),
        utime_ticks: Some(10),
        stime_ticks: Some(5),
        start_time_ticks: Some(100),
        resident_pages: Some(1_000),
        virtual_bytes: Some(10 << 20),
        thread_count: Some(1),
    }
}
