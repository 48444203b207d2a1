//! The SQL functions on sketches give, to the last bit, what `domain` gives, and what the extension gives where it is there.

use super::*;
use rollcall_domain::ddsketch::{DdSketch, last_bucket, value_of};
use rollcall_domain::hll::{self, Hll};
use sqlx::Row;
use std::ops::Range;

/// A union's bytes and its estimate's bits.
type Union = Option<(Vec<u8>, u64)>;

fn elements(numbers: Range<u64>) -> Hll {
    let mut sketch = Hll::new();
    for number in numbers {
        sketch.insert_hash(hll::hash_bytes(&number.to_le_bytes()));
    }
    sketch
}

fn stored(sketch: &Hll) -> Vec<u8> {
    let mut bytes = Vec::new();
    sketch.to_bytes(&mut bytes);
    bytes
}

/// A number below `limit`, the same for the same seed.
fn dice(seed: (u64, u64), limit: u64) -> u64 {
    hll::hash_text(&format!("{seed:?}")) % limit
}

fn expected_union(parts: &[Option<Hll>]) -> Union {
    let mut union: Option<Hll> = None;
    for part in parts.iter().flatten() {
        union.get_or_insert_default().merge(part);
    }
    union.map(|union| (stored(&union), bits(union.estimate())))
}

/// There are many NaN.
fn bits(estimate: f64) -> u64 {
    if estimate.is_nan() {
        f64::NAN.to_bits()
    } else {
        estimate.to_bits()
    }
}

fn read_unions(rows: &[sqlx::postgres::PgRow]) -> Vec<Union> {
    rows.iter()
        .map(|row| {
            let bytes: Option<Vec<u8>> = row.get(0);
            let estimate: Option<f64> = row.get(1);
            assert_eq!(bytes.is_some(), estimate.is_some());
            bytes.zip(estimate.map(bits))
        })
        .collect()
}

/// Unites each case's parts by the aggregate, and its first two by the function.
async fn check_unions(session: &mut Session, cases: &[Vec<Option<Hll>>]) {
    let mut numbers: Vec<i32> = Vec::new();
    let mut parts = Vec::new();
    for (number, case) in cases.iter().enumerate() {
        numbers.extend(std::iter::repeat_n(number as i32, case.len()));
        parts.extend(case.iter().map(|part| part.as_ref().map(stored)));
    }
    let rows = sqlx::query(
        "SELECT united, analytics.hll_cardinality(united) FROM ( \
             SELECT number, analytics.hll_union_agg(part) AS united \
             FROM unnest($1::integer[], $2::bytea[]) AS listed(number, part) GROUP BY number \
         ) AS each ORDER BY number",
    )
    .bind(&numbers)
    .bind(&parts)
    .fetch_all(&mut session.connection)
    .await
    .unwrap();
    let expected: Vec<Union> = cases.iter().map(|case| expected_union(case)).collect();
    assert!(read_unions(&rows) == expected, "aggregate: {cases:?}");

    let pairs: Vec<_> = cases.iter().filter(|case| case.len() >= 2).collect();
    let rows = sqlx::query(
        "SELECT united, analytics.hll_cardinality(united) \
         FROM unnest($1::bytea[], $2::bytea[]) WITH ORDINALITY AS listed(a, b, place), \
             LATERAL (SELECT analytics.hll_union(a, b) AS united OFFSET 0) AS one ORDER BY place",
    )
    .bind(
        pairs
            .iter()
            .map(|case| case[0].as_ref().map(stored))
            .collect::<Vec<_>>(),
    )
    .bind(
        pairs
            .iter()
            .map(|case| case[1].as_ref().map(stored))
            .collect::<Vec<_>>(),
    )
    .fetch_all(&mut session.connection)
    .await
    .unwrap();
    let expected: Vec<Union> = pairs
        .iter()
        .map(|case| {
            let strict = case[..2].iter().all(Option::is_some);
            strict.then(|| expected_union(&case[..2])).flatten()
        })
        .collect();
    assert!(read_unions(&rows) == expected, "function: {cases:?}");
}

/// Sizes around every change of form: 160 hashes are the most that are explicit, 639 registers the most that are sparse.
const SIZES: &[u64] = &[
    0, 1, 7, 80, 159, 160, 161, 300, 700, 770, 771, 772, 773, 800, 1_500, 3_000, 5_200, 20_000,
];

