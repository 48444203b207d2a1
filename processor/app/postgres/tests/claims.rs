//! Claims fence, and end what was there before.

use super::*;
use std::time::Duration;

#[tokio::test]
async fn a_new_claim_fences_the_old_epoch() {
    let database = TestDatabase::create().await;
    let mut old = database.sink().await;
    let first = claimed(&mut old, TOPIC, 0).await;
    assert_eq!((first.epoch, first.next_offset), (1, 0));
    let again = claimed(&mut old, TOPIC, 0).await;
    assert_eq!(
        again.epoch, 2,
        "claiming again doesn't end one's own connection"
    );
    let snapshots = [snapshot(0, 0, "m", 2)];
    let stale = DetailsBatch {
        advance: advance(TOPIC, 0, first, 1),
        snapshots: &snapshots,
    };
    let error = flush_details(&mut old, &[stale]).await.unwrap_err();
    let FlushError::Fenced { lost } = error else {
        panic!("{error:?}")
    };
    assert_eq!(lost[0].to_string(), "process-observations/0");
    assert_eq!(
        text(
            old.session(),
            "SELECT count(*) FROM rollcall.process_observations"
        )
        .await,
        "0"
    );
    let current = DetailsBatch {
        advance: advance(TOPIC, 0, again, 1),
        snapshots: &snapshots,
    };
    let flushed = flush_details(&mut old, &[current]).await.unwrap();
    assert_eq!((flushed.snapshots, flushed.observations), (1, 2));
    database.drop_it().await;
}

#[tokio::test]
async fn a_claim_ends_a_frozen_owner_that_holds_locks() {
    let database = TestDatabase::create().await;
    let mut frozen = database.sink().await;
    let claim = claimed(&mut frozen, TOPIC, 0).await;
    // In the middle of a flush: the offset is moved and locked, a COPY waits for its client.
    let moved = begin_flush(frozen.session(), &[advance(TOPIC, 0, claim, 5)]).await;
    moved.unwrap();
    let copy = copy::CopyStream::begin(
        &mut frozen.session().connection,
        "COPY rollcall.applications (application) FROM STDIN (FORMAT binary)",
        "test",
    )
    .await
    .unwrap();
    let mut next = database.sink().await;
    let taken = tokio::time::timeout(Duration::from_secs(10), claimed(&mut next, TOPIC, 0));
    let taken = taken.await.expect("the claim waits for nobody");
    assert_eq!((taken.epoch, taken.next_offset), (2, 0));
    let error = copy.finish().await.unwrap_err();
    assert!(error.is_retriable(), "{error:?}");
    database.drop_it().await;
}

/// Found by the simulator: nobody knows yet whose backend it is that holds the lock.
#[tokio::test]
async fn a_claim_that_is_never_committed_holds_nobody_up_for_long() {
    let database = TestDatabase::create().await;
    let mut old = database.sink().await;
    let first = claimed(&mut old, TOPIC, 0).await;
    let mut frozen = database.sink().await;
    let request = ClaimRequest {
        deployment: DEPLOYMENT,
        topic: TOPIC,
        partition: 0,
        initial_offset: 0,
    };
    let session = frozen.session();
    session.begin_claim().await.unwrap();
    let lock = session.claim_next(&request, first.epoch).await.unwrap();
    assert!(lock.is_some());
    let mut next = database.sink().await;
    let taken = tokio::time::timeout(Duration::from_secs(60), claimed(&mut next, TOPIC, 0));
    let taken = taken.await.expect("the server ends the claim that idles");
    assert_eq!((taken.epoch, taken.next_offset), (2, 0));
    database.drop_it().await;
}

#[tokio::test]
async fn an_owner_that_may_not_be_seen_is_not_taken_for_gone() {
    let database = TestDatabase::create().await;
    let mut old = database.sink().await;
    claimed(&mut old, TOPIC, 0).await;
    let other = database.login("rollcall_sink").await;
    let mut new = Session::connect(&other).await.unwrap();
    let request = ClaimRequest {
        deployment: DEPLOYMENT,
        topic: TOPIC,
        partition: 0,
        initial_offset: 0,
    };
    let error = claim(&mut new, &request).await.unwrap_err();
    let said = error.to_string();
    assert!(
        error.is_retriable && said.contains("this user may not see"),
        "{said}"
    );
    drop(old);
    new = Session::connect(&other).await.unwrap();
    while let Err(error) = claim(&mut new, &request).await {
        assert!(error.is_retriable, "{error:?}");
        new = Session::connect(&other).await.unwrap();
    }
    database.drop_it().await;
}

#[tokio::test]
async fn a_released_partition_is_claimed_without_ending_its_owner() {
    let database = TestDatabase::create().await;
    let (mut old, mut new) = (database.sink().await, database.sink().await);
    let claim = claimed(&mut old, TOPIC, 0).await;
    old.session().release(TOPIC, 0, claim.epoch).await.unwrap();
    let next = claimed(&mut new, TOPIC, 0).await;
    assert_eq!(next.epoch, 2);
    old.session().ping().await.unwrap();
    // What is no longer ours can't be released.
    old.session().release(TOPIC, 0, next.epoch).await.unwrap();
    let backend = "SELECT backend_pid IS NOT NULL FROM rollcall.sink_offsets";
    assert_eq!(text(old.session(), backend).await, "true");
    database.drop_it().await;
}

