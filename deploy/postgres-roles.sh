#!/bin/sh
# Runs once, on a new volume: our database, two groups, and three roles with the passwords in the secret files. The owner
# migrates, the writer alone appends to the log, the third serves and may change nothing of what was recorded.
set -eu
secrets=${TALLYSTICK_SECRETS:-/run/secrets}
password() { sed -n "s|^$2 *= *\"postgresql://[^:]*:\([^@]*\)@.*|\1|p" "$secrets/$1.toml"; }
OWNER_PASSWORD=$(password migrate database_owner_url)
WRITER_PASSWORD=$(password writer database_writer_url)
SERVING_PASSWORD=$(password tallystick database_url)
for found in "$OWNER_PASSWORD" "$WRITER_PASSWORD" "$SERVING_PASSWORD"; do
    if [ -z "$found" ]; then echo "not all passwords are in $secrets" >&2; exit 1; fi
done
export OWNER_PASSWORD WRITER_PASSWORD SERVING_PASSWORD
psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username "${POSTGRES_USER:-postgres}" --dbname postgres <<'SQL'
\getenv owner OWNER_PASSWORD
\getenv writer WRITER_PASSWORD
\getenv serving SERVING_PASSWORD
CREATE ROLE tallystick_serving NOLOGIN;
CREATE ROLE tallystick_writing NOLOGIN;
CREATE ROLE tallystick_owner LOGIN PASSWORD :'owner';
CREATE ROLE tallystick_writer LOGIN PASSWORD :'writer' IN ROLE tallystick_writing;
CREATE ROLE tallystick LOGIN PASSWORD :'serving' IN ROLE tallystick_serving;
CREATE DATABASE tallystick OWNER tallystick_owner TEMPLATE template0 ENCODING 'UTF8' LOCALE_PROVIDER builtin
    LOCALE 'C.UTF-8';
REVOKE ALL ON DATABASE tallystick FROM PUBLIC;
GRANT CONNECT, TEMPORARY ON DATABASE tallystick TO tallystick_serving;
GRANT CONNECT ON DATABASE tallystick TO tallystick_writing;
SQL