fn random_parts(case: u64) -> Vec<Option<Hll>> {
    (0..1 + dice((case, 0), 6))
        .map(|part| {
            let dice = |what, limit| dice((case, 10 * part + what), limit);
            let start = dice(1, 1_000);
            // Small ones mostly, so that unions of small ones are met as well.
            let size = SIZES[dice(2, 1 + dice(3, SIZES.len() as u64)) as usize];
            (dice(4, 12) > 0).then(|| elements(start..start + size))
        })
        .collect()
}

#[tokio::test]
async fn unions_are_those_of_the_domain() {
    let database = TestDatabase::create().await;
    let mut session = database.session().await;
    for &size in SIZES {
        let part = || Some(elements(0..size));
        let next = Some(elements(size..2 * size));
        check_unions(&mut session, &[vec![part()], vec![part(), next]]).await;
    }
    let cases: Vec<_> = (0..300).map(random_parts).collect();
    check_unions(&mut session, &cases).await;

    let registers = |byte| {
        let mut bytes = vec![0x14, 0x8b, 0x7f];
        bytes.extend([byte; 1_280]);
        Some(Hll::from_bytes(&bytes).unwrap())
    };
    // No bit is set above the index: the register stays 0.
    let mut zero = Hll::new();
    zero.insert_hash(7);
    let mut highest = Hll::new();
    highest.insert_hash(1 << 63 | 8);
    let extremes = vec![
        vec![registers(0xff)],
        vec![registers(0x00)],
        vec![registers(0x00), Some(zero.clone())],
        vec![registers(0x00), Some(highest.clone())],
        vec![registers(0x55), registers(0xaa)],
        vec![Some(zero), Some(highest)],
        vec![None, None],
        vec![None, Some(Hll::new())],
        vec![None],
    ];
    check_unions(&mut session, &extremes).await;
    for nothing in [
        "SELECT analytics.hll_union_agg(NULL::bytea) FROM generate_series(1, 0)",
        "SELECT analytics.hll_cardinality(NULL)",
        "SELECT analytics.hll_union(NULL, '\\x118b7f')",
    ] {
        assert_eq!(text(&mut session, nothing).await, "NULL", "{nothing}");
    }
    database.drop_it().await;
}

/// The aggregates' states as they are, so that they can be put together as parallel workers' are.
const STATES: &str = "\
    CREATE AGGREGATE public.hll_states(bytea) ( \
        SFUNC = analytics.hll_add_union, STYPE = analytics.hll_state, INITCOND = '(,,)'); \
    CREATE AGGREGATE public.ddsketch_states(integer[], bigint[]) ( \
        SFUNC = analytics.ddsketch_add, STYPE = analytics.ddsketch, INITCOND = '({},{})'); \
    CREATE AGGREGATE public.quantile_states(integer[], bigint[], double precision) ( \
        SFUNC = analytics.ddsketch_quantile_add, STYPE = analytics.ddsketch_quantile_state, INITCOND = '(\"({},{})\",)')";

/// Unites and merges what two workers have: the first part, and the others.
const TWO_WORKERS: &str = "\
    SELECT united, analytics.hll_cardinality(united), analytics.ddsketch_quantile(merged, 0.95), quantile FROM ( \
        SELECT analytics.hll_stored(analytics.hll_combine( \
                public.hll_states(part) FILTER (WHERE place = 1), public.hll_states(part) FILTER (WHERE place > 1))) AS united, \
            analytics.ddsketch_combine(public.ddsketch_states(indexes, counts) FILTER (WHERE place = 1), \
                public.ddsketch_states(indexes, counts) FILTER (WHERE place > 1)) AS merged, \
            analytics.ddsketch_quantile_of(analytics.ddsketch_quantile_combine( \
                public.quantile_states(indexes, counts, 0.95) FILTER (WHERE place = 1), \
                public.quantile_states(indexes, counts, 0.95) FILTER (WHERE place > 1))) AS quantile \
        FROM unnest($1::bytea[]) WITH ORDINALITY AS listed(part, place), \
            LATERAL (SELECT ($2::integer[])[1:($4::integer[])[place]], ($3::bigint[])[1:($4::integer[])[place]]) AS sketch(indexes, counts) \
    ) AS one";

