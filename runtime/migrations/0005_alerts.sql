-- Incidents as services/alerts reads them. Everything above the line can be dropped and refolded from the ledger.
CREATE TABLE incident (
    incident_id  text        PRIMARY KEY,
    version      integer     NOT NULL,
    state        text        NOT NULL,
    kind         text        NOT NULL,
    severity     text        NOT NULL,
    cell_code    text,
    police_code  text,
    opened_at    timestamptz NOT NULL,
    changed_at   timestamptz NOT NULL,
    closed_at    timestamptz,
    level        integer     NOT NULL,
    verified_by  text,
    outcome      text,
    unserved     boolean     NOT NULL, -- open, to be handled, and some force is missing
    place        geography(Point, 4326) NOT NULL,
    data         json        NOT NULL
);
CREATE INDEX incident_newest ON incident (opened_at DESC, incident_id DESC);
CREATE INDEX incident_open_place ON incident USING gist (place) WHERE closed_at IS NULL;
CREATE INDEX incident_unserved ON incident (opened_at) WHERE unserved;
CREATE INDEX incident_cell ON incident (cell_code);
CREATE INDEX incident_police ON incident (police_code);

CREATE TABLE incident_cause (
    cause       text PRIMARY KEY,
    incident_id text NOT NULL REFERENCES incident ON DELETE CASCADE
);
CREATE INDEX incident_cause_incident ON incident_cause (incident_id);

CREATE TABLE dispatch (
    dispatch_id  text        PRIMARY KEY,
    incident_id  text        NOT NULL REFERENCES incident ON DELETE CASCADE,
    responder_id text        NOT NULL,
    force        text        NOT NULL,
    state        text        NOT NULL,
    offered_at   timestamptz NOT NULL
);
CREATE INDEX dispatch_incident ON dispatch (incident_id);
CREATE INDEX dispatch_responder ON dispatch (responder_id, state);

CREATE TABLE incident_timer (
    incident_id text        NOT NULL REFERENCES incident ON DELETE CASCADE,
    step        text        NOT NULL,
    due_at      timestamptz NOT NULL,
    PRIMARY KEY (incident_id, step)
);
CREATE INDEX incident_timer_due ON incident_timer (due_at);

-- ------------------------------------------------------------------------------------------------------------
-- Not in the ledger: who is on duty, where (the newest place only, and only while on duty), what was sent.
CREATE TABLE duty (
    responder_id text        PRIMARY KEY,
    on_duty      boolean     NOT NULL,
    since        timestamptz NOT NULL,
    lat_deg      double precision,
    lon_deg      double precision,
    position_at  timestamptz,
    CHECK (on_duty OR lat_deg IS NULL)
);

CREATE TABLE outbox (
    number      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    message_id  text        NOT NULL UNIQUE,
    incident_id text        NOT NULL,
    audience    text        NOT NULL,
    kind        text        NOT NULL,
    data        json        NOT NULL,
    created_at  timestamptz NOT NULL,
    attempts    integer     NOT NULL DEFAULT 0,
    next_at     timestamptz NOT NULL,
    sent_at     timestamptz,
    given_up_at timestamptz,
    problem     text
);
CREATE INDEX outbox_due ON outbox (next_at) WHERE sent_at IS NULL AND given_up_at IS NULL;

CREATE TABLE repeated_post (
    account_id  text        NOT NULL,
    key         text        NOT NULL,
    digest      text        NOT NULL,
    incident_id text        NOT NULL,
    at          timestamptz NOT NULL,
    PRIMARY KEY (account_id, key)
);
CREATE INDEX repeated_post_at ON repeated_post (at);

CREATE TABLE incident_note (
    ref         text        PRIMARY KEY, -- the body lies with the erasable ones
    incident_id text        NOT NULL,
    account_id  text        NOT NULL,
    at          timestamptz NOT NULL
);
CREATE INDEX incident_note_incident ON incident_note (incident_id);

-- Wall seconds from the frame that completed the vote to the committed dispatch.
CREATE TABLE dispatch_latency (
    incident_id        text             PRIMARY KEY,
    frame_wall_s       double precision NOT NULL,
    dispatched_wall_s  double precision
);

GRANT SELECT, INSERT, UPDATE, DELETE ON
    incident, incident_cause, dispatch, incident_timer, duty, outbox, repeated_post, incident_note, dispatch_latency
    TO gridwing_service, gridwing_app;
