"""One version in one file: a tar of exactly two members, read without ever trusting a name or a size.

``fleetward.json`` says what it is, ``model`` is the file itself. Headers are read one by one:
links, directories, other names, a third member, and every extension of the format are refused.
"""

from __future__ import annotations

import hashlib
import tarfile
from pathlib import Path
from typing import BinaryIO

import msgspec
from msgspec import Struct

from fleetward.contracts.ids import Digest, ModelName, Version
from fleetward.delivery.errors import ArchiveError
from fleetward.delivery.manifest import MAX_MODEL_BYTES

ABOUT, MODEL = "fleetward.json", "model"
FORMAT_VERSION = 1
MAX_ABOUT_BYTES = 1024 * 1024
READ_BYTES = 4 * 1024**2

_BLOCK = tarfile.BLOCKSIZE


class ArchivedVersion(Struct, frozen=True, kw_only=True):
    """What another registry said of the version, for people to weigh: only the bytes are checked.

    signed_payload, signed_by, signature: the manifest that the other registry signed.
    """

    format: int
    name: ModelName
    version: Version
    digest: Digest
    size_bytes: int
    release: int
    fits: str = ""
    metadata: dict[str, str] = {}
    lineage: dict[str, str] = {}
    licence: str = ""
    card: str = ""
    signed_payload: bytes = b""
    signed_by: str = ""
    signature: bytes = b""


class ArchiveWriter:
    """Writes one archive from its start to its end; ``close`` says whether it was all there."""

    def __init__(self, file: BinaryIO, about: ArchivedVersion) -> None:
        self._file = file
        self._about = about
        self._hash = hashlib.sha256()
        self._written = 0
        content = msgspec.json.encode(about)
        file.write(_header(ABOUT, len(content)) + content + _padding(len(content)))
        file.write(_header(MODEL, about.size_bytes))

    def write(self, content: bytes) -> None:
        """The next bytes of the model."""
        self._file.write(content)
        self._hash.update(content)
        self._written += len(content)

    def close(self) -> None:
        """End the archive; raises ArchiveError when it does not hold the version's bytes."""
        _check(self._about, self._written, self._hash.hexdigest())
        self._file.write(_padding(self._written) + bytes(2 * _BLOCK))


def unpack(archive: Path, model: Path) -> ArchivedVersion:
    """Write the model in ``archive`` to ``model`` and return what is said of it; raises ArchiveError.

    Memory is bounded, and no name in the archive is ever used as a path.
    """
    with archive.open("rb") as file:
        about = _about(file)
        size_bytes = _member(file, MODEL, MAX_MODEL_BYTES)
        if size_bytes != about.size_bytes:
            raise ArchiveError(
                f"the archive is refused: it holds a model of {size_bytes} bytes and says {about.size_bytes}."
            )
        with model.open("wb") as out:
            digest = _copied(file, out, size_bytes)
        _check(about, size_bytes, digest)
        _skip_padding(file, size_bytes)
        if _read(file, _BLOCK).strip(b"\0"):
            raise ArchiveError("the archive is refused: it holds more than one version has.")
    return about


def _about(file: BinaryIO) -> ArchivedVersion:
    length = _member(file, ABOUT, MAX_ABOUT_BYTES)
    try:
        about = msgspec.json.decode(_read(file, length), type=ArchivedVersion)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ArchiveError(
            f"the archive is refused: its {ABOUT} cannot be read: {error}."
        ) from error
    if about.format != FORMAT_VERSION:
        raise ArchiveError(
            f"the archive is refused: it has format {about.format}, this program reads {FORMAT_VERSION}."
        )
    _skip_padding(file, length)
    return about


def _member(file: BinaryIO, name: str, limit_bytes: int) -> int:
    """The size of the next member, which must be the plain file ``name``."""
    block = _read(file, _BLOCK)
    try:
        found = tarfile.TarInfo.frombuf(block, "utf-8", "strict")
    except (tarfile.HeaderError, UnicodeDecodeError, ValueError) as error:
        raise ArchiveError(
            f"the archive is refused: where {name} should begin there is no header of a tar."
        ) from error
    if found.type != tarfile.REGTYPE or found.name != name:
        raise ArchiveError(
            f"the archive is refused: it holds {found.name[:100]!r} where the plain file {name} belongs."
        )
    if not 0 < found.size <= limit_bytes:
        raise ArchiveError(
            f"the archive is refused: its {name} has {found.size} bytes; 1 to {limit_bytes} may be."
        )
    return found.size


def _copied(file: BinaryIO, out: BinaryIO, size_bytes: int) -> str:
    hashed, left = hashlib.sha256(), size_bytes
    while left:
        content = _read(file, min(left, READ_BYTES))
        hashed.update(content)
        out.write(content)
        left -= len(content)
    return hashed.hexdigest()


def _check(about: ArchivedVersion, size_bytes: int, sha256: str) -> None:
    if size_bytes != about.size_bytes or f"sha256:{sha256}" != about.digest:
        raise ArchiveError(
            f"the archive is refused: the model in it is {size_bytes} bytes, sha256:{sha256}, and not {about.digest}. "
            "Export it again."
        )


def _header(name: str, size_bytes: int) -> bytes:
    member = tarfile.TarInfo(name)
    member.size = size_bytes
    member.mode = 0o644
    return member.tobuf(tarfile.GNU_FORMAT)


def _padding(length: int) -> bytes:
    return bytes(-length % _BLOCK)


def _skip_padding(file: BinaryIO, length: int) -> None:
    _read(file, -length % _BLOCK)


def _read(file: BinaryIO, length: int) -> bytes:
    content = file.read(length)
    if len(content) < length:
        raise ArchiveError("the archive is refused: it is cut off.")
    return content
