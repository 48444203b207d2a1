//! The schema: everything is explained, and nobody may do more than they need.

use super::*;
use crate::postgres::migrate::pending_migrations;
use rollcall_domain::time::DAY_US;

/// Everything in both schemas that lacks a comment. Partitions' columns have those of their parents.
const UNCOMMENTED: &str = "
    WITH ours AS (SELECT oid, nspname FROM pg_namespace WHERE nspname IN ('rollcall', 'analytics'))
    SELECT 'schema ' || nspname FROM ours WHERE obj_description(oid, 'pg_namespace') IS NULL
    UNION ALL
    SELECT c.relkind::text || ' ' || c.oid::regclass::text FROM pg_class AS c JOIN ours ON ours.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'v', 'm') AND obj_description(c.oid, 'pg_class') IS NULL
    UNION ALL
    SELECT 'column ' || c.oid::regclass::text || '.' || a.attname
    FROM pg_class AS c JOIN ours ON ours.oid = c.relnamespace JOIN pg_attribute AS a ON a.attrelid = c.oid
    WHERE c.relkind IN ('r', 'p', 'v', 'm') AND a.attnum > 0 AND NOT a.attisdropped
        AND col_description(c.oid, a.attnum) IS NULL
    UNION ALL
    SELECT 'function ' || p.oid::regprocedure::text FROM pg_proc AS p JOIN ours ON ours.oid = p.pronamespace
    WHERE obj_description(p.oid, 'pg_proc') IS NULL
    UNION ALL
    SELECT 'type ' || t.oid::regtype::text FROM pg_type AS t JOIN ours ON ours.oid = t.typnamespace
    WHERE (t.typtype IN ('e', 'd') OR t.typrelid IN (SELECT oid FROM pg_class WHERE relkind = 'c')) AND obj_description(t.oid, 'pg_type') IS NULL
    ORDER BY 1";

#[tokio::test]
async fn everything_has_a_comment() {
    let database = TestDatabase::create().await;
    let mut session = database.session().await;
    create_partitions_ahead(&mut session, NOON).await.unwrap();
    let lacking: Vec<String> = sqlx::query_scalar(UNCOMMENTED)
        .fetch_all(&mut session.connection)
        .await
        .unwrap();
    assert_eq!(lacking, Vec::<String>::new());
    database.drop_it().await;
}

#[tokio::test]
async fn migrations_run_once_and_together() {
    let database = TestDatabase::create().await;
    let mut session = database.session().await;
    assert_eq!(
        pending_migrations(&mut session).await.unwrap(),
        Vec::<i64>::new()
    );
    migrate(&mut session).await.unwrap();
    let (mut one, mut two) = (database.session().await, database.session().await);
    let (first, second) = tokio::join!(migrate(&mut one), migrate(&mut two));
    first.unwrap();
    second.unwrap();
    execute(
        &mut session,
        "UPDATE rollcall.schema_migrations SET checksum = 'x' WHERE version = 2",
    )
    .await
    .unwrap();
    let error = migrate(&mut session).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "can't migrate the database: migration 2 is not the one that was applied"
    );
    database.drop_it().await;
}

async fn become_role(session: &mut Session, role: &str) {
    execute(session, &format!("SET SESSION AUTHORIZATION {role}"))
        .await
        .unwrap();
}

/// Each of the statements lacks a privilege.
async fn check_forbidden(session: &mut Session, statements: &[&str]) {
    for statement in statements {
        let error = execute(session, statement).await.unwrap_err();
        let code = error
            .as_database_error()
            .and_then(|error| error.code().map(|c| c.into_owned()));
        assert_eq!(code.as_deref(), Some("42501"), "{statement}: {error}");
    }
}

