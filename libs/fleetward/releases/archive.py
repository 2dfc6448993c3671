"""A release in one file: a tar of wheels that are compressed already, after a lock that names each.

Uncompressed and in a fixed order, so that a wheel which did not change is the same bytes at a robot that
holds the release before: it need not move.
"""

from __future__ import annotations

import hashlib
import io
import re
import tarfile
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import msgspec
from msgspec import Struct

from fleetward.contracts.errors import FleetwardError

FORMAT = 1
LOCK = "release.json"
MAX_LOCK_BYTES = 256 * 1024
MAX_WHEELS = 200
MAX_UNPACKED_BYTES = 2 * 1024**3
"""All wheels together; a bridge with its runtime has about 200 MiB."""
MAX_FILES_PER_WHEEL = 50_000
_BLOCK_BYTES = 1024 * 1024
_WHEEL = re.compile(r"\A[A-Za-z0-9][A-Za-z0-9._+!-]{0,200}\.whl\Z")


class ArchiveError(FleetwardError):
    """A file is no release of the bridge, or not a sound one."""


class LockedWheel(Struct, frozen=True, kw_only=True):
    """One wheel of a release: its file, the hash of its bytes, and how large it is when unpacked."""

    filename: str
    sha256: str
    unpacked_bytes: int


class ReleaseLock(Struct, frozen=True, kw_only=True):
    """What a release is and for which machines: python "3.10", arch "aarch64", glibc "2.35" or newer.

    extras: of the bridge, that its wheels were chosen for. Fields may be added, with a default.
    """

    format: int = FORMAT
    version: str
    python: str
    arch: str
    glibc: str
    wheels: tuple[LockedWheel, ...]
    extras: tuple[str, ...] = ()

    @property
    def unpacked_bytes(self) -> int:
        """How much room it takes on a robot, before Python compiles it."""
        return sum(wheel.unpacked_bytes for wheel in self.wheels)


class Platform(Struct, frozen=True, kw_only=True):
    """A machine, as locks name them."""

    python: str
    arch: str
    glibc: str


def write_archive(
    path: Path,
    platform: Platform,
    version: str,
    wheels: Sequence[Path],
    extras: Sequence[str] = (),
) -> ReleaseLock:
    """Write a release; the same wheels and extras give the same bytes. Raises ArchiveError, OSError."""
    wheels = sorted(wheels, key=lambda wheel: wheel.name)
    lock = ReleaseLock(
        version=version,
        python=platform.python,
        arch=platform.arch,
        glibc=platform.glibc,
        wheels=tuple(_locked(wheel) for wheel in wheels),
        extras=tuple(extras),
    )
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as archive:
        _add(archive, LOCK, io.BytesIO(msgspec.json.encode(lock)))
        for wheel in wheels:
            with wheel.open("rb") as file:
                _add(archive, wheel.name, file)
    return lock


class Release:
    """An open archive whose lock was read; each wheel is believed only once it was hashed."""

    def __init__(self, archive: tarfile.TarFile) -> None:
        """Raises ArchiveError."""
        self._archive = archive
        self._members = _members(archive)
        self.lock = _lock_of(archive, self._members)

    def wheels(self) -> Iterator[tuple[LockedWheel, IO[bytes]]]:
        """Every wheel, hashed and at its beginning; raises ArchiveError at the first that is wrong."""
        for wheel in self.lock.wheels:
            file = self._archive.extractfile(self._members[wheel.filename])
            assert file is not None, "only members that are files were taken"
            if _hash(file) != wheel.sha256:
                raise ArchiveError(
                    f"{wheel.filename} is not the wheel that its lock names. Pack the release again."
                )
            file.seek(0)
            yield wheel, file


@contextmanager
def opened(path: Path) -> Iterator[Release]:
    """The release at ``path``; raises ArchiveError, OSError."""
    try:
        with tarfile.open(path, "r:") as archive:
            yield Release(archive)
    except (tarfile.TarError, EOFError) as problem:
        raise ArchiveError(f"the file cannot be read as a release: {problem}.") from problem


def is_archive(path: Path) -> bool:
    """Whether the file says that it is a tar; raises OSError."""
    with path.open("rb") as file:
        file.seek(257)
        return file.read(5) == b"ustar"


