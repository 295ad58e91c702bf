#!/bin/sh
# Runs once, on a new volume: our database and two roles with the passwords in the secret file. The owner migrates, the
# other one serves and may not change what was recorded.
set -eu
secrets=${TALLYSTICK_SECRETS_FILE:-/run/secrets/tallystick.toml}
password() { sed -n "s|^$1 *= *\"postgresql://[^:]*:\([^@]*\)@.*|\1|p" "$secrets"; }
OWNER_PASSWORD=$(password database_owner_url)
SERVING_PASSWORD=$(password database_url)
if [ -z "$OWNER_PASSWORD" ] || [ -z "$SERVING_PASSWORD" ]; then echo "no passwords in $secrets" >&2; exit 1; fi
export OWNER_PASSWORD SERVING_PASSWORD
psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username "${POSTGRES_USER:-postgres}" --dbname postgres <<'SQL'
\getenv owner OWNER_PASSWORD
\getenv serving SERVING_PASSWORD
CREATE ROLE tallystick_owner LOGIN PASSWORD :'owner';
CREATE ROLE tallystick LOGIN PASSWORD :'serving';
CREATE DATABASE tallystick OWNER tallystick_owner TEMPLATE template0 ENCODING 'UTF8' LOCALE_PROVIDER builtin
    LOCALE 'C.UTF-8';
REVOKE ALL ON DATABASE tallystick FROM PUBLIC;
GRANT CONNECT, TEMPORARY ON DATABASE tallystick TO tallystick;
SQL
