#!/bin/sh
# An account for each process and a database for each that owns one; none is a superuser.
# Safe to run again: it adds what an earlier installation lacks, and sets the passwords.
set -eu

psql --set=ON_ERROR_STOP=1 --dbname=postgres --quiet \
    --set=owner="$KEYTURN_DB_PASSWORD" --set=web="$KEYTURN_DB_PASSWORD_WEB" \
    --set=worker="$KEYTURN_DB_PASSWORD_WORKER" --set=effects="$KEYTURN_DB_PASSWORD_EFFECTS" \
    --set=temporal="$TEMPORAL_DB_PASSWORD" <<'SQL'
SELECT format('CREATE ROLE %I LOGIN', name)
FROM unnest(ARRAY['keyturn', 'keyturn_web', 'keyturn_worker', 'keyturn_effects', 'temporal'])
    AS name
WHERE name NOT IN (SELECT rolname FROM pg_roles) \gexec
ALTER ROLE keyturn PASSWORD :'owner';
ALTER ROLE keyturn_web PASSWORD :'web';
ALTER ROLE keyturn_worker PASSWORD :'worker';
ALTER ROLE keyturn_effects PASSWORD :'effects';
ALTER ROLE temporal PASSWORD :'temporal';
SELECT format('CREATE DATABASE %I OWNER %I', name, owner)
FROM (VALUES ('keyturn', 'keyturn'), ('temporal', 'temporal'), ('temporal_visibility', 'temporal'))
    AS wanted (name, owner)
WHERE name NOT IN (SELECT datname FROM pg_database) \gexec
REVOKE ALL ON DATABASE keyturn, temporal, temporal_visibility FROM PUBLIC;
-- The web process ends what keeps its switches waiting.
GRANT pg_signal_backend, pg_read_all_stats TO keyturn_web;
GRANT CONNECT ON DATABASE keyturn TO keyturn_web, keyturn_worker, keyturn_effects;
\connect keyturn
-- Ours end with their transaction; one that outlives it could keep a switch waiting.
SELECT format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', oid::regprocedure)
FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace
    AND proname ~ '^pg_(try_)?advisory_lock' \gexec
SQL