def check(path: Path) -> ReleaseLock:
    """Read all of a release, down to the names inside of each wheel. Raises ArchiveError, OSError."""
    with opened(path) as release:
        for locked, file in release.wheels():
            with whole_wheel(locked, file):
                pass
        return release.lock


@contextmanager
def whole_wheel(locked: LockedWheel, file: IO[bytes]) -> Iterator[zipfile.ZipFile]:
    """A wheel that unpacks to what was announced, below one directory. Raises ArchiveError."""
    try:
        with zipfile.ZipFile(file) as wheel:
            entries = wheel.infolist()
            size_bytes = sum(entry.file_size for entry in entries)
            if size_bytes != locked.unpacked_bytes or len(entries) > MAX_FILES_PER_WHEEL:
                raise ArchiveError(f"{locked.filename} unpacks to other than its lock says.")
            for entry in entries:
                _refuse_outside(locked.filename, entry.filename)
            yield wheel
    except (zipfile.BadZipFile, EOFError, NotImplementedError) as problem:
        raise ArchiveError(f"{locked.filename} is no sound wheel: {problem}.") from problem


def _refuse_outside(wheel: str, name: str) -> None:
    if name.startswith(("/", "\\")) or ".." in re.split(r"[/\\]", name) or "\0" in name:
        raise ArchiveError(f"{wheel} holds {name!r}, which is outside of where it is unpacked.")


def _members(archive: tarfile.TarFile) -> dict[str, tarfile.TarInfo]:
    members: dict[str, tarfile.TarInfo] = {}
    for member in archive:
        if len(members) > MAX_WHEELS or not member.isreg() or member.name in members:
            raise ArchiveError(f"the file holds {member.name!r}, which no release has.")
        members[member.name] = member
    return members


def _lock_of(archive: tarfile.TarFile, members: dict[str, tarfile.TarInfo]) -> ReleaseLock:
    member = members.get(LOCK)
    if member is None or member.size > MAX_LOCK_BYTES:
        raise ArchiveError(
            f"the file has no {LOCK}, or one that is too large. Pack it with fleetward."
        )
    file = archive.extractfile(member)
    assert file is not None, "only members that are files were taken"
    try:
        lock = msgspec.json.decode(file.read(), type=ReleaseLock)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as problem:
        raise ArchiveError(f"{LOCK} cannot be read: {problem}.") from problem
    _refuse_lock(lock, {name for name in members if name != LOCK})
    return lock


def _refuse_lock(lock: ReleaseLock, held: set[str]) -> None:
    named = [wheel.filename for wheel in lock.wheels]
    if lock.format != FORMAT:
        raise ArchiveError(f"the release has format {lock.format}, this program reads {FORMAT}.")
    if len(named) != len(set(named)) or set(named) != held:
        raise ArchiveError(
            f"{LOCK} names other wheels than the file holds. Pack the release again."
        )
    if not all(_WHEEL.match(name) for name in named):
        raise ArchiveError(f"{LOCK} names what is no wheel. Pack the release again.")
    if not any(name.startswith("edge_bridge-") for name in named):
        raise ArchiveError("the release holds no wheel of edge-bridge.")
    if not 0 < lock.unpacked_bytes <= MAX_UNPACKED_BYTES or any(
        w.unpacked_bytes < 0 for w in lock.wheels
    ):
        raise ArchiveError(
            f"the release unpacks to {lock.unpacked_bytes} bytes, {MAX_UNPACKED_BYTES} are the most."
        )


def _locked(wheel: Path) -> LockedWheel:
    try:
        with wheel.open("rb") as file, zipfile.ZipFile(wheel) as archive:
            unpacked_bytes = sum(entry.file_size for entry in archive.infolist())
            return LockedWheel(
                filename=wheel.name, sha256=_hash(file), unpacked_bytes=unpacked_bytes
            )
    except zipfile.BadZipFile as problem:
        raise ArchiveError(f"{wheel} is no readable wheel: {problem}. Remove it.") from problem


def _hash(file: IO[bytes]) -> str:
    hasher = hashlib.sha256()
    while block := file.read(_BLOCK_BYTES):
        hasher.update(block)
    return hasher.hexdigest()


def _add(archive: tarfile.TarFile, name: str, file: IO[bytes]) -> None:
    member = tarfile.TarInfo(name)
    member.size = file.seek(0, io.SEEK_END)
    file.seek(0)
    archive.addfile(member, file)
