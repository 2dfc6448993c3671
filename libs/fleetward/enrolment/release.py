"""Packs wheels of a wheelhouse into a release of the bridge, for one kind of machine."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from packaging.utils import parse_wheel_filename

from fleetward.enrolment.errors import WheelMissingError
from fleetward.enrolment.found import Found
from fleetward.enrolment.gates import ARCHITECTURES, OLDEST_PYTHON
from fleetward.enrolment.wheelhouse import Wheelhouse
from fleetward.enrolment.wheels import BRIDGE, wheels_for
from fleetward.releases.archive import Platform, ReleaseLock, write_archive

_VERSION = re.compile(r"\A[0-9]{1,3}\.[0-9]{1,3}\Z")


def pack(
    house: Wheelhouse, platform: Platform, path: Path, extras: Sequence[str] = ()
) -> ReleaseLock:
    """Write the bridge with these extras and all that it needs there to ``path``.

    The release has the bridge's own version.

    Raises WheelMissingError, which names what lacks or what is no such machine.
    """
    extras = sorted(set(extras))
    wheels = wheels_for(house.wheels, _machine(platform), str(house.directory), extras)
    version = next(
        str(parse_wheel_filename(wheel.filename)[1]) for wheel in wheels if wheel.name == BRIDGE
    )
    paths = [house.path(wheel) for wheel in wheels]
    return write_archive(path, platform, version, paths, extras)


def _machine(platform: Platform) -> Found:
    if platform.arch not in ARCHITECTURES:
        raise WheelMissingError(
            f"{platform.arch!r} is no processor of robots: {' or '.join(ARCHITECTURES)}."
        )
    for version in (platform.python, platform.glibc):
        if not _VERSION.match(version):
            raise WheelMissingError(f"{version!r} is no version; write two numbers, as 3.10.")
    python, glibc = _numbers(platform.python), _numbers(platform.glibc)
    if python < OLDEST_PYTHON:
        raise WheelMissingError(
            f"Python {platform.python} is too old: the bridge needs 3.10 or later."
        )
    return Found(arch=platform.arch, python=python, python_full=f"{platform.python}.0", glibc=glibc)


def _numbers(version: str) -> tuple[int, int]:
    major, minor = version.split(".")
    return int(major), int(minor)
