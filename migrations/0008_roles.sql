-- Who may do what. The roles can't log in; grant them to users that can. A migrating user that may not create roles
-- gets a notice, and everything stays its own.

DO $$
DECLARE
    role_name text;
BEGIN
    FOREACH role_name IN ARRAY ARRAY['rollcall_migrator', 'rollcall_sink', 'rollcall_reader'] LOOP
        IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = role_name) THEN
            EXECUTE format('CREATE ROLE %I NOLOGIN', role_name);
        END IF;
    END LOOP;
EXCEPTION
    WHEN insufficient_privilege THEN
        RAISE NOTICE 'role % can''t be created by %: create rollcall_migrator, rollcall_sink and rollcall_reader as a superuser and migrate again', role_name, current_user;
    WHEN duplicate_object OR unique_violation THEN
        NULL; -- another database of this server is being migrated too
END
$$;

CREATE FUNCTION rollcall.apply_privileges() RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
    SET client_min_messages = warning
AS $$
DECLARE
    owned record;
    migrator CONSTANT boolean := EXISTS (SELECT FROM pg_roles WHERE rolname = 'rollcall_migrator')
        AND pg_has_role(current_user, 'rollcall_migrator', 'MEMBER');
BEGIN
    -- Two at once would update the same catalog rows.
    PERFORM pg_advisory_xact_lock(hashtextextended('rollcall.apply_privileges', 0));
    -- Functions and views run with their owner's rights, so the owner is a role that has no more than these schemas.
    IF migrator THEN
        EXECUTE format('GRANT CREATE, TEMPORARY ON DATABASE %I TO rollcall_migrator', current_database());
        FOR owned IN
            SELECT format('ALTER SCHEMA %I OWNER TO rollcall_migrator', nspname) AS change, 0 AS place
            FROM pg_namespace WHERE nspname IN ('rollcall', 'analytics')
                AND nspowner <> 'rollcall_migrator'::regrole
            UNION ALL
            SELECT format('ALTER %s %s OWNER TO rollcall_migrator',
                CASE c.relkind WHEN 'S' THEN 'SEQUENCE' WHEN 'v' THEN 'VIEW' WHEN 'c' THEN 'TYPE' ELSE 'TABLE' END,
                c.oid::regclass), 1
            FROM pg_class AS c
            WHERE c.relnamespace IN ('rollcall'::regnamespace, 'analytics'::regnamespace)
                AND c.relkind IN ('r', 'p', 'v', 'S', 'c') AND c.relowner <> 'rollcall_migrator'::regrole
                -- Sequences of identity columns follow their table.
                AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = c.oid AND deptype = 'i'
                    AND classid = 'pg_class'::regclass AND c.relkind = 'S')
            UNION ALL
            SELECT format('ALTER %s %s OWNER TO rollcall_migrator',
                CASE p.prokind WHEN 'a' THEN 'AGGREGATE' ELSE 'FUNCTION' END, p.oid::regprocedure), 2
            FROM pg_proc AS p
            WHERE p.pronamespace IN ('rollcall'::regnamespace, 'analytics'::regnamespace)
                AND p.proowner <> 'rollcall_migrator'::regrole
            ORDER BY 2, 1
        LOOP
            EXECUTE owned.change;
        END LOOP;
    END IF;

    REVOKE ALL ON ALL FUNCTIONS IN SCHEMA rollcall FROM PUBLIC;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'rollcall_sink') THEN
        EXECUTE format('GRANT TEMPORARY ON DATABASE %I TO rollcall_sink', current_database());
        GRANT USAGE ON SCHEMA rollcall, analytics TO rollcall_sink;
        GRANT SELECT ON ALL TABLES IN SCHEMA rollcall, analytics TO rollcall_sink;
        GRANT INSERT ON rollcall.machines, rollcall.applications, rollcall.command_lines, rollcall.owners,
            rollcall.process_snapshots, rollcall.process_observations, rollcall.rejected_records,
            rollcall.user_rollups, rollcall.faculty_rollups, rollcall.application_rollups,
            rollcall.sink_offsets, rollcall.rollup_progress, rollcall.ledger TO rollcall_sink;
        -- On retention_horizon for FOR SHARE alone: drop_partitions moves it.
        GRANT UPDATE ON rollcall.machines, rollcall.user_rollups, rollcall.faculty_rollups, rollcall.application_rollups,
            rollcall.sink_offsets, rollcall.rollup_progress, rollcall.ledger, rollcall.retention_horizon TO rollcall_sink;
        GRANT USAGE ON SEQUENCE rollcall.snapshot_numbers TO rollcall_sink;
        GRANT EXECUTE ON FUNCTION rollcall.text_hash(text[]), rollcall.create_partition(text, text, timestamptz),
            rollcall.drop_partitions(text, text, timestamptz), rollcall.summarize_details() TO rollcall_sink;
    END IF;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'rollcall_reader') THEN
        GRANT USAGE ON SCHEMA rollcall, analytics TO rollcall_reader;
        GRANT SELECT ON ALL TABLES IN SCHEMA rollcall, analytics TO rollcall_reader;
    END IF;
END
$$;
COMMENT ON FUNCTION rollcall.apply_privileges() IS
    'Gives everything in both schemas to rollcall_migrator and grants what SINK and readers need. Run after every migration; does nothing for roles that are missing.';

DO $$
BEGIN
    IF NOT pg_has_role(current_user, 'rollcall_migrator', 'MEMBER') THEN
        GRANT rollcall_migrator TO CURRENT_USER;
    END IF;
EXCEPTION WHEN insufficient_privilege OR undefined_object OR invalid_grant_operation THEN
    RAISE NOTICE '% is no member of rollcall_migrator: what it creates stays its own', current_user;
END
$$;

DO $$
BEGIN
    IF to_regclass('rollcall.schema_migrations') IS NOT NULL THEN
        COMMENT ON TABLE rollcall.schema_migrations IS 'Migrations that were applied, as the migration tool keeps them.';
        COMMENT ON COLUMN rollcall.schema_migrations.version IS 'Number of the migration''s file.';
        COMMENT ON COLUMN rollcall.schema_migrations.description IS 'Name of the migration''s file.';
        COMMENT ON COLUMN rollcall.schema_migrations.installed_on IS 'When it was applied.';
        COMMENT ON COLUMN rollcall.schema_migrations.success IS 'Whether it was applied to its end.';
        COMMENT ON COLUMN rollcall.schema_migrations.checksum IS 'Checksum of its text: an applied migration never changes.';
        COMMENT ON COLUMN rollcall.schema_migrations.execution_time IS 'How long it took, in nanoseconds.';
    END IF;
END
$$;
