-- The registered district in versions: the whole as JSON, its cells also as geometry.
CREATE TABLE registry (
    version  integer PRIMARY KEY CHECK (version > 0),
    saved_at timestamptz NOT NULL,
    district json NOT NULL
);
CREATE TABLE registry_cell (
    version integer NOT NULL REFERENCES registry (version) ON DELETE CASCADE,
    code    text    NOT NULL,
    geom    geometry(MultiPolygon, 4326) NOT NULL,
    PRIMARY KEY (version, code)
);
CREATE INDEX registry_cell_geom ON registry_cell USING gist (geom);
GRANT SELECT ON registry, registry_cell TO gridwing_service, gridwing_app;
