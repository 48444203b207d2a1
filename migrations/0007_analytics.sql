-- What people and their tools read.

CREATE VIEW analytics.machines AS
SELECT machine_id, name, os, os_version, cpu_count, memory_bytes, source_partition, moved, first_seen, last_seen
FROM rollcall.machines;
COMMENT ON VIEW analytics.machines IS 'Machines that ever sent a snapshot.';

CREATE VIEW analytics.snapshots AS
SELECT
    s.snapshot_number,
    s.snapshot_id,
    m.machine_id,
    m.name AS machine_name,
    m.os,
    s.event_at,
    s.observed_at,
    s.ingested_at,
    s.clock_skew,
    s.utc_offset_seconds,
    s.user_name,
    s.faculty,
    s.command,
    coalesce(s.attributes, '{}') AS attributes,
    s.process_count,
    s.lines_rejected,
    to_hex(s.rules_digest) AS rules_digest,
    s.source_partition,
    s.source_offset,
    s.command_output,
    s.command_output_encoding
FROM rollcall.process_snapshots AS s
JOIN rollcall.machines AS m USING (machine_key);
COMMENT ON VIEW analytics.snapshots IS
    'Accepted snapshots, one row each. For large tables, bound snapshot_number with (SELECT analytics.first_snapshot_number(time)).';

CREATE VIEW analytics.processes AS
SELECT
    o.snapshot_number,
    m.machine_id,
    m.name AS machine_name,
    m.os,
    s.event_at,
    a.application,
    c.executable_name,
    c.executable_path,
    c.command_line,
    w.user_name,
    w.faculty,
    w.owner,
    o.pid,
    o.parent_pid,
    o.created_at,
    CASE o.created_precision
        WHEN 'x' THEN 'exact' WHEN 's' THEN 'second' WHEN 'm' THEN 'minute'
        WHEN 'h' THEN 'hour' WHEN 'd' THEN 'day' WHEN 'y' THEN 'year'
    END AS created_precision,
    CASE o.state
        WHEN 'R' THEN 'running' WHEN 'S' THEN 'sleeping' WHEN 'D' THEN 'waiting' WHEN 'I' THEN 'idle'
        WHEN 'T' THEN 'stopped' WHEN 'Z' THEN 'zombie' WHEN 'U' THEN 'unresponsive'
    END AS state,
    o.cpu_time_us,
    o.cpu_delta_us,
    coalesce(o.memory_usage_bytes, o.memory_usage_kib * 1024::bigint) AS memory_usage_bytes,
    coalesce(o.memory_virtual_bytes, o.memory_virtual_kib * 1024::bigint) AS memory_virtual_bytes,
    o.thread_count,
    s.observed_at,
    s.ingested_at,
    s.snapshot_id,
    to_hex(s.rules_digest) AS rules_digest,
    s.source_partition,
    s.source_offset
FROM rollcall.process_observations AS o
JOIN rollcall.process_snapshots AS s USING (snapshot_number)
JOIN rollcall.machines AS m USING (machine_key)
JOIN rollcall.command_lines AS c USING (command_line_key)
JOIN rollcall.applications AS a USING (application_key)
JOIN rollcall.owners AS w USING (owner_key);
COMMENT ON VIEW analytics.processes IS
    'Processes as snapshots show them, one wide row per process and snapshot. For large tables, bound snapshot_number with (SELECT analytics.first_snapshot_number(time)).';

CREATE VIEW analytics.user_rollups AS
SELECT
    user_name, grain, window_start, window_start + ('1 ' || grain)::interval AS window_end, closed, snapshots, processes,
    machines, applications, machine_minutes, cpu_time_us, cpu_time_us / 3.6e9 AS cpu_hours, memory_count, memory_sum_bytes,
    memory_min_bytes, memory_max_bytes, memory_p50_bytes, memory_p95_bytes, memory_p99_bytes, first_event_at, last_event_at,
    machines_hll, applications_hll, machine_minutes_hll, memory_sketch_indexes, memory_sketch_counts
FROM rollcall.user_rollups;
COMMENT ON VIEW analytics.user_rollups IS 'What each user ran, per minute, hour and day (UTC). Always name the grain.';

CREATE VIEW analytics.faculty_rollups AS
SELECT
    faculty, grain, window_start, window_start + ('1 ' || grain)::interval AS window_end, closed, snapshots, processes,
    machines, users, applications, machine_minutes, cpu_time_us, cpu_time_us / 3.6e9 AS cpu_hours, memory_count,
    memory_sum_bytes, memory_min_bytes, memory_max_bytes, memory_p50_bytes, memory_p95_bytes, memory_p99_bytes,
    first_event_at, last_event_at, machines_hll, users_hll, applications_hll, machine_minutes_hll, memory_sketch_indexes,
    memory_sketch_counts
