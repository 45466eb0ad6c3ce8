-- What devices said: one row a message in day partitions, the latest state merged per field,
-- refused messages, and the small states that tell a change from a repetition.
CREATE TABLE telemetry (
    device_sn          text        NOT NULL,
    at                 timestamptz NOT NULL,
    key                text        NOT NULL,
    received_at        timestamptz NOT NULL,
    kind               text        NOT NULL,
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
    cell_code          text,
    time_clamped       boolean     NOT NULL,
    UNIQUE (device_sn, at, key)
) PARTITION BY RANGE (at);
CREATE INDEX telemetry_at ON telemetry USING brin (at);
CREATE TABLE telemetry_default PARTITION OF telemetry DEFAULT;

-- Runs as the owner: parts may add days and may not otherwise change the schema.
CREATE FUNCTION telemetry_day(day date) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('telemetry_day'));
    IF to_regclass(format('telemetry_%s', to_char(day, 'YYYYMMDD'))) IS NULL THEN
        EXECUTE format(
            'CREATE TABLE %I PARTITION OF telemetry FOR VALUES FROM (%L) TO (%L)',
            'telemetry_' || to_char(day, 'YYYYMMDD'),
            day::timestamp AT TIME ZONE 'UTC', (day + 1)::timestamp AT TIME ZONE 'UTC');
    END IF;
END $$;
REVOKE ALL ON FUNCTION telemetry_day FROM PUBLIC;
GRANT EXECUTE ON FUNCTION telemetry_day TO gridwing_service;

CREATE TABLE latest (
    device_sn text        PRIMARY KEY,
    kind      text        NOT NULL,
    at        timestamptz NOT NULL,
    changed   bigint      NOT NULL,
    fields    jsonb       NOT NULL,
    field_at  jsonb       NOT NULL
);
CREATE SEQUENCE latest_change;
CREATE INDEX latest_changed ON latest (changed);

CREATE TABLE dead_letter (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    digest      bytea       NOT NULL UNIQUE,
    topic       text        NOT NULL,
    payload     bytea       NOT NULL,
    reason      text        NOT NULL,
    received_at timestamptz NOT NULL,
    state       text        NOT NULL DEFAULT 'new' CHECK (state IN ('new', 'retried', 'dropped'))
);

CREATE TABLE device_alarm (
    device_sn text        NOT NULL,
    code      text        NOT NULL,
    component text        NOT NULL,
    level     smallint    NOT NULL,
    since     timestamptz NOT NULL,
    PRIMARY KEY (device_sn, code, component)
);
CREATE TABLE device_alarm_told (
    device_sn text        PRIMARY KEY,
    at        timestamptz NOT NULL
);
CREATE TABLE gateway_link (
    gateway_sn text   PRIMARY KEY,
    drone_sns  text[] NOT NULL
);
CREATE TABLE flight_told (
    flight_id      text PRIMARY KEY,
    status         text NOT NULL,
    step           integer,
    waypoint_index integer
);

GRANT SELECT, INSERT ON telemetry TO gridwing_service;
GRANT SELECT, INSERT, UPDATE ON latest, dead_letter, device_alarm_told, gateway_link, flight_told
    TO gridwing_service;
GRANT SELECT, INSERT, UPDATE, DELETE ON device_alarm TO gridwing_service;
GRANT USAGE ON SEQUENCE latest_change TO gridwing_service;
GRANT SELECT ON latest, telemetry TO gridwing_app;
