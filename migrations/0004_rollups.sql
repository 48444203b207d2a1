-- Rollups per user, faculty and application: partitioned by grain, then by time (minutes per day, hours per month, days
-- per year). Rows of open windows are updated every few seconds, so pages are left room for HOT updates.

CREATE TABLE rollcall.user_rollups (
    window_start          timestamptz NOT NULL,
    first_event_at        timestamptz,
    last_event_at         timestamptz,
    snapshots             bigint NOT NULL,
    processes             bigint NOT NULL,
    machines              bigint NOT NULL,
    applications          bigint NOT NULL,
    machine_minutes       bigint NOT NULL,
    cpu_time_us           bigint NOT NULL,
    memory_count          bigint NOT NULL,
    memory_sum_bytes      bigint NOT NULL,
    memory_min_bytes      bigint,
    memory_max_bytes      bigint,
    memory_p50_bytes      bigint,
    memory_p95_bytes      bigint,
    memory_p99_bytes      bigint,
    closed                boolean NOT NULL,
    grain                 text NOT NULL,
    user_name             text NOT NULL,
    machines_hll          bytea NOT NULL,
    applications_hll      bytea NOT NULL,
    machine_minutes_hll   bytea NOT NULL,
    memory_sketch_indexes integer[] NOT NULL,
    memory_sketch_counts  bigint[] NOT NULL,
    PRIMARY KEY (user_name, grain, window_start)
) PARTITION BY LIST (grain);
COMMENT ON TABLE rollcall.user_rollups IS 'What each user ran, per minute, hour and day (UTC).';
COMMENT ON COLUMN rollcall.user_rollups.user_name IS 'The user: a directory user, DOMAIN\user, name@machine, or (unknown).';

CREATE TABLE rollcall.faculty_rollups (
    window_start          timestamptz NOT NULL,
    first_event_at        timestamptz,
    last_event_at         timestamptz,
    snapshots             bigint NOT NULL,
    processes             bigint NOT NULL,
    machines              bigint NOT NULL,
    users                 bigint NOT NULL,
    applications          bigint NOT NULL,
    machine_minutes       bigint NOT NULL,
    cpu_time_us           bigint NOT NULL,
    memory_count          bigint NOT NULL,
    memory_sum_bytes      bigint NOT NULL,
    memory_min_bytes      bigint,
    memory_max_bytes      bigint,
    memory_p50_bytes      bigint,
    memory_p95_bytes      bigint,
    memory_p99_bytes      bigint,
    closed                boolean NOT NULL,
    grain                 text NOT NULL,
    faculty               text NOT NULL,
    machines_hll          bytea NOT NULL,
    users_hll             bytea NOT NULL,
    applications_hll      bytea NOT NULL,
    machine_minutes_hll   bytea NOT NULL,
    memory_sketch_indexes integer[] NOT NULL,
    memory_sketch_counts  bigint[] NOT NULL,
    PRIMARY KEY (faculty, grain, window_start)
) PARTITION BY LIST (grain);
COMMENT ON TABLE rollcall.faculty_rollups IS 'What each faculty''s members ran, per minute, hour and day (UTC).';
COMMENT ON COLUMN rollcall.faculty_rollups.faculty IS 'The faculty, or (unknown).';

CREATE TABLE rollcall.application_rollups (
    window_start          timestamptz NOT NULL,
    first_event_at        timestamptz,
    last_event_at         timestamptz,
    snapshots             bigint NOT NULL,
    processes             bigint NOT NULL,
    machines              bigint NOT NULL,
    users                 bigint NOT NULL,
    machine_minutes       bigint NOT NULL,
    cpu_time_us           bigint NOT NULL,
    memory_count          bigint NOT NULL,
    memory_sum_bytes      bigint NOT NULL,
    memory_min_bytes      bigint,
    memory_max_bytes      bigint,
    memory_p50_bytes      bigint,
    memory_p95_bytes      bigint,
    memory_p99_bytes      bigint,
    closed                boolean NOT NULL,
    grain                 text NOT NULL,
    faculty               text NOT NULL,
    os                    text NOT NULL,
    application           text NOT NULL,
    machines_hll          bytea NOT NULL,
    users_hll             bytea NOT NULL,
    machine_minutes_hll   bytea NOT NULL,
    memory_sketch_indexes integer[] NOT NULL,
    memory_sketch_counts  bigint[] NOT NULL,
    PRIMARY KEY (application, os, faculty, grain, window_start)
) PARTITION BY LIST (grain);
COMMENT ON TABLE rollcall.application_rollups IS
    'How each application was used, per faculty and operating system, per hour and day (UTC).';
