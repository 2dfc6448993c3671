"""A release of the registry to enrol robots with: fetched and verified here, its wheels laid out for them."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from msgspec import Struct

from fleetward.client.archives import export_version
from fleetward.client.fleet import Fleet
from fleetward.contracts.bridge_release import BRIDGE_MODEL
from fleetward.contracts.ids import ModelRef
from fleetward.delivery.archive import unpack
from fleetward.enrolment.errors import WheelMissingError
from fleetward.enrolment.found import Found
from fleetward.enrolment.wheelhouse import Wheelhouse
from fleetward.releases.archive import ReleaseLock, opened
from fleetward.releases.extras import lacked_without
from fleetward.releases.identity import Identity


class Published(Struct, frozen=True, kw_only=True):
    """What the registry says of a release, and what is in it."""

    identity: Identity
    lock: ReleaseLock


@asynccontextmanager
async def fetched(fleet: Fleet, release: str) -> AsyncIterator[tuple[Published, Wheelhouse]]:
    """The release ``edge-bridge:VERSION``, for the length of a block.

    Raises WheelMissingError for what is no release of the bridge, and what fetching it raises.
    """
    wanted = (await fleet.model(release)).manifest.model
    if wanted.name != BRIDGE_MODEL:
        raise WheelMissingError(
            f"{wanted} is no release of the bridge. Name one as {BRIDGE_MODEL}:VERSION."
        )
    with TemporaryDirectory(prefix="fleetward-release-") as directory:
        archive = Path(directory) / "release.export"
        about = await export_version(fleet.connection, wanted, archive)
        house = Path(directory) / "wheels"
        lock = await asyncio.to_thread(_laid_out, archive, house)
        identity = Identity(model=ModelRef(about.name, about.version), digest=about.digest)
        yield Published(identity=identity, lock=lock), Wheelhouse(house)


def _laid_out(archive: Path, house: Path) -> ReleaseLock:
    """Its wheels, each as its lock says, in ``house``."""
    path = archive.with_name("release.tar")
    unpack(archive, path)
    house.mkdir()
    with opened(path) as release:
        for locked, file in release.wheels():
            with (house / locked.filename).open("wb") as wheel:
                shutil.copyfileobj(file, wheel)
        return release.lock


def refuse_other_machine(published: Published, found: Found, settings: Mapping[str, str]) -> None:
    """Raise WheelMissingError where a release is for other robots, or for other settings."""
    lock, name = published.lock, published.identity.model
    python = ".".join(map(str, found.python or ()))
    if (lock.arch, lock.python) != (found.arch, python) or found.glibc < _numbers(lock.glibc):
        raise WheelMissingError(
            f"{name} is for Python {lock.python}, {lock.arch} and glibc {lock.glibc}; this robot has Python "
            f"{python}, {found.arch} and glibc {'.'.join(map(str, found.glibc))}. Name a release for such robots."
        )
    if lacking := lacked_without(settings, found.arch) - {*lock.extras}:
        extras = " ".join(f"--extra {extra}" for extra in sorted(lacking))
        raise WheelMissingError(
            f"{name} lacks what the settings need. Publish a release with: fleetward bridge push {extras}"
        )


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())
