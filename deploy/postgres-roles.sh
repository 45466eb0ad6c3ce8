#!/bin/bash
# Run once by the database's image when its volume is empty: the three roles, and the database handed to its owner.
set -euo pipefail
psql --username="$POSTGRES_USER" --dbname="$POSTGRES_DB" --no-psqlrc --quiet --set=ON_ERROR_STOP=1 \
    --set=owner="$GRIDWING_OWNER_PASSWORD" --set=service="$GRIDWING_SERVICE_PASSWORD" \
    --set=app="$GRIDWING_APP_PASSWORD" --set=database="$POSTGRES_DB" <<'SQL'
CREATE EXTENSION IF NOT EXISTS postgis;
CREATE ROLE gridwing_owner LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS PASSWORD :'owner';
CREATE ROLE gridwing_service LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS PASSWORD :'service';
CREATE ROLE gridwing_app LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS PASSWORD :'app';
ALTER DATABASE :"database" OWNER TO gridwing_owner;
REVOKE ALL ON DATABASE :"database" FROM PUBLIC;
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT CONNECT, TEMPORARY ON DATABASE :"database" TO gridwing_service, gridwing_app;
SQL