COMMENT ON COLUMN rollcall.application_rollups.faculty IS 'The faculty of the processes'' users, or (unknown).';
COMMENT ON COLUMN rollcall.application_rollups.os IS 'Operating system: linux, macos or windows.';
COMMENT ON COLUMN rollcall.application_rollups.application IS 'The canonical application name, as chrome.';

DO $$
DECLARE
    parent text;
    unit text;
    named record;
BEGIN
    FOREACH parent IN ARRAY ARRAY['user_rollups', 'faculty_rollups', 'application_rollups'] LOOP
        FOR named IN
            SELECT listed.* FROM (VALUES
                ('grain', 'Length of the window: minute, hour or day.'),
                ('window_start', 'The window''s first instant; it ends one grain later, that instant not included.'),
                ('closed', 'Whether the window is closed. Late snapshots still correct a closed window.'),
                ('snapshots', 'Snapshots that contributed.'),
                ('processes', 'Processes observed; a process in two snapshots counts twice.'),
                ('machines', 'Distinct machines, estimated (about 2 % error). Over several windows, union machines_hll.'),
                ('users', 'Distinct users, estimated (about 2 % error). Over several windows, union users_hll.'),
                ('applications', 'Distinct applications, estimated (about 2 % error). Over several windows, union applications_hll.'),
                ('machine_minutes', 'Distinct pairs of machine and minute, estimated: use that doesn''t depend on how often machines report.'),
                ('cpu_time_us', 'CPU time used, as the sum of cpu_delta_us, in microseconds.'),
                ('memory_count', 'Processes whose resident memory is known.'),
                ('memory_sum_bytes', 'Sum of their resident memory in bytes. Divided by snapshots: the memory taken on a machine.'),
                ('memory_min_bytes', 'Their smallest resident memory in bytes.'),
                ('memory_max_bytes', 'Their largest resident memory in bytes.'),
                ('memory_p50_bytes', 'Median of their resident memory in bytes, within 1 %.'),
                ('memory_p95_bytes', '95th percentile of their resident memory in bytes, within 1 %.'),
                ('memory_p99_bytes', '99th percentile of their resident memory in bytes, within 1 %.'),
                ('first_event_at', 'Earliest event time.'),
                ('last_event_at', 'Latest event time.'),
                ('machines_hll', 'Distinct machines as HyperLogLog in the storage format of postgresql-hll.'),
                ('users_hll', 'Distinct users as HyperLogLog in the storage format of postgresql-hll.'),
                ('applications_hll', 'Distinct applications as HyperLogLog in the storage format of postgresql-hll.'),
                ('machine_minutes_hll', 'Distinct pairs of machine and minute as HyperLogLog in the storage format of postgresql-hll.'),
                ('memory_sketch_indexes', 'DDSketch of resident memory: its buckets, ascending.'),
                ('memory_sketch_counts', 'DDSketch of resident memory: how many processes each bucket holds.')
            ) AS listed(name, meaning)
            JOIN pg_catalog.pg_attribute AS present
                ON present.attrelid = ('rollcall.' || parent)::regclass AND present.attname = listed.name
        LOOP
            EXECUTE format('COMMENT ON COLUMN rollcall.%I.%I IS %L', parent, named.name, named.meaning);
            -- Sketches don't compress: it isn't tried.
            IF named.name LIKE '%\_hll' THEN
                EXECUTE format('ALTER TABLE rollcall.%I ALTER COLUMN %I SET STORAGE EXTERNAL', parent, named.name);
            END IF;
        END LOOP;
        FOREACH unit IN ARRAY ARRAY['minute', 'hour', 'day'] LOOP
            EXECUTE format('CREATE TABLE rollcall.%I (LIKE rollcall.%I INCLUDING ALL) PARTITION BY RANGE (window_start)',
                parent || '_' || unit, parent);
            EXECUTE format('ALTER TABLE rollcall.%I ATTACH PARTITION rollcall.%I FOR VALUES IN (%L)',
                parent, parent || '_' || unit, unit);
            EXECUTE format('COMMENT ON TABLE rollcall.%I IS %L', parent || '_' || unit,
                format('Rows of %s with the grain %s.', parent, unit));
        END LOOP;
    END LOOP;
END
$$;
