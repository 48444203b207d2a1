-- The two schemas, and functions on the sketches that rollups hold: plain SQL and PL/pgSQL, for servers without extensions.
--
-- A HyperLogLog is stored as postgresql-hll stores it (its storage specification, version 1: log2m 11, regwidth 5,
-- expthresh auto, sparse on). A DDSketch (Masson, Rim, Lee, VLDB 2019; gamma = 1.01 / 0.99) is two arrays. Results are those of
-- processor/domain/src/hll.rs and ddsketch.rs, to the last bit; tests compare them.

DO $$
BEGIN
    IF current_setting('server_encoding') <> 'UTF8' THEN
        RAISE EXCEPTION 'the database has the encoding %, and Rollcall needs UTF8', current_setting('server_encoding');
    END IF;
END
$$;

CREATE SCHEMA IF NOT EXISTS rollcall;
COMMENT ON SCHEMA rollcall IS 'Rollcall''s tables, written by its SINK stage. Read them through the schema analytics.';
CREATE SCHEMA IF NOT EXISTS analytics;
COMMENT ON SCHEMA analytics IS 'Stable views and functions for people and tools that ask what a fleet of machines runs.';

-- HyperLogLog. Its 2,048 registers of 5 bits are one bit string, as they are stored. PostgreSQL has no loop that is fast, but
-- its operators on bit strings are: a few dozen of them work on all registers at once.

CREATE FUNCTION analytics.hll_kind(sketch bytea) RETURNS integer
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
AS $$
DECLARE
    body_bytes CONSTANT integer := length(sketch) - 3;
    kind integer;
BEGIN
    IF body_bytes < 0 THEN
        RAISE EXCEPTION 'a HyperLogLog has at least 3 bytes, and this has %', length(sketch)
            USING ERRCODE = 'data_exception';
    END IF;
    kind := get_byte(sketch, 0) - 16;
    IF kind NOT BETWEEN 1 AND 4 OR get_byte(sketch, 1) <> 139 OR get_byte(sketch, 2) <> 127 THEN
        RAISE EXCEPTION 'a HyperLogLog with the header % has other parameters than Rollcall''s: version 1, log2m 11, regwidth 5, expthresh -1, sparseon 1',
            encode(substr(sketch, 1, 3), 'hex') USING ERRCODE = 'data_exception';
    END IF;
    IF (CASE kind
        WHEN 1 THEN body_bytes <> 0
        WHEN 2 THEN body_bytes % 8 <> 0 OR body_bytes NOT BETWEEN 8 AND 1280
        WHEN 3 THEN body_bytes % 2 <> 0 OR body_bytes > 4096
        ELSE body_bytes <> 1280 END)
    THEN
        RAISE EXCEPTION 'a HyperLogLog is broken: % bytes can''t follow the header %',
            body_bytes, encode(substr(sketch, 1, 3), 'hex') USING ERRCODE = 'data_exception';
    END IF;
    RETURN kind;
END
$$;
COMMENT ON FUNCTION analytics.hll_kind(bytea) IS
    'Part of hll_union_agg. How a HyperLogLog is stored: 1 empty, 2 explicit (hashes), 3 sparse, 4 full (registers). An error if it is none of ours.';

CREATE FUNCTION analytics.hll_every_register(field text) RETURNS bit varying
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN repeat(field, 2048)::bit varying;
COMMENT ON FUNCTION analytics.hll_every_register(text) IS
    'Part of hll_union_agg. Registers that all hold these five bits. The planner computes it once.';

CREATE FUNCTION analytics.hll_bits(bytes bytea) RETURNS bit varying
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN ('x' || encode(bytes, 'hex'))::bit varying;
COMMENT ON FUNCTION analytics.hll_bits(bytea) IS 'Part of hll_union_agg. Bytes as a bit string.';

CREATE FUNCTION analytics.hll_max(a bit varying, b bit varying) RETURNS bit varying
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
AS $$
DECLARE
    different CONSTANT bit varying := a # b;
    highest bit varying := different;
    greater bit varying;
