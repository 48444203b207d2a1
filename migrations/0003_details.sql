-- One row per process and snapshot, and one per snapshot, both partitioned by the UTC day of ingested_at.
--
-- A snapshot's number is the day of its ingested_at (days since 1970-01-01) times 2^40 plus a sequence number. So it is
-- the partition key of both tables, the narrow row needs no time of its own, and within a day numbers grow in the
-- order of insertion, which a BRIN index makes use of.

CREATE SEQUENCE rollcall.snapshot_numbers AS bigint INCREMENT BY 1024 MINVALUE 1024 MAXVALUE 1099511626752 CACHE 1;
COMMENT ON SEQUENCE rollcall.snapshot_numbers IS
    'Blocks of 1,024 sequence numbers: a connection that draws n owns n to n + 1,023. They make the low 40 bits of snapshot_number.';

CREATE FUNCTION analytics.first_snapshot_number(at timestamptz) RETURNS bigint
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN floor(extract(epoch FROM at - timestamptz '1970-01-01 00:00:00+00') / 86400)::bigint << 40;
COMMENT ON FUNCTION analytics.first_snapshot_number(timestamptz) IS
    'The smallest snapshot_number of the UTC day that holds this time. Compare snapshot_number with it, so that only the days in question are read, and in a subquery, so that it is computed once: snapshot_number >= (SELECT analytics.first_snapshot_number(now() - interval ''1 day'')).';

CREATE TABLE rollcall.process_snapshots (
    snapshot_number         bigint NOT NULL,
    source_offset           bigint NOT NULL,
    observed_at             timestamptz NOT NULL,
    event_at                timestamptz NOT NULL,
    ingested_at             timestamptz NOT NULL,
    rules_digest            bigint NOT NULL,
    lines_rejected          bigint NOT NULL,
    snapshot_id             uuid NOT NULL,
    machine_key             integer NOT NULL,
    source_partition        integer NOT NULL,
    process_count           integer NOT NULL,
    utc_offset_seconds      integer,
    clock_skew              interval GENERATED ALWAYS AS (observed_at - ingested_at) STORED,
    user_name               text,
    faculty                 text,
    command                 text,
    attributes              jsonb,
    command_output          text,
    command_output_encoding text,
    PRIMARY KEY (snapshot_number)
) PARTITION BY RANGE (snapshot_number);
CREATE INDEX process_snapshots_machine_event ON rollcall.process_snapshots (machine_key, event_at);
CREATE INDEX process_snapshots_times ON rollcall.process_snapshots
    USING brin (event_at, ingested_at) WITH (pages_per_range = 64);

DO $$
BEGIN
    ALTER TABLE rollcall.process_snapshots ALTER COLUMN command_output SET COMPRESSION lz4;
EXCEPTION WHEN feature_not_supported OR invalid_parameter_value THEN
    RAISE NOTICE 'this server has no lz4: command output is compressed with pglz, which is slower';
END
$$;

COMMENT ON TABLE rollcall.process_snapshots IS
    'Accepted snapshots: what one machine said about its processes at one moment. Partitioned by the day of ingested_at.';
COMMENT ON COLUMN rollcall.process_snapshots.snapshot_number IS
    'Day of ingested_at (days since 1970-01-01) times 2^40 plus a number that grows in the order of insertion.';
COMMENT ON COLUMN rollcall.process_snapshots.snapshot_id IS 'The id that the producer gave the snapshot.';
COMMENT ON COLUMN rollcall.process_snapshots.machine_key IS 'The machine, in machines.';
COMMENT ON COLUMN rollcall.process_snapshots.source_partition IS 'Partition of the raw record.';
COMMENT ON COLUMN rollcall.process_snapshots.source_offset IS 'Offset of the raw record.';
COMMENT ON COLUMN rollcall.process_snapshots.observed_at IS 'When the list was taken, by the producer''s clock.';
COMMENT ON COLUMN rollcall.process_snapshots.event_at IS 'observed_at, or ingested_at where observed_at lies too far in the future.';
COMMENT ON COLUMN rollcall.process_snapshots.ingested_at IS 'When the broker appended the raw record, by its clock.';
COMMENT ON COLUMN rollcall.process_snapshots.clock_skew IS 'observed_at - ingested_at: mostly the way to the broker; positive where the producer''s clock is fast.';
COMMENT ON COLUMN rollcall.process_snapshots.utc_offset_seconds IS 'Offset of the machine''s local time from UTC in seconds.';
COMMENT ON COLUMN rollcall.process_snapshots.user_name IS 'The user, where all of the snapshot counts for one; else NULL, see owners.';
COMMENT ON COLUMN rollcall.process_snapshots.faculty IS 'The faculty, where all of the snapshot counts for one user; else NULL, see owners.';
COMMENT ON COLUMN rollcall.process_snapshots.command IS 'The command whose output the snapshot is.';
COMMENT ON COLUMN rollcall.process_snapshots.attributes IS 'The producer''s free attributes; NULL where there are none.';
COMMENT ON COLUMN rollcall.process_snapshots.process_count IS 'Processes of the snapshot, so many rows of process_observations.';
COMMENT ON COLUMN rollcall.process_snapshots.lines_rejected IS 'Lines of the snapshot that could not be read; they stand in rejected_records.';
COMMENT ON COLUMN rollcall.process_snapshots.rules_digest IS 'Digest of the normalization rules that were in force, as a signed number.';
COMMENT ON COLUMN rollcall.process_snapshots.command_output IS 'The command''s output as text, where it is stored (a setting).';
COMMENT ON COLUMN rollcall.process_snapshots.command_output_encoding IS 'The encoding that the producer named for its output; NULL: found from the bytes.';

