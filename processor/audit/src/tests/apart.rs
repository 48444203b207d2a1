//! What is compared only up to somewhere, or not at all.

use super::*;

#[test]
fn each_lane_is_compared_up_to_where_it_is() {
    let first_only = |world: &mut World| {
        world.facts.progress = progress(1);
        world.facts.published = progress(1);
        world.rollups = rollups(&[(0, 0)]);
    };
    check(first_only, &[], &[]);
    // The details lag: whom the second snapshot counts for is not recorded yet.
    let details_lag = |world: &mut World| {
        world.snapshots.pop_back();
        world.facts.details = vec![DetailsReach::Through(0)];
        let row = world.facts.ledger.get_mut(&0).expect("a row");
        row.counts.snapshots_read = 1;
        row.counts.snapshots_accepted = 1;
        row.counts.lines_accepted = 1;
        row.stored = [1, 1, 0];
        row.last_ingested_at = Some(at(0));
    };
    check(
        details_lag,
        &[],
        &[(Apart::Unrecorded, 1), (Apart::RollupsOfUnrecorded, 8)],
    );
    // Unless it is known that nothing waits: then what is missing is lost.
    let the_last_is_lost = |world: &mut World| {
        details_lag(world);
        world.facts.settled = vec![4];
    };
    check(
        the_last_is_lost,
        &[("process_snapshots", "")],
        &[(Apart::Unrecorded, 1), (Apart::RollupsOfUnrecorded, 8)],
    );
    let the_last_letter_is_lost = |world: &mut World| {
        world.letters.clear();
        world.facts.letters = vec![LettersReach::Nothing];
        world.facts.settled = vec![4];
    };
    check(the_last_letter_is_lost, &[("rejected_records", "")], &[]);
    let letters_lag = |world: &mut World| {
        world.letters.clear();
        world.facts.letters = vec![LettersReach::Nothing];
    };
    check(letters_lag, &[], &[]);
    let stored_too_much = |world: &mut World| {
        first_only(world);
        world.rollups = rollups(&[(0, 0), (1, 2)]);
    };
    let mut expect = vec![("user_rollups/minute", ""), ("faculty_rollups/minute", "")];
    let columns = [
        "snapshots",
        "processes",
        "machine_minutes",
        "cpu_time_us",
        "memory_count",
        "memory_sum_bytes",
    ];
    let further = [
        "last_event_at_us",
        "machine_minutes_hll",
        "memory_sketch_counts",
    ];
    let hours = [
        "user_rollups/hour",
        "faculty_rollups/hour",
        "application_rollups/hour",
    ];
    for table in DAYS.into_iter().chain(hours) {
        expect.extend(
            columns
                .into_iter()
                .chain(further)
                .map(|column| (table, column)),
        );
    }
    check(stored_too_much, &expect, &[]);
    let other_vector = |world: &mut World| world.facts.published[0].progress.folded[0].offset = 3;
    check(other_vector, &[("rollup_progress", "folded_offsets")], &[]);
}

#[test]
fn windows_are_closed_by_what_is_persisted_and_counted_from_what_is_recorded() {
    let set = |world: &mut World, change: &dyn Fn(&mut ClosedThrough)| {
        for rows in [&mut world.facts.progress, &mut world.facts.published] {
            rows.iter_mut()
                .flat_map(|row| &mut row.progress.closed_through)
                .for_each(change);
        }
    };
    let closed = |world: &mut World| {
        set(world, &|grain| grain.through = at(1));
        world
            .rollups
            .iter_mut()
            .for_each(|row| row.closed = row.grain == Grain::Minute && row.window_start == at(0));
    };
    check(closed, &[], &[]);
    let counted_from = |world: &mut World| {
        set(world, &|grain| grain.counted_from = at(1));
    };
    check(counted_from, &[], &[(Apart::RollupsNotKept, 8)]);
}