BEGIN
    -- In each register: ones from the highest different bit down, then that bit alone. It is the one that decides.
    highest := highest | ((highest >> 1) & analytics.hll_every_register('01111'));
    highest := highest | ((highest >> 2) & analytics.hll_every_register('00111'));
    highest := highest | ((highest >> 1) & analytics.hll_every_register('01111'));
    highest := highest # ((highest >> 1) & analytics.hll_every_register('01111'));
    -- Five ones where a has it: down to the lowest bit, then up again from there.
    greater := highest & a;
    greater := greater | ((greater >> 1) & analytics.hll_every_register('01111'));
    greater := greater | ((greater >> 2) & analytics.hll_every_register('00111'));
    greater := (greater | (greater >> 1)) & analytics.hll_every_register('00001');
    greater := greater | (greater << 1);
    greater := greater | (greater << 2);
    greater := greater | (greater << 1);
    RETURN b # (different & greater);
END
$$;
COMMENT ON FUNCTION analytics.hll_max(bit varying, bit varying) IS
    'Part of hll_union_agg. The greater of each two registers.';

CREATE FUNCTION analytics.hll_raised(entries bytea, hashes bytea) RETURNS bit varying
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    WITH raised AS (
        SELECT
            (get_byte(entries, 2 * i) << 3) | (get_byte(entries, 2 * i + 1) >> 5) AS register,
            get_byte(entries, 2 * i + 1) & 31 AS value
        FROM generate_series(0, length(entries) / 2 - 1) AS i
        UNION ALL
        -- The register is the hash's low 11 bits; the value the place of the lowest bit set above them, 1 being the first.
        SELECT
            (hash & 2047)::integer,
            CASE WHEN rest = 0 THEN 0 ELSE least(bit_count(((rest & -rest) - 1)::bit(64)) + 1, 31)::integer END
        FROM (SELECT analytics.hll_bits(hashes) AS bits OFFSET 0) AS all_hashes,
            generate_series(0, length(hashes) / 8 - 1) AS i,
            LATERAL (SELECT substring(bits FROM 64 * i + 1 FOR 64)::bit(64)::bigint AS hash OFFSET 0) AS one,
            LATERAL (SELECT (hash >> 11) & 9007199254740991 AS rest OFFSET 0) AS above
    ), greatest_values AS (
        SELECT register, max(value) AS value FROM raised GROUP BY register
    ), spaced AS (
        SELECT
            register,
            repeat('0', 5 * (register - coalesce(lag(register) OVER (ORDER BY register), -1) - 1))
                || value::bit(5)::text AS bits
        FROM greatest_values
    )
    SELECT rpad(coalesce(string_agg(bits, '' ORDER BY register), ''), 10240, '0')::bit varying FROM spaced;
END;
COMMENT ON FUNCTION analytics.hll_raised(bytea, bytea) IS
    'Part of hll_union_agg. Registers from sparse entries (two bytes each: 11 bits of index, 5 of value) and hashes (eight bytes each).';

CREATE FUNCTION analytics.hll_distinct(hashes bytea) RETURNS bytea
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
BEGIN ATOMIC
    -- Ascending as signed numbers, as the format wants them: those that begin with a one are negative.
    SELECT coalesce(string_agg(hash, '' ORDER BY hash < '\x80', hash), '') FROM (
        SELECT DISTINCT substr(hashes, 8 * i + 1, 8) AS hash FROM generate_series(0, length(hashes) / 8 - 1) AS i
    ) AS each;
END;
COMMENT ON FUNCTION analytics.hll_distinct(bytea) IS 'Part of hll_union_agg. Hashes of eight bytes, each once, ascending.';

CREATE TYPE analytics.hll_state AS (
    registers bit varying,
    entries   bytea,
    hashes    bytea
);
COMMENT ON TYPE analytics.hll_state IS
    'A union under way: registers (NULL: none yet), and sparse entries (NULL: none ever) and hashes (NULL: no sketch ever) that are gathered to be added many at a time.';

