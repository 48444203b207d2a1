//! The whole pipeline on input that is partly late, early, repeated, out of order, broken or poison.

use crate::crowd::Crowd;
use crate::support::Services;
use crate::tables::Tables;
use rollcall_simulator::MischiefConfig;

#[test]
fn the_tables_hold_what_the_fleet_said() {
    let services = Services::start();
    let mischief = MischiefConfig {
        repeated: 0.05,
        late: 0.05,
        ancient: 0.02,
        out_of_order: 0.05,
        bad_lines: 0.05,
        poison: 0.10,
        fast_clocks: 0.2,
        // More than a message may hold, once normalized.
        oversized_bytes: 3 << 20,
        ..MischiefConfig::default()
    };
    let mut crowd = Crowd::new(&services, 40, 60, mischief);
    let processor = services.run("normalize,rollup,sink");
    for _ in 0..4 {
        crowd.send(300);
    }
    let ledger = crowd.ledger(&services);
    let mut tables = Tables::new(&services.database_url);
    tables.await_everything(&crowd.ends(), &ledger);
    tables.assert_equal(&ledger);
    assert_eq!(
        processor.terminate(),
        Some(0),
        "a drain ends with exit code 0"
    );
}
