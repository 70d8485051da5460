#!/bin/sh
# Runs once, on an empty volume: an owner and a database for each, nobody a superuser.
set -eu

psql --set=ON_ERROR_STOP=1 --username="$POSTGRES_USER" --dbname=postgres \
    --set=keyturn="$KEYTURN_DB_PASSWORD" --set=temporal="$TEMPORAL_DB_PASSWORD" <<'SQL'
CREATE ROLE keyturn LOGIN PASSWORD :'keyturn';
CREATE DATABASE keyturn OWNER keyturn;
CREATE ROLE temporal LOGIN PASSWORD :'temporal';
CREATE DATABASE temporal OWNER temporal;
CREATE DATABASE temporal_visibility OWNER temporal;
REVOKE ALL ON DATABASE keyturn, temporal, temporal_visibility FROM PUBLIC;
SQL
