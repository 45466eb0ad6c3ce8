-- What patrol learns from the ledger: incidents by cell, and when key sites were last hovered over.
CREATE TABLE patrol_incident (
    incident_id text        PRIMARY KEY,
    cell_code   text        NOT NULL,
    reported_at timestamptz NOT NULL,
    filed       boolean     NOT NULL DEFAULT false
);
CREATE INDEX patrol_incident_reported ON patrol_incident (reported_at);

CREATE TABLE patrol_site_visit (
    site_code text        PRIMARY KEY,
    flown_at  timestamptz NOT NULL
);

GRANT SELECT, INSERT, UPDATE, DELETE ON patrol_incident, patrol_site_visit TO gridwing_service;
GRANT SELECT ON patrol_incident, patrol_site_visit TO gridwing_app;