#[test]
fn what_begins_before_the_raw_topic_is_set_apart_and_remembered() {
    let first_gone = |world: &mut World| {
        drop(world.raw.remove(0));
        world.facts.raw_begin = vec![1];
    };
    let apart = [
        (Apart::SnapshotsBeforeRaw, 1),
        (Apart::RollupsBeforeRaw, 10),
        (Apart::LedgerNotCounted, 1),
    ];
    check(first_gone, &[], &apart);
    // It was remembered: another delta is a difference.
    let other_delta = |world: &mut World| {
        first_gone(world);
        world.snapshots[1].processes[0].cpu_delta_us = Some(1);
    };
    check(
        other_delta,
        &[("process_observations", "cpu_delta_us")],
        &apart,
    );
}

#[test]
fn what_retention_has_dropped_is_not_expected() {
    let dropped = |world: &mut World| {
        world.facts.horizons.rollups[0][0] = at(1);
        world.rollups.remove(0);
    };
    check(dropped, &[], &[(Apart::RollupsExpired, 1)]);
    let horizon_only = |world: &mut World| world.facts.horizons.rollups[0][0] = at(1);
    check(horizon_only, &[("user_rollups/minute", "")], &[]);
    let letters = |world: &mut World| {
        world.facts.horizons.rejected = at(2);
        world.letters.clear();
    };
    check(letters, &[], &[(Apart::Expired, 1)]);
}

#[test]
fn snapshots_of_other_rules_count_as_they_are_recorded() {
    let renamed = |world: &mut World| {
        let row = &mut world.snapshots[1];
        row.rules_digest ^= 1;
        Arc::make_mut(row.processes[0].command.as_mut().expect("one")).application =
            "old".to_owned();
    };
    let columns = [
        "snapshots",
        "processes",
        "machine_minutes",
        "cpu_time_us",
        "memory_count",
        "memory_sum_bytes",
    ];
    let further = [
        "last_event_at_us",
        "machine_minutes_hll",
        "memory_sketch_counts",
    ];
    let mut expect = vec![
        ("application_rollups/day", ""),
        ("application_rollups/hour", ""),
    ];
    for table in ["application_rollups/day", "application_rollups/hour"] {
        expect.extend(
            columns
                .into_iter()
                .chain(further)
                .map(|column| (table, column)),
        );
    }
    for table in ["user_rollups", "faculty_rollups"] {
        for grain in ["minute", "hour", "day"] {
            let table: &'static str = format!("{table}/{grain}").leak();
            expect.push((table, "applications_hll"));
            if grain != "minute" {
                expect.push((table, "applications"));
            }
        }
    }
    check(renamed, &expect, &[(Apart::OtherRules, 1)]);
    let same_name = |world: &mut World| world.snapshots[1].rules_digest ^= 1;
    check(same_name, &[], &[(Apart::OtherRules, 1)]);
}

#[test]
fn a_schema_that_was_registered_later_is_set_apart() {
    let registered = |world: &mut World| world.raw[3].2 = Ok(snapshot(5, 1, 4));
    check(registered, &[], &[(Apart::SchemaRegisteredSince, 1)]);
    let other_reason = |world: &mut World| {
        registered(world);
        world.letters[0].reason = "bad_magic".to_owned();
        world.facts.details = vec![DetailsReach::Through(1)];
        world.facts.progress = progress(3);
        world.facts.published = progress(3);
    };
    check(other_reason, &[("rejected_records", "")], &[]);
}

#[test]
fn a_record_among_those_judged_by_other_rules_is_set_apart() {
    let rejected_then = |world: &mut World| {
        world.snapshots.pop_front();
        world.letters.push_front(StoredLetter {
            ingested_at: at(0),
            ..letter(0, "unknown_format")
        });
        // CPU time is first seen then with what is now the only snapshot.
        world.snapshots[0].processes[0].cpu_delta_us = None;
        world.rollups = rollups(&[(1, 0)]);
        let row = world.facts.ledger.get_mut(&0).expect("a row");
        row.counts.snapshots_accepted = 1;
        row.counts.snapshots_rejected = 1;
        row.counts.lines_accepted = 1;
        row.stored = [1, 1, 0];
    };
    let by_others = |world: &mut World| {
        rejected_then(world);
        world.snapshots[0].rules_digest ^= 1;
    };
    check(
        by_others,
        &[],
        &[(Apart::OtherRules, 1), (Apart::JudgedByOtherRules, 1)],
    );
    let mut by_ours = world();
    rejected_then(&mut by_ours);
    assert!(run(&by_ours).differences() > 0);
}
