-- Days of telemetry come and go beside readers and writers. DETACH … CONCURRENTLY is not to be had
-- beside a default partition, so a day goes in two steps: emptied, which locks nothing but itself,
-- and dropped at a quiet moment, since that takes the whole table's lock for an instant.
CREATE OR REPLACE FUNCTION telemetry_day(day date) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    name text := 'telemetry_' || to_char(day, 'YYYYMMDD');
    since timestamptz := day::timestamp AT TIME ZONE 'UTC';
    until timestamptz := (day + 1)::timestamp AT TIME ZONE 'UTC';
BEGIN
    -- Not to_regclass: waiting for the lock does not refresh what it remembers.
    IF EXISTS (SELECT FROM pg_class c WHERE c.relname = name) THEN
        RETURN;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('telemetry_day'));
    IF EXISTS (SELECT FROM pg_class c WHERE c.relname = name) THEN
        RETURN;
    END IF;
    PERFORM set_config('lock_timeout', '2s', true);
    -- ATTACH, not PARTITION OF: a reader or writer of any other day goes on beside it.
    EXECUTE format('CREATE TABLE %I (LIKE telemetry INCLUDING DEFAULTS)', name);
    IF EXISTS (SELECT FROM telemetry_default WHERE at >= since AND at < until) THEN
        -- Devices whose clocks are ahead were here first.
        LOCK TABLE telemetry IN SHARE ROW EXCLUSIVE MODE;
        EXECUTE format('WITH moved AS (DELETE FROM telemetry_default WHERE at >= %L AND at < %L'
            ' RETURNING *) INSERT INTO %I SELECT * FROM moved', since, until, name);
    END IF;
    EXECUTE format('ALTER TABLE telemetry ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
        name, since, until);
END $$;

-- One step of forgetting the days before one: empties or drops a single day and names what it did,
-- NULL when nothing is left to do. A lock is waited for 50 ms, which is the longest a writer may
-- wait behind it. Raises lock_not_available where every step left has to wait.
DROP FUNCTION telemetry_forget(date);
CREATE FUNCTION telemetry_forget(before date) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    part record;
    busy text;
BEGIN
    PERFORM set_config('lock_timeout', '50ms', true);
    IF NOT pg_try_advisory_xact_lock(hashtext('telemetry_forget')) THEN
        RETURN NULL; -- another slot is at it
    END IF;
    FOR part IN
        SELECT c.relname, pg_relation_size(c.oid) > 0 AS holds
        FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'telemetry'::regclass AND c.relname ~ '^telemetry_\d{8}$'
          AND to_date(right(c.relname, 8), 'YYYYMMDD') < before
        ORDER BY holds DESC, c.relname
    LOOP
        BEGIN
            IF part.holds THEN
                EXECUTE format('TRUNCATE %I', part.relname);
                RETURN 'emptied ' || part.relname;
            END IF;
            EXECUTE format('DROP TABLE %I', part.relname);
            RETURN 'dropped ' || part.relname;
        EXCEPTION WHEN lock_not_available THEN
            busy := part.relname;
            -- What keeps one empty day from going keeps them all: it is the whole table's lock.
            EXIT WHEN NOT part.holds;
        END;
    END LOOP;
    IF busy IS NOT NULL THEN
        RAISE lock_not_available USING MESSAGE = format('%s is being read', busy);
    END IF;
    DELETE FROM telemetry_default
    WHERE received_at < before::timestamp AT TIME ZONE 'UTC';
    RETURN NULL;
END $$;
REVOKE ALL ON FUNCTION telemetry_forget FROM PUBLIC;
GRANT EXECUTE ON FUNCTION telemetry_forget TO gridwing_service;
