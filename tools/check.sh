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

[ -z "$failed" ] || { echo "check: failed:$failed" >&2; exit 1; }
