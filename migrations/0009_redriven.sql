-- Which rejected records were sent again, so that each is sent once, whatever happens in between.

CREATE TABLE rollcall.redriven (
    claimed_at       timestamptz NOT NULL DEFAULT now(),
    source_offset    bigint NOT NULL,
    target_offset    bigint,
    scan_from        bigint NOT NULL,
    source_partition integer NOT NULL,
    target_partition integer NOT NULL,
    rekeyed          boolean NOT NULL,
    topic            text NOT NULL,
    PRIMARY KEY (topic, source_partition, source_offset)
);
CREATE UNIQUE INDEX redriven_target ON rollcall.redriven (topic, target_partition, target_offset);
COMMENT ON TABLE rollcall.redriven IS
    'Rejected records that `rollcall dlq redrive` sent again. A row is written before the record is sent, and completed when the broker has it.';
COMMENT ON COLUMN rollcall.redriven.topic IS 'The raw topic.';
COMMENT ON COLUMN rollcall.redriven.source_partition IS 'Partition of the rejected record.';
COMMENT ON COLUMN rollcall.redriven.source_offset IS 'Offset of the rejected record.';
COMMENT ON COLUMN rollcall.redriven.target_partition IS 'Partition that it is sent to.';
COMMENT ON COLUMN rollcall.redriven.target_offset IS
    'Offset at which it was appended again; NULL while that is not known: the next redrive then looks for it in the topic.';
COMMENT ON COLUMN rollcall.redriven.scan_from IS 'The target partition''s end before it was sent: from here on it is looked for.';
COMMENT ON COLUMN rollcall.redriven.rekeyed IS 'Whether it was given its machine''s id as key.';
COMMENT ON COLUMN rollcall.redriven.claimed_at IS 'When a redrive took it on.';

CREATE VIEW analytics.redriven_records AS
SELECT topic, source_partition, source_offset, target_partition, target_offset, rekeyed, claimed_at
FROM rollcall.redriven;
COMMENT ON VIEW analytics.redriven_records IS 'Rejected records that were sent again, and where they were appended.';
DO $$
DECLARE
    passed record;
BEGIN
    FOR passed IN
        SELECT v.attname, col_description(t.attrelid, t.attnum) AS meaning
        FROM pg_catalog.pg_attribute AS v
        JOIN pg_catalog.pg_attribute AS t
            ON t.attrelid = 'rollcall.redriven'::regclass AND t.attname = v.attname
        WHERE v.attrelid = 'analytics.redriven_records'::regclass AND v.attnum > 0
    LOOP
        EXECUTE format('COMMENT ON COLUMN analytics.redriven_records.%I IS %L', passed.attname, passed.meaning);
    END LOOP;
END
$$;

-- What every migration ends with grants what this one needs, too.
ALTER FUNCTION rollcall.apply_privileges() RENAME TO apply_privileges_0008;
COMMENT ON FUNCTION rollcall.apply_privileges_0008() IS 'What rollcall.apply_privileges grants on the tables up to migration 8.';
CREATE FUNCTION rollcall.apply_privileges() RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM rollcall.apply_privileges_0008();
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'rollcall_sink') THEN
        GRANT INSERT, UPDATE, DELETE ON rollcall.redriven TO rollcall_sink;
    END IF;
END
$$;
COMMENT ON FUNCTION rollcall.apply_privileges() IS
    'Gives everything in both schemas to rollcall_migrator and grants what SINK, redrives and readers need. Run after every migration; does nothing for roles that are missing.';
