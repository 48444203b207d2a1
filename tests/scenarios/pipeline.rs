//! The whole pipeline on input that is partly late, early, repeated, out of order, broken or poison.

use crate::crowd::{Crowd, all_mischief};
use crate::metrics::{self, Metrics};
use crate::support::Services;
use crate::tables::Tables;

#[test]
fn the_tables_hold_what_the_fleet_said() {
    let services = Services::start();
    let mut crowd = Crowd::new(&services, 40, 60, all_mischief());
    let (processor, address) = metrics::run(&services, &[]);
    let mut tables = Tables::new(&services.database_url);
    for _ in 0..4 {
        // Windows close in between, so that what is late in the next batch corrects them.
        let before = crowd.ends();
        crowd.send(300);
        tables.await_something_folded_since(&before);
    }
    let ledger = crowd.ledger();
    tables.await_everything(&crowd.ends(), &ledger);
    tables.assert_equal(&ledger);
    let metrics = Metrics::scrape(address);
    for corrected in [
        "rollcall_corrections_total",
        "rollcall_corrected_rows_total",
    ] {
        assert!(metrics.sum(corrected, "") > 0.0, "{corrected}");
    }
    assert_eq!(
        processor.terminate(),
        Some(0),
        "a drain ends with exit code 0"
    );
}
