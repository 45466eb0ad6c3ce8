-- The ledger: rows appended by any writer, numbered later by one sequencer.
CREATE TABLE ledger (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    xid        xid8        NOT NULL DEFAULT pg_current_xact_id(),
    stream     text        NOT NULL,
    version    integer     NOT NULL CHECK (version > 0),
    kind       text        NOT NULL,
    schema     smallint    NOT NULL,
    at         timestamptz NOT NULL,
    actor      text        NOT NULL,
    data       json        NOT NULL,
    body_hash  bytea       NOT NULL,
    UNIQUE (stream, version)
);
CREATE INDEX ledger_xid ON ledger (xid);

CREATE TABLE ledger_seq (
    position bigint PRIMARY KEY,
    entry_id bigint NOT NULL UNIQUE REFERENCES ledger (id),
    hash     bytea  NOT NULL
);

-- One row: who holds its lock is the sequencer; the snapshot says what was visible at the last step.
CREATE TABLE ledger_head (
    single   boolean     PRIMARY KEY DEFAULT true CHECK (single),
    position bigint      NOT NULL,
    hash     bytea       NOT NULL,
    snap     pg_snapshot NOT NULL
);
INSERT INTO ledger_head (position, hash, snap) VALUES (0, decode(repeat('00', 32), 'hex'), '1:1:');

CREATE TABLE ledger_cursor (
    follower text   PRIMARY KEY,
    position bigint NOT NULL
);

CREATE FUNCTION ledger_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the ledger is append-only';
END $$;
CREATE TRIGGER ledger_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_is_append_only();
CREATE TRIGGER ledger_seq_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_seq
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_is_append_only();

GRANT SELECT, INSERT ON ledger, ledger_seq TO gridwing_service;
GRANT SELECT, UPDATE ON ledger_head TO gridwing_service;
GRANT SELECT, INSERT, UPDATE ON ledger_cursor TO gridwing_service;
GRANT SELECT, INSERT ON ledger TO gridwing_app;
GRANT SELECT ON ledger_seq, ledger_head TO gridwing_app;
