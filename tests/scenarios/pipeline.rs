//! The whole pipeline on input that is partly late, early, repeated, out of order, broken or poison.

use crate::crowd::{Crowd, all_mischief};
use crate::support::Services;
use crate::tables::Tables;

#[test]
fn the_tables_hold_what_the_fleet_said() {
    let services = Services::start();
    let mut crowd = Crowd::new(&services, 40, 60, all_mischief());
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
