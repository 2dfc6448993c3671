#!/bin/sh
# Fills a directory with all that a bridge needs on a robot without internet:
# wheelhouse.sh aarch64 3.10 DIRECTORY [EXTRA...]. One directory may serve several kinds of robots.
set -eu
cd "$(dirname "$0")/.."
architecture=$1 version=$2 house=$3
shift 3
mkdir -p "$house"

rm -f "$house"/fleetward-*.whl "$house"/edge_bridge-*.whl
.venv/bin/python -m tools.own_wheels "$house" >/dev/null

# Which versions: uv asks markers of the robot's Python, where pip would ask them of this one.
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
extras=""
for extra in "$@"; do extras="$extras --extra $extra"; done
# shellcheck disable=SC2086 # options: split on purpose
.uv/venv/bin/uv pip compile --quiet --no-header --no-annotate --no-emit-index-url \
    --python-version "$version" --python-platform "$architecture-manylinux_2_35" \
    --no-emit-package fleetward --no-emit-package edge-bridge $extras \
    --output-file "$scratch/all" libs/fleetward/pyproject.toml services/edge_bridge/pyproject.toml >/dev/null
grep -v '^nkeys==' "$scratch/all" >"$scratch/binary"

# Their wheels: pip, because uv does not download; in an environment of its own, which goes again.
.venv/bin/python -m venv "$scratch/venv"
pip="$scratch/venv/bin/python -m pip --quiet --disable-pip-version-check"
# Jetsons have glibc 2.35 (JetPack 6) or later.
platforms="--platform manylinux2014_$architecture"
for minor in 35 34 31 28 27 26 24 17; do
    platforms="$platforms --platform manylinux_2_${minor}_$architecture"
done
# shellcheck disable=SC2086 # options: split on purpose
$pip download --no-deps --only-binary :all: --python-version "$version" --implementation cp \
    $platforms --dest "$house" --requirement "$scratch/binary"
# Published as source alone, and pure Python: its wheel fits everywhere.
$pip wheel --no-deps --wheel-dir "$house" "$(grep '^nkeys==' "$scratch/all")"
echo "wheelhouse: $(find "$house" -name '*.whl' | wc -l) wheels in $house"
