"""ROS 2 as a robot has it: outside of Python's environment, and found by what is sourced.

`make setup` unpacks it into .venv/ros2. Nodes meet in shared memory alone: nothing binds a port, and no
other machine hears of them.
"""

from __future__ import annotations

import fcntl
import os
import sys
from pathlib import Path

import pytest

UNPACKED = Path(sys.prefix) / "ros2"
MISSING = "there is no ROS 2 in .venv/ros2: `make setup` puts it there, on Linux for x86_64"
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 (where Fast DDS keeps it)
DOMAINS = 100
"""How many domains ROS 2 has on every system, less one; domain 0 is people's."""
_SHARED_MEMORY_ALONE = """\
<profiles xmlns="http://www.eprosima.com/XMLSchemas/fastRTPS_Profiles">
  <transport_descriptors>
    <transport_descriptor><transport_id>shm</transport_id><type>SHM</type></transport_descriptor>
  </transport_descriptors>
  <participant profile_name="alone" is_default_profile="true">
    <rtps>
      <userTransports><transport_id>shm</transport_id></userTransports>
      <useBuiltinTransports>false</useBuiltinTransports>
    </rtps>
  </participant>
</profiles>
"""


def sourced(directory: Path) -> dict[str, str]:
    """This process's variables and what setup.bash would set; skips the test where there is no ROS 2."""
    packages = sorted(UNPACKED.glob("lib/python3*/site-packages"))
    if not packages:
        pytest.skip(MISSING)
    profile = directory / "shared_memory.xml"
    profile.write_text(_SHARED_MEMORY_ALONE)
    libraries = [UNPACKED / "lib", *sorted(UNPACKED.glob("ros_*.libs"))]
    return os.environ | {
        "PYTHONPATH": os.pathsep.join(map(str, [*packages, UNPACKED])),
        "LD_LIBRARY_PATH": os.pathsep.join(map(str, libraries)),
        "AMENT_PREFIX_PATH": str(UNPACKED),
        "FASTRTPS_DEFAULT_PROFILES_FILE": str(profile),
        "ROS_DOMAIN_ID": str(1 + os.getpid() % DOMAINS),
    }


def remove_what_the_killed_left() -> None:
    """Shared memory of nodes that live no more, as ``fastdds shm clean`` finds it: nobody holds its lock."""
    for lock in SHARED_MEMORY.glob("fastrtps_" + 16 * "[0-9a-f]" + "_el"):
        with lock.open("r+") as held:
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            lock.with_name(lock.name.removesuffix("_el")).unlink(missing_ok=True)
            lock.unlink()
