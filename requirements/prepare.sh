#!/bin/sh
# Makes .venv from a lock: prepare.sh runtime|dev|books|mutation. Says in one line what the machine lacks and what installs it.
# The second call only compares the lock with the copy that was installed. Index addresses come from PIP_* or UV_*.
set -eu
cd "$(dirname "$0")/.."
what=$1
venv=.venv
apart=
case $what in books | mutation) venv=.venv-$what apart=yes ;; esac
stamp=$venv/.installed-$what.lock

lacks() { # what it lacks, the command that installs it
  echo "missing: $1 (install: $2)" >&2
  exit 1
}

if cmp -s "requirements/$what.lock" "$stamp" && "$venv/bin/python" -c ''; then exit 0; fi

if command -v apt-get >/dev/null; then get="apt-get install -y"; elif command -v dnf >/dev/null; then get="dnf install -y"; else get="brew install"; fi
command -v git >/dev/null || lacks git "$get git"

usable() { "$1" -c 'import sys, venv, ensurepip; raise SystemExit(sys.version_info < (3, 11))' 2>/dev/null; }
has_redis() { [ -n "${REDIS_URL:-}" ] || command -v redis-server >/dev/null || command -v valkey-server >/dev/null; }
# The wheel that brings a Redis server exists for Linux x86-64 and Python up to 3.12.
brings_redis() { "$1" -c 'import sys, platform as p; raise SystemExit(not (sys.version_info < (3, 13) and sys.platform == "linux" and p.machine() == "x86_64"))'; }

python=
for candidate in ${PYTHON:-python3} python3.12 python3.11 python3.13 python3.14; do
  usable "$candidate" || continue
  [ -n "$python" ] || python=$candidate
  if has_redis || brings_redis "$candidate"; then python=$candidate; break; fi
done
[ -n "$python" ] || lacks "python3 >= 3.11 with venv" "$get python3 python3-venv"

interpreter=
if ! has_redis && ! brings_redis "$python"; then
  [ "$(uname -sm)" = "Linux x86_64" ] || lacks redis-server "$get redis"
  interpreter=3.12
fi

# uv does not read pip's variables.
export UV_DEFAULT_INDEX="${UV_DEFAULT_INDEX:-${PIP_INDEX_URL:-}}" UV_INDEX="${UV_INDEX:-${PIP_EXTRA_INDEX_URL:-}}"
export UV_FIND_LINKS="${UV_FIND_LINKS:-${PIP_FIND_LINKS:-}}" UV_HTTP_TIMEOUT="${UV_HTTP_TIMEOUT:-180}"
[ -n "$UV_DEFAULT_INDEX" ] || unset UV_DEFAULT_INDEX
[ -n "$UV_INDEX" ] || unset UV_INDEX
[ -n "$UV_FIND_LINKS" ] || unset UV_FIND_LINKS

[ -x "$venv/bin/python" ] && "$venv/bin/python" -c '' 2>/dev/null || "$python" -m venv --clear "$venv"
pip() { "$venv/bin/python" -m pip --disable-pip-version-check --quiet "$@"; }
[ -x "$venv/bin/uv" ] || pip install --require-hashes --requirement requirements/uv.lock
if [ -n "$interpreter" ] && ! "$venv/bin/python" -c 'import sys; raise SystemExit(sys.version_info >= (3, 13))'; then
  mkdir -p .venv-uv && cp "$venv/bin/uv" .venv-uv/uv
  .venv-uv/uv venv --quiet --clear --seed --python "$interpreter" "$venv" || lacks "redis-server (or Python 3.12, which can bring one)" "$get redis-server"
  cp .venv-uv/uv "$venv/bin/uv" && rm -r .venv-uv
fi
install() {
  "$venv/bin/uv" pip install --quiet --python "$venv/bin/python" --require-hashes --requirement "requirements/$1.lock" ||
    pip install --require-hashes --requirement "requirements/$1.lock"
}
echo "installing requirements/$what.lock into $venv" >&2
install "$what"
if [ -z "$apart" ]; then
  install build
  "$venv/bin/uv" pip install --quiet --python "$venv/bin/python" --no-deps --no-build-isolation --editable .
fi
cp "requirements/$what.lock" "$stamp"
