-- Makes hll_vectors.tsv with the real extension (Debian package postgresql-15-hll on PostgreSQL 15):
--   psql -X -q -A -t -F "$(printf '\t')" -f hll_vectors.sql > hll_vectors.tsv
-- A row: how many elements "machine-1" … "machine-n", the cardinality, and the stored bytes.
CREATE EXTENSION IF NOT EXISTS hll;
SET extra_float_digits = 3;
SELECT n, hll_cardinality(set), substr(set::text, 3)
FROM unnest(ARRAY[0, 1, 2, 10, 159, 160, 161, 200, 640, 700, 760, 800, 900, 1000, 5000, 20000, 100000]) AS n,
     LATERAL (SELECT coalesce(hll_add_agg(hll_hash_text('machine-' || i), 11, 5, -1, 1), hll_empty(11, 5, -1, 1)) AS set
              FROM generate_series(1, n) AS i) AS sets;
