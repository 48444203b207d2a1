-- What an interpreter runs, beside its command line: python's applications, java's, node's.

-- The script follows from the rest and from the rules in force, as the application does, so it is part of what tells
-- rows apart. Without one the hash is what it was: a SINK that does not know scripts yet finds its rows.
ALTER TABLE rollcall.command_lines ADD COLUMN script text;
ALTER TABLE rollcall.command_lines DROP COLUMN text_hash;
ALTER TABLE rollcall.command_lines ADD COLUMN text_hash uuid GENERATED ALWAYS AS (
    CASE WHEN script IS NULL
        THEN rollcall.text_hash(application_key::text, executable_name, executable_path, command_line)
        ELSE rollcall.text_hash(application_key::text, executable_name, executable_path, command_line, script)
    END) STORED NOT NULL UNIQUE;
COMMENT ON TABLE rollcall.command_lines IS
    'What was executed: distinct combinations of application, executable, command line and script. Application and script stand here and not in process_observations, because they follow from the rest.';
COMMENT ON COLUMN rollcall.command_lines.text_hash IS
    'Hash of application_key, executable_name, executable_path, command_line and, where there is one, script.';
COMMENT ON COLUMN rollcall.command_lines.script IS
    'What an interpreter runs: a file''s name without its folder, a module or a class, as http.server of python3 -m http.server or app.jar of java -jar app.jar. NULL for other applications, for code on the command line, and where it can''t be told for certain.';

CREATE OR REPLACE VIEW analytics.processes AS
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
    s.source_offset,
    c.script
FROM rollcall.process_observations AS o
JOIN rollcall.process_snapshots AS s USING (snapshot_number)
JOIN rollcall.machines AS m USING (machine_key)
JOIN rollcall.command_lines AS c USING (command_line_key)
JOIN rollcall.applications AS a USING (application_key)
JOIN rollcall.owners AS w USING (owner_key);
DO $$
BEGIN
    EXECUTE format('COMMENT ON COLUMN analytics.processes.script IS %L', (
        SELECT col_description(attrelid, attnum)
        FROM pg_catalog.pg_attribute
        WHERE attrelid = 'rollcall.command_lines'::regclass AND attname = 'script'));
END
$$;
