//! The schema: everything is explained, and nobody may do more than they need.

use super::*;
use crate::postgres::migrate::pending_migrations;

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
    WHERE t.typtype IN ('e', 'd') AND obj_description(t.oid, 'pg_type') IS NULL
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

#[tokio::test]
async fn the_sink_may_flush_and_forget_and_nothing_else() {
    let database = TestDatabase::create().await;
    let mut sink = database.sink().await;
    become_role(sink.session(), "rollcall_sink").await;
    let claim = claimed(&mut sink, TOPIC, 0).await;
    let snapshots = [snapshot(0, 0, "m", 2), snapshot(0, 1, "m", 2)];
    let batch = DetailsBatch {
        advance: advance(TOPIC, 0, claim, 2),
        snapshots: &snapshots,
    };
    assert_eq!(
        flush_details(&mut sink, &[batch])
            .await
            .unwrap()
            .observations,
        4
    );
    super::rollups::values_as_the_sink(&mut sink).await;
    enforce_retention(sink.session(), &RetentionPolicy::default())
        .await
        .unwrap();
    read_progress(sink.session()).await.unwrap();
    // The first range, which holds these few rows, is summarized from the start.
    assert_eq!(summarize_details(sink.session()).await.unwrap(), 0);
    for forbidden in [
        "DROP TABLE rollcall.machines",
        "DELETE FROM rollcall.process_snapshots",
        "UPDATE rollcall.process_observations SET pid = 1",
        "DELETE FROM rollcall.sink_offsets",
        "CREATE TABLE rollcall.mine (a int)",
        "SELECT rollcall.apply_privileges()",
        "TRUNCATE rollcall.ledger",
    ] {
        let error = execute(sink.session(), forbidden).await.unwrap_err();
        let code = error
            .as_database_error()
            .and_then(|error| error.code().map(|c| c.into_owned()));
        assert_eq!(code.as_deref(), Some("42501"), "{forbidden}");
    }
    database.drop_it().await;
}

#[tokio::test]
async fn readers_read_analytics_and_nothing_else() {
    let database = TestDatabase::create().await;
    let mut session = database.session().await;
    become_role(&mut session, "rollcall_reader").await;
    let views = "SELECT string_agg(c.relname, ' ' ORDER BY c.relname) FROM pg_class AS c \
        WHERE c.relnamespace = 'analytics'::regnamespace AND c.relkind = 'v'";
    for view in text(&mut session, views).await.split(' ') {
        text(
            &mut session,
            &format!("SELECT count(*) FROM analytics.{view}"),
        )
        .await;
    }
    execute(
        &mut session,
        "SELECT * FROM analytics.top_applications('law', 'windows')",
    )
    .await
    .unwrap();
    for forbidden in [
        "SELECT 1 FROM rollcall.machines",
        "DELETE FROM analytics.machines",
        "SELECT rollcall.drop_partitions('process_snapshots', 'none', now())",
        "CREATE VIEW analytics.mine AS SELECT 1 AS a",
    ] {
        let error = execute(&mut session, forbidden).await.unwrap_err();
        let code = error
            .as_database_error()
            .and_then(|error| error.code().map(|c| c.into_owned()));
        assert_eq!(code.as_deref(), Some("42501"), "{forbidden}");
    }
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