#[tokio::test]
async fn what_parallel_workers_have_is_put_together() {
    let database = TestDatabase::create().await;
    let mut session = database.session().await;
    sqlx::raw_sql(STATES)
        .execute(&mut session.connection)
        .await
        .unwrap();
    for number in 0..100 {
        let case = random_parts(number);
        let parts: Vec<_> = case.iter().map(|part| part.as_ref().map(stored)).collect();
        // Each part has so many of its buckets, from the first one on.
        let (indexes, counts) = arrays(&random_sketch(number));
        let lengths: Vec<i32> = (0..case.len() as u64)
            .map(|part| dice((number, 100 + part), 1 + indexes.len() as u64) as i32)
            .collect();
        let mut merged = DdSketch::new();
        for &length in &lengths {
            let buckets = indexes.iter().copied().zip(counts.iter().copied());
            merged.merge(&DdSketch::from_buckets(buckets.take(length as usize)).unwrap());
        }
        let row = sqlx::query(TWO_WORKERS)
            .bind(&parts)
            .bind(&indexes)
            .bind(&counts)
            .bind(&lengths)
            .fetch_one(&mut session.connection)
            .await
            .unwrap();
        let quantile = merged.quantile(0.95);
        assert_eq!((row.get(2), row.get(3)), (quantile, quantile), "{number}");
        assert!(read_unions(&[row]) == [expected_union(&case)], "{case:?}");
    }
    database.drop_it().await;
}

fn random_sketch(number: u64) -> DdSketch {
    let mut sketch = DdSketch::new();
    for value in 0..dice((number, 1), 60) {
        // Of every magnitude, zero and the largest too.
        let bits = 1 + dice((number, 100 + value), 63);
        sketch.record(dice((number, 1_000 + value), 1 << bits) as i64);
    }
    if number.is_multiple_of(7) {
        sketch.record(0);
        sketch.record(i64::MAX);
    }
    sketch
}

fn arrays(sketch: &DdSketch) -> (Vec<i32>, Vec<i64>) {
    sketch.buckets().unzip()
}

const QUANTILES: &[f64] = &[
    0.0,
    0.01,
    0.25,
    0.5,
    0.75,
    0.95,
    0.99,
    1.0,
    -0.1,
    1.1,
    f64::NAN,
];

/// Quantiles of `a`, and of `a` merged with `b`, by the functions and by the aggregates.
async fn check_quantiles(session: &mut Session, a: &DdSketch, b: &DdSketch) {
    let mut both = a.clone();
    both.merge(b);
    let expected: Vec<_> = QUANTILES
        .iter()
        .map(|&q| (a.quantile(q), both.quantile(q)))
        .map(|(one, both)| (one, both, both, both))
        .collect();
    let ((a_indexes, a_counts), (b_indexes, b_counts)) = (arrays(a), arrays(b));
    type Quantile = Option<f64>;
    let found: Vec<(Quantile, Quantile, Quantile, Quantile)> = sqlx::query_as(
        "WITH listed(indexes, counts) AS (VALUES ($1::integer[], $2::bigint[]), ($3, $4), (NULL, NULL)) \
         SELECT analytics.ddsketch_quantile($1, $2, q), \
             analytics.ddsketch_quantile(analytics.ddsketch_merge($1, $2, $3, $4), q), \
             (SELECT analytics.ddsketch_quantile(analytics.ddsketch_merge_agg(indexes, counts), q) FROM listed), \
             (SELECT analytics.ddsketch_quantile_agg(indexes, counts, q) FROM listed) \
         FROM unnest($5::double precision[]) WITH ORDINALITY AS asked(q, place) ORDER BY place",
    )
    .bind(a_indexes)
    .bind(a_counts)
    .bind(b_indexes)
    .bind(b_counts)
    .bind(QUANTILES)
    .fetch_all(&mut session.connection)
    .await
    .unwrap();
    assert_eq!(found, expected, "{a:?} and {b:?}");
}

