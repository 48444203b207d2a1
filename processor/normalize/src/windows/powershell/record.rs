//! One process object: its properties as they were printed, and the process that they make.
//!
//! Invariant: a property that is missing or null is no value; one that is there and can't be read is no value, with a reason.

use super::dates::{self, Order};
use super::numbers;
use super::property::{PROPERTIES, Property};
use crate::applications::ApplicationRules;
use crate::listing::{Accepted, RowError, Slot};
use crate::local_clock::LocalClock;
use crate::notes::{Notes, NullReason};
use rollcall_domain::identity::UNKNOWN;
use rollcall_domain::{CreationTime, LineReason, Process, ProcessState};
use std::borrow::Cow;

/// A property's value.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Value<'a> {
    Text(Cow<'a, str>),
    Integer(i64),
    /// A decimal number.
    Double(f64),
    Bool(bool),
    /// A time span in 100 ns.
    Ticks(i64),
    /// The length of an array.
    Count(usize),
    /// Something of another type.
    Other,
}

/// A process object.
#[derive(Default)]
pub(super) struct Record<'a> {
    values: [Option<Value<'a>>; PROPERTIES],
}

/// What all objects of a listing have in common.
pub(super) struct Reader<'a, 'c> {
    pub(super) order: Order,
    pub(super) clock: &'c LocalClock,
    pub(super) rules: &'a ApplicationRules,
}

impl<'a> Record<'a> {
    /// Sets a property. Of several with one meaning, as `Name` and `ProcessName`, the first one that has a value stays.
    pub(super) fn set(&mut self, property: Property, value: Value<'a>) {
        let is_nothing = matches!(&value, Value::Text(text) if text.is_empty());
        let slot = &mut self.values[property as usize];
        if slot.is_none() && !is_nothing {
            *slot = Some(value);
        }
    }