CREATE FUNCTION analytics.hll_settled(state analytics.hll_state) RETURNS analytics.hll_state
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
AS $$
BEGIN
    IF state.registers IS NULL AND state.entries IS NULL THEN
        state.hashes := analytics.hll_distinct(state.hashes);
        IF length(state.hashes) <= 1280 THEN
            RETURN state;
        END IF;
    END IF;
    IF state.hashes <> '' OR state.entries <> '' OR state.registers IS NULL THEN
        state.registers := analytics.hll_max(
            coalesce(state.registers, analytics.hll_every_register('00000')),
            analytics.hll_raised(coalesce(state.entries, ''), state.hashes));
    END IF;
    state.entries := '';
    state.hashes := '';
    RETURN state;
END
$$;
COMMENT ON FUNCTION analytics.hll_settled(analytics.hll_state) IS
    'Part of hll_union_agg. The same with nothing left to be added: registers alone, or up to 160 distinct hashes.';

CREATE FUNCTION analytics.hll_add_union(state analytics.hll_state, sketch bytea) RETURNS analytics.hll_state
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
AS $$
DECLARE
    kind CONSTANT integer := analytics.hll_kind(sketch);
BEGIN
    state.hashes := coalesce(state.hashes, '');
    IF kind = 4 THEN
        state.registers := CASE
            WHEN state.registers IS NULL THEN analytics.hll_bits(substr(sketch, 4))
            ELSE analytics.hll_max(state.registers, analytics.hll_bits(substr(sketch, 4))) END;
    ELSIF kind = 3 THEN
        state.entries := coalesce(state.entries, '') || substr(sketch, 4);
    ELSIF kind = 2 THEN
        state.hashes := state.hashes || substr(sketch, 4);
    END IF;
    IF length(state.hashes) > 16384 OR length(state.entries) > 16384 THEN
        RETURN analytics.hll_settled(state);
    END IF;
    RETURN state;
END
$$;
COMMENT ON FUNCTION analytics.hll_add_union(analytics.hll_state, bytea) IS 'Part of hll_union_agg. Adds a HyperLogLog.';

CREATE FUNCTION analytics.hll_combine(a analytics.hll_state, b analytics.hll_state) RETURNS analytics.hll_state
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
AS $$
BEGIN
    -- One that has seen no sketch must not pass for an empty one.
    IF a.hashes IS NULL THEN
        RETURN b;
    ELSIF b.hashes IS NULL THEN
        RETURN a;
    END IF;
    IF b.registers IS NOT NULL THEN
        a.registers := CASE
            WHEN a.registers IS NULL THEN b.registers ELSE analytics.hll_max(a.registers, b.registers) END;
    END IF;
    IF b.entries IS NOT NULL THEN
        a.entries := coalesce(a.entries, '') || b.entries;
    END IF;
    a.hashes := a.hashes || b.hashes;
    RETURN analytics.hll_settled(a);
END
$$;
COMMENT ON FUNCTION analytics.hll_combine(analytics.hll_state, analytics.hll_state) IS
    'Part of hll_union_agg. Puts together what parallel workers have united.';

CREATE FUNCTION analytics.hll_stored(state analytics.hll_state) RETURNS bytea
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
AS $$
DECLARE
    registers bit varying;
    used bit varying;
BEGIN
    IF state.hashes IS NULL THEN
        RETURN NULL;
    END IF;
    state := analytics.hll_settled(state);
    IF state.registers IS NULL THEN
        RETURN CASE state.hashes WHEN '' THEN '\x118b7f'::bytea ELSE '\x128b7f'::bytea || state.hashes END;
    END IF;
    registers := state.registers;
    used := registers | (registers >> 1);
    used := used | (used >> 2);
    used := (used | (registers >> 4)) & analytics.hll_every_register('00001');
    -- Sparse as long as that is shorter.
    IF bit_count(used) >= 640 THEN
        -- The first four bytes are a length.
        RETURN '\x148b7f'::bytea || substr(varbit_send(registers), 5);
    END IF;
    RETURN '\x138b7f'::bytea || coalesce((
        SELECT string_agg(substr(int4send((register << 5) | value), 3), '' ORDER BY register)
        FROM generate_series(0, 2047) AS register,
            LATERAL (SELECT substring(registers FROM 5 * register + 1 FOR 5)::bit(5)::integer AS value OFFSET 0) AS one
        WHERE value > 0
    ), '');
