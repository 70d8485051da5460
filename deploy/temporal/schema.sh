#!/bin/sh
# Upgrades the schema of Temporal's two databases to this version; runs before each start.
set -eu

for name in temporal visibility; do
    database=temporal
    [ "$name" = temporal ] || database=temporal_visibility
    tool="temporal-sql-tool --plugin postgres12 --ep $SQL_HOST --port 5432 --user temporal --database $database"
    $tool setup-schema --version 0.0 || true # it exists already
    $tool update-schema --schema-dir "/etc/temporal/schema/postgresql/v12/$name/versioned"
done
