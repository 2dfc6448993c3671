"""What a sealed file's bytes are, taken once, in one pass: as a whole, and by the parts it will be sent in."""

from __future__ import annotations

import hashlib
from pathlib import Path

from msgspec import Struct

from fleetward.contracts.ids import Digest
from fleetward.contracts.recordings import PART_BYTES

_BLOCK_BYTES = 1024 * 1024
assert PART_BYTES % _BLOCK_BYTES == 0, "no block belongs to two parts"


class Fingerprint(Struct, frozen=True, kw_only=True):
    """``part_md5s``: of each part in order, in hex; stores name parts so."""

    digest: Digest
    size_bytes: int
    part_md5s: tuple[str, ...]


def fingerprint(file: Path) -> Fingerprint:
    """Read a file to its end; raises OSError."""
    whole, part = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
    size_bytes, md5s = 0, []
    with file.open("rb", buffering=0) as opened:
        while block := opened.read(_BLOCK_BYTES):
            if size_bytes and size_bytes % PART_BYTES == 0:
                md5s.append(part.hexdigest())
                part = hashlib.md5(usedforsecurity=False)
            whole.update(block)
            part.update(block)
            size_bytes += len(block)
    return Fingerprint(
        digest=Digest(f"sha256:{whole.hexdigest()}"),
        size_bytes=size_bytes,
        part_md5s=(*md5s, part.hexdigest()),
    )
