//! The campaign of bad input: every kind of poison in the traffic ends once in the dead letters, with its reason; nothing
//! else suffers; and after a fix, a redrive brings in once what the fix mends.

use super::evolution::{evolved, register};
use super::redrive::{number, redrive};
use crate::crowd::{Crowd, origin};
use crate::poison::{Cure, Ids, KINDS, PoisonKind, Verdict};
use crate::support::{DEADLINE, Record, SNAPSHOT_PARTITIONS, Services, holds_within};
use crate::tables::Tables;
use rollcall_codec::RecordType;
use rollcall_domain::RejectionReason;
use rollcall_simulator::MischiefConfig;
use rollcall_stages::layout;
use sqlx::Row;
use std::collections::{BTreeMap, BTreeSet};

const ALL: &str = "normalize,rollup,sink";
/// One record of so many is poison.
const EVERY: usize = 100;
/// Records of each kind.
const EACH: usize = 1;

/// What the whole campaign must leave: (partition, offset, line, reason) of each letter, with how often.
type Letters = BTreeMap<(i32, i64, Option<i64>, String), u32>;

#[test]
fn every_kind_of_poison_ends_once_in_the_dead_letters() {
    let services = Services::start();
    let mischief = MischiefConfig {
        // Its own letters are not of this oracle's kinds.
        ancient: 0.0,
        poison: 0.0,
        bad_lines: 0.0,
        ..MischiefConfig::default()
    };
    let mut crowd = Crowd::new(&services, 40, 60, mischief);
    let mut tables = Tables::new(&services.database_url);
    let known = services.registry.schema_ids().expect("our schemas");
    let another = known.get(RecordType::DirectoryUser).expect("an id");
    // The registry counts its ids: the next schema gets the next.
    let tomorrow = register(&services, &evolved("campus")) + 1;
    let ids = Ids {
        of_another_topic: another,
        registered_later: tomorrow,
    };
    let processor = services.run(ALL);
    let mut kinds = KINDS.iter().cycle().take(KINDS.len() * EACH);
    // What is left of the last lines finds its listings in some more.
    let records = KINDS.len() * EACH * EVERY + 200;
    let ready = crowd.prepare(records, EVERY, &mut kinds, ids);
    crowd.send_ready(ready);
    let ledger = crowd.ledger();
    every_reason_is_there(&crowd);
    let expect = expected(&crowd, &services, |_| false);
    await_letters(&crowd, &expect, &mut tables);
    tables.await_everything(&crowd.ends(), &ledger);
    tables.assert_equal(&ledger);
    assert_eq!(
        differences(&crowd, &expect, &in_the_topic(&services)),
        [""; 0]
    );

    // The fix: the schema is registered. A processor that has just asked for it would ask again half a minute later.
    assert_eq!(register(&services, &evolved("building")), tomorrow);
    assert_eq!(processor.terminate(), Some(0));
    let processor = services.run(ALL);
    let registered = redrive(&services, &["--reason", "unknown_schema"]);
    assert_eq!(number(&registered, "sent"), 2 * EACH as i64);
    let rest = redrive(&services, &["--rekey"]);
    assert_eq!(number(&rest, "rekeyed"), 2 * EACH as i64);
    // Nothing mends an empty value or old age.
    assert_eq!(rest["left_out"]["hopeless"], 3 * EACH);
    let mended = |kind: &PoisonKind| kind.cure != Cure::None;
    let ledger = crowd.ledger_after_redrive(&services, mended);
    let ends = services.ends(layout::SNAPSHOTS, SNAPSHOT_PARTITIONS);
    let expect = expected(&crowd, &services, mended);
    await_letters(&crowd, &expect, &mut tables);
    tables.await_everything(&ends, &ledger);
    tables.assert_equal(&ledger);
    assert_eq!(
        differences(&crowd, &expect, &in_the_topic(&services)),
        [""; 0]
    );

    // A second time, there is nothing left to send.
    for arguments in [&["--reason", "unknown_schema"][..], &["--rekey"]] {
        assert_eq!(number(&redrive(&services, arguments), "sent"), 0);
    }
    let again = services.ends(layout::SNAPSHOTS, SNAPSHOT_PARTITIONS);
    assert_eq!(again, ends, "the raw topic has grown");
    assert_eq!(processor.terminate(), Some(0));
}

