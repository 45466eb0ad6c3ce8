-- Patrol's read tables; all but the secret and the requests can be dropped and refolded.
CREATE TABLE patrol_flight (
    mission_id   text        PRIMARY KEY,
    drone_sn     text        NOT NULL,
    dock_sn      text        NOT NULL,
    planned_at   timestamptz NOT NULL,
    open         boolean     NOT NULL,
    carrier_id   text,
    diverted_for text,
    flight       json        NOT NULL,
    kmz          bytea
);
-- One commander per drone at a time: a sortie is open once; a look carried by a patrol rides on it.
CREATE UNIQUE INDEX patrol_one_sortie ON patrol_flight (drone_sn) WHERE open AND carrier_id IS NULL;
CREATE INDEX patrol_flight_open ON patrol_flight (planned_at) WHERE open;
CREATE INDEX patrol_flight_diverted ON patrol_flight (diverted_for) WHERE diverted_for IS NOT NULL;

CREATE TABLE patrol_visit (
    cell_code   text        PRIMARY KEY,
    seen_at     timestamptz,
    flown_at    timestamptz,
    flown_count integer     NOT NULL DEFAULT 0
);

CREATE TABLE patrol_look (
    look_id text PRIMARY KEY,
    look    json NOT NULL
);

-- A person's wish, taken up by the commander: only patrol speaks to docks.
CREATE TABLE patrol_home_request (
    mission_id text        PRIMARY KEY,
    asked_by   text        NOT NULL,
    asked_at   timestamptz NOT NULL
);

-- What wayline addresses are keyed with; made here, known to the service and the web only.
CREATE TABLE patrol_secret (
    single boolean PRIMARY KEY DEFAULT true CHECK (single),
    secret text    NOT NULL
);
INSERT INTO patrol_secret (secret)
VALUES (replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', ''));

GRANT SELECT, INSERT, UPDATE, DELETE
    ON patrol_flight, patrol_visit, patrol_look, patrol_home_request TO gridwing_service;
GRANT SELECT ON patrol_secret TO gridwing_service, gridwing_app;
GRANT SELECT ON patrol_flight, patrol_visit, patrol_look TO gridwing_app;
GRANT SELECT, INSERT ON patrol_home_request TO gridwing_app;
