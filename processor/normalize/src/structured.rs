//! Structured records in the operating system's own units, converted exactly.
//!
//! Invariants: integers only, through 128 bits, so that nothing wraps; a result that does not fit rejects the record
//! as `overflow`. A value that its producer could not have read (negative, a clock without ticks) is `None`.

use crate::Context;
use crate::applications::ApplicationRules;
use crate::executable::{after_slash, executable, is_link_of_proc};
use crate::listing::{Builder, Listing, RowError, offset};
use crate::notes::{Notes, NullReason};
use crate::state::{linux_state, macos_state};
use rollcall_domain::identity::UNKNOWN;
use rollcall_domain::snapshot::{LinuxProcess, LinuxProcesses, MacosProcess, WindowsProcess};
use rollcall_domain::time::{DAY_US, SECOND_US};
use rollcall_domain::{
    CreationTime, LineReason, Os, Payload, Precision, Process, ProcessState, Timestamp,
};
use std::borrow::Cow;

/// Seconds from 1601-01-01, where FILETIME begins, to 1970-01-01.
const FILETIME_EPOCH_SECONDS: i128 = 11_644_473_600;
/// The short name of a process that was started through `/proc/self/exe`, which says nothing about the file.
const EXE: &str = "exe";
/// What Linux appends to the path of an executable that was replaced while it runs.
const DELETED: &str = " (deleted)";
/// How far a start may lie after the observation, whose time may be the receiver's: clocks differ, but not by days.
const CLOCK_DOUBT_US: i64 = DAY_US;

/// The processes of a structured payload. Of command output, whose text [`crate::parse_text`] reads, there are none.
#[must_use]
pub fn parse_structured<'a>(
    payload: &Payload<'a>,
    context: &Context,
    rules: &'a ApplicationRules,
) -> Listing<'a> {
    let latest = context.observed_at.plus_micros(CLOCK_DOUBT_US);
    match payload {
        Payload::CommandOutput(_) => {
            Builder::with_capacity(context.os.unwrap_or(Os::Linux), None, 0).finish()
        }
        Payload::Linux(list) => each(
            Os::Linux,
            latest,
            &list.processes,
            |process, notes| linux(list, process, rules, notes),
            |p| &p.comm,
        ),
        Payload::Macos(list) => each(
            Os::Macos,
            latest,
            list,
            |process, notes| macos(process, rules, notes),
            |p| &p.name,
        ),
        Payload::Windows(list) => each(
            Os::Windows,
            latest,
            list,
            |process, notes| windows(process, rules, notes),
            |p| &p.image_name,
        ),
    }
}

fn each<'a, R>(
    os: Os,
    latest: Timestamp,
    records: &[R],
    read: impl Fn(&R, &mut Notes) -> Result<Process<'a>, RowError>,
    name: impl Fn(&R) -> &Cow<'a, str>,
) -> Listing<'a> {
    let mut builder = Builder::with_capacity(os, None, records.len());
    for (number, record) in (1_u32..).zip(records) {
        builder.row(
            number,
            |mut slot| {
                let process = read(record, &mut slot.notes)?;
                let process = begun(process, latest, &mut slot.notes);
                slot.accept(process)
            },
            || match name(record) {
                Cow::Borrowed(name) => Cow::Borrowed(name.as_bytes()),
                Cow::Owned(name) => Cow::Owned(name.clone().into_bytes()),
            },
        );
    }
    builder.finish()
}

/// `process`, without a start that lies after `latest`: its producer can't have read that.
fn begun<'a>(process: Process<'a>, latest: Timestamp, notes: &mut Notes) -> Process<'a> {
    match process.created_at {
        Some(created) if created.at > latest => {
            notes.add(NullReason::StartInFuture);
            Process {
                created_at: None,
                ..process
            }
        }
        _ => process,
    }
}

fn linux<'a>(
    list: &LinuxProcesses<'a>,
    process: &LinuxProcess<'a>,
    rules: &'a ApplicationRules,
    notes: &mut Notes,
) -> Result<Process<'a>, RowError> {
    let pid = pid(process.pid)?;
    let parent_pid = small(process.parent_pid, notes);
    let state = linux_state(first_letter(process.state.as_ref()));
    let kernel = process.arguments.is_empty()
        && process.executable_path.is_none()
        && state != Some(ProcessState::Zombie)
        && (pid == 2 || parent_pid == Some(2));
    let executable_path =
        process
            .executable_path
            .as_ref()
            .map(|path| match path.strip_suffix(DELETED) {
                Some(kept) => piece(path, kept),
                None => path.clone(),
            });
    let executable_name = if kernel {
        Cow::Owned(format!("[{}]", process.comm))
    } else {
        executable_name(
            executable_path.as_ref(),
            &process.arguments,
            &process.comm,
            "/",
        )?
    };
    let ticks = sum(process.utime_ticks, process.stime_ticks, notes);
    let mut row = Process {
        pid,
        parent_pid,
        created_at: linux_created_at(list, process, notes)?,
        executable_name: named(executable_name)?,
        executable_path: executable_path.filter(|path| path.starts_with('/')),
        command_line: joined(&process.arguments),
        owner: process.owner.clone().filter(|owner| !owner.is_empty()),
        state,
        cpu_time_us: scaled(
            ticks,
            i128::from(SECOND_US),
            list.clock_ticks_per_second,
            notes,
        )?,
        memory_usage_bytes: pages(process.resident_pages, list.page_size_bytes, notes)?,
        memory_virtual_bytes: size(process.virtual_bytes, notes),
        thread_count: small(process.thread_count, notes),
        application: Cow::Borrowed(""),
        script: None,
    };
    rules.apply_arguments(&mut row, kernel, &process.arguments);
    Ok(row)
}

