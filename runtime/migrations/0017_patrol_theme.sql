-- When each cell was last flown for a theme, and how often.
CREATE TABLE patrol_theme_visit (
    theme_code  text        NOT NULL,
    cell_code   text        NOT NULL,
    flown_at    timestamptz NOT NULL,
    flown_count integer     NOT NULL,
    PRIMARY KEY (theme_code, cell_code)
);

GRANT SELECT, INSERT, UPDATE, DELETE ON patrol_theme_visit TO gridwing_service;
GRANT SELECT ON patrol_theme_visit TO gridwing_app;
