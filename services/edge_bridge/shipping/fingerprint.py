"""What a sealed file's bytes are, taken once, in one pass: as a whole, and by the parts it will be sent in."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import IO

from msgspec import Struct

from fleetward.contracts.ids import Digest
from fleetward.contracts.recordings import PART_BYTES


class Fingerprint(Struct, frozen=True, kw_only=True):
    """``part_md5s``: of each part in order, in hex; stores name parts so."""

    digest: Digest
    size_bytes: int
    part_md5s: tuple[str, ...]


def fingerprint(file: Path) -> Fingerprint:
    """Read a file to its end, a part at a time, which other threads do not notice; raises OSError."""
    whole, part = hashlib.sha256(), memoryview(bytearray(PART_BYTES))
    size_bytes, md5s = 0, list[str]()
    with file.open("rb", buffering=0) as opened:
        while True:
            filled = _fill(opened, part)
            whole.update(part[:filled])
            size_bytes += filled
            if filled or not md5s:
                md5s.append(hashlib.md5(part[:filled], usedforsecurity=False).hexdigest())
            if filled < PART_BYTES:
                break
    return Fingerprint(
        digest=Digest(f"sha256:{whole.hexdigest()}"),
        size_bytes=size_bytes,
        part_md5s=tuple(md5s),
    )


def _fill(file: IO[bytes], part: memoryview) -> int:
    """Read as much as there is room for; fewer bytes only at the file's end."""
    filled = 0
    while filled < len(part) and (read := file.readinto(part[filled:])):  # type: ignore[attr-defined]  # raw files have it
        filled += read
    return filled
