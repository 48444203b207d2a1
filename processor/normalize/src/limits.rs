//! Every bound of this crate, in one place. Input is foreign: nothing here may grow with it except by a constant factor.

/// Processes that one listing may have; lines after them are rejected as `too_many`.
pub const MAX_PROCESSES: usize = 100_000;
/// Bytes of one line; longer lines are rejected as `too_long`.
pub const MAX_LINE_BYTES: usize = 256 * 1024;
/// Bytes of an owner, an executable's name or an application: they become keys further on.
pub const MAX_NAME_BYTES: usize = 4 * 1024;
/// Lines that are looked at to recognize a listing's form.
pub const MAX_RECOGNITION_LINES: usize = 32;
/// Lines that a message such as `INFO: No tasks …` may take.
pub const MAX_NOTICE_LINES: usize = 3;
/// Bytes of a rules file.
pub const MAX_RULES_BYTES: usize = 1024 * 1024;
/// Bytes of a name that can stand in the rules; longer names are nobody's alias.
pub const MAX_ALIAS_BYTES: usize = 64;
/// Columns of a `tasklist` table or csv that are read.
pub const MAX_COLUMNS: usize = 9;

/// Properties that an object of PowerShell or WMI may have in csv; `Win32_Process` has some 60.
pub const MAX_PROPERTIES: usize = 256;
/// Bytes of one object in json: a process with its modules and threads has some 100 KB. Longer ones are rejected as
/// `too_long`.
pub const MAX_JSON_OBJECT_BYTES: usize = 4 * 1024 * 1024;
/// Objects in json without an end for which a text is searched to its own end: keeps the time linear.
pub const MAX_UNCLOSED_OBJECTS: usize = 16;

/// A process needs at least this many bytes of text (`0 1 0 0 0 0 ? S 0:0 0:00 a` and the like): bounds what is
/// reserved ahead for a text of many short lines.
pub const MIN_ROW_BYTES: usize = 16;

const _: () = assert!(MAX_PROCESSES <= u32::MAX as usize);
const _: () = assert!(MAX_ALIAS_BYTES <= MAX_NAME_BYTES && MAX_NAME_BYTES <= MAX_LINE_BYTES);
const _: () = assert!(MAX_NOTICE_LINES < MAX_RECOGNITION_LINES);