#[tokio::test]
async fn quantiles_are_those_of_the_domain() {
    let database = TestDatabase::create().await;
    let mut session = database.session().await;
    for number in 0..60 {
        let (a, b) = (random_sketch(number), random_sketch(number + 1_000));
        check_quantiles(&mut session, &a, &b).await;
    }
    let full = |bucket| DdSketch::from_buckets([(bucket, i64::MAX - 1), (last_bucket(), 5)]);
    check_quantiles(&mut session, &full(3).unwrap(), &full(4).unwrap()).await;
    check_quantiles(&mut session, &full(3).unwrap(), &full(3).unwrap()).await;
    check_quantiles(&mut session, &DdSketch::new(), &DdSketch::new()).await;

    let values: Vec<f64> = sqlx::query_scalar(
        "SELECT analytics.ddsketch_value(bucket) FROM generate_series(-1, $1) AS bucket ORDER BY bucket",
    )
    .bind(last_bucket())
    .fetch_all(&mut session.connection)
    .await
    .unwrap();
    let expected: Vec<f64> = (-1..=last_bucket()).map(value_of).collect();
    assert_eq!(values, expected);
    for nothing in [
        "SELECT analytics.ddsketch_quantile(NULL, NULL, 0.5)",
        "SELECT analytics.ddsketch_quantile_agg(NULL, NULL, 0.5) FROM generate_series(1, 0)",
        "SELECT analytics.ddsketch_quantile_agg(NULL, NULL, 0.5)",
        "SELECT analytics.ddsketch_quantile(analytics.ddsketch_merge_agg(NULL, NULL), 0.5)",
    ] {
        assert_eq!(text(&mut session, nothing).await, "NULL", "{nothing}");
    }
    database.drop_it().await;
}

#[tokio::test]
async fn broken_sketches_are_errors() {
    let database = TestDatabase::create().await;
    let mut session = database.session().await;
    for (query, words) in [
        ("hll_cardinality('\\x118b')", "at least 3 bytes"),
        ("hll_cardinality('\\x128c7f0000000000000001')", "log2m 11"),
        ("hll_cardinality('\\x158b7f')", "the header 158b7f"),
        ("hll_cardinality('\\x118b7f00')", "1 bytes can't follow"),
        (
            "hll_union('\\x118b7f', '\\x128b7f')",
            "0 bytes can't follow",
        ),
        ("hll_union_agg('\\x138b7f00')", "1 bytes can't follow"),
        ("hll_union_agg('\\x148b7f0000')", "2 bytes can't follow"),
        ("ddsketch_quantile('{1,2}', '{1}', 0.5)", "1 and 2"),
        ("ddsketch_merge_agg('{1}', '{1,2}')", "2 and 1"),
    ] {
        let error = execute(&mut session, &format!("SELECT analytics.{query}"))
            .await
            .unwrap_err();
        let error = error.as_database_error().unwrap();
        assert_eq!(error.code().as_deref(), Some("22000"), "{query}: {error}");
        assert!(error.message().contains(words), "{query}: {error}");
    }
    database.drop_it().await;
}

/// Only where the server has the extension, as the one behind `DATABASE_URL` may.
#[tokio::test]
async fn unions_are_those_of_the_extension() {
    let database = TestDatabase::create().await;
    let mut session = database.session().await;
    let available = "SELECT count(*) FROM pg_available_extensions WHERE name = 'hll'";
    if text(&mut session, available).await == "0" {
        eprintln!("not compared with postgresql-hll, which this server has not");
        return database.drop_it().await;
    }
    execute(&mut session, "CREATE EXTENSION hll SCHEMA public")
        .await
        .unwrap();
    for case in 0..200 {
        let parts: Vec<Option<Vec<u8>>> = random_parts(case)
            .iter()
            .map(|part| part.as_ref().map(stored))
            .collect();
        let same: bool = sqlx::query_scalar(
            "SELECT analytics.hll_union_agg(part) IS NOT DISTINCT FROM public.hll_send(public.hll_union_agg(part::public.hll)) \
                 AND analytics.hll_cardinality(analytics.hll_union_agg(part)) \
                     IS NOT DISTINCT FROM public.hll_cardinality(public.hll_union_agg(part::public.hll)) \
             FROM unnest($1::bytea[]) AS part",
        )
        .bind(&parts)
        .fetch_one(&mut session.connection)
        .await
        .unwrap();
        assert!(same, "case {case}");
    }
    database.drop_it().await;
}
