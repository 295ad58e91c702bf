#!/bin/sh
# Starts PostgreSQL as its image does. The superuser gets in from within the container alone; nobody knows a password.
set -eu
POSTGRES_PASSWORD=$(head -c 32 /dev/urandom | od -An -v -tx1 | tr -d ' \n')
POSTGRES_INITDB_ARGS="--auth-local=peer --auth-host=scram-sha-256 --data-checksums"
export POSTGRES_PASSWORD POSTGRES_INITDB_ARGS
exec docker-entrypoint.sh postgres "$@"
