#!/bin/sh
# fuzz.sh SECONDS [PARSER]: fuzzes every parser of foreign bytes, or one, for so long each.
# atheris is not part of the environment: it is installed beside it, and only for this.
set -eu
cd "$(dirname "$0")/.."
seconds=$1
only=${2:-}

if ! cmp -s tools/fuzz.lock .uv/fuzz/installed; then
    echo 'fuzz: atheris'
    rm -rf .uv/fuzz
    .uv/venv/bin/uv pip install --quiet --python .venv/bin/python --target .uv/fuzz \
        --only-binary :all: --require-hashes -r tools/fuzz.lock
    cp tools/fuzz.lock .uv/fuzz/installed
fi

mkdir -p .fleetward/fuzz
failed=''
for folder in tests/fuzz/corpus/*/; do
    parser=$(basename "$folder")
    [ -z "$only" ] || [ "$only" = "$parser" ] || continue
    log=.fleetward/fuzz/$parser.log
    printf 'fuzz: %-12s' "$parser"
    if PYTHONPATH=.uv/fuzz .venv/bin/python -m tests.fuzz \
        "$parser" ".fleetward/fuzz/$parser" "$folder" "$seconds" >"$log" 2>&1; then
        sed -n 's/^Done //p' "$log"
    else
        echo "BROKEN, see $log"
        failed="$failed $parser"
    fi
done
[ -z "$failed" ] || { echo "fuzz: broken:$failed" >&2; exit 1; }
