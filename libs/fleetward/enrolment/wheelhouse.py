"""A directory of wheels, read: names, sizes, contents and what each requires."""

from __future__ import annotations

import hashlib
import zipfile
from email.parser import HeaderParser
from pathlib import Path

from fleetward.enrolment.errors import WheelMissingError
from fleetward.enrolment.wheels import Wheel

PART_LIMIT_BYTES = 16 * 1024 * 1024


class Wheelhouse:
    """The wheels of ``directory``; none where there is no such directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        paths = sorted(directory.glob("*.whl")) if directory.is_dir() else []
        self._paths = {path.name: path for path in paths}
        self.wheels = tuple(_read(path) for path in self._paths.values())

    def path(self, wheel: Wheel) -> Path:
        """Where a wheel lies here."""
        return self._paths[wheel.filename]


def _read(path: Path) -> Wheel:
    """Raises WheelMissingError for what is no wheel."""
    try:
        with zipfile.ZipFile(path) as archive:
            sizes = sum(entry.file_size for entry in archive.infolist())
            metadata = _part(archive, "METADATA").decode("utf-8", "replace")
            content = hashlib.sha256(_part(archive, "RECORD")).hexdigest()
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise WheelMissingError(f"{path} is no readable wheel: {error}. Remove it.") from error
    headers = HeaderParser().parsestr(metadata)
    return Wheel(
        filename=path.name,
        content=content,
        size_bytes=path.stat().st_size,
        unpacked_bytes=sizes,
        requires=tuple(headers.get_all("Requires-Dist") or ()),
        extras=tuple(headers.get_all("Provides-Extra") or ()),
    )


def _part(archive: zipfile.ZipFile, name: str) -> bytes:
    (found,) = (
        each
        for each in archive.namelist()
        if each.endswith(f".dist-info/{name}") and each.count("/") == 1
    )
    return archive.open(found).read(PART_LIMIT_BYTES)
