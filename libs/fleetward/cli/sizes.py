"""Sizes as people write and read them: 500kB, 50MB, 1.5GB, or plain bytes; decimal, as links are."""

from __future__ import annotations

import re

import typer

_SIZE = re.compile(r"\A(\d+(?:\.\d+)?) ?(B|kB|KB|MB|GB)?\Z")
_BYTES = {"B": 1, None: 1, "kB": 10**3, "KB": 10**3, "MB": 10**6, "GB": 10**9}


def size_bytes(text: str | int) -> int:
    """The size in bytes; raises typer.BadParameter, which ends with a usage error."""
    match = _SIZE.match(str(text))
    if match is None:
        raise typer.BadParameter(f"{text!r} is not a size; write 500kB, 50MB or 1.5GB.")
    return int(float(match[1]) * _BYTES[match[2]])


def spoken_size(length: int) -> str:
    """A size for people: 812 B, 4.2 kB, 34.0 MB."""
    if length < 1000:
        return f"{length} B"
    return f"{length / 1000:.1f} kB" if length < 10**6 else f"{length / 10**6:.1f} MB"
