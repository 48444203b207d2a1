//! Twenty and more kinds of poison: what broken producers send, and the documented reason for which each is rejected.
//!
//! A kind makes poison of a good shipment, so that what it says comes in where a redrive mends it. The reasons stand here
//! as `domain`'s documentation has them; nothing is asked of the pipeline.

use rollcall::kafka::fetch::Header;
use rollcall_domain::snapshot::{CommandOutput, Payload};
use rollcall_domain::time::DAY_US;
use rollcall_domain::{LineReason, RejectionReason};
use rollcall_simulator::{Damage, Expectation, Form, Kind, RejectedLine, Shipment, ShipmentKey};
use std::borrow::Cow;

/// A schema id that no registry gives in a test.
const NO_SCHEMA: u32 = 999_999;
/// Bytes of a name that no key could hold.
const GIANT_NAME: usize = 17 * 1024;
/// Bytes of a line that is longer than what is read.
const GIANT_LINE: usize = 257 * 1024;
/// Lines, and bytes of each, of a listing that fits into a raw record, while its text and its command lines together don't.
const OVERSIZED: (usize, usize) = (31, 100 * 1024);

/// What a kind of poison is rejected for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// The whole record.
    Record(RejectionReason),
    /// One line; the others are stored.
    Line(LineReason),
}

/// What brings the records of a kind in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cure {
    /// Nothing does.
    None,
    /// A redrive gives it its machine's id as key.
    Rekey,
    /// Its schema is registered.
    Register,
}

/// Schema ids that poison needs.
#[derive(Clone, Copy, Debug)]
pub struct Ids {
    /// A schema of another topic, `directory-users`.
    pub of_another_topic: u32,
    /// A schema that is registered later, or never: ours with a nullable text more at its end.
    pub registered_later: u32,
}

/// Where no poison is made.
pub const NO_IDS: Ids = Ids {
    of_another_topic: NO_SCHEMA,
    registered_later: NO_SCHEMA,
};

/// A record that is poison.
pub struct Poison {
    pub shipment: Shipment,
    pub headers: Vec<Header>,
    pub change: Harm,
}

/// What happens to an encoded value.
type Harm = Box<dyn FnOnce(&mut Vec<u8>)>;

/// A kind of poison.
pub struct PoisonKind {
    pub name: &'static str,
    pub verdict: Verdict,
    pub cure: Cure,
    make: fn(Shipment, Ids) -> Poison,
}

impl PoisonKind {
    /// Whether it can be made of this shipment: lines are put among those of a text whose columns are known, and what
    /// is late, repeated or too old anyway stays as it is.
    pub fn fits(&self, shipment: &Shipment) -> bool {
        let form = shipment.simulated.truth.form;
        let plain = shipment.kind == Kind::Plain;
        plain && (matches!(self.verdict, Verdict::Record(_)) || form == Form::LinuxPsAux)
    }

    /// Makes poison of a good shipment.
    pub fn make(&self, shipment: Shipment, ids: Ids) -> Poison {
        let mut poison = (self.make)(shipment, ids);
        match self.verdict {
            Verdict::Record(reason) => {
                poison.shipment.kind = Kind::Poison;
                poison.shipment.expectation = Expectation::Rejected(reason);
            }
            Verdict::Line(_) => poison.shipment.kind = Kind::BadLines,
        }
        poison
    }
}

