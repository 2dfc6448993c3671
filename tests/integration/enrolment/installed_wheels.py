"""A wheelhouse without internet: wheels made again from what is installed here, and our own built."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable
from importlib.metadata import Distribution, PackagePath, distribution
from itertools import chain
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tools.own_wheels import build

OURS = ("fleetward", "edge-bridge")
BORROWED_FROM_BYTES = 2_000_000
"""Larger packages are not copied (numpy, onnxruntime and a few more, 180 MB): their wheels hold a path."""


def fill(
    directory: Path, extras: Iterable[str] = (), borrowed_from_bytes: int = BORROWED_FROM_BYTES
) -> None:
    """All that the bridge with these extras needs on a machine like this one, and two things it does not."""
    build(directory)
    for name in (*sorted(_needed(extras)), "faststream", "rich"):
        _pack(distribution(name), directory, borrowed_from_bytes)


def _needed(extras: Iterable[str]) -> set[str]:
    """What is installed here of all that is required, without ours."""
    found: set[str] = set()
    waiting = [Requirement("fleetward"), Requirement(f"edge-bridge[{','.join(extras)}]")]
    while waiting:
        wanted = waiting.pop()
        name = canonicalize_name(wanted.name)
        held = {(name, extra) for extra in ("", *wanted.extras)}
        if name in found and not wanted.extras:
            continue
        found.add(name)
        for line in distribution(name).requires or ():
            requirement = Requirement(line)
            if requirement.marker is None or any(
                requirement.marker.evaluate({"extra": extra}) for _, extra in held
            ):
                waiting.append(requirement)
    return found - set(OURS)


def _pack(held: Distribution, directory: Path, borrowed_from_bytes: int) -> None:
    files = [
        file
        for file in held.files or ()
        if ".." not in file.parts and file.suffix != ".pyc" and _place(file).is_file()
    ]
    borrows = sum(_place(file).stat().st_size for file in files) > borrowed_from_bytes
    with zipfile.ZipFile(directory / _filename(held), "w", zipfile.ZIP_STORED) as archive:
        for file in files:
            if not borrows or file.parts[0].endswith(".dist-info"):
                archive.write(_place(file), file.as_posix())
        if borrows:
            _borrow(held, {file.parts[0] for file in files}, directory, archive)


def _borrow(held: Distribution, parts: set[str], directory: Path, archive: zipfile.ZipFile) -> None:
    """A wheel that only says where its packages lie: those, and no others of this environment."""
    name = held.metadata["Name"]
    borrowed = directory / "borrowed" / name
    borrowed.mkdir(parents=True)
    for part in parts:
        (borrowed / part).symlink_to(Path(str(held.locate_file(part))))
    archive.writestr(f"{name}.pth", f"{borrowed}\n")


def _place(file: PackagePath) -> Path:
    return Path(str(file.locate()))


def _filename(held: Distribution) -> str:
    lines = (held.read_text("WHEEL") or "").splitlines()
    tags = [line.removeprefix("Tag: ").split("-") for line in lines if line.startswith("Tag: ")]
    parts = (_joined(part) for part in zip(*tags, strict=True))
    name = canonicalize_name(held.metadata["Name"]).replace("-", "_")
    return "-".join(chain([name, held.version], parts)) + ".whl"


def _joined(part: Iterable[str]) -> str:
    return ".".join(sorted(set(part)))
