-- What SINK keeps to write everything exactly once, to prove it, and to forget what is too old.

CREATE TABLE rollcall.sink_offsets (
    epoch         bigint NOT NULL,
    next_offset   bigint NOT NULL,
    backend_start timestamptz,
    claimed_at    timestamptz NOT NULL DEFAULT now(),
    partition     integer NOT NULL,
    backend_pid   integer,
    topic         text NOT NULL,
    deployment    text NOT NULL,
    PRIMARY KEY (topic, partition)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
COMMENT ON TABLE rollcall.sink_offsets IS
    'Where SINK goes on in each topic partition, moved in the transaction that holds the effects, and who owns it.';
COMMENT ON COLUMN rollcall.sink_offsets.topic IS 'The topic.';
COMMENT ON COLUMN rollcall.sink_offsets.partition IS 'Its partition.';
COMMENT ON COLUMN rollcall.sink_offsets.epoch IS 'How often the partition was claimed; a flush with an older epoch is fenced.';
COMMENT ON COLUMN rollcall.sink_offsets.next_offset IS 'The offset that follows the last one whose effects are stored.';
COMMENT ON COLUMN rollcall.sink_offsets.backend_pid IS 'Server process of the owner''s connection; NULL where it was released.';
COMMENT ON COLUMN rollcall.sink_offsets.backend_start IS 'When that process began, for process ids are used again.';
COMMENT ON COLUMN rollcall.sink_offsets.claimed_at IS 'When the partition was claimed last.';
COMMENT ON COLUMN rollcall.sink_offsets.deployment IS 'The deployment whose topics these are; another one may not write here.';

CREATE TABLE rollcall.rollup_progress (
    stage_time        timestamptz NOT NULL,
    partition         integer NOT NULL,
    topic             text NOT NULL,
    raw_partitions    integer[] NOT NULL,
    folded_offsets    bigint[] NOT NULL,
    closed_grains     text[] NOT NULL,
    closed_through    timestamptz[] NOT NULL,
    counted_from      timestamptz[] NOT NULL,
    PRIMARY KEY (topic, partition)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
COMMENT ON TABLE rollcall.rollup_progress IS
    'What the stored rollups of each topic partition contain: the fold of the raw topic up to these offsets, and nothing more.';
COMMENT ON COLUMN rollcall.rollup_progress.topic IS 'The topic of rollup updates.';
COMMENT ON COLUMN rollcall.rollup_progress.partition IS 'Its partition.';
COMMENT ON COLUMN rollcall.rollup_progress.stage_time IS 'Time that ROLLUP had reached; -infinity before it had heard of every raw partition.';
COMMENT ON COLUMN rollcall.rollup_progress.raw_partitions IS 'The raw topic''s partitions.';
COMMENT ON COLUMN rollcall.rollup_progress.folded_offsets IS 'For each of them: every raw offset below this one is folded.';
COMMENT ON COLUMN rollcall.rollup_progress.closed_grains IS 'The grouping sets and grains that ROLLUP keeps, as user/minute.';
COMMENT ON COLUMN rollcall.rollup_progress.closed_through IS 'For each of them: windows that end at or before this time are closed.';
COMMENT ON COLUMN rollcall.rollup_progress.counted_from IS 'For each of them: windows that start before this time are not counted; -infinity: all are.';

CREATE TABLE rollcall.ledger (
    last_ingested_at         timestamptz,
    stored_snapshots         bigint NOT NULL,
    stored_lines             bigint NOT NULL,
    stored_lines_rejected    bigint NOT NULL,
    expired_snapshots        bigint NOT NULL,
    expired_lines            bigint NOT NULL,
    expired_lines_rejected   bigint NOT NULL,
    snapshots_read           bigint NOT NULL,
    snapshots_accepted       bigint NOT NULL,
    snapshots_duplicate      bigint NOT NULL,
    snapshots_rejected       bigint NOT NULL,
    lines_accepted           bigint NOT NULL,
    lines_rejected           bigint NOT NULL,
    snapshots_unaccounted    bigint GENERATED ALWAYS AS (
        snapshots_read - snapshots_accepted - snapshots_duplicate - snapshots_rejected) STORED,
    snapshots_missing        bigint GENERATED ALWAYS AS (
        snapshots_accepted - stored_snapshots - expired_snapshots) STORED,
    lines_missing            bigint GENERATED ALWAYS AS (lines_accepted - stored_lines - expired_lines) STORED,
    lines_rejected_missing   bigint GENERATED ALWAYS AS (
        lines_rejected - stored_lines_rejected - expired_lines_rejected) STORED,
    partition                integer NOT NULL,
    topic                    text NOT NULL,
    PRIMARY KEY (topic, partition)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
COMMENT ON TABLE rollcall.ledger IS
    'The books, per raw partition: what SINK has stored against what NORMALIZE says it accepted, as of the same message.';
COMMENT ON COLUMN rollcall.ledger.topic IS 'The topic of normalized snapshots.';
COMMENT ON COLUMN rollcall.ledger.partition IS 'The raw partition that the snapshots came from.';
COMMENT ON COLUMN rollcall.ledger.last_ingested_at IS 'Largest ingested_at stored; retention counts from the largest of these.';
COMMENT ON COLUMN rollcall.ledger.stored_snapshots IS 'Snapshots stored, ever.';
COMMENT ON COLUMN rollcall.ledger.stored_lines IS 'Processes stored, ever.';
COMMENT ON COLUMN rollcall.ledger.stored_lines_rejected IS 'Rejected lines of the stored snapshots.';
COMMENT ON COLUMN rollcall.ledger.expired_snapshots IS 'Snapshots not stored, because retention had dropped their day already.';
COMMENT ON COLUMN rollcall.ledger.expired_lines IS 'Processes of those.';
COMMENT ON COLUMN rollcall.ledger.expired_lines_rejected IS 'Rejected lines of those.';
COMMENT ON COLUMN rollcall.ledger.snapshots_read IS 'NORMALIZE''s count: raw records read.';
COMMENT ON COLUMN rollcall.ledger.snapshots_accepted IS 'NORMALIZE''s count: snapshots accepted.';
COMMENT ON COLUMN rollcall.ledger.snapshots_duplicate IS 'NORMALIZE''s count: snapshots recognized as sent before.';
COMMENT ON COLUMN rollcall.ledger.snapshots_rejected IS 'NORMALIZE''s count: records rejected whole.';
COMMENT ON COLUMN rollcall.ledger.lines_accepted IS 'NORMALIZE''s count: processes of accepted snapshots.';
COMMENT ON COLUMN rollcall.ledger.lines_rejected IS 'NORMALIZE''s count: rejected lines of accepted snapshots.';
COMMENT ON COLUMN rollcall.ledger.snapshots_unaccounted IS 'Records read that are neither accepted, duplicate nor rejected. Must be 0.';
COMMENT ON COLUMN rollcall.ledger.snapshots_missing IS 'Snapshots accepted and neither stored nor expired. Must be 0.';
COMMENT ON COLUMN rollcall.ledger.lines_missing IS 'Processes accepted and neither stored nor expired. Must be 0.';
COMMENT ON COLUMN rollcall.ledger.lines_rejected_missing IS 'Rejected lines that no stored or expired snapshot tells of. Must be 0.';

CREATE TABLE rollcall.rejected_records (
    ingested_at      timestamptz NOT NULL,
    source_offset    bigint NOT NULL,
    line             bigint,
    raw_length       bigint NOT NULL,
    source_partition integer NOT NULL,
    snapshot_id      uuid,
    whole_record     boolean NOT NULL,
    reason           text NOT NULL,
    source_topic     text NOT NULL,
    machine_id       text,
    detail           text NOT NULL,
    raw              bytea NOT NULL
) PARTITION BY RANGE (ingested_at);
CREATE INDEX rejected_records_source ON rollcall.rejected_records (source_partition, source_offset);
COMMENT ON TABLE rollcall.rejected_records IS
    'Dead letters: raw records, and lines of records, that could not be accepted, with the reason. Partitioned by the day of ingested_at.';
COMMENT ON COLUMN rollcall.rejected_records.ingested_at IS 'When the broker appended the raw record.';
COMMENT ON COLUMN rollcall.rejected_records.source_topic IS 'The raw topic.';
COMMENT ON COLUMN rollcall.rejected_records.source_partition IS 'Partition of the raw record.';
COMMENT ON COLUMN rollcall.rejected_records.source_offset IS 'Offset of the raw record.';
COMMENT ON COLUMN rollcall.rejected_records.line IS 'The rejected line, 1 being the first; NULL where the whole record was rejected.';
COMMENT ON COLUMN rollcall.rejected_records.whole_record IS 'Whether the whole record was rejected; else its other lines were accepted.';
COMMENT ON COLUMN rollcall.rejected_records.reason IS 'The reason''s word, the same as in metrics.';
COMMENT ON COLUMN rollcall.rejected_records.detail IS 'What exactly was wrong.';
COMMENT ON COLUMN rollcall.rejected_records.machine_id IS 'The machine, where it could be read.';
COMMENT ON COLUMN rollcall.rejected_records.snapshot_id IS 'The snapshot''s id, where it could be read.';
COMMENT ON COLUMN rollcall.rejected_records.raw IS 'The beginning of the rejected bytes.';
COMMENT ON COLUMN rollcall.rejected_records.raw_length IS 'How many bytes there were.';

CREATE TABLE rollcall.retention_horizon (
    horizon    timestamptz NOT NULL DEFAULT '-infinity',
    table_name text NOT NULL,
    grain      text NOT NULL,
    PRIMARY KEY (table_name, grain)
) WITH (fillfactor = 50);
COMMENT ON TABLE rollcall.retention_horizon IS
    'What has been forgotten: nothing before the horizon is kept or stored any more, so that a late correction never passes for a total.';
COMMENT ON COLUMN rollcall.retention_horizon.table_name IS 'The table; process_snapshots stands for process_observations too.';
COMMENT ON COLUMN rollcall.retention_horizon.grain IS 'The grain of a rollup; none for other tables.';
COMMENT ON COLUMN rollcall.retention_horizon.horizon IS
    'Rows whose window_start (rollups) or ingested_at (other tables) lies before this time are gone.';
INSERT INTO rollcall.retention_horizon (table_name, grain)
SELECT parent, unit
FROM unnest(ARRAY['user_rollups', 'faculty_rollups', 'application_rollups']) AS parent,
     unnest(ARRAY['minute', 'hour', 'day']) AS unit
UNION ALL VALUES ('process_snapshots', 'none'), ('rejected_records', 'none');
