//! A parsed process as a row of the truth, for the tests here that compare the two.

use rollcall_domain::{Process, Timestamp};
use rollcall_simulator::TruthRow;

/// What is comparable of a process.
pub fn seen(process: &Process<'_>) -> TruthRow {
    TruthRow {
        identity: 0,
        pid: process.pid,
        parent_pid: process.parent_pid,
        executable_name: process.executable_name.to_string(),
        application: process.application.to_string(),
        owner: process.owner.as_deref().map(str::to_owned),
        state: process.state,
        started_at: Timestamp::default(),
        cpu_time_us: process.cpu_time_us,
        memory_usage_bytes: process.memory_usage_bytes,
        memory_virtual_bytes: process.memory_virtual_bytes,
        thread_count: process.thread_count,
        command_line: process.command_line.as_deref().map(str::to_owned),
    }
}
