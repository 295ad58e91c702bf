#!/bin/sh
# Starts the object store with the keys in the secret file and one private bucket, which is a folder.
set -eu
value() { sed -n "s|^$1 *= *\"\(.*\)\"|\1|p" /run/secrets/tallystick.toml; }
ROOT_ACCESS_KEY_ID=$(value s3_access_key_id)
ROOT_SECRET_ACCESS_KEY=$(value s3_secret_access_key)
export ROOT_ACCESS_KEY_ID ROOT_SECRET_ACCESS_KEY
mkdir -p /data/tallystick
exec versitygw --port :7070 --health /health posix /data
