#!/bin/sh
# Writes deploy/secrets/*.toml, once: what compose.yaml mounts. Each role's password is in the file of those who need it.
set -eu
umask 077
cd "$(dirname "$0")"
if [ -e secrets/tallystick.toml ]; then echo "deploy/secrets/tallystick.toml is there already: nothing done" >&2; exit 1; fi
random() { head -c 24 /dev/urandom | od -An -v -tx1 | tr -d ' \n'; }
mkdir -p secrets
secret="$(random)$(random)"
serving="postgresql://tallystick:$(random)@postgres:5432/tallystick"
# everybody who serves; no role in it may write the log
cat >secrets/tallystick.toml.new <<TOML
tallystick_secret = "$secret"
database_url = "$serving"
s3_access_key_id = "$(random)"
s3_secret_access_key = "$(random)"
TOML
cat >secrets/writer.toml <<TOML
tallystick_secret = "$secret"
database_url = "$serving"
database_writer_url = "postgresql://tallystick_writer:$(random)@postgres:5432/tallystick"
TOML
cat >secrets/migrate.toml <<TOML
tallystick_secret = "$secret"
database_url = "$serving"
database_owner_url = "postgresql://tallystick_owner:$(random)@postgres:5432/tallystick"
TOML
# Read inside containers by users of theirs; on this machine the folder keeps others out.
chmod 0444 secrets/writer.toml secrets/migrate.toml secrets/tallystick.toml.new
mv secrets/tallystick.toml.new secrets/tallystick.toml
echo "wrote deploy/secrets: keep a copy of it, it is the root of every key"