END
$$;
COMMENT ON FUNCTION analytics.hll_stored(analytics.hll_state) IS
    'Part of hll_union_agg. The union in the storage format; NULL where there was nothing to unite.';

CREATE AGGREGATE analytics.hll_union_agg(sketch bytea) (
    SFUNC = analytics.hll_add_union,
    STYPE = analytics.hll_state,
    INITCOND = '(,,)',
    COMBINEFUNC = analytics.hll_combine,
    FINALFUNC = analytics.hll_stored,
    SSPACE = 4096,
    PARALLEL = SAFE
);
COMMENT ON AGGREGATE analytics.hll_union_agg(bytea) IS
    'The union of HyperLogLogs, as the columns …_hll hold them; NULLs are left out. How many distinct: hll_cardinality(hll_union_agg(users_hll)).';

CREATE FUNCTION analytics.hll_union(a bytea, b bytea) RETURNS bytea
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN analytics.hll_stored(analytics.hll_add_union(analytics.hll_add_union(ROW(NULL, NULL, NULL), a), b));
COMMENT ON FUNCTION analytics.hll_union(bytea, bytea) IS 'The union of two HyperLogLogs; NULL if one of them is.';

CREATE FUNCTION analytics.hll_registers_cardinality(registers bit varying) RETURNS double precision
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
AS $$
DECLARE
    lowest CONSTANT bit varying := analytics.hll_every_register('00001');
    -- Bit 0 of every register, bit 1, and so on.
    bits_0 CONSTANT bit varying := registers & lowest;
    bits_1 CONSTANT bit varying := (registers >> 1) & lowest;
    bits_2 CONSTANT bit varying := (registers >> 2) & lowest;
    bits_3 CONSTANT bit varying := (registers >> 3) & lowest;
    bits_4 CONSTANT bit varying := (registers >> 4) & lowest;
    upper bit varying;
    counted bigint;
    zeros bigint;
    inverse_powers double precision := 0;
    estimate double precision;
