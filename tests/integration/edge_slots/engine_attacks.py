"""What may befall an engine on a robot's disk: each takes its file and leaves another in its place."""

from __future__ import annotations

import os
from pathlib import Path

from edge_bridge.backends.sealed import opened, sealed

MARK = b"stand-in engine\n"
"""What an engine of the stand-in begins with."""


def altered(path: Path) -> None:
    """One bit of the engine itself."""
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def cut_off(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def emptied(path: Path) -> None:
    os.truncate(path, 0)


def resealed(path: Path) -> None:
    """By somebody who knows the format and not the key."""
    key = (path.parent / "key").read_bytes()
    whole = path.read_bytes()
    label = whole[44 : 44 + int.from_bytes(whole[40:44], "big")]
    evil = bytes(opened(key, label, whole)) + b"evil"
    path.write_bytes(sealed(bytes(32), label, evil))


def bare(path: Path) -> None:
    """An engine as a tool of TensorRT writes it."""
    path.write_bytes(MARK + b"evil")


def linked(path: Path) -> None:
    """To a file that is sealed well, and may be written by somebody else."""
    elsewhere = path.parent.parent / "elsewhere"
    path.rename(elsewhere)
    path.symlink_to(elsewhere)


ATTACKS = (altered, cut_off, emptied, resealed, bare, linked)
