-- Partitions are made on demand and dropped on retention by these functions, which run with their owner's rights:
-- SINK itself owns no table.

CREATE FUNCTION rollcall.partition_unit(table_name text, grain text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE
        WHEN table_name IN ('process_snapshots', 'process_observations', 'rejected_records') AND grain = 'none' THEN 'day'
        WHEN table_name NOT IN ('user_rollups', 'faculty_rollups', 'application_rollups') THEN NULL
        WHEN grain = 'minute' THEN 'day'
        WHEN grain = 'hour' THEN 'month'
        WHEN grain = 'day' THEN 'year'
    END;
COMMENT ON FUNCTION rollcall.partition_unit(text, text) IS
    'How much time a partition of this table and grain holds: day, month or year; NULL for what is not partitioned by time.';

CREATE FUNCTION rollcall.partition_parent(table_name text, grain text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE grain WHEN 'none' THEN table_name ELSE table_name || '_' || grain END;
COMMENT ON FUNCTION rollcall.partition_parent(text, text) IS 'The table that partitions of this table and grain are attached to.';

CREATE FUNCTION rollcall.partition_start(unit text, at timestamptz) RETURNS timestamptz
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN date_trunc(unit, at AT TIME ZONE 'UTC') AT TIME ZONE 'UTC';
COMMENT ON FUNCTION rollcall.partition_start(text, timestamptz) IS 'The start of the UTC day, month or year that holds a time.';

CREATE FUNCTION rollcall.partition_end(unit text, start_at timestamptz) RETURNS timestamptz
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN (start_at AT TIME ZONE 'UTC' + ('1 ' || unit)::interval) AT TIME ZONE 'UTC';
COMMENT ON FUNCTION rollcall.partition_end(text, timestamptz) IS 'The end of the UTC day, month or year that starts at a time.';

CREATE FUNCTION rollcall.partition_name(parent text, unit text, start_at timestamptz) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN parent || '_' || to_char(start_at AT TIME ZONE 'UTC',
        CASE unit WHEN 'day' THEN '"d"YYYYMMDD' WHEN 'month' THEN '"m"YYYYMM' ELSE '"y"YYYY' END);
COMMENT ON FUNCTION rollcall.partition_name(text, text, timestamptz) IS
    'A partition''s name: its parent''s, and d20260131, m202601 or y2026.';

CREATE FUNCTION rollcall.create_partition(table_name text, grain text, at timestamptz) RETURNS boolean
    LANGUAGE plpgsql VOLATILE STRICT SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    SET client_min_messages = warning
AS $$
DECLARE
    unit CONSTANT text := rollcall.partition_unit(table_name, grain);
    parent CONSTANT text := rollcall.partition_parent(table_name, grain);
    lower_bound CONSTANT timestamptz := rollcall.partition_start(unit, at);
    upper_bound CONSTANT timestamptz := rollcall.partition_end(unit, lower_bound);
    child CONSTANT text := rollcall.partition_name(parent, unit, lower_bound);
    keyed_by_number CONSTANT boolean := table_name IN ('process_snapshots', 'process_observations');
    settings text := '';
BEGIN
    IF unit IS NULL THEN
        RAISE EXCEPTION 'table % with grain % has no partitions', table_name, grain;
    END IF;
    IF to_regclass(format('rollcall.%I', child)) IS NOT NULL THEN
        RETURN false;
    END IF;
    -- One at a time, over all connections: the loser of a race finds the table made. It must look into the catalog
    -- itself, for to_regclass may remember that there was none.
    PERFORM pg_advisory_xact_lock(hashtextextended('rollcall.create_partition', 0));
    IF EXISTS (SELECT FROM pg_class WHERE relnamespace = 'rollcall'::regnamespace AND relname = child) THEN
        RETURN false;
    END IF;
    -- What is forgotten is not made again.
    IF EXISTS (
        SELECT FROM rollcall.retention_horizon AS kept
        WHERE kept.table_name = CASE WHEN keyed_by_number THEN 'process_snapshots' ELSE create_partition.table_name END
            AND kept.grain = create_partition.grain AND upper_bound <= kept.horizon
    ) THEN
        RETURN false;
    END IF;
    IF grain <> 'none' THEN
        settings := format('WITH (fillfactor = %s, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0)',
            CASE grain WHEN 'minute' THEN 70 ELSE 75 END);
    END IF;
    -- ATTACH, unlike CREATE … PARTITION OF, doesn't wait for those who read or write the parent.
    EXECUTE format('CREATE TABLE rollcall.%I (LIKE rollcall.%I INCLUDING ALL) %s', child, parent, settings);
    EXECUTE format('COMMENT ON TABLE rollcall.%I IS %L', child,
        format('Rows of %s from %s to %s (UTC).', parent, lower_bound AT TIME ZONE 'UTC', upper_bound AT TIME ZONE 'UTC'));
    IF keyed_by_number THEN
        EXECUTE format('ALTER TABLE rollcall.%I ATTACH PARTITION rollcall.%I FOR VALUES FROM (%s) TO (%s)', parent, child,
            analytics.first_snapshot_number(lower_bound), analytics.first_snapshot_number(upper_bound));
    ELSE
        EXECUTE format('ALTER TABLE rollcall.%I ATTACH PARTITION rollcall.%I FOR VALUES FROM (%L) TO (%L)',
            parent, child, lower_bound, upper_bound);
    END IF;
    RETURN true;
END
$$;
COMMENT ON FUNCTION rollcall.create_partition(text, text, timestamptz) IS
    'Makes the partition that holds a time, unless there is one or it lies before the retention horizon. Says whether it made it.';

CREATE FUNCTION rollcall.drop_partitions(table_name text, grain text, before timestamptz) RETURNS SETOF text
    LANGUAGE plpgsql VOLATILE STRICT SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    unit CONSTANT text := rollcall.partition_unit(table_name, grain);
    new_horizon CONSTANT timestamptz := rollcall.partition_start(unit, before);
    parents CONSTANT text[] := CASE table_name
        WHEN 'process_snapshots' THEN ARRAY['process_observations', 'process_snapshots']
        ELSE ARRAY[rollcall.partition_parent(table_name, grain)] END;
    old_horizon timestamptz;
    parent text;
    child text;
BEGIN
    -- Flushes hold this row FOR SHARE: none of them is in the middle of what is dropped here.
    SELECT kept.horizon INTO old_horizon FROM rollcall.retention_horizon AS kept
    WHERE kept.table_name = drop_partitions.table_name AND kept.grain = drop_partitions.grain
    FOR UPDATE;
    IF unit IS NULL OR NOT FOUND THEN
        RAISE EXCEPTION 'table % with grain % has no retention', table_name, grain;
    END IF;
    IF new_horizon > old_horizon THEN
        UPDATE rollcall.retention_horizon AS kept SET horizon = new_horizon
        WHERE kept.table_name = drop_partitions.table_name AND kept.grain = drop_partitions.grain;
    END IF;
    FOREACH parent IN ARRAY parents LOOP
        FOR child IN
            SELECT c.relname FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
            WHERE i.inhparent = format('rollcall.%I', parent)::regclass
                -- Names hold the start, and sort by it.
                AND c.relname COLLATE "C"
                    < rollcall.partition_name(parent, unit, greatest(new_horizon, old_horizon)) COLLATE "C"
            ORDER BY 1
        LOOP
            EXECUTE format('DROP TABLE rollcall.%I', child);
            RETURN NEXT child;
        END LOOP;
    END LOOP;
END
$$;
COMMENT ON FUNCTION rollcall.drop_partitions(text, text, timestamptz) IS
    'Advances the retention horizon to the start of the partition that holds a time, and drops the partitions before it. Returns their names. process_snapshots takes process_observations with it.';

CREATE FUNCTION rollcall.summarize_details() RETURNS bigint
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    summarized bigint := 0;
    index_id regclass;
BEGIN
    FOR index_id IN
        SELECT i.indexrelid::regclass
        FROM pg_inherits AS h
        JOIN pg_index AS i ON i.indrelid = h.inhrelid
        JOIN pg_class AS c ON c.oid = i.indexrelid
        JOIN pg_am AS a ON a.oid = c.relam AND a.amname = 'brin'
        WHERE h.inhparent IN ('rollcall.process_snapshots'::regclass, 'rollcall.process_observations'::regclass)
        ORDER BY c.relname
    LOOP
        summarized := summarized + brin_summarize_new_values(index_id);
    END LOOP;
    RETURN summarized;
END
$$;
COMMENT ON FUNCTION rollcall.summarize_details() IS
    'Summarizes what was added to the details since the last time, so that a look-up by snapshot or time reads only what it must. SINK runs it every minute; it hinders neither readers nor writers. Returns how many page ranges were new.';