    fn get(&self, property: Property) -> Option<&Value<'a>> {
        self.values[property as usize].as_ref()
    }

    /// When the process began, as it was printed.
    pub(super) fn created_text(&self) -> Option<&str> {
        match self.get(Property::Created)? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    fn take_text(&mut self, property: Property) -> Option<Cow<'a, str>> {
        match self.values[property as usize].take() {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// An integer; `None` if it is missing or none.
    fn integer(&self, property: Property) -> Option<i64> {
        match self.get(property)? {
            Value::Integer(value) => Some(*value),
            Value::Text(text) => numbers::integer(text.trim()),
            _ => None,
        }
    }

    /// A number that is never negative.
    fn natural(&self, property: Property) -> Result<Option<i64>, NullReason> {
        if self.get(property).is_none() {
            return Ok(None);
        }
        match self.integer(property) {
            Some(value @ 0..) => Ok(Some(value)),
            Some(_) => Err(NullReason::OutOfRange),
            None => Err(NullReason::NumberUnreadable),
        }
    }

    /// The process that the properties make.
    pub(super) fn process(mut self, reader: &Reader<'a, '_>, mut slot: Slot<'_, 'a>) -> Accepted {
        let notes = &mut slot.notes;
        let pid = self.pid()?;
        let path = self.take_text(Property::Path);
        let name = match path.as_ref().and_then(file_name) {
            Some(name) => name,
            None => self
                .take_text(Property::Name)
                .ok_or_else(|| RowError::new(LineReason::MissingName, "the object has no name"))?,
        };
        let cpu_time_us = notes.value(self.cpu_time());
        let mut process = Process {
            pid,
            parent_pid: self.small(Property::ParentPid, notes),
            created_at: notes.value(self.created_at(reader)),
            executable_name: decoded(name, notes).unwrap_or(Cow::Borrowed(UNKNOWN)),
            executable_path: path.and_then(|path| decoded(path, notes)),
            owner: self.owner(notes),
            command_line: self
                .take_text(Property::CommandLine)
                .and_then(|line| decoded(line, notes)),
            state: self.state(notes),
            cpu_time_us: cpu_time_us.filter(|_| pid != 0),
            memory_usage_bytes: notes
                .value(self.memory(Property::WorkingSet, Property::WorkingSet32)),
            memory_virtual_bytes: notes
                .value(self.memory(Property::VirtualSize, Property::VirtualSize32)),
            thread_count: self.threads(notes),
            application: Cow::Borrowed(""),
            script: None,
        };
        reader.rules.apply_windows(&mut process);
        slot.accept(process)
    }

    /// Whether the object has a number where its process id stands.
    pub(super) fn has_pid(&self) -> bool {
        self.integer(Property::Pid).is_some()
    }

    fn pid(&self) -> Result<i32, RowError> {
        self.integer(Property::Pid)
            .and_then(|pid| i32::try_from(pid).ok())
            .filter(|pid| *pid >= 0)
            .ok_or_else(|| RowError::new(LineReason::BadPid, "the object has no process id"))
    }

    fn small(&self, property: Property, notes: &mut Notes) -> Option<i32> {
        let value = notes.value(self.natural(property))?;
        let value = i32::try_from(value).map_err(|_| NullReason::OutOfRange);
        notes.value(value.map(Some))
    }

    fn created_at(&self, reader: &Reader<'a, '_>) -> Result<Option<CreationTime>, NullReason> {
        match self.get(Property::Created) {
            None => Ok(None),
            Some(Value::Text(text)) => {
                let start = dates::read(text, reader.order, reader.clock);
                reader.clock.not_in_future(start)
            }
            Some(_) => Err(NullReason::StartUnreadable),
        }
    }

    /// The most exact of the CPU times that the object shows, in microseconds, rounded down.
    fn cpu_time(&self) -> Result<Option<i64>, NullReason> {
        let ticks = [
            self.span(Property::TotalProcessorTime)?,
            self.sum(
                Property::UserProcessorTime,
                Property::PrivilegedProcessorTime,
                Self::span,
            )?,
            self.sum(
                Property::UserModeTime,
                Property::KernelModeTime,
                Self::natural,
            )?,
            self.cpu_seconds()?,
        ];
        match ticks.into_iter().flatten().next() {
            Some(ticks @ 0..) => Ok(Some(ticks / 10)),
            Some(_) => Err(NullReason::OutOfRange),
            None => Ok(None),
        }
    }

    fn span(&self, property: Property) -> Result<Option<i64>, NullReason> {
        match self.get(property) {
            None => Ok(None),
            Some(Value::Ticks(ticks)) => Ok(Some(*ticks)),
            Some(Value::Text(text)) => numbers::time_span(text.trim())
                .map(Some)
                .ok_or(NullReason::NumberUnreadable),
            Some(_) => Err(NullReason::NumberUnreadable),
        }
    }

    fn cpu_seconds(&self) -> Result<Option<i64>, NullReason> {
        let ticks = match self.get(Property::CpuSeconds) {
            None => return Ok(None),
            Some(Value::Text(text)) => numbers::seconds(text.trim()),
            Some(Value::Double(seconds)) => numbers::ticks(*seconds),
            Some(Value::Integer(seconds)) => seconds.checked_mul(10_000_000),
            Some(_) => None,
        };
        ticks.map(Some).ok_or(NullReason::NumberUnreadable)
    }

    /// The sum of two values that are both there.
    fn sum(
        &self,
        first: Property,
        second: Property,
        read: impl Fn(&Self, Property) -> Result<Option<i64>, NullReason>,
    ) -> Result<Option<i64>, NullReason> {
        let (Some(first), Some(second)) = (read(self, first)?, read(self, second)?) else {
            return Ok(None);
        };
        first
            .checked_add(second)
            .map(Some)
            .ok_or(NullReason::OutOfRange)
    }

    /// A size; one in 32 bits may have wrapped, so that it says nothing.
    fn memory(&self, exact: Property, wrapping: Property) -> Result<Option<i64>, NullReason> {
        match self.natural(exact)? {
            None if self.get(wrapping).is_some() => Err(NullReason::MemoryWraps),
            value => Ok(value),
        }
    }

    fn owner(&mut self, notes: &mut Notes) -> Option<Cow<'a, str>> {
        let owner = self.take_text(Property::Owner)?;
        if !matches!(owner.split_once('\\'), Some((domain, user)) if !domain.is_empty() && !user.is_empty())
        {
            notes.add(NullReason::OwnerUnreadable);
            return None;
        }
        decoded(owner, notes)
    }

    /// That a process answers is said of all that have no window, too, and so says nothing.
    fn state(&self, notes: &mut Notes) -> Option<ProcessState> {
        let responding = match self.get(Property::Responding)? {
            Value::Bool(responding) => Some(*responding),
            Value::Text(text) if text.eq_ignore_ascii_case("true") => Some(true),
            Value::Text(text) if text.eq_ignore_ascii_case("false") => Some(false),
            _ => None,
        };
        if responding.is_none() {
            notes.add(NullReason::StateUnknown);
        }
        (responding == Some(false)).then_some(ProcessState::Unresponsive)
    }

    fn threads(&self, notes: &mut Notes) -> Option<i32> {
        match self.get(Property::Threads) {
            Some(Value::Count(count)) => i32::try_from(*count).ok(),
            // In csv, the name of the collection's type.
            _ => self.small(Property::ThreadCount, notes),
        }
    }
}

/// The last part of a path.
fn file_name<'a>(path: &Cow<'a, str>) -> Option<Cow<'a, str>> {
    let name = |path: &str| path.rsplit(['\\', '/']).next().map_or(0, str::len);
    let length = name(path);
    if length == 0 {
        return None;
    }
    Some(match path {
        Cow::Borrowed(path) => Cow::Borrowed(&path[path.len() - length..]),
        Cow::Owned(path) => Cow::Owned(path[path.len() - length..].to_owned()),
    })
}

/// A text all of whose letters could be read.
fn decoded<'a>(text: Cow<'a, str>, notes: &mut Notes) -> Option<Cow<'a, str>> {
    if text.contains('\u{fffd}') {
        notes.add(NullReason::TextUndecoded);
        return None;
    }
    Some(text)
}