BEGIN
    FOR upper_value IN 0..7 LOOP
        upper := (CASE upper_value & 1 WHEN 0 THEN lowest # bits_2 ELSE bits_2 END)
            & (CASE upper_value & 2 WHEN 0 THEN lowest # bits_3 ELSE bits_3 END)
            & (CASE upper_value & 4 WHEN 0 THEN lowest # bits_4 ELSE bits_4 END);
        CONTINUE WHEN bit_count(upper) = 0;
        FOR lower_value IN 0..3 LOOP
            counted := bit_count(upper
                & (CASE lower_value & 1 WHEN 0 THEN lowest # bits_0 ELSE bits_0 END)
                & (CASE lower_value & 2 WHEN 0 THEN lowest # bits_1 ELSE bits_1 END));
            -- Exact, in whatever order: multiples of 2^-31 up to 2,048.
            inverse_powers := inverse_powers
                + counted::double precision / (1::bigint << (4 * upper_value + lower_value));
        END LOOP;
    END LOOP;
    zeros := bit_count((lowest # bits_0) & (lowest # bits_1) & (lowest # bits_2) & (lowest # bits_3) & (lowest # bits_4));
    -- 2,048 = m; 2^41 = as many hashes as registers of this width can tell apart.
    estimate := 0.7213 / (1.0 + 1.079 / 2048::double precision) * 2048 * 2048 / inverse_powers;
    IF zeros <> 0 AND estimate < 5120 THEN
        RETURN 2048 * ln(2048 / zeros::double precision);
    ELSIF estimate <= 2199023255552 / 30::double precision THEN
        RETURN estimate;
    ELSIF estimate < 2199023255552 THEN
        RETURN -2199023255552::double precision * ln(1 - estimate / 2199023255552);
    END IF;
    -- No set fills registers so.
    RETURN 'NaN';
END
$$;
COMMENT ON FUNCTION analytics.hll_registers_cardinality(bit varying) IS 'Part of hll_cardinality. The estimate from registers.';

CREATE FUNCTION analytics.hll_cardinality(sketch bytea) RETURNS double precision
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
AS $$
DECLARE
    kind CONSTANT integer := analytics.hll_kind(sketch);
    entries CONSTANT integer := (length(sketch) - 3) / 2;
BEGIN
    IF kind <= 2 THEN
        RETURN (length(sketch) - 3) / 8;
    ELSIF kind = 3 AND entries < 640 THEN
        -- So few that it is always the estimate of small sets, which counts zeros.
        RETURN 2048 * ln(2048 / (2048 - entries)::double precision);
    ELSIF kind = 3 THEN
        RETURN analytics.hll_registers_cardinality(analytics.hll_raised(substr(sketch, 4), ''));
    END IF;
    RETURN analytics.hll_registers_cardinality(analytics.hll_bits(substr(sketch, 4)));
END
$$;
COMMENT ON FUNCTION analytics.hll_cardinality(bytea) IS
    'How many distinct elements a HyperLogLog has: exact up to 160, above that an estimate with a standard error of 2.3 %.';

-- DDSketch. Bucket -1 holds zeros, bucket i the values above gamma^(i - 1) up to gamma^i.

CREATE TYPE analytics.ddsketch AS (
    indexes integer[],
    counts  bigint[]
);
COMMENT ON TYPE analytics.ddsketch IS
    'A DDSketch: its buckets, ascending, and how many values each holds. So are the columns memory_sketch_indexes and memory_sketch_counts.';

CREATE FUNCTION analytics.ddsketch_value(bucket integer) RETURNS double precision
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    -- gamma^bucket by squaring, in a fixed order, for power() differs in its last bits from one machine to the next.
    RETURN CASE
        WHEN bucket < 0 THEN 0
        ELSE 2 * (
            CASE bucket & 1 WHEN 0 THEN 1 ELSE 1.02020202020202::double precision END
            * CASE bucket & 2 WHEN 0 THEN 1 ELSE 1.040812162024283::double precision END
            * CASE bucket & 4 WHEN 0 THEN 1 ELSE 1.0832899566176621::double precision END
            * CASE bucket & 8 WHEN 0 THEN 1 ELSE 1.1735171301086964::double precision END
            * CASE bucket & 16 WHEN 0 THEN 1 ELSE 1.3771424546585511::double precision END
            * CASE bucket & 32 WHEN 0 THEN 1 ELSE 1.8965213404229795::double precision END
            * CASE bucket & 64 WHEN 0 THEN 1 ELSE 3.596793194679775::double precision END
            * CASE bucket & 128 WHEN 0 THEN 1 ELSE 12.93692128529474::double precision END
            * CASE bucket & 256 WHEN 0 THEN 1 ELSE 167.36393234191212::double precision END
            * CASE bucket & 512 WHEN 0 THEN 1 ELSE 28010.68584894814::double precision END
            * CASE bucket & 1024 WHEN 0 THEN 1 ELSE 784598521.7284635::double precision END
            * CASE bucket & 2048 WHEN 0 THEN 1 ELSE 6.155948402984902e+17::double precision END
        ) / (1.02020202020202::double precision + 1)
    END;
COMMENT ON FUNCTION analytics.ddsketch_value(integer) IS 'The value that stands for a bucket, within 1 % of all that it holds.';

CREATE FUNCTION analytics.ddsketch_quantile(indexes integer[], counts bigint[], q double precision)
    RETURNS double precision
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
AS $$
DECLARE
    most CONSTANT bigint := 9223372036854775807;
    total bigint := 0;
    seen bigint := 0;
    counted bigint;
    exact_rank double precision;
    rank bigint;
BEGIN
    IF cardinality(indexes) <> cardinality(counts) THEN
        RAISE EXCEPTION 'a DDSketch has as many counts as indexes, and this has % and %',
            cardinality(counts), cardinality(indexes) USING ERRCODE = 'data_exception';
    END IF;
    FOREACH counted IN ARRAY counts LOOP
        total := CASE WHEN counted > most - total THEN most ELSE total + counted END;
    END LOOP;
    IF total <= 0 OR q NOT BETWEEN 0 AND 1 THEN
        RETURN NULL;
    END IF;
    exact_rank := floor(q * (total - 1)::double precision);
    rank := CASE WHEN exact_rank >= most::double precision THEN most ELSE exact_rank::bigint END;
    FOR place IN 1..cardinality(counts) LOOP
        counted := counts[place];
        seen := CASE WHEN counted > most - seen THEN most ELSE seen + counted END;
        IF seen > rank THEN
            RETURN analytics.ddsketch_value(indexes[place]);
        END IF;
    END LOOP;
    RETURN analytics.ddsketch_value(indexes[cardinality(indexes)]);
END
$$;
COMMENT ON FUNCTION analytics.ddsketch_quantile(integer[], bigint[], double precision) IS
    'The q-quantile (0.5: the median) of a DDSketch, within 1 %: the value of rank floor(q * (n - 1)), counted from 0. NULL without values, or for a q that is not within 0 and 1.';

CREATE FUNCTION analytics.ddsketch_quantile(sketch analytics.ddsketch, q double precision) RETURNS double precision
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN analytics.ddsketch_quantile((sketch).indexes, (sketch).counts, q);
COMMENT ON FUNCTION analytics.ddsketch_quantile(analytics.ddsketch, double precision) IS
    'The same of what ddsketch_merge and ddsketch_merge_agg return.';

CREATE FUNCTION analytics.ddsketch_settled(sketch analytics.ddsketch) RETURNS analytics.ddsketch
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
BEGIN ATOMIC
    SELECT ROW(
        coalesce(array_agg(bucket ORDER BY bucket), '{}'),
        coalesce(array_agg(counted ORDER BY bucket), '{}'))::analytics.ddsketch
    FROM (
        SELECT bucket, least(sum(counted), 9223372036854775807)::bigint AS counted
        FROM unnest((sketch).indexes, (sketch).counts) AS listed(bucket, counted)
        GROUP BY bucket
    ) AS each;
END;
COMMENT ON FUNCTION analytics.ddsketch_settled(analytics.ddsketch) IS
    'Part of ddsketch_merge_agg. A DDSketch from buckets in any order and any number of times.';

CREATE FUNCTION analytics.ddsketch_add(state analytics.ddsketch, indexes integer[], counts bigint[])
    RETURNS analytics.ddsketch
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
AS $$
BEGIN
    IF cardinality(indexes) <> cardinality(counts) THEN
        RAISE EXCEPTION 'a DDSketch has as many counts as indexes, and this has % and %',
            cardinality(counts), cardinality(indexes) USING ERRCODE = 'data_exception';
    END IF;
    state.indexes := state.indexes || indexes;
    state.counts := state.counts || counts;
    -- More than there are buckets, so that adding them up makes room.
    IF cardinality(state.indexes) > 8192 THEN
        RETURN analytics.ddsketch_settled(state);
    END IF;
    RETURN state;
END
$$;
COMMENT ON FUNCTION analytics.ddsketch_add(analytics.ddsketch, integer[], bigint[]) IS
    'Part of ddsketch_merge_agg. Adds a DDSketch.';

CREATE FUNCTION analytics.ddsketch_combine(a analytics.ddsketch, b analytics.ddsketch) RETURNS analytics.ddsketch
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN analytics.ddsketch_settled(ROW((a).indexes || (b).indexes, (a).counts || (b).counts)::analytics.ddsketch);
COMMENT ON FUNCTION analytics.ddsketch_combine(analytics.ddsketch, analytics.ddsketch) IS
    'Part of ddsketch_merge_agg. Puts together what parallel workers have merged.';

CREATE AGGREGATE analytics.ddsketch_merge_agg(indexes integer[], counts bigint[]) (
    SFUNC = analytics.ddsketch_add,
    STYPE = analytics.ddsketch,
    INITCOND = '({},{})',
    COMBINEFUNC = analytics.ddsketch_combine,
    FINALFUNC = analytics.ddsketch_settled,
    SSPACE = 32768,
    PARALLEL = SAFE
);
COMMENT ON AGGREGATE analytics.ddsketch_merge_agg(integer[], bigint[]) IS
    'Merges DDSketches: ddsketch_quantile(ddsketch_merge_agg(memory_sketch_indexes, memory_sketch_counts), 0.95).';

CREATE FUNCTION analytics.ddsketch_merge(
    a_indexes integer[], a_counts bigint[], b_indexes integer[], b_counts bigint[]
) RETURNS analytics.ddsketch
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN analytics.ddsketch_settled(analytics.ddsketch_add(
        analytics.ddsketch_add(ROW('{}', '{}')::analytics.ddsketch, a_indexes, a_counts), b_indexes, b_counts));
COMMENT ON FUNCTION analytics.ddsketch_merge(integer[], bigint[], integer[], bigint[]) IS
    'Merges two DDSketches; NULL if one of them is.';

CREATE TYPE analytics.ddsketch_quantile_state AS (
    sketch analytics.ddsketch,
    q      double precision
);
COMMENT ON TYPE analytics.ddsketch_quantile_state IS 'A quantile under way: what is merged so far, and which quantile.';

CREATE FUNCTION analytics.ddsketch_quantile_add(
    state analytics.ddsketch_quantile_state, indexes integer[], counts bigint[], q double precision
) RETURNS analytics.ddsketch_quantile_state
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
AS $$
BEGIN
    state.sketch := analytics.ddsketch_add(state.sketch, indexes, counts);
    state.q := q;
    RETURN state;
END
$$;
COMMENT ON FUNCTION analytics.ddsketch_quantile_add(analytics.ddsketch_quantile_state, integer[], bigint[], double precision) IS
    'Part of ddsketch_quantile_agg. Adds a DDSketch.';

CREATE FUNCTION analytics.ddsketch_quantile_combine(a analytics.ddsketch_quantile_state, b analytics.ddsketch_quantile_state)
    RETURNS analytics.ddsketch_quantile_state
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN ROW(analytics.ddsketch_combine((a).sketch, (b).sketch), coalesce((a).q, (b).q))::analytics.ddsketch_quantile_state;
COMMENT ON FUNCTION analytics.ddsketch_quantile_combine(analytics.ddsketch_quantile_state, analytics.ddsketch_quantile_state) IS
    'Part of ddsketch_quantile_agg. Puts together what parallel workers have merged.';

CREATE FUNCTION analytics.ddsketch_quantile_of(state analytics.ddsketch_quantile_state) RETURNS double precision
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN analytics.ddsketch_quantile(analytics.ddsketch_settled((state).sketch), (state).q);
COMMENT ON FUNCTION analytics.ddsketch_quantile_of(analytics.ddsketch_quantile_state) IS
    'Part of ddsketch_quantile_agg. The quantile.';

CREATE AGGREGATE analytics.ddsketch_quantile_agg(indexes integer[], counts bigint[], q double precision) (
    SFUNC = analytics.ddsketch_quantile_add,
    STYPE = analytics.ddsketch_quantile_state,
    INITCOND = '("({},{})",)',
    COMBINEFUNC = analytics.ddsketch_quantile_combine,
    FINALFUNC = analytics.ddsketch_quantile_of,
    SSPACE = 32768,
    PARALLEL = SAFE
);
COMMENT ON AGGREGATE analytics.ddsketch_quantile_agg(integer[], bigint[], double precision) IS
    'A quantile over many DDSketches: ddsketch_quantile_agg(memory_sketch_indexes, memory_sketch_counts, 0.95). NULLs are left out.';
