//! The structured process records of each operating system. Their fields are the domain's, one for one; what they
//! mean, and whether their values make sense, is for NORMALIZE to say, process by process.

use super::column::List;
use super::text::{Text, maybe};
use super::{FromRecord, ToRecord};
use crate::error::DecodeError;
use rollcall_domain::snapshot::{LinuxProcess, MacosProcess, WindowsProcess};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

#[derive(Serialize, Deserialize)]
pub struct LinuxProcessRecord<'a> {
    pid: i64,
    parent_pid: Option<i64>,
    #[serde(borrow)]
    comm: Text<'a>,
    #[serde(borrow)]
    executable_path: Option<Text<'a>>,
    #[serde(borrow)]
    arguments: List<'a, Cow<'a, str>>,
    #[serde(borrow)]
    owner: Option<Text<'a>>,
    #[serde(borrow)]
    state: Option<Text<'a>>,
    utime_ticks: Option<i64>,
    stime_ticks: Option<i64>,
    start_time_ticks: Option<i64>,
    resident_pages: Option<i64>,
    virtual_bytes: Option<i64>,
    thread_count: Option<i64>,
}

impl ToRecord for LinuxProcess<'_> {
    type Record<'x>
        = LinuxProcessRecord<'x>
    where
        Self: 'x;

    fn to_record(&self) -> LinuxProcessRecord<'_> {
        LinuxProcessRecord {
            pid: self.pid,
            parent_pid: self.parent_pid,
            comm: Text::of(&self.comm),
            executable_path: Text::maybe(&self.executable_path),
            arguments: List::of(&self.arguments),
            owner: Text::maybe(&self.owner),
            state: Text::maybe(&self.state),
            utime_ticks: self.utime_ticks,
            stime_ticks: self.stime_ticks,
            start_time_ticks: self.start_time_ticks,
            resident_pages: self.resident_pages,
            virtual_bytes: self.virtual_bytes,
            thread_count: self.thread_count,
        }
    }
}

impl<'de: 'a, 'a> FromRecord<'de> for LinuxProcess<'a> {
    type Record = LinuxProcessRecord<'a>;

    fn from_record(record: LinuxProcessRecord<'a>) -> Result<Self, DecodeError> {
        Ok(LinuxProcess {
            pid: record.pid,
            parent_pid: record.parent_pid,
            comm: record.comm.0,
            executable_path: maybe(record.executable_path),
            arguments: record.arguments.into_vec(),
            owner: maybe(record.owner),
            state: maybe(record.state),
            utime_ticks: record.utime_ticks,
            stime_ticks: record.stime_ticks,
            start_time_ticks: record.start_time_ticks,
            resident_pages: record.resident_pages,
            virtual_bytes: record.virtual_bytes,
            thread_count: record.thread_count,
        })
    }
}

#[derive(Serialize, Deserialize)]
pub struct MacosProcessRecord<'a> {
    pid: i64,
    parent_pid: Option<i64>,
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(borrow)]
    executable_path: Option<Text<'a>>,
    #[serde(borrow)]
    arguments: List<'a, Cow<'a, str>>,
    #[serde(borrow)]
    owner: Option<Text<'a>>,
    #[serde(borrow)]
    state: Option<Text<'a>>,
    user_time_us: Option<i64>,
    system_time_us: Option<i64>,
    start_time_us: Option<i64>,
    resident_bytes: Option<i64>,
    virtual_bytes: Option<i64>,
    thread_count: Option<i64>,
}

impl ToRecord for MacosProcess<'_> {
    type Record<'x>
        = MacosProcessRecord<'x>
    where
        Self: 'x;

    fn to_record(&self) -> MacosProcessRecord<'_> {
        MacosProcessRecord {
            pid: self.pid,
            parent_pid: self.parent_pid,
            name: Text::of(&self.name),
            executable_path: Text::maybe(&self.executable_path),
            arguments: List::of(&self.arguments),
            owner: Text::maybe(&self.owner),
            state: Text::maybe(&self.state),
            user_time_us: self.user_time_us,
            system_time_us: self.system_time_us,
            start_time_us: self.start_time_us,
            resident_bytes: self.resident_bytes,
            virtual_bytes: self.virtual_bytes,
            thread_count: self.thread_count,
        }
    }
}

impl<'de: 'a, 'a> FromRecord<'de> for MacosProcess<'a> {
    type Record = MacosProcessRecord<'a>;

    fn from_record(record: MacosProcessRecord<'a>) -> Result<Self, DecodeError> {
        Ok(MacosProcess {
            pid: record.pid,
            parent_pid: record.parent_pid,
            name: record.name.0,
            executable_path: maybe(record.executable_path),
            arguments: record.arguments.into_vec(),
            owner: maybe(record.owner),
            state: maybe(record.state),
            user_time_us: record.user_time_us,
            system_time_us: record.system_time_us,
            start_time_us: record.start_time_us,
            resident_bytes: record.resident_bytes,
            virtual_bytes: record.virtual_bytes,
            thread_count: record.thread_count,
        })
    }
}

#[derive(Serialize, Deserialize)]
pub struct WindowsProcessRecord<'a> {
    pid: i64,
    parent_pid: Option<i64>,
    #[serde(borrow)]
    image_name: Text<'a>,
    #[serde(borrow)]
    executable_path: Option<Text<'a>>,
    #[serde(borrow)]
    command_line: Option<Text<'a>>,
    #[serde(borrow)]
    owner: Option<Text<'a>>,
    user_time_100ns: Option<i64>,
    kernel_time_100ns: Option<i64>,
    creation_time_100ns: Option<i64>,
    working_set_bytes: Option<i64>,
    virtual_bytes: Option<i64>,
    thread_count: Option<i64>,
}

impl ToRecord for WindowsProcess<'_> {
    type Record<'x>
        = WindowsProcessRecord<'x>
    where
        Self: 'x;

    fn to_record(&self) -> WindowsProcessRecord<'_> {
        WindowsProcessRecord {
            pid: self.pid,
            parent_pid: self.parent_pid,
            image_name: Text::of(&self.image_name),
            executable_path: Text::maybe(&self.executable_path),
            command_line: Text::maybe(&self.command_line),
            owner: Text::maybe(&self.owner),
            user_time_100ns: self.user_time_100ns,
            kernel_time_100ns: self.kernel_time_100ns,
            creation_time_100ns: self.creation_time_100ns,
            working_set_bytes: self.working_set_bytes,
            virtual_bytes: self.virtual_bytes,
            thread_count: self.thread_count,
        }
    }
}

impl<'de: 'a, 'a> FromRecord<'de> for WindowsProcess<'a> {
    type Record = WindowsProcessRecord<'a>;

    fn from_record(record: WindowsProcessRecord<'a>) -> Result<Self, DecodeError> {
        Ok(WindowsProcess {
            pid: record.pid,
            parent_pid: record.parent_pid,
            image_name: record.image_name.0,
            executable_path: maybe(record.executable_path),
            command_line: maybe(record.command_line),
            owner: maybe(record.owner),
            user_time_100ns: record.user_time_100ns,
            kernel_time_100ns: record.kernel_time_100ns,
            creation_time_100ns: record.creation_time_100ns,
            working_set_bytes: record.working_set_bytes,
            virtual_bytes: record.virtual_bytes,
            thread_count: record.thread_count,
        })
    }
}
