-- The fleet's plan as last released, for people to read; made anew every few minutes, never refolded.
CREATE TABLE patrol_plan (
    single boolean PRIMARY KEY DEFAULT true CHECK (single),
    plan   json    NOT NULL
);

GRANT SELECT, INSERT, UPDATE ON patrol_plan TO gridwing_service;
GRANT SELECT ON patrol_plan TO gridwing_app;
