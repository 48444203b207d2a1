//! COPY's bytes mean what was written.

use super::copy::{CopyBuffer, CopyStream};
use super::*;

const COLUMNS: &str = "a smallint, b integer, c bigint, d double precision, e boolean, f text, g bytea, h uuid, \
    i timestamptz, j integer[], k bigint[], l \"char\", m jsonb";

fn write_values(rows: &mut CopyBuffer) {
    rows.row(13);
    rows.int2(-2);
    rows.int4(i32::MIN);
    rows.int8(i64::MAX);
    rows.float8(-0.5);
    rows.bool(true);
    rows.text("é\n\\.\t");
    rows.bytea(&[0, 255]);
    rows.uuid(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef);
    rows.time(NOON.plus_micros(1));
    rows.int4_array([1, -1].into_iter());
    rows.int8_array([i64::MIN].into_iter());
    rows.char(b'x');
    rows.jsonb("{\"a\": [1]}");
}

#[tokio::test]
async fn every_type_and_null_reads_back() {
    let database = TestDatabase::create().await;
    let mut session = database.session().await;
    let create = format!("CREATE TEMPORARY TABLE copied ({COLUMNS})");
    execute(&mut session, &create).await.unwrap();
    let statement = "COPY copied FROM STDIN (FORMAT binary)";
    let mut copy = CopyStream::begin(&mut session.connection, statement, "test")
        .await
        .unwrap();
    write_values(copy.rows());
    copy.rows().row(13);
    (0..13).for_each(|_| copy.rows().null());
    write_edges(copy.rows());
    assert_eq!(copy.finish().await.unwrap().0, 3);
    let row = |at| format!("SELECT copied FROM copied OFFSET {at} LIMIT 1");
    assert_eq!(
        text(&mut session, &row(0)).await,
        "(-2,-2147483648,9223372036854775807,-0.5,t,\"é\n\\\\.\t\",\"\\\\x00ff\",\
         01234567-89ab-cdef-0123-456789abcdef,\"2026-03-10 12:00:00.000001+00\",\"{1,-1}\",\
         {-9223372036854775808},x,\"{\"\"a\"\": [1]}\")"
    );
    assert_eq!(text(&mut session, &row(1)).await, "(,,,,,,,,,,,,)");
    assert_eq!(
        text(&mut session, &row(2)).await,
        "(0,0,0,0,f,\"\",\"\\\\x\",00000000-0000-0000-0000-000000000000,-infinity,{},{},\"\",{})"
    );
    database.drop_it().await;
}

fn write_edges(rows: &mut CopyBuffer) {
    rows.row(13);
    rows.int2(0);
    rows.int4(0);
    rows.int8(0);
    rows.float8(0.0);
    rows.bool(false);
    rows.text("");
    rows.bytea_with(|_| ());
    rows.uuid(0);
    rows.time(Timestamp::MIN);
    rows.int4_array(std::iter::empty());
    rows.int8_array(std::iter::empty());
    rows.char(0);
    rows.jsonb("{}");
}