FROM rollcall.faculty_rollups;
COMMENT ON VIEW analytics.faculty_rollups IS
    'What each faculty''s members ran, per minute, hour and day (UTC). Always name the grain.';

CREATE VIEW analytics.application_rollups AS
SELECT
    faculty, os, application, grain, window_start, window_start + ('1 ' || grain)::interval AS window_end, closed,
    snapshots, processes, machines, users, machine_minutes, cpu_time_us, cpu_time_us / 3.6e9 AS cpu_hours, memory_count,
    memory_sum_bytes, memory_min_bytes, memory_max_bytes, memory_p50_bytes, memory_p95_bytes, memory_p99_bytes,
    first_event_at, last_event_at, machines_hll, users_hll, machine_minutes_hll, memory_sketch_indexes, memory_sketch_counts
FROM rollcall.application_rollups;
COMMENT ON VIEW analytics.application_rollups IS
    'How each application was used, per faculty and operating system, per hour and day (UTC). Always name the grain.';

CREATE VIEW analytics.rejected_records AS
SELECT
    ingested_at, source_topic, source_partition, source_offset, line, whole_record, reason, detail, machine_id, snapshot_id,
    raw, raw_length
FROM rollcall.rejected_records;
COMMENT ON VIEW analytics.rejected_records IS 'Raw records, and lines of records, that could not be accepted, with the reason.';

CREATE VIEW analytics.pipeline_health AS
SELECT
    l.topic,
    l.partition,
    l.last_ingested_at,
    l.snapshots_read,
    l.snapshots_accepted,
    l.snapshots_duplicate,
    l.snapshots_rejected,
    l.stored_snapshots,
    l.expired_snapshots,
    l.stored_lines,
    l.lines_rejected,
    l.snapshots_unaccounted,
    l.snapshots_missing,
    l.lines_missing,
    l.lines_rejected_missing,
    l.snapshots_unaccounted = 0 AND l.snapshots_missing = 0 AND l.lines_missing = 0 AND l.lines_rejected_missing = 0
        AS balanced
FROM rollcall.ledger AS l;
COMMENT ON VIEW analytics.pipeline_health IS
    'Whether the books balance, per raw partition: what is stored against what was read and accepted.';
COMMENT ON COLUMN analytics.pipeline_health.balanced IS 'Whether nothing is missing or unaccounted for.';

-- Columns that views pass on mean what they mean in the table.
DO $$
DECLARE
    passed record;
BEGIN
    FOR passed IN
        SELECT v.relname AS view_name, a.attname AS column_name, col_description(t.oid, b.attnum) AS meaning
        FROM (VALUES
            ('machines', 'machines'), ('snapshots', 'process_snapshots'), ('snapshots', 'machines'),
            ('processes', 'process_snapshots'), ('processes', 'machines'), ('processes', 'applications'),
            ('processes', 'command_lines'), ('processes', 'owners'), ('processes', 'process_observations'),
            ('user_rollups', 'user_rollups'), ('faculty_rollups', 'faculty_rollups'),
            ('application_rollups', 'application_rollups'), ('rejected_records', 'rejected_records'),
            ('pipeline_health', 'ledger')
        ) AS source(view_name, table_name)
        JOIN pg_catalog.pg_class AS v ON v.oid = ('analytics.' || source.view_name)::regclass
        JOIN pg_catalog.pg_class AS t ON t.oid = ('rollcall.' || source.table_name)::regclass
        JOIN pg_catalog.pg_attribute AS a ON a.attrelid = v.oid AND a.attnum > 0
        JOIN pg_catalog.pg_attribute AS b ON b.attrelid = t.oid AND b.attname = a.attname
        WHERE col_description(t.oid, b.attnum) IS NOT NULL
    LOOP
        EXECUTE format('COMMENT ON COLUMN analytics.%I.%I IS %L', passed.view_name, passed.column_name, passed.meaning);
    END LOOP;
    FOR passed IN SELECT unnest(ARRAY['user_rollups', 'faculty_rollups', 'application_rollups']) AS view_name LOOP
        EXECUTE format('COMMENT ON COLUMN analytics.%I.window_end IS %L', passed.view_name,
            'The window''s first instant that is no longer inside.');
        EXECUTE format('COMMENT ON COLUMN analytics.%I.cpu_hours IS %L', passed.view_name, 'cpu_time_us in hours.');
    END LOOP;
    FOR passed IN SELECT unnest(ARRAY['snapshots', 'processes']) AS view_name LOOP
        EXECUTE format('COMMENT ON COLUMN analytics.%I.machine_name IS %L', passed.view_name,
            'Name that people know the machine by.');
        EXECUTE format('COMMENT ON COLUMN analytics.%I.rules_digest IS %L', passed.view_name,
            'Digest of the normalization rules that were in force.');
    END LOOP;
