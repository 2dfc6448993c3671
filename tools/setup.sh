#!/bin/sh
# Makes .venv from requirements.lock, and uv to do so; does again only what changed.
# `setup.sh uv` stops after uv.
set -eu
cd "$(dirname "$0")/.."

fail() {
    printf 'setup: %s\n' "$1" >&2
    exit 1
}

# --- 1. a Python that is new enough -----------------------------------------------------------
python=''
for candidate in "${PYTHON:-python3}" python3.13 python3.12 python3.11; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
        python=$candidate
        break
    fi
done
if [ -z "$python" ]; then
    found=$("${PYTHON:-python3}" --version 2>&1) ||
        fail "needs Python 3.11 or later. Install it with: apt-get install python3 python3-venv"
    fail "needs Python 3.11 or later, found $found. Install one with: apt-get install python3.11 python3.11-venv (then: make setup PYTHON=python3.11)"
fi
version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')

# Debian ships venv without ensurepip until its package is installed.
"$python" -c 'import venv, ensurepip' >/dev/null 2>&1 ||
    fail "$python cannot make virtual environments. Install what it needs with: apt-get install python$version-venv"

# --- 2. uv, in a virtual environment of its own -----------------------------------------------
mkdir -p .uv
if command -v flock >/dev/null 2>&1; then
    exec 9>.uv/setup.lock
    flock 9 # two `make` at once: the second waits
fi

if ! cmp -s tools/uv.lock .uv/installed; then
    echo 'setup: uv'
    "$python" -m venv --clear .uv/venv
    .uv/venv/bin/python -m pip install --quiet --quiet --disable-pip-version-check \
        --require-hashes -r tools/uv.lock
    cp tools/uv.lock .uv/installed
fi
[ "${1:-}" != uv ] || exit 0 # `make lock` needs no more

uv=.uv/venv/bin/uv
export UV_PYTHON_DOWNLOADS=never VIRTUAL_ENV=.venv

# --- 3. the environment, exactly as locked ----------------------------------------------------
if ! .venv/bin/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
    echo "setup: .venv (Python $version)"
    "$uv" venv --quiet --clear --python "$("$python" -c 'import sys; print(sys.executable)')" .venv
fi
if ! cmp -s requirements.lock .venv/installed.lock; then
    echo 'setup: locked dependencies'
    # One package comes as source alone; the lock also says what builds it.
    # Compiled here, or a command whose environment forbids that would do it at every start.
    "$uv" pip sync --quiet --compile-bytecode --require-hashes \
        --build-constraints requirements.lock requirements.lock
    cp requirements.lock .venv/installed.lock
fi

# --- 4. the workspace's own distributions, editable -------------------------------------------
# The lock already holds what they need, and setuptools to build them.
set --
for project in libs/*/pyproject.toml services/*/pyproject.toml; do
    set -- "$@" -e "${project%/pyproject.toml}"
done
echo 'setup: libs/* and services/*'
"$uv" pip install --quiet --no-deps --no-build-isolation "$@"

# --- 5. an SSH server of our own, for the tests of enrolment ----------------------------------
# Unpacked, not installed: no root, no service, nothing outside .venv.
sh tools/setup_sshd.sh ||
    echo 'setup: no SSH server; tests that need one say what to install' >&2

# --- 6. a robot's ROS 2, for the tests that join its graph -------------------------------------
sh tools/setup_ros2.sh ||
    echo 'setup: no ROS 2; tests that need it are skipped and say so' >&2

touch .venv/setup.stamp
