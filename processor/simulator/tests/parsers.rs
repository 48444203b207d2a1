//! The fleet's truth and the parsers' reading of its snapshots, two accounts by different hands, are the same.

mod seen;

use rollcall_domain::snapshot::Payload;
use rollcall_domain::{CreationTime, Precision, RejectionReason, Snapshot, Timestamp};
use rollcall_normalize::{
    ApplicationRules, Context, Listing, decode_text, parse_structured, parse_text,
};
use rollcall_simulator::{
    Expectation, Fleet, FleetConfig, Kind, Ledger, Mischief, MischiefConfig, Outcome, Truth,
    TruthRow,
};
use seen::seen;
use std::sync::LazyLock;

static RULES: LazyLock<ApplicationRules> = LazyLock::new(ApplicationRules::builtin);

fn fleet(seed: u64) -> Fleet {
    Fleet::new(FleetConfig {
        seed,
        machines: 120,
        shared_host_share: 0.3,
        decimal_comma_share: 0.3,
        interval_us: 90_000_000,
        processes_per_machine: 60..=150,
        ..FleetConfig::default()
    })
}

fn read<T>(
    snapshot: &Snapshot<'static>,
    event_at: Timestamp,
    check: impl FnOnce(Result<Listing<'_>, RejectionReason>) -> T,
) -> T {
    let context = Context {
        os: Some(snapshot.machine.os),
        format: None,
        observed_at: event_at,
        utc_offset_seconds: snapshot.utc_offset_seconds,
    };
    match &snapshot.payload {
        Payload::CommandOutput(output) => {
            match decode_text(&output.text, output.encoding.as_deref()) {
                Ok(text) => {
                    check(parse_text(&text, &context, &RULES).map_err(|error| error.reason))
                }
                Err(error) => check(Err(error.reason)),
            }
        }
        payload => check(Ok(parse_structured(payload, &context, &RULES))),
    }
}

fn compare(truth: &Truth, listing: &Listing<'_>) {
    let rejected: Vec<i64> = listing
        .rejected
        .iter()
        .map(|error| i64::from(error.line))
        .collect();
    let expected: Vec<i64> = truth.rejected_lines.iter().map(|line| line.line).collect();
    assert_eq!(
        rejected, expected,
        "{:?} {:?}",
        truth.form, listing.rejected
    );
    assert_eq!(
        listing.processes.len(),
        truth.rows.len(),
        "{:?}",
        truth.form
    );
    for (process, row) in listing.processes.iter().zip(&truth.rows) {
        let expect = TruthRow {
            identity: 0,
            started_at: Timestamp::default(),
            ..row.clone()
        };
        assert_eq!(seen(process), expect, "{:?}", truth.form);
        if let Some(created) = process.created_at {
            assert!(
                holds(created, row.started_at),
                "{:?} {created:?} {:?}",
                truth.form,
                row.started_at
            );
        }
    }
}

fn holds(created: CreationTime, at: Timestamp) -> bool {
    let seconds = match created.precision {
        Precision::Exact => 0,
        Precision::Second => 1,
        Precision::Minute => 60,
        Precision::Hour => 3_600,
        Precision::Day => 86_400,
        Precision::Year => 366 * 86_400,
    };
    created.at <= at && at <= created.at.plus_micros(seconds * 1_000_000)
}

#[test]
fn what_is_printed_is_read() {
    for seed in 1..=3 {
        for turn in fleet(seed).into_stream().take(600) {
            let truth = &turn.simulated.truth;
            read(&turn.simulated.snapshot, truth.observed_at, |listing| {
                compare(truth, &listing.expect("a listing"));
            });
        }
    }
}

#[test]
fn mischief_is_read_as_it_is_meant() {
    let config = MischiefConfig {
        bad_lines: 0.3,
        late: 0.1,
        out_of_order: 0.1,
        poison: 0.2,
        oversized_bytes: 300_000,
        ..MischiefConfig::default()
    };
    for shipment in Mischief::new(fleet(4).into_stream(), config).take(2_000) {
        let truth = &shipment.simulated.truth;
        let accepted = shipment.expectation == Expectation::Accepted;
        // A clock that is ahead is not believed.
        let event_at = truth.observed_at.min(shipment.at);
        read(&shipment.simulated.snapshot, event_at, |listing| {
            match (listing, shipment.expectation) {
                (Ok(listing), _) if accepted => compare(truth, &listing),
                (Ok(listing), Expectation::Rejected(RejectionReason::TooLarge)) => {
                    assert!(listing.rejected.is_empty() && listing.processes.len() > 2);
                }
                (
                    Ok(_),
                    Expectation::Rejected(
                        RejectionReason::EmptyOutput | RejectionReason::BinaryOutput,
                    ),
                ) => {
                    panic!("{:?} was read", shipment.expectation)
                }
                (Err(found), Expectation::Rejected(reason)) => assert_eq!(found, reason),
                (Err(found), _) => panic!("{found:?} of {:?}", shipment.kind),
                (Ok(_), _) => {}
            }
        });
    }
}

#[test]
fn cpu_deltas_are_the_ledgers() {
    use rollcall_normalize::cpu;
    use std::collections::BTreeMap;
    let config = MischiefConfig {
        fast_clocks: 0.5,
        out_of_order: 0.1,
        ..MischiefConfig::default()
    };
    let mut ledger = Ledger::new(Vec::<(String, Option<String>)>::new());
    let mut states = BTreeMap::new();
    let mut known = 0;
    let mut total = 0;
    for shipment in Mischief::new(fleet(5).into_stream(), config).take(4_000) {
        let before = ledger.details().len();
        let outcome = ledger.add_shipment(&shipment, shipment.at);
        if outcome != Outcome::Accepted || shipment.kind == Kind::Poison {
            continue;
        }
        let details = &ledger.details()[before..];
        let truth = &shipment.simulated.truth;
        let Some(event_at) = details.first().map(|detail| detail.event_at) else {
            continue;
        };
        let state = states.get(&truth.machine_id);
        let deltas = read(&shipment.simulated.snapshot, event_at, |listing| {
            cpu::deltas(
                state,
                event_at,
                Some(truth.cpu_count),
                &listing.expect("a listing").processes,
            )
        });
        let expect: Vec<_> = details.iter().map(|detail| detail.cpu_delta_us).collect();
        assert_eq!(
            deltas.deltas, expect,
            "{:?} {:?}",
            truth.form, shipment.kind
        );
        known += expect.iter().flatten().count();
        total += expect.len();
        if let Some(next) = deltas.next {
            states.insert(truth.machine_id.clone(), next);
        }
    }
    assert!(known * 2 > total, "{known} of {total}");
}
