-- What stands over the district (ground stop, zones, applications, drones in hand): one row a stream.
-- Can be dropped and refolded from the ledger.
CREATE TABLE patrol_sky (
    stream  text        PRIMARY KEY,
    version bigint      NOT NULL,
    state   json,
    until   timestamptz
);
CREATE INDEX patrol_sky_open ON patrol_sky (stream) WHERE state IS NOT NULL;

-- Which patrol part commands a drone, and its fencing token. Not of the ledger: never refolded.
CREATE TABLE patrol_lease (
    drone_sn text        PRIMARY KEY,
    slot     text        NOT NULL,
    token    bigint      NOT NULL,
    until    timestamptz NOT NULL
);

-- People's wishes are ledger events now.
DROP TABLE patrol_home_request;

GRANT SELECT, INSERT, UPDATE, DELETE ON patrol_sky, patrol_lease TO gridwing_service;
GRANT SELECT, INSERT, UPDATE ON patrol_sky TO gridwing_app;
GRANT SELECT ON patrol_lease TO gridwing_app;