/// Every kind.
pub const KINDS: [PoisonKind; 30] = {
    use Cure::{Register, Rekey};
    use LineReason as Bad;
    use RejectionReason as Why;
    [
        // What is no datum of ours.
        record("null value", Why::EmptyValue, |s, _| {
            damaged(s, Damage::NullValue)
        }),
        record("empty value", Why::EmptyValue, |s, _| valued(s, Vec::clear)),
        record("JSON", Why::BadMagic, |s, _| {
            valued(s, |v| *v = br#"{"machine":"m"}"#.to_vec())
        }),
        record("cut in the schema id", Why::BadMagic, |s, _| {
            valued(s, |v| v.truncate(3))
        }),
        record("header without an id", Why::BadMagic, |s, _| {
            headed(s, &[0, 0, 7])
        }),
        record("unknown schema", Why::UnknownSchema, |s, _| {
            schema(s, NO_SCHEMA, b"")
        }),
        cured(
            "schema of tomorrow",
            Why::UnknownSchema,
            Register,
            |s, ids| schema(s, ids.registered_later, b"\x02\x0anorth"),
        ),
        record(
            "schema of another topic",
            Why::IncompatibleSchema,
            |s, ids| schema(s, ids.of_another_topic, b""),
        ),
        record("truncated", Why::Undecodable, |s, _| {
            damaged(s, Damage::Truncated)
        }),
        record("trailing bytes", Why::Undecodable, |s, _| {
            valued(s, |v| v.push(0))
        }),
        record("length that lies", Why::Undecodable, |s, _| valued(s, lie)),
        // Data that break their contract.
        cured("no key", Why::MissingKey, Rekey, |s, _| {
            keyed(s, ShipmentKey::Missing)
        }),
        cured("another key", Why::KeyMismatch, Rekey, |s, _| {
            keyed(s, ShipmentKey::Other("elsewhere".to_owned()))
        }),
        record("no machine id", Why::InvalidField, |s, _| {
            edited(s, |s| s.machine.id = "".into())
        }),
        record("negative CPUs", Why::InvalidField, |s, _| {
            edited(s, |s| s.machine.cpu_count = Some(-4))
        }),
        record("offset of a century", Why::InvalidField, |s, _| {
            edited(s, |s| s.utc_offset_seconds = Some(i32::MIN))
        }),
        record("giant user", Why::InvalidField, |s, _| {
            edited(s, |s| s.user = Some("u".repeat(GIANT_NAME).into()))
        }),
        record("unknown system", Why::UnknownOs, |s, _| {
            damaged(s, Damage::UnknownOs)
        }),
        record("too old", Why::TooOld, |s, _| {
            edited(s, |s| {
                s.observed_at = s.observed_at.plus_micros(-40 * DAY_US)
            })
        }),
        // Output that is no list.
        record("blank output", Why::EmptyOutput, |s, _| {
            printed(s, b" \r\n\r\n", None)
        }),
        record("NUL bytes", Why::BinaryOutput, |s, _| {
            printed(s, b"USER\0PID\0\0COMMAND\nroot\x001\0\0init\n", None)
        }),
        record("a shell's complaint", Why::UnknownFormat, |s, _| {
            printed(s, b"sh: 1: ps: not found\n", None)
        }),
        record("unknown code page", Why::UnknownEncoding, |s, _| {
            printed(s, b"USER PID\n", Some("klingon"))
        }),
        record("oversized", Why::TooLarge, |s, _| oversized(s)),
        // One bad line among good ones.
        line("cut line", Bad::MissingColumns, |s, _| {
            spoilt(s, "root     4190001  0.0  0.0   1000".to_owned())
        }),
        line("negative process id", Bad::BadPid, |s, _| {
            spoilt(s, row("-7", "1000", "0:00", "/sbin/broken"))
        }),
        line("CPU time of letters", Bad::BadCpuTime, |s, _| {
            spoilt(s, row("4190001", "1000", "0:0x:0", "/sbin/broken"))
        }),
        line("memory of letters", Bad::BadMemory, |s, _| {
            spoilt(s, row("4190001", "1O00", "0:00", "/sbin/broken"))
        }),
        line("absurd memory", Bad::Overflow, |s, _| {
            spoilt(
                s,
                row("4190001", "99999999999999999999", "0:00", "/sbin/broken"),
            )
        }),
        line("giant line", Bad::TooLong, |s, _| {
            spoilt(s, row("4190001", "1000", "0:00", &"x".repeat(GIANT_LINE)))
        }),
    ]
};

type Make = fn(Shipment, Ids) -> Poison;

const fn record(name: &'static str, reason: RejectionReason, make: Make) -> PoisonKind {
    cured(name, reason, Cure::None, make)
}

const fn cured(name: &'static str, reason: RejectionReason, cure: Cure, make: Make) -> PoisonKind {
    let verdict = Verdict::Record(reason);
    PoisonKind {
        name,
        verdict,
        cure,
        make,
    }
}

const fn line(name: &'static str, reason: LineReason, make: Make) -> PoisonKind {
    PoisonKind {
        name,
        verdict: Verdict::Line(reason),
        cure: Cure::None,
        make,
    }
}

fn valued(shipment: Shipment, change: impl FnOnce(&mut Vec<u8>) + 'static) -> Poison {
    Poison {
        shipment,
        headers: Vec::new(),
        change: Box::new(change),
    }
}

fn damaged(mut shipment: Shipment, damage: Damage) -> Poison {
    shipment.damage = damage;
    valued(shipment, |_| {})
}

fn keyed(mut shipment: Shipment, key: ShipmentKey) -> Poison {
    shipment.key = key;
    valued(shipment, |_| {})
}

fn headed(shipment: Shipment, id: &[u8]) -> Poison {
    let header = ("__value_schema_id".to_owned(), Some(id.to_vec()));
    Poison {
        headers: vec![header],
        ..valued(shipment, |_| {})
    }
}

/// Another schema id, and more at the datum's end.
fn schema(shipment: Shipment, id: u32, more: &'static [u8]) -> Poison {
    valued(shipment, move |value| {
        value[1..5].copy_from_slice(&id.to_be_bytes());
        value.extend_from_slice(more);
    })
}

/// The datum begins with the snapshot id, a text of 36 bytes: says that it has 2^40.
fn lie(value: &mut Vec<u8>) {
    assert_eq!(value[5], 72, "36 as Avro has it");
    value.splice(5..6, [0x80, 0x80, 0x80, 0x80, 0x80, 0x40]);
}

fn edited(
    mut shipment: Shipment,
    edit: impl FnOnce(&mut rollcall_domain::Snapshot<'static>),
) -> Poison {
    edit(&mut shipment.simulated.snapshot);
    valued(shipment, |_| {})
}

fn printed(shipment: Shipment, text: &[u8], encoding: Option<&'static str>) -> Poison {
    let payload = Payload::CommandOutput(CommandOutput {
        text: Cow::Owned(text.to_vec()),
        encoding: encoding.map(Cow::Borrowed),
    });
    edited(shipment, |snapshot| snapshot.payload = payload)
}

fn oversized(mut shipment: Shipment) -> Poison {
    let (lines, bytes) = OVERSIZED;
    let header = "USER         PID %CPU %MEM    VSZ   RSS TTY      STAT START   TIME COMMAND\n";
    let long = format!("/bin/x {}", "x".repeat(bytes));
    let rows = (1..=lines).map(|pid| row(&pid.to_string(), "1000", "0:00", &long) + "\n");
    let text = header.to_owned() + &rows.collect::<String>();
    shipment.simulated.snapshot.machine.os = rollcall_domain::Os::Linux;
    printed(shipment, text.as_bytes(), None)
}

/// A row of `ps aux`.
fn row(pid: &str, resident: &str, cpu_time: &str, command: &str) -> String {
    format!(
        "root {pid:>11}  0.0  0.0   5000 {resident:>5} ?        S    10:00 {cpu_time:>6} {command}"
    )
}

/// One line more at the end of `ps aux`.
fn spoilt(mut shipment: Shipment, text: String) -> Poison {
    let simulated = &mut shipment.simulated;
    let Payload::CommandOutput(output) = &mut simulated.snapshot.payload else {
        panic!("ps aux prints text");
    };
    let printed = output.text.to_mut();
    let line = printed.iter().filter(|byte| **byte == b'\n').count() as i64 + 1;
    printed.extend_from_slice(text.as_bytes());
    printed.push(b'\n');
    simulated.truth.rejected_lines = vec![RejectedLine { line, text }];
    valued(shipment, |_| {})
}