#[tokio::test]
async fn two_that_claim_at_once_get_different_epochs() {
    let database = TestDatabase::create().await;
    let mut tasks = Vec::new();
    for _ in 0..4 {
        let settings = database.settings();
        tasks.push(tokio::spawn(async move {
            let mut session = Session::connect(&settings).await.unwrap();
            let request = ClaimRequest {
                deployment: DEPLOYMENT,
                topic: TOPIC,
                partition: 0,
                initial_offset: 7,
            };
            let claim = claim(&mut session, &request).await?;
            tokio::time::sleep(Duration::from_millis(200)).await;
            Ok::<_, DatabaseError>(claim)
        }));
    }
    let mut epochs = Vec::new();
    for task in tasks {
        match task.await.unwrap() {
            Ok(claim) => {
                assert_eq!(claim.next_offset, 7);
                epochs.push(claim.epoch);
            }
            Err(error) => assert!(error.is_retriable, "{error:?}"),
        }
    }
    let mut unique = epochs.clone();
    unique.sort_unstable();
    unique.dedup();
    assert_eq!(unique.len(), epochs.len());
    let mut session = database.session().await;
    let stored = read_offset(&mut session, TOPIC, 0).await.unwrap().unwrap();
    assert_eq!(Some(&stored.epoch), unique.last());
    database.drop_it().await;
}

#[tokio::test]
async fn another_deployment_is_refused() {
    let database = TestDatabase::create().await;
    let mut sink = database.sink().await;
    claimed(&mut sink, TOPIC, 0).await;
    // The same partition, another one, and one of other topics.
    for (topic, partition) in [(TOPIC, 0), (TOPIC, 1), ("demo-process-observations", 0)] {
        let mut other = database.sink().await;
        let request = ClaimRequest {
            deployment: "other",
            topic,
            partition,
            initial_offset: 0,
        };
        let error = claim(other.session(), &request).await.unwrap_err();
        assert!(!error.is_retriable);
        assert_eq!(
            error.to_string(),
            format!(
                "can't claim {topic}/{partition}: this database belongs to the deployment test, and this is other; \
                 each deployment needs a database of its own"
            )
        );
    }
    database.drop_it().await;
}

#[tokio::test]
async fn errors_of_connecting_say_what_to_do() {
    let database = TestDatabase::create().await;
    let check = async |url: String, class, words: &str| {
        let error = Session::connect(&PostgresSettings::new(url, "t"))
            .await
            .unwrap_err();
        assert_eq!(error.class, class, "{error}");
        assert!(error.to_string().contains(words), "{error}");
        assert!(!error.to_string().contains("hunter2"), "{error}");
    };
    let refused = "postgres://u:hunter2@127.0.0.1:1/d".to_owned();
    check(refused, ErrorClass::Retriable, "nothing listens").await;
    let missing = database
        .settings()
        .url
        .replace(&database.name, "no_such_database");
    check(missing, ErrorClass::Fatal, "the database does not exist").await;
    check(
        "http://x".to_owned(),
        ErrorClass::Fatal,
        "not one of PostgreSQL",
    )
    .await;
    database.drop_it().await;
}

#[tokio::test]
async fn a_mismatch_of_one_partition_rolls_everything_back() {
    let database = TestDatabase::create().await;
    let mut sink = database.sink().await;
    let claims = [
        claimed(&mut sink, TOPIC, 0).await,
        claimed(&mut sink, TOPIC, 1).await,
    ];
    let (zero, one) = ([snapshot(0, 0, "a", 3)], [snapshot(1, 0, "b", 3)]);
    let ahead = Claim {
        next_offset: 5,
        ..claims[1]
    };
    let batches = |second: Claim| {
        [
            DetailsBatch {
                advance: advance(TOPIC, 0, claims[0], 1),
                snapshots: &zero,
            },
            DetailsBatch {
                advance: advance(TOPIC, 1, second, 6),
                snapshots: &one,
            },
        ]
    };
    let error = flush_details(&mut sink, &batches(ahead)).await.unwrap_err();
    assert!(
        matches!(&error, FlushError::Fenced { lost } if lost.len() == 1 && lost[0].partition == 1),
        "{error:?}"
    );
    for table in ["process_snapshots", "process_observations", "ledger"] {
        let count = format!("SELECT count(*) FROM rollcall.{table}");
        assert_eq!(text(sink.session(), &count).await, "0", "{table}");
    }
    let stored = read_offset(sink.session(), TOPIC, 0)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(stored.next_offset, 0);
    flush_details(&mut sink, &batches(claims[1])).await.unwrap();
    database.drop_it().await;
}