/// Pages in bytes; `None` where the size of a page can't be right.
fn pages(
    pages: Option<i64>,
    page_size_bytes: i64,
    notes: &mut Notes,
) -> Result<Option<i64>, RowError> {
    let Some(pages) = size(pages, notes) else {
        return Ok(None);
    };
    if page_size_bytes <= 0 {
        notes.add(NullReason::OutOfRange);
        return Ok(None);
    }
    let bytes = i128::from(pages) * i128::from(page_size_bytes);
    i64::try_from(bytes).map(Some).map_err(|_| overflow())
}

/// The boot time is known to the second only, and so is what counts from it.
fn linux_created_at(
    list: &LinuxProcesses<'_>,
    process: &LinuxProcess<'_>,
    notes: &mut Notes,
) -> Result<Option<CreationTime>, RowError> {
    let after_boot_us = scaled(
        size(process.start_time_ticks, notes).map(i128::from),
        i128::from(SECOND_US),
        list.clock_ticks_per_second,
        notes,
    )?;
    let (Some(boot), Some(after_boot_us)) = (size(list.boot_time_seconds, notes), after_boot_us)
    else {
        return Ok(None);
    };
    let at = i128::from(boot) * i128::from(SECOND_US) + i128::from(after_boot_us);
    let at = Timestamp::from_micros(i64::try_from(at).map_err(|_| overflow())?);
    Ok(Some(CreationTime {
        at,
        precision: Precision::Second,
    }))
}

fn macos<'a>(
    process: &MacosProcess<'a>,
    rules: &'a ApplicationRules,
    notes: &mut Notes,
) -> Result<Process<'a>, RowError> {
    let name = executable_name(
        process.executable_path.as_ref(),
        &process.arguments,
        &process.name,
        "/",
    )?;
    let mut row = Process {
        pid: pid(process.pid)?,
        parent_pid: small(process.parent_pid, notes),
        created_at: process.start_time_us.filter(|at| *at > 0).map(exact),
        executable_name: named(name)?,
        executable_path: process
            .executable_path
            .clone()
            .filter(|path| path.starts_with('/')),
        command_line: joined(&process.arguments),
        owner: process.owner.clone().filter(|owner| !owner.is_empty()),
        state: macos_state(first_letter(process.state.as_ref())),
        cpu_time_us: scaled(
            sum(process.user_time_us, process.system_time_us, notes),
            1,
            1,
            notes,
        )?,
        memory_usage_bytes: size(process.resident_bytes, notes),
        memory_virtual_bytes: size(process.virtual_bytes, notes),
        thread_count: small(process.thread_count, notes),
        application: Cow::Borrowed(""),
        script: None,
    };
    rules.apply_arguments(&mut row, false, &process.arguments);
    Ok(row)
}

fn windows<'a>(
    process: &WindowsProcess<'a>,
    rules: &'a ApplicationRules,
    notes: &mut Notes,
) -> Result<Process<'a>, RowError> {
    let pid = pid(process.pid)?;
    let name = if process.image_name.is_empty() {
        executable_name(
            process.executable_path.as_ref(),
            &[],
            &process.image_name,
            "\\",
        )?
    } else {
        process.image_name.clone()
    };
    let cpu_time =
        sum(process.user_time_100ns, process.kernel_time_100ns, notes).filter(|_| pid != 0);
    let mut row = Process {
        pid,
        parent_pid: small(process.parent_pid, notes),
        created_at: filetime(process.creation_time_100ns)?.map(exact),
        executable_name: named(name)?,
        executable_path: process
            .executable_path
            .clone()
            .filter(|path| !path.is_empty()),
        command_line: process.command_line.clone().filter(|line| !line.is_empty()),
        owner: process.owner.clone().filter(|owner| !owner.is_empty()),
        state: None,
        cpu_time_us: scaled(cpu_time, 1, 10, notes)?,
        memory_usage_bytes: size(process.working_set_bytes, notes),
        memory_virtual_bytes: size(process.virtual_bytes, notes),
        thread_count: small(process.thread_count, notes),
        application: Cow::Borrowed(""),
        script: None,
    };
    rules.apply_windows(&mut row);
    Ok(row)
}