#[tokio::test]
async fn the_sink_may_flush_and_forget_and_nothing_else() {
    let database = TestDatabase::create().await;
    let settings = database.login("rollcall_sink").await;
    let mut before = connect(&settings).await;
    claimed(&mut before, TOPIC, 0).await;
    // Another login than its own it could not end.
    let mut sink = connect(&settings).await;
    let claim = claimed(&mut sink, TOPIC, 0).await;
    assert_eq!(claim.epoch, 2);
    before.session().ping().await.unwrap_err();

    let snapshots = [snapshot(0, 0, "m", 2), snapshot(0, 1, "m", 2)];
    let batch = DetailsBatch {
        advance: advance(TOPIC, 0, claim, 2),
        snapshots: &snapshots,
    };
    let flushed = flush_details(&mut sink, &[batch]).await.unwrap();
    assert_eq!(flushed.observations, 4);
    super::rollups::values_as_the_sink(&mut sink).await;
    super::details::flush_letters(&mut sink).await;
    create_partitions_ahead(sink.session(), NOON.plus_micros(-90 * DAY_US))
        .await
        .unwrap();
    let forgotten = enforce_retention(sink.session(), &RetentionPolicy::default())
        .await
        .unwrap();
    let old = "process_observations_d20251210".to_owned();
    assert!(forgotten.dropped.contains(&old), "{forgotten:?}");
    read_progress(sink.session()).await.unwrap();
    // The first range, which holds these few rows, is summarized from the start.
    assert_eq!(summarize_details(sink.session()).await.unwrap(), 0);
    sink.session().release(TOPIC, 0, claim.epoch).await.unwrap();
    check_forbidden(
        sink.session(),
        &[
            "DROP TABLE rollcall.machines",
            "DROP TABLE rollcall.process_snapshots_d20260310",
            "DELETE FROM rollcall.process_snapshots",
            "UPDATE rollcall.process_observations SET pid = 1",
            "DELETE FROM rollcall.sink_offsets",
            "CREATE TABLE rollcall.mine (a int)",
            "CREATE VIEW analytics.mine AS SELECT 1 AS a",
            "SELECT rollcall.apply_privileges()",
            "UPDATE rollcall.schema_migrations SET success = false",
            "TRUNCATE rollcall.ledger",
        ],
    )
    .await;
    sink.connection.close().await;
    database.drop_it().await;
}

#[tokio::test]
async fn readers_read_everything_and_write_nothing() {
    let database = TestDatabase::create().await;
    let settings = database.login("rollcall_reader").await;
    let mut reader = Session::connect(&settings).await.unwrap();
    let relations: Vec<String> = sqlx::query_scalar(
        "SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace \
         WHERE n.nspname IN ('analytics', 'rollcall') AND c.relkind IN ('r', 'p', 'v') ORDER BY 1",
    )
    .fetch_all(&mut reader.connection)
    .await
    .unwrap();
    assert!(relations.len() > 20, "{relations:?}");
    for relation in relations {
        text(&mut reader, &format!("SELECT count(*) FROM {relation}")).await;
        if relation.starts_with("rollcall.") {
            let delete = format!("DELETE FROM {relation}");
            check_forbidden(&mut reader, &[&delete]).await;
        }
    }
    for question in [
        "SELECT * FROM analytics.top_applications('law', 'windows')",
        "SELECT * FROM analytics.application_memory('chrome')",
        "SELECT * FROM analytics.machine_processes('m')",
    ] {
        execute(&mut reader, question).await.unwrap();
    }
    check_forbidden(
        &mut reader,
        &[
            "INSERT INTO rollcall.applications (application) VALUES ('mine')",
            "UPDATE rollcall.retention_horizon SET horizon = now()",
            "UPDATE analytics.machines SET name = 'mine'",
            "DELETE FROM analytics.machines",
            "SELECT rollcall.drop_partitions('process_snapshots', 'none', now())",
            "SELECT rollcall.create_partition('process_snapshots', 'none', now())",
            "SELECT nextval('rollcall.snapshot_numbers')",
            "CREATE TABLE rollcall.mine (a int)",
            "CREATE VIEW analytics.mine AS SELECT 1 AS a",
            "CREATE TABLE public.mine (a int)",
        ],
    )
    .await;
    reader.close().await;
    database.drop_it().await;
}

#[tokio::test]
async fn a_user_who_may_not_create_roles_can_migrate() {
    let database = TestDatabase::create().await;
    let mut session = database.session().await;
    let owner = format!("{}_owner", database.name);
    let plain = format!("{}_plain", database.name);
    for statement in [
        format!("CREATE ROLE {owner} LOGIN"),
        format!("CREATE DATABASE {plain} OWNER {owner}"),
    ] {
        execute(&mut session, &statement).await.unwrap();
    }
    let other = TestDatabase {
        server: database.server.clone(),
        name: plain.clone(),
    };
    let mut limited = other.session().await;
    become_role(&mut limited, &owner).await;
    migrate(&mut limited).await.unwrap();
    migrate(&mut limited).await.unwrap();
    create_partitions_ahead(&mut limited, NOON).await.unwrap();
    limited.close().await;
    other.drop_it().await;
    execute(&mut session, &format!("DROP ROLE {owner}"))
        .await
        .unwrap();
    database.drop_it().await;
}
