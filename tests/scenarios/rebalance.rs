//! Two instances share the work, under load: one joins, one leaves in peace, one is killed, one is frozen and wakes
//! as a zombie. Nothing is lost, doubled or wrong.

use crate::crowd::Crowd;
use crate::support::{Services, eventually};
use crate::tables::Tables;
use rollcall_simulator::MischiefConfig;

const ALL: &str = "normalize,rollup,sink";
const RECORDS: usize = 150;

/// Sends, and waits until some of that is stored.
fn send_and_see(crowd: &mut Crowd, tables: &mut Tables) {
    let before = crowd.ends();
    crowd.send(RECORDS);
    tables.await_something_since(&before);
}

#[test]
fn instances_join_leave_and_die_under_load() {
    let services = Services::start();
    let mut crowd = Crowd::new(&services, 24, 40, MischiefConfig::default());
    let mut tables = Tables::new(&services.database_url);

    let first = services.run(ALL);
    send_and_see(&mut crowd, &mut tables);
    let second = services.run(ALL);
    send_and_see(&mut crowd, &mut tables);
    assert_eq!(first.terminate(), Some(0), "leaving in peace ends with 0");
    send_and_see(&mut crowd, &mut tables);
    let third = services.run(ALL);
    send_and_see(&mut crowd, &mut tables);
    second.kill9();
    send_and_see(&mut crowd, &mut tables);

    let ledger = crowd.ledger();
    tables.await_everything(&crowd.ends(), &ledger);
    tables.assert_equal(&ledger);
    assert_eq!(third.terminate(), Some(0));
}

#[test]
fn a_zombie_is_fenced() {
    let services = Services::start();
    let mut crowd = Crowd::new(&services, 24, 40, MischiefConfig::default());
    let mut tables = Tables::new(&services.database_url);
    let claims = "SELECT sum(epoch)::bigint FROM rollcall.sink_offsets";
    let places = "SELECT count(*) FROM rollcall.sink_offsets";

    let zombie = services.run(ALL);
    send_and_see(&mut crowd, &mut tables);
    let first_claims = tables.number(claims);
    // Frozen with work in hand: it knows nothing of what comes, and wakes up in the middle of a batch.
    crowd.send(RECORDS);
    zombie.pause();
    let heir = services.run(ALL);
    eventually("the heir has claimed everything", || {
        let (claimed, places) = (tables.number(claims), tables.number(places));
        claimed
            .zip(first_claims)
            .zip(places)
            .is_some_and(|((now, first), places)| now >= first + places)
    });
    send_and_see(&mut crowd, &mut tables);
    zombie.resume();
    send_and_see(&mut crowd, &mut tables);

    let ledger = crowd.ledger();
    tables.await_everything(&crowd.ends(), &ledger);
    tables.assert_equal(&ledger);
    // The zombie has found its place again: it still works, and leaves in peace.
    assert_eq!(zombie.terminate(), Some(0));
    assert_eq!(heir.terminate(), Some(0));
}
