-- What people tell watch: rules in place of those that ship, and cameras' control points. The ledger is
-- the truth; this is its newest state by stream, written in the same transaction.
CREATE TABLE watch_setting (
    stream  text        PRIMARY KEY,
    version integer     NOT NULL,
    state   jsonb       NOT NULL,
    by      text        NOT NULL,
    at      timestamptz NOT NULL
);

GRANT SELECT, INSERT, UPDATE ON watch_setting TO gridwing_service, gridwing_app;

-- Which watch process reads which camera or aircraft. Wall time: it is about processes, not about events.
CREATE TABLE watch_process (
    slot  text        PRIMARY KEY,
    until timestamptz NOT NULL
);
CREATE TABLE watch_lease (
    device_sn text        PRIMARY KEY,
    slot      text        NOT NULL DEFAULT '',
    until     timestamptz NOT NULL DEFAULT '-infinity'
);

GRANT SELECT, INSERT, UPDATE, DELETE ON watch_process, watch_lease TO gridwing_service;
GRANT SELECT ON watch_process, watch_lease TO gridwing_app;
