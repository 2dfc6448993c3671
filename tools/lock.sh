#!/bin/sh
# Writes requirements.lock from every pyproject.toml: versions and hashes, no host names.
# Keeps the versions already locked; `make lock UPGRADE=1` takes the newest.
set -eu
cd "$(dirname "$0")/.."
uv=.uv/venv/bin/uv
export UV_PYTHON_DOWNLOADS=never

new=requirements.lock.new
rm -f "$new"
[ ! -f requirements.lock ] || cp requirements.lock "$new"

set --
for project in libs/*/pyproject.toml services/*/pyproject.toml; do
    name=$(sed -n 's/^name = "\(.*\)"/\1/p' "$project")
    set -- "$@" "$project" --no-emit-package "$name"
done
"$uv" pip compile --quiet --universal --generate-hashes --python-version 3.11 \
    --all-extras --group dev --no-header --no-annotate --no-emit-index-url \
    ${UPGRADE:+--upgrade} --output-file "$new" "$@" >/dev/null

if grep -n '://' "$new"; then
    rm -f "$new"
    echo 'lock: the lines above name a host; requirements.lock is unchanged' >&2
    exit 1
fi
mv "$new" requirements.lock
echo "lock: $(grep -c '==' requirements.lock) packages in requirements.lock"
