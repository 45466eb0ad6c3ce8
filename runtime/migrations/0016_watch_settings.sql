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
