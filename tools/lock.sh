#!/bin/sh
# Writes the locks from every pyproject.toml: versions and hashes, no host names.
# Keeps the versions already locked; `make lock UPGRADE=1` takes the newest.
set -eu
cd "$(dirname "$0")/.."
uv=.uv/venv/bin/uv
export UV_PYTHON_DOWNLOADS=never

# Every extra but model-registry's "tensorrt": 230 MB for one CPU and one system, wanted by few.
extras='--extra service --extra client --extra local'

compile() { # LOCK ARGUMENTS...: resolve, refuse host names, then replace the lock at once
    lock=$1
    shift
    [ ! -f "$lock" ] || cp "$lock" "$lock.new"
    # shellcheck disable=SC2086 # the names of extras: split on purpose
    "$uv" pip compile --quiet --universal --generate-hashes --python-version 3.11 \
        $extras --no-header --no-annotate --no-emit-index-url --output-file "$lock.new" \
        "$@" >/dev/null
    if grep -n '://' "$lock.new"; then
        rm -f "$lock.new"
        echo "lock: the lines above name a host; $lock is unchanged" >&2
        exit 1
    fi
    mv "$lock.new" "$lock"
    echo "lock: $(grep -c '==' "$lock") packages in $lock"
}

ours=''
for project in libs/*/pyproject.toml services/*/pyproject.toml; do
    ours="$ours $project --no-emit-package $(sed -n 's/^name = "\(.*\)"/\1/p' "$project")"
done

# shellcheck disable=SC2086 # names of folders in this repository: split on purpose
compile requirements.lock ${UPGRADE:+--upgrade} --group dev --group build $ours

# The image holds the same versions without the tools of development.
rm -f deploy/requirements.lock
# shellcheck disable=SC2086
compile deploy/requirements.lock --constraint requirements.lock --group build \
    $(printf '%s' "$ours" | sed 's# libs/testkit/pyproject.toml##')

# ROS 2 for the tests, beside what .venv holds already.
extras=''
compile tools/ros2.lock --constraint requirements.lock --group ros2 \
    --no-emit-package numpy --no-emit-package pyyaml --no-emit-package setuptools
