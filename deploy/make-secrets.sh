#!/bin/sh
# Writes deploy/secrets/tallystick.toml, once: the one secret file that compose.yaml mounts.
set -eu
umask 077
cd "$(dirname "$0")"
file=secrets/tallystick.toml
if [ -e "$file" ]; then echo "deploy/$file is there already: nothing done" >&2; exit 1; fi
random() { head -c 24 /dev/urandom | od -An -v -tx1 | tr -d ' \n'; }
mkdir -p secrets
cat >"$file.new" <<TOML
tallystick_secret = "$(random)$(random)"
database_url = "postgresql://tallystick:$(random)@postgres:5432/tallystick"
database_owner_url = "postgresql://tallystick_owner:$(random)@postgres:5432/tallystick"
s3_access_key_id = "$(random)"
s3_secret_access_key = "$(random)"
TOML
# Read inside containers by users of theirs; on this machine the folder keeps others out.
chmod 0444 "$file.new"
mv "$file.new" "$file"
echo "wrote deploy/$file: keep a copy of it, it is the root of every key"
