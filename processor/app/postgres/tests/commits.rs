//! A flush that fails leaves nothing behind, and a COMMIT's failure says whether it is known to have failed.

use super::details::letters;
use super::rollups::{UPDATES, application, pending, replace, value};
use super::*;
use rollcall_domain::Grain;
use rollcall_stages::sink::Flush;

const LETTERS: &str = "dead-letters";

/// One flush of each kind, in an order that `kind` names.
async fn flush_one(sink: &mut Sink, kind: &str, claim: Claim) -> Result<(), FlushError> {
    match kind {
        TOPIC => {
            let batch = DetailsBatch {
                advance: advance(TOPIC, 0, claim, 1),
                snapshots: &[snapshot(0, 0, "m", 2)],
            };
            flush_details(sink, &[batch]).await.map(drop)
        }
        LETTERS => {
            let batch = DeadLetterBatch {
                advance: advance(LETTERS, 0, claim, 1),
                letters: &letters(),
            };
            flush_dead_letters(sink, &[batch]).await.map(drop)
        }
        _ => {
            let advances = [advance(UPDATES, 0, claim, 1)];
            flush_rollups(sink, &one_rollup(), &advances)
                .await
                .map(drop)
        }
    }
}

fn one_rollup() -> Flush<'static> {
    let hour = Grain::Hour.window_of(NOON);
    let row = replace(application("chrome"), hour, value(0..3), true);
    pending(vec![row], 1)
}

/// Makes a statement fail from now on.
async fn sabotage(database: &TestDatabase, trigger: &str, body: &str) {
    let mut session = database.session().await;
    let function = format!(
        "CREATE FUNCTION sabotage() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body}; RETURN NULL; END $$"
    );
    for statement in [function.as_str(), trigger] {
        execute(&mut session, statement).await.unwrap();
    }
}

const AT_COMMIT: &str = "CREATE CONSTRAINT TRIGGER sabotage AFTER UPDATE ON rollcall.sink_offsets \
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (new.next_offset > 0) EXECUTE FUNCTION sabotage()";
const RAISE: &str = "RAISE 'sabotage'";

#[tokio::test]
async fn a_flush_that_fails_half_way_has_moved_no_offset() {
    let last_tables = [
        (TOPIC, "ledger"),
        (UPDATES, "rollup_progress"),
        (LETTERS, "rejected_records"),
    ];
    for (topic, last_table) in last_tables {
        let database = TestDatabase::create().await;
        let trigger = format!(
            "CREATE TRIGGER sabotage BEFORE INSERT ON rollcall.{last_table} EXECUTE FUNCTION sabotage()"
        );
        sabotage(&database, &trigger, RAISE).await;
        let mut sink = database.sink().await;
        let claim = claimed(&mut sink, topic, 0).await;
        let error = flush_one(&mut sink, topic, claim).await.unwrap_err();
        assert!(matches!(error, FlushError::Failed(_)), "{topic}: {error:?}");

        let mut next = database.sink().await;
        let again = claimed(&mut next, topic, 0).await;
        assert_eq!(again.next_offset, 0, "{topic}");
        for table in [
            "process_snapshots",
            "process_observations",
            "application_rollups",
            "rejected_records",
        ] {
            let count = format!("SELECT count(*) FROM rollcall.{table}");
            assert_eq!(text(next.session(), &count).await, "0", "{topic}: {table}");
        }
        let mend = format!("DROP TRIGGER sabotage ON rollcall.{last_table}");
        execute(next.session(), &mend).await.unwrap();
        flush_one(&mut next, topic, again).await.unwrap();
        database.drop_it().await;
    }
}

#[tokio::test]
async fn a_commit_without_an_answer_is_in_doubt_and_one_refused_is_not() {
    let check = async |body: &str, is_in_doubt: bool| {
        let database = TestDatabase::create().await;
        sabotage(&database, AT_COMMIT, body).await;
        for topic in [TOPIC, UPDATES, LETTERS] {
            let mut sink = database.sink().await;
            let claim = claimed(&mut sink, topic, 0).await;
            let error = flush_one(&mut sink, topic, claim).await.unwrap_err();
            let expected = match error {
                FlushError::Unknown(_) => is_in_doubt,
                FlushError::Failed(_) => !is_in_doubt,
                FlushError::Fenced { .. } => false,
            };
            assert!(expected, "{topic}, {body}: {error:?}");
            let mut next = database.sink().await;
            assert_eq!(claimed(&mut next, topic, 0).await.next_offset, 0);
        }
        database.drop_it().await;
    };
    check(RAISE, false).await;
    check("RAISE SQLSTATE '40001'", false).await;
    // The server ends the connection, as it does when it goes away or a new owner claims: what became of the commit is
    // for the next claim to read.
    check("PERFORM pg_terminate_backend(pg_backend_pid())", true).await;
}
