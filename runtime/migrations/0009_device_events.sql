-- What the ledger was told of each happening a camera reports, so that only a change is told.
CREATE TABLE device_event_told (
    device_sn text        NOT NULL,
    key       text        NOT NULL,
    label     text        NOT NULL,
    state     text        NOT NULL,
    severity  text        NOT NULL,
    at        timestamptz NOT NULL,
    PRIMARY KEY (device_sn, key)
);
GRANT SELECT, INSERT, UPDATE ON device_event_told TO gridwing_service;
