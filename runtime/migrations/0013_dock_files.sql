-- Flight areas as given to docks, how far each dock has taken them, and media files docks told of.
CREATE TABLE patrol_area_file (
    name text  PRIMARY KEY,
    body bytea NOT NULL
);
CREATE TABLE patrol_area_sync (
    dock_sn text PRIMARY KEY,
    sync    json NOT NULL
);
CREATE TABLE patrol_media (
    object_key text PRIMARY KEY,
    flight_id  text NOT NULL,
    media      json NOT NULL
);
CREATE INDEX patrol_media_flight ON patrol_media (flight_id);

GRANT SELECT, INSERT, UPDATE, DELETE
    ON patrol_area_file, patrol_area_sync, patrol_media TO gridwing_service;
GRANT SELECT ON patrol_area_file, patrol_area_sync, patrol_media TO gridwing_app;