/// Microseconds since 1970; `None` for 0, which processes of the kernel have.
fn filetime(at_100ns: Option<i64>) -> Result<Option<i64>, RowError> {
    let Some(at) = at_100ns.filter(|at| *at > 0) else {
        return Ok(None);
    };
    let micros = i128::from(at) / 10 - FILETIME_EPOCH_SECONDS * i128::from(SECOND_US);
    i64::try_from(micros).map(Some).map_err(|_| overflow())
}

fn pid(pid: i64) -> Result<i32, RowError> {
    i32::try_from(pid)
        .ok()
        .filter(|pid| *pid >= 0)
        .ok_or_else(|| RowError::new(LineReason::BadPid, "the process id is out of range"))
}

/// A process id or count; `None` where no machine can have it.
fn small(number: Option<i64>, notes: &mut Notes) -> Option<i32> {
    let number = size(number, notes)?;
    let small = i32::try_from(number).map_err(|_| NullReason::OutOfRange);
    notes.value(small.map(Some))
}

/// A number that is not negative; `None` for one that is, which its producer can't have read.
fn size(number: Option<i64>, notes: &mut Notes) -> Option<i64> {
    let number = number?;
    if number < 0 {
        notes.add(NullReason::OutOfRange);
        return None;
    }
    Some(number)
}

fn exact(at_us: i64) -> CreationTime {
    CreationTime {
        at: Timestamp::from_micros(at_us),
        precision: Precision::Exact,
    }
}

/// The sum of two times that are both known and not negative.
fn sum(user: Option<i64>, system: Option<i64>, notes: &mut Notes) -> Option<i128> {
    let (user, system) = (size(user, notes)?, size(system, notes)?);
    Some(i128::from(user) + i128::from(system))
}

/// `value × multiplier / divisor`, rounded down; `None` for a divisor that is not positive.
fn scaled(
    value: Option<i128>,
    multiplier: i128,
    divisor: i64,
    notes: &mut Notes,
) -> Result<Option<i64>, RowError> {
    let Some(value) = value else {
        return Ok(None);
    };
    if divisor <= 0 {
        notes.add(NullReason::OutOfRange);
        return Ok(None);
    }
    let scaled = value.checked_mul(multiplier).ok_or_else(overflow)? / i128::from(divisor);
    i64::try_from(scaled).map(Some).map_err(|_| overflow())
}

fn overflow() -> RowError {
    LineReason::Overflow.into()
}

fn first_letter<'l>(state: Option<&'l Cow<'_, str>>) -> Option<&'l u8> {
    state.and_then(|state| state.as_bytes().first())
}

/// The arguments as one line, as `ps` prints them.
fn joined<'a>(arguments: &[Cow<'a, str>]) -> Option<Cow<'a, str>> {
    match arguments {
        [] => None,
        [only] => Some(only.clone()).filter(|line| !line.is_empty()),
        many => Some(Cow::Owned(many.join(" "))),
    }
}

/// The name of the executable's file; else what argv[0] names; else the system's own short name.
fn executable_name<'a>(
    path: Option<&Cow<'a, str>>,
    arguments: &[Cow<'a, str>],
    name: &Cow<'a, str>,
    separator: &str,
) -> Result<Cow<'a, str>, RowError> {
    if let Some(path) = path {
        let file = path.rsplit(separator).next().unwrap_or("");
        if !file.is_empty() {
            return Ok(piece(path, file));
        }
    }
    if !name.is_empty() && arguments.is_empty() {
        return Ok(name.clone());
    }
    match arguments.first().filter(|argument| !argument.is_empty()) {
        Some(argument) if is_link_of_proc(argument.split(' ').next().unwrap_or("")) => {
            Ok(if name.is_empty() || name == EXE {
                Cow::Borrowed(UNKNOWN)
            } else {
                name.clone()
            })
        }
        // The whole of argv[0] is known here, so that only a path is taken off, and from a title its later words.
        Some(argument) if argument.starts_with('/') => Ok(piece(argument, after_slash(argument))),
        Some(argument) => {
            let word = argument.split(' ').next().unwrap_or("");
            Ok(piece(
                argument,
                if word.is_empty() {
                    ""
                } else {
                    executable(word).0
                },
            ))
        }
        None => Ok(name.clone()),
    }
}

fn named(name: Cow<'_, str>) -> Result<Cow<'_, str>, RowError> {
    if name.is_empty() {
        return Err(RowError::new(
            LineReason::MissingName,
            "the record has no name",
        ));
    }
    Ok(name)
}

/// `part`, a piece of `whole`, with the life of what `whole` borrows.
fn piece<'a>(whole: &Cow<'a, str>, part: &str) -> Cow<'a, str> {
    match whole {
        Cow::Borrowed(text) => {
            let start = offset(text, part);
            let end = start.wrapping_add(part.len());
            text.get(start..end)
                .map_or_else(|| Cow::Owned(part.to_owned()), Cow::Borrowed)
        }
        Cow::Owned(_) => Cow::Owned(part.to_owned()),
    }
}