END
$$;
COMMENT ON COLUMN analytics.snapshots.attributes IS 'The producer''s free attributes.';
COMMENT ON COLUMN analytics.processes.created_precision IS
    'Length of the interval that created_at starts: exact, second, minute, hour, day or year.';
COMMENT ON COLUMN analytics.processes.state IS
    'running, sleeping, waiting, idle, stopped, zombie or unresponsive (process.state).';
COMMENT ON COLUMN analytics.processes.memory_usage_bytes IS 'Resident memory in bytes (process.memory.usage).';
COMMENT ON COLUMN analytics.processes.memory_virtual_bytes IS 'Virtual memory in bytes (process.memory.virtual).';

-- A period is made of whole days, and of hours at its ends: the fewest rows that cover it. Not STRICT, so that the
-- planner can inline it and read only the partitions in question.
CREATE FUNCTION analytics.application_rollups_between(from_time timestamptz, to_time timestamptz)
    RETURNS SETOF analytics.application_rollups
    LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    WITH period AS (
        SELECT
            date_trunc('hour', from_time AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' AS first_hour,
            date_trunc('hour', to_time AT TIME ZONE 'UTC' + interval '1 hour' - interval '1 microsecond')
                AT TIME ZONE 'UTC' AS end_hour
    ), days AS (
        SELECT
            first_hour,
            end_hour,
            date_trunc('day', first_hour AT TIME ZONE 'UTC' + interval '1 day' - interval '1 microsecond')
                AT TIME ZONE 'UTC' AS first_day,
            date_trunc('day', end_hour AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' AS end_day
        FROM period
    )
    SELECT r.* FROM days, LATERAL (
        SELECT * FROM analytics.application_rollups AS whole
        WHERE whole.grain = 'day' AND whole.window_start >= days.first_day AND whole.window_start < days.end_day
        UNION ALL
        SELECT * FROM analytics.application_rollups AS part
        WHERE part.grain = 'hour' AND part.window_start >= days.first_hour AND part.window_start < days.end_hour
            AND NOT (part.window_start >= days.first_day AND part.window_start < days.end_day)
    ) AS r;
END;
COMMENT ON FUNCTION analytics.application_rollups_between(timestamptz, timestamptz) IS
    'The rollups that make up a period, widened to whole hours: days where it holds whole UTC days, hours at its ends (as long as hours are kept).';

CREATE FUNCTION analytics.top_applications(
    faculty text DEFAULT NULL,
    os text DEFAULT NULL,
    from_time timestamptz DEFAULT now() - interval '7 days',
    to_time timestamptz DEFAULT now(),
    ordered_by text DEFAULT 'cpu_time',
    row_limit integer DEFAULT 20
) RETURNS TABLE (
    application text,
    cpu_time_us bigint,
    memory_bytes_per_machine bigint,
    memory_max_bytes bigint,
    users bigint,
    machines bigint,
    machine_minutes bigint,
    snapshots bigint
)
    LANGUAGE plpgsql STABLE
AS $$
#variable_conflict use_column
DECLARE
    leaders text[];
BEGIN
    IF ordered_by NOT IN ('cpu_time', 'memory', 'users', 'machine_minutes') THEN
        RAISE EXCEPTION 'ordered_by is %, allowed are cpu_time, memory, users and machine_minutes', ordered_by;
    END IF;
    -- Sums can be ordered without reading a single sketch; then only the leaders' are united.
    IF ordered_by IN ('cpu_time', 'memory') THEN
        leaders := ARRAY(
            SELECT r.application
            FROM analytics.application_rollups_between(from_time, to_time) AS r
            WHERE (top_applications.faculty IS NULL OR r.faculty = top_applications.faculty)
                AND (top_applications.os IS NULL OR r.os = top_applications.os)
            GROUP BY r.application
            ORDER BY
                CASE ordered_by
                    WHEN 'cpu_time' THEN sum(r.cpu_time_us)
                    ELSE div(sum(r.memory_sum_bytes), nullif(sum(r.snapshots), 0))
                END DESC NULLS LAST,
                r.application
            LIMIT row_limit);
    END IF;
    RETURN QUERY
    WITH total AS (
        SELECT
            r.application,
            sum(r.cpu_time_us)::bigint AS cpu_time_us,
            div(sum(r.memory_sum_bytes), nullif(sum(r.snapshots), 0))::bigint AS memory_bytes_per_machine,
            max(r.memory_max_bytes) AS memory_max_bytes,
            analytics.hll_cardinality(analytics.hll_union_agg(r.users_hll))::bigint AS users,
            analytics.hll_cardinality(analytics.hll_union_agg(r.machines_hll))::bigint AS machines,
            analytics.hll_cardinality(analytics.hll_union_agg(r.machine_minutes_hll))::bigint AS machine_minutes,
            sum(r.snapshots)::bigint AS snapshots
        FROM analytics.application_rollups_between(from_time, to_time) AS r
        WHERE (top_applications.faculty IS NULL OR r.faculty = top_applications.faculty)
            AND (top_applications.os IS NULL OR r.os = top_applications.os)
            AND (leaders IS NULL OR r.application = ANY (leaders))
        GROUP BY r.application
    )
    SELECT t.* FROM total AS t
    ORDER BY
        CASE ordered_by
            WHEN 'cpu_time' THEN t.cpu_time_us
            WHEN 'memory' THEN t.memory_bytes_per_machine
            WHEN 'users' THEN t.users
            ELSE t.machine_minutes
        END DESC NULLS LAST,
        t.application
    LIMIT row_limit;
END
$$;
COMMENT ON FUNCTION analytics.top_applications(text, text, timestamptz, timestamptz, text, integer) IS
    'The applications used most by a faculty on an operating system (NULL: all) in a period: by cpu_time, memory (resident bytes on a machine where it runs), users or machine_minutes. Distinct counts are unions over the period, not sums.';

CREATE FUNCTION analytics.application_memory(
    application text,
    faculty text DEFAULT NULL,
    from_time timestamptz DEFAULT now() - interval '7 days',
    to_time timestamptz DEFAULT now()
) RETURNS TABLE (
    os text,
    processes bigint,
    memory_p50_bytes bigint,
    memory_p95_bytes bigint,
    memory_max_bytes bigint,
    memory_bytes_per_machine bigint,
    machines bigint
)
    LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT
        t.os,
        t.processes,
        analytics.ddsketch_quantile(t.sketch, 0.5)::bigint,
        analytics.ddsketch_quantile(t.sketch, 0.95)::bigint,
        t.memory_max_bytes,
        t.memory_bytes_per_machine,
        analytics.hll_cardinality(t.machines_hll)::bigint
    FROM (
        SELECT
            r.os,
            sum(r.memory_count)::bigint AS processes,
            analytics.ddsketch_merge_agg(r.memory_sketch_indexes, r.memory_sketch_counts) AS sketch,
            max(r.memory_max_bytes) AS memory_max_bytes,
            div(sum(r.memory_sum_bytes), nullif(sum(r.snapshots), 0))::bigint AS memory_bytes_per_machine,
            analytics.hll_union_agg(r.machines_hll) AS machines_hll
        FROM analytics.application_rollups_between(from_time, to_time) AS r
        WHERE r.application = application_memory.application
            AND (application_memory.faculty IS NULL OR r.faculty = application_memory.faculty)
        GROUP BY r.os
    ) AS t
    ORDER BY t.os;
END;
COMMENT ON FUNCTION analytics.application_memory(text, text, timestamptz, timestamptz) IS
    'How much resident memory an application''s processes take per operating system in a period, for a faculty (NULL: all). Quantiles are of merged sketches.';

-- Snapshot by snapshot (OFFSET keeps the planner from joining): few snapshots, and each one's rows lie together. An
-- event lies at most a tolerance of minutes after its ingestion, so no day before the one before can hold it.
CREATE FUNCTION analytics.machine_processes(
    machine text,
    from_time timestamptz DEFAULT now() - interval '1 day',
    to_time timestamptz DEFAULT now(),
    row_limit bigint DEFAULT 100
) RETURNS TABLE (
    application text,
    executable_name text,
    command_line text,
    user_name text,
    pid integer,
    first_seen timestamptz,
    last_seen timestamptz,
    snapshots bigint,
    cpu_time_us bigint,
    memory_max_bytes bigint
)
    LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT
        p.application, p.executable_name, p.command_line, p.user_name, p.pid, min(s.event_at), max(s.event_at), count(*),
        sum(p.cpu_delta_us)::bigint, max(p.memory_usage_bytes)
    FROM analytics.snapshots AS s
    CROSS JOIN LATERAL (
        SELECT * FROM analytics.processes AS q WHERE q.snapshot_number = s.snapshot_number OFFSET 0
    ) AS p
    WHERE s.machine_id IN (SELECT m.machine_id FROM analytics.machines AS m WHERE m.machine_id = machine OR m.name = machine)
        AND s.event_at >= from_time AND s.event_at < to_time
        AND s.snapshot_number >= (SELECT analytics.first_snapshot_number(from_time - interval '1 day'))
    GROUP BY p.application, p.executable_name, p.command_line, p.user_name, p.pid
    ORDER BY sum(p.cpu_delta_us) DESC NULLS LAST, max(p.memory_usage_bytes) DESC NULLS LAST, p.application, p.pid
    LIMIT row_limit;
END;
COMMENT ON FUNCTION analytics.machine_processes(text, timestamptz, timestamptz, bigint) IS
    'What ran on the machine with this id or name in a period, one row per process, by CPU time used in the period and then memory.';