CREATE TABLE rollcall.process_observations (
    snapshot_number      bigint NOT NULL,
    created_at           timestamptz,
    cpu_time_us          bigint,
    cpu_delta_us         bigint,
    memory_usage_bytes   bigint,
    memory_virtual_bytes bigint,
    memory_usage_kib     integer,
    memory_virtual_kib   integer,
    pid                  integer NOT NULL,
    parent_pid           integer,
    command_line_key     integer NOT NULL,
    owner_key            integer NOT NULL,
    thread_count         integer,
    state                "char",
    created_precision    "char"
) PARTITION BY RANGE (snapshot_number);
-- The only index: a snapshot's rows lie side by side, so a lookup by snapshot reads 64 pages (512 KiB) and the index
-- itself, which stays small for 100 million rows a day. A B-tree would cost a quarter of the row's own size and half of
-- the rate of COPY. No autosummarize: under load its requests outrun autovacuum's queue, and the server logs each that
-- is lost; see rollcall.summarize_details.
CREATE INDEX process_observations_snapshot ON rollcall.process_observations
    USING brin (snapshot_number) WITH (pages_per_range = 64);

COMMENT ON TABLE rollcall.process_observations IS
    'Processes as snapshots show them, one narrow row per process and snapshot: read it through analytics.processes. Partitioned by the day of the snapshot''s ingested_at.';
COMMENT ON COLUMN rollcall.process_observations.snapshot_number IS 'The snapshot, in process_snapshots.';
COMMENT ON COLUMN rollcall.process_observations.pid IS 'process.pid.';
COMMENT ON COLUMN rollcall.process_observations.parent_pid IS 'process.parent_pid, where the listing shows it.';
COMMENT ON COLUMN rollcall.process_observations.created_at IS 'process.creation.time: the start of the interval in which the process began.';
COMMENT ON COLUMN rollcall.process_observations.created_precision IS
    'Length of that interval: x (exact), s(econd), m(inute), h(our), d(ay), y(ear).';
COMMENT ON COLUMN rollcall.process_observations.command_line_key IS 'What is executed, in command_lines.';
COMMENT ON COLUMN rollcall.process_observations.owner_key IS 'Owner, user and faculty, in owners.';
COMMENT ON COLUMN rollcall.process_observations.state IS
    'process.state: R(unning), S(leeping), D (waiting), I(dle), T (stopped), Z(ombie), U(nresponsive).';
COMMENT ON COLUMN rollcall.process_observations.cpu_time_us IS 'CPU time since the process began, user and kernel, in microseconds.';
COMMENT ON COLUMN rollcall.process_observations.cpu_delta_us IS
    'CPU time since the machine''s snapshot before, in microseconds; NULL at first sight of a process.';
COMMENT ON COLUMN rollcall.process_observations.memory_usage_kib IS
    'Resident memory in units of 1,024 bytes, where it is a whole number of them, as it nearly always is; saves 4 bytes.';
COMMENT ON COLUMN rollcall.process_observations.memory_usage_bytes IS 'Resident memory in bytes, where memory_usage_kib can''t hold it.';
COMMENT ON COLUMN rollcall.process_observations.memory_virtual_kib IS
    'Virtual memory in units of 1,024 bytes, where it is a whole number of them below 2^31.';
COMMENT ON COLUMN rollcall.process_observations.memory_virtual_bytes IS 'Virtual memory in bytes, where memory_virtual_kib can''t hold it.';
COMMENT ON COLUMN rollcall.process_observations.thread_count IS 'process.thread.count.';
