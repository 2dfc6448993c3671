"""Makes an environment of a release, in a process of its own: ``python -m edge_bridge.updating.install``.

Arguments: the archive, and the directory to make, which is emptied first. It takes what the robot's
other work leaves of the processor. Every wheel is hashed before it is unpacked. Nothing is asked of a
network, and no pip is needed on the robot. What is made is complete only for who checks it too.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

from edge_bridge.updating.lesser import settle
from fleetward.contracts.errors import FleetwardError
from fleetward.releases.archive import LOCK, ArchiveError, Release, opened, whole_wheel
from fleetward.releases.unpacking import UNPACK

LOCKED = "installing.lock"
RESERVE_BYTES = 64 * 1024 * 1024
"""Stays free on the disk."""
COMPILED_SHARE = 1.5
"""What is unpacked and then compiled takes so much more than what is unpacked, and the wheels beside it."""


def install(archive: Path, destination: Path) -> None:
    """Raises ArchiveError, OSError, subprocess.CalledProcessError."""
    # What an installation that was cut off had started may still write: it holds this until it ends.
    with destination.parent.with_name(LOCKED).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _install(archive, destination, lock.fileno())


def _install(archive: Path, destination: Path, lock: int) -> None:
    shutil.rmtree(destination, ignore_errors=True)
    with opened(archive) as release:
        _refuse_machine(release)
        _refuse_full_disk(release, archive, destination.parent)
        venv.EnvBuilder(system_site_packages=_uses_system_packages(), symlinks=True).create(
            destination
        )
        wheels = destination / "wheels"
        wheels.mkdir()
        for locked, file in release.wheels():
            with whole_wheel(locked, file):
                pass
            file.seek(0)
            with (wheels / locked.filename).open("wb") as copy:
                shutil.copyfileobj(file, copy)
    paths = [str(path) for path in sorted(wheels.iterdir())]
    python = str(destination / "bin" / "python")
    subprocess.run([python, "-I", "-c", UNPACK, *paths], check=True, pass_fds=(lock,))
    shutil.rmtree(wheels)


def _refuse_machine(release: Release) -> None:
    """Raises ArchiveError for a release of other machines than this one."""
    lock, here = release.lock, sys.version_info
    python, arch = f"{here.major}.{here.minor}", os.uname().machine
    if (lock.python, lock.arch) != (python, arch):
        raise ArchiveError(
            f"the release is for Python {lock.python} on {lock.arch}, this robot has Python {python} on "
            f"{arch}. Publish one for such robots, with --for and their labels."
        )
    glibc = os.confstr("CS_GNU_LIBC_VERSION") or ""
    if _numbers(glibc.partition(" ")[2]) < _numbers(lock.glibc):
        raise ArchiveError(
            f"the release needs glibc {lock.glibc}, this robot has {glibc or 'another'}."
        )


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())


def _refuse_full_disk(release: Release, archive: Path, directory: Path) -> None:
    needed = int(release.lock.unpacked_bytes * COMPILED_SHARE) + archive.stat().st_size
    free = shutil.disk_usage(directory).free
    if free < needed + RESERVE_BYTES:
        raise ArchiveError(
            f"it takes {needed} bytes beside the release that runs, {free} are free and {RESERVE_BYTES} stay "
            f"free. Free space on the robot's disk ({LOCK} names what it holds)."
        )


def _uses_system_packages() -> bool:
    """As the environment that runs: on a Jetson, TensorRT comes with the system."""
    try:
        lines = Path(sys.prefix, "pyvenv.cfg").read_text().splitlines()
    except OSError:
        return False
    return any(line.replace(" ", "") == "include-system-site-packages=true" for line in lines)


def main(archive: str, destination: str) -> int:
    """The exit status; why it did not work is written to standard error."""
    settle()
    try:
        install(Path(archive), Path(destination))
    except (FleetwardError, OSError, subprocess.CalledProcessError) as problem:
        sys.stderr.write(f"{problem}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
