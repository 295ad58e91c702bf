#!/bin/sh
# Writes the locks anew: hashed, for every platform, without a download address.
set -eu
cd "$(dirname "$0")/.."
lock() { # lock file, then what to compile
  file=$1; shift
  .venv/bin/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-header --no-annotate \
    --no-emit-index-url --no-emit-find-links --output-file "requirements/$file.lock" "$@"
}
lock uv requirements/uv.in
lock build requirements/build.in
lock runtime pyproject.toml
lock dev pyproject.toml requirements/dev.in --constraint requirements/runtime.lock
lock books requirements/books.in
lock mutation requirements/mutation.in --constraint requirements/dev.lock
