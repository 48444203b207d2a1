use super::*;
use crate::fleet::{Fleet, FleetConfig};
use crate::ledger::Ledger;
use std::collections::BTreeSet;

fn mischief(machines: u32) -> Mischief {
    let fleet = Fleet::new(FleetConfig {
        machines,
        processes_per_machine: 15..=30,
        structured_share: 0.4,
        ..FleetConfig::default()
    });
    let config = MischiefConfig {
        repeated: 0.1,
        late: 0.1,
        ancient: 0.1,
        out_of_order: 0.1,
        bad_lines: 0.1,
        poison: 0.2,
        fast_clocks: 0.3,
        oversized_bytes: 300_000,
        ..MischiefConfig::default()
    };
    Mischief::new(fleet.into_stream(), config)
}

#[test]
fn the_same_seed_gives_the_same_mischief() {
    assert!(mischief(20).take(400).eq(mischief(20).take(400)));
}

#[test]
fn there_is_mischief_of_every_kind() {
    let shipments: Vec<_> = mischief(60).take(3_000).collect();
    let kinds: BTreeSet<_> = shipments.iter().map(|shipment| shipment.kind).collect();
    assert_eq!(kinds.len(), 7, "{kinds:?}");
    let reasons: BTreeSet<_> = shipments
        .iter()
        .filter_map(|shipment| match shipment.expectation {
            Expectation::Rejected(reason) => Some(reason.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(reasons.len(), 11, "{reasons:?}");
    assert!(shipments.is_sorted_by_key(|shipment| shipment.at));
    let ahead = |shipment: &Shipment| {
        shipment
            .simulated
            .snapshot
            .observed_at
            .micros_since(shipment.at)
    };
    assert!(
        shipments
            .iter()
            .any(|shipment| ahead(shipment) == 10 * MINUTE_US)
    );
    assert!(
        shipments
            .iter()
            .any(|shipment| ahead(shipment) == 3 * DAY_US)
    );
    assert!(
        shipments
            .iter()
            .any(|shipment| ahead(shipment) < -5 * DAY_US)
    );
}

#[test]
fn the_ledger_and_the_shipments_agree() {
    let mischief = mischief(25);
    let directory: Vec<(String, Option<String>)> = mischief
        .stream()
        .fleet()
        .directory()
        .map(|(user, faculty)| (user.into_owned(), faculty.map(str::to_owned)))
        .collect();
    let mut ledger = Ledger::new(directory);
    for shipment in mischief.take(1_500) {
        let outcome = ledger.add_shipment(&shipment, shipment.at);
        let expect = match shipment.expectation {
            Expectation::Accepted => crate::Outcome::Accepted,
            Expectation::Duplicate => crate::Outcome::Duplicate,
            Expectation::Rejected(reason) => crate::Outcome::Rejected(reason),
        };
        assert_eq!(outcome, expect, "{:?}", shipment.kind);
    }
    assert!(ledger.duplicates() > 0 && ledger.rejected_lines() > 0);
}

#[test]
fn nothing_is_done_without_mischief() {
    let fleet = || {
        Fleet::new(FleetConfig {
            machines: 7,
            ..FleetConfig::default()
        })
    };
    let plain: Vec<_> = fleet()
        .into_stream()
        .take(30)
        .map(|turn| turn.simulated)
        .collect();
    let sent: Vec<_> = Mischief::new(fleet().into_stream(), MischiefConfig::none())
        .take(30)
        .map(|shipment| shipment.simulated)
        .collect();
    assert_eq!(plain, sent);
}

#[test]
fn a_share_of_mischief_is_about_that_share() {
    let fleet = Fleet::new(FleetConfig {
        machines: 40,
        processes_per_machine: 10..=15,
        ..FleetConfig::default()
    });
    let config = MischiefConfig {
        oversized_bytes: 0,
        ..MischiefConfig::of_share(7, 0.2)
    };
    let shipments: Vec<_> = Mischief::new(fleet.into_stream(), config)
        .take(5_000)
        .collect();
    let plain = shipments
        .iter()
        .filter(|shipment| shipment.kind == Kind::Plain);
    let touched = 5_000 - plain.count();
    assert!((700..1_100).contains(&touched), "{touched}");
}
