#!/bin/sh
# Fills a directory with all that a bridge needs on a robot without internet:
# wheelhouse.sh aarch64 3.10 DIRECTORY. One directory may serve several kinds of robots.
set -eu
cd "$(dirname "$0")/.."
architecture=$1 version=$2 house=$3
mkdir -p "$house"

rm -f "$house"/fleetward-*.whl "$house"/edge_bridge-*.whl
.venv/bin/python -m tools.own_wheels "$house" >/dev/null

# pip, because uv does not download; in an environment of its own, which goes again.
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
.venv/bin/python -m venv "$scratch/venv"

# Published as source alone, and pure Python: its wheel fits everywhere.
"$scratch/venv/bin/python" -m pip wheel --quiet --disable-pip-version-check --no-deps \
    --wheel-dir "$house" "$(sed -n 's/^\(nkeys==[^ ]*\).*/\1/p' requirements.lock)"

# Jetsons have glibc 2.35 (JetPack 6) or later.
platforms=''
for minor in 35 34 31 28 27 26 24 17; do
    platforms="$platforms --platform manylinux_2_${minor}_$architecture"
done
# shellcheck disable=SC2086 # options: split on purpose
"$scratch/venv/bin/python" -m pip download --quiet --disable-pip-version-check \
    --only-binary :all: --python-version "$version" --implementation cp $platforms \
    --platform "manylinux2014_$architecture" --dest "$house" --find-links "$house" edge-bridge
echo "wheelhouse: $(find "$house" -name '*.whl' | wc -l) wheels in $house"
