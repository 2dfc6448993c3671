#!/bin/sh
# Every check that needs no server. Runs them all, then says which failed.
set -u
cd "$(dirname "$0")/.."
PATH="$PWD/.venv/bin:$PATH"
export PATH

failed=''
check() {
    name=$1
    shift
    printf '%-12s' "$name"
    if output=$("$@" 2>&1); then
        echo ok
    else
        echo FAILED
        printf '%s\n\n' "$output"
        failed="$failed $name"
    fi
}

check style ruff check --quiet .
check format ruff format --check --quiet .
check types mypy
check imports lint-imports --no-logo
check purity python -m tools.pure_rule
check subjects python -m tools.subject_rule
check sizes python -m tools.size_rule
# Robots on JetPack 6 run Python 3.10; ruff sees new syntax, vermin sees new library.
check python3.10 vermin --quiet --no-tips --target=3.10- --violations libs/fleetward services/edge_bridge

[ -z "$failed" ] || { echo "check: failed:$failed" >&2; exit 1; }