/// Every kind was sent as often as it should, and together they show every reason for rejecting a record.
fn every_reason_is_there(crowd: &Crowd) {
    let mut sent: BTreeMap<&str, usize> = BTreeMap::new();
    for kind in crowd.poisoned().values() {
        *sent.entry(kind.name).or_default() += 1;
    }
    for kind in &KINDS {
        assert_eq!(sent.get(kind.name), Some(&EACH), "{}", kind.name);
    }
    for reason in RejectionReason::ALL {
        let verdict = Verdict::Record(*reason);
        let shown = KINDS.iter().any(|kind| kind.verdict == verdict);
        assert!(shown, "no kind of poison shows {}", reason.as_str());
    }
}

/// A letter for each poison, and one more for each that was sent again and is not mended.
fn expected(crowd: &Crowd, services: &Services, mended: impl Fn(&PoisonKind) -> bool) -> Letters {
    let mut letters = Letters::new();
    let mut expect = |place: (i32, i64), kind: &PoisonKind, line: Option<i64>| {
        let reason = match kind.verdict {
            Verdict::Record(reason) => reason.as_str(),
            Verdict::Line(reason) => reason.as_str(),
        };
        let letter = (place.0, place.1, line, reason.to_owned());
        *letters.entry(letter).or_default() += 1;
    };
    for (place, kind) in crowd.poisoned() {
        expect(*place, kind, crowd.rejected_line(*place));
    }
    for record in services.read_all(layout::SNAPSHOTS, SNAPSHOT_PARTITIONS) {
        let Some(origin) = origin(&record) else {
            continue;
        };
        let kind = crowd.poisoned()[&origin];
        if !mended(kind) {
            expect((record.partition, record.offset), kind, None);
        }
    }
    letters
}

/// Waits until the tables hold these letters and no others.
fn await_letters(crowd: &Crowd, expect: &Letters, tables: &mut Tables) {
    let mut last = Vec::new();
    let equal = holds_within(DEADLINE, || {
        last = differences(crowd, expect, &in_the_tables(tables));
        last.is_empty()
    });
    assert!(equal, "{} differences: {last:#?}", last.len());
}

/// Letters that one side has more often than the other, with their kind.
fn differences(crowd: &Crowd, expect: &Letters, found: &Letters) -> Vec<String> {
    let letters: BTreeSet<_> = expect.keys().chain(found.keys()).collect();
    let count = |side: &Letters, letter| side.get(letter).copied().unwrap_or(0);
    let differ = letters
        .into_iter()
        .filter(|letter| count(expect, letter) != count(found, letter));
    differ
        .map(|letter| {
            let kind = crowd.poisoned().get(&(letter.0, letter.1));
            let (expect, found) = (count(expect, letter), count(found, letter));
            let kind = kind.map_or("none", |kind| kind.name);
            format!("{letter:?} ({kind}): {found} times, {expect} expected")
        })
        .collect()
}

fn in_the_tables(tables: &mut Tables) -> Letters {
    let rows = tables.rows(
        "SELECT source_partition, source_offset, line, reason, count(*) FROM rollcall.rejected_records GROUP BY 1, 2, 3, 4",
    );
    rows.iter()
        .map(|row| {
            let letter = (row.get(0), row.get(1), row.get(2), row.get(3));
            (letter, row.get::<i64, _>(4) as u32)
        })
        .collect()
}

fn in_the_topic(services: &Services) -> Letters {
    let mut letters = Letters::new();
    for record in services.read_all(layout::DEAD_LETTERS, SNAPSHOT_PARTITIONS) {
        *letters.entry(letter(&record)).or_default() += 1;
    }
    letters
}

/// Reads as much of a dead letter as is asked for here, by Avro's specification: the datum begins with the reason, a text,
/// and the line, a long or null.
fn letter(record: &Record) -> (i32, i64, Option<i64>, String) {
    let key = String::from_utf8(record.key.clone().expect("a key")).expect("plain text");
    let (partition, offset) = key.split_once('/').expect("partition/offset");
    let value = record.value.as_ref().expect("a value");
    let mut datum = &value[5..];
    let length = long(&mut datum) as usize;
    let (reason, mut datum) = datum.split_at(length);
    let line = (long(&mut datum) == 1).then(|| long(&mut datum));
    (
        partition.parse().expect("a number"),
        offset.parse().expect("a number"),
        line,
        String::from_utf8(reason.to_vec()).expect("plain text"),
    )
}

/// A zigzag number of variable length.
fn long(datum: &mut &[u8]) -> i64 {
    let (mut number, mut shift) = (0_u64, 0);
    loop {
        let (byte, rest) = datum.split_first().expect("a byte more");
        *datum = rest;
        number |= u64::from(byte & 0x7f) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            return (number >> 1) as i64 ^ -((number & 1) as i64);
        }
    }
}
