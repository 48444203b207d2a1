-- What detail rows point to: machines, applications, command lines and owners. Texts are unique by a hash, for they
-- may be longer than what an index can hold.

CREATE FUNCTION rollcall.text_hash(VARIADIC parts text[]) RETURNS uuid
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (
        SELECT encode(substr(sha256(convert_to(
            string_agg(
                CASE WHEN part IS NULL THEN '-' ELSE octet_length(part) || ':' || part END,
                '' ORDER BY place),
            'UTF8')), 1, 16), 'hex')::uuid
        FROM unnest(parts) WITH ORDINALITY AS listed(part, place)
    );
COMMENT ON FUNCTION rollcall.text_hash(text[]) IS
    'The first 128 bits of SHA-256 over texts, each preceded by its length; a NULL differs from every text.';

CREATE TABLE rollcall.machines (
    first_seen       timestamptz NOT NULL,
    last_seen        timestamptz NOT NULL,
    memory_bytes     bigint,
    machine_key      integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source_partition integer NOT NULL,
    cpu_count        integer,
    moved            integer NOT NULL DEFAULT 0,
    text_hash        uuid GENERATED ALWAYS AS (rollcall.text_hash(machine_id)) STORED NOT NULL UNIQUE,
    machine_id       text NOT NULL,
    os               text NOT NULL,
    name             text,
    os_version       text
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05);
COMMENT ON TABLE rollcall.machines IS 'Machines that ever sent a snapshot, as their latest stored snapshot describes them.';
COMMENT ON COLUMN rollcall.machines.machine_key IS 'Number that stands for the machine in this database only.';
COMMENT ON COLUMN rollcall.machines.machine_id IS 'The machine''s own stable id, which is the Kafka key of its snapshots.';
COMMENT ON COLUMN rollcall.machines.text_hash IS 'Hash of machine_id.';
COMMENT ON COLUMN rollcall.machines.name IS 'Name that people know the machine by; NULL where its producer gives none.';
COMMENT ON COLUMN rollcall.machines.os IS 'Operating system: linux, macos or windows.';
COMMENT ON COLUMN rollcall.machines.os_version IS 'Version of the operating system, as it prints it.';
COMMENT ON COLUMN rollcall.machines.cpu_count IS 'Logical CPUs.';
COMMENT ON COLUMN rollcall.machines.memory_bytes IS 'Physical memory in bytes.';
COMMENT ON COLUMN rollcall.machines.source_partition IS 'Partition of the raw topic that the latest snapshot came from.';
COMMENT ON COLUMN rollcall.machines.moved IS
    'How often the machine was seen on another raw partition than before. More than 0: its producers partition differently, and repeated snapshots and CPU deltas can be missed.';
COMMENT ON COLUMN rollcall.machines.first_seen IS 'ingested_at of its first stored snapshot.';
COMMENT ON COLUMN rollcall.machines.last_seen IS 'ingested_at of its latest stored snapshot, at most 5 minutes behind.';

CREATE TABLE rollcall.applications (
    application_key integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    text_hash       uuid GENERATED ALWAYS AS (rollcall.text_hash(application)) STORED NOT NULL UNIQUE,
    application     text NOT NULL
);
COMMENT ON TABLE rollcall.applications IS 'Canonical application names over all operating systems.';
COMMENT ON COLUMN rollcall.applications.application_key IS 'Number that stands for the application in this database only.';
COMMENT ON COLUMN rollcall.applications.application IS 'The canonical name, as chrome.';
COMMENT ON COLUMN rollcall.applications.text_hash IS 'Hash of application.';

CREATE TABLE rollcall.command_lines (
    command_line_key integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    application_key  integer NOT NULL,
    text_hash        uuid GENERATED ALWAYS AS (
        rollcall.text_hash(application_key::text, executable_name, executable_path, command_line)) STORED NOT NULL UNIQUE,
    executable_name  text NOT NULL,
    executable_path  text,
    command_line     text
);
COMMENT ON TABLE rollcall.command_lines IS
    'What was executed: distinct combinations of application, executable and command line. The application stands here and not in process_observations, because it follows from the rest.';
COMMENT ON COLUMN rollcall.command_lines.command_line_key IS 'Number that stands for the combination in this database only.';
COMMENT ON COLUMN rollcall.command_lines.application_key IS 'The application, in applications.';
COMMENT ON COLUMN rollcall.command_lines.text_hash IS 'Hash of the other columns.';
COMMENT ON COLUMN rollcall.command_lines.executable_name IS 'The file''s name (process.executable.name).';
COMMENT ON COLUMN rollcall.command_lines.executable_path IS 'The file''s path (process.executable.path), where the listing shows one.';
COMMENT ON COLUMN rollcall.command_lines.command_line IS 'The command line (process.command_line), where the listing shows one.';

CREATE TABLE rollcall.owners (
    owner_key integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    text_hash uuid GENERATED ALWAYS AS (rollcall.text_hash(owner, user_name, faculty)) STORED NOT NULL UNIQUE,
    owner     text,
    user_name text NOT NULL,
    faculty   text NOT NULL
);
COMMENT ON TABLE rollcall.owners IS 'Distinct combinations of a process'' owner as printed, the user it counts for, and the user''s faculty then.';
COMMENT ON COLUMN rollcall.owners.owner_key IS 'Number that stands for the combination in this database only.';
COMMENT ON COLUMN rollcall.owners.text_hash IS 'Hash of the other columns.';
COMMENT ON COLUMN rollcall.owners.owner IS 'The owner as the machine printed it (process.owner): perhaps cut, or a UID.';
COMMENT ON COLUMN rollcall.owners.user_name IS 'The user that the process counts for: a directory user, DOMAIN\user, name@machine, or (unknown).';
COMMENT ON COLUMN rollcall.owners.faculty IS 'The user''s faculty when the snapshot was processed, or (unknown).';
