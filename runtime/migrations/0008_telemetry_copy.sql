-- Telemetry for binary COPY: 64-bit keys, flags for what is odd about a row, an index for "who was
-- in this cell then", days that can be made when the default partition already has rows of theirs,
-- and dropped again. The newest state gets its place, indexed.
ALTER TABLE telemetry RENAME TO telemetry_before;
ALTER INDEX telemetry_at RENAME TO telemetry_before_at;
ALTER TABLE telemetry_default RENAME TO telemetry_before_default;

CREATE TABLE telemetry (
    device_sn          text COLLATE "C" NOT NULL,
    at                 timestamptz      NOT NULL,
    key                bigint           NOT NULL,
    received_at        timestamptz      NOT NULL,
    lat_deg            double precision,
    lon_deg            double precision,
    height_ellipsoid_m real,
    height_rel_m       real,
    height_agl_m       real,
    heading_deg        real,
    speed_m_s          real,
    climb_m_s          real,
    battery_pct        real,
    phase              text,
    cell_code          text COLLATE "C",
    flags              smallint         NOT NULL,
    CONSTRAINT telemetry_once UNIQUE (device_sn, at, key)
) PARTITION BY RANGE (at);
COMMENT ON COLUMN telemetry.flags IS
    '1 the device time is not believed, 2 came after a newer row, 4 delivered a second time';
CREATE INDEX telemetry_at ON telemetry USING brin (at);
CREATE INDEX telemetry_cell ON telemetry (cell_code, at) WHERE cell_code IS NOT NULL;
CREATE TABLE telemetry_default PARTITION OF telemetry DEFAULT;
INSERT INTO telemetry
SELECT device_sn, at, ('x' || lpad(right(md5(key), 16), 16, '0'))::bit(64)::bigint, received_at,
       lat_deg, lon_deg, height_ellipsoid_m, height_rel_m, height_agl_m, heading_deg, speed_m_s,
       climb_m_s, battery_pct, phase, cell_code, time_clamped::int
FROM telemetry_before ON CONFLICT DO NOTHING;
DROP TABLE telemetry_before;

-- Runs as the owner: parts may add and drop days and may not otherwise change the schema.
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
    IF EXISTS (SELECT FROM telemetry_default WHERE at >= since AND at < until) THEN
        -- Devices whose clocks are ahead were here first.
        LOCK TABLE telemetry IN SHARE ROW EXCLUSIVE MODE;
        EXECUTE format('CREATE TABLE %I (LIKE telemetry INCLUDING DEFAULTS)', name);
        EXECUTE format('WITH moved AS (DELETE FROM telemetry_default WHERE at >= %L AND at < %L'
            ' RETURNING *) INSERT INTO %I SELECT * FROM moved', since, until, name);
        EXECUTE format('ALTER TABLE telemetry ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
            name, since, until);
    ELSE
        EXECUTE format('CREATE TABLE %I PARTITION OF telemetry FOR VALUES FROM (%L) TO (%L)',
            name, since, until);
    END IF;
END $$;

-- Drops the days before one, and rows of the default partition received before it. A lock that is
-- not had within 200 ms is given up: the next round tries again.
CREATE FUNCTION telemetry_forget(before date) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    part record;
    dropped integer := 0;
BEGIN
    PERFORM set_config('lock_timeout', '200ms', true);
    FOR part IN
        SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'telemetry'::regclass AND c.relname ~ '^telemetry_\d{8}$'
          AND to_date(right(c.relname, 8), 'YYYYMMDD') < before
        ORDER BY c.relname
    LOOP
        EXECUTE format('DROP TABLE %I', part.relname);
        dropped := dropped + 1;
    END LOOP;
    DELETE FROM telemetry_default
    WHERE received_at < before::timestamp AT TIME ZONE 'UTC';
    RETURN dropped;
END $$;
REVOKE ALL ON FUNCTION telemetry_day, telemetry_forget FROM PUBLIC;
GRANT EXECUTE ON FUNCTION telemetry_day, telemetry_forget TO gridwing_service;
GRANT SELECT, INSERT ON telemetry TO gridwing_service;
GRANT SELECT ON telemetry TO gridwing_app;

-- Stamps become whole microseconds since 1970.
ALTER TABLE latest ADD COLUMN place geometry(Point, 4326);
UPDATE latest SET
    place = ST_SetSRID(ST_MakePoint((fields->'position'->>'lon_deg')::float8,
                                    (fields->'position'->>'lat_deg')::float8), 4326),
    field_at = (SELECT coalesce(jsonb_object_agg(e.key,
                    (extract(epoch FROM (e.value)::timestamptz) * 1000000)::bigint), '{}')
                FROM jsonb_each_text(field_at) e);
CREATE INDEX latest_place ON latest USING gist (place);
ALTER TABLE latest SET (fillfactor = 50, autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 2000);
