"""Small files of the kernel: one text or number each, and missing where the machine has no such part.

A robot reads a hundred of them each second, so each costs an open, a read and a close, and no more.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from msgspec import Struct

POWER_SUPPLIES = "sys/class/power_supply"
"""Below the root of the machine's file system."""
LIMIT_BYTES = 64 * 1024
"""Of one file; the kernel's own have a page at most, nvpmodel's configuration has five."""
MAX_REMEMBERED = 1024
"""Of each kind of what is looked up."""


def text(attribute: str | Path) -> str | None:
    """What the file says, without its newline; None where it is missing or cannot be read now.

    An Orin refuses to read the temperature of a part that is switched off.
    """
    try:
        descriptor = os.open(attribute, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return os.read(descriptor, LIMIT_BYTES).decode("ascii", "replace").strip()
    except OSError:
        return None
    finally:
        os.close(descriptor)


def number(attribute: str | Path, scale: float = 1.0) -> float | None:
    """The number in the file, divided by ``scale``; None where there is none."""
    said = text(attribute)
    try:
        value = float(said) / scale if said else math.nan
    except ValueError:
        return None
    return value if math.isfinite(value) else None


class Part(Struct, frozen=True):
    """A directory or file of the kernel."""

    path: str
    name: str


class Layout:
    """Which parts a machine has, and what hardly ever changes about them: looked up once, until ``forget``."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Look all of it up anew: a battery or a radio may have come or gone."""
        remembered = lru_cache(maxsize=MAX_REMEMBERED)
        self.parts = remembered(_parts)
        """What matches in a directory, by name; nothing where the machine has no such directory."""
        self.text = remembered(text)
        """A name, a kind, a label."""
        self.number = remembered(number)
        """A limit."""
        self.has = remembered(os.path.exists)
        """Whether there is such a file."""


def batteries(layout: Layout, power_supplies: str) -> Iterator[Part]:
    """What powers the robot; a mouse's or a gamepad's battery, whose scope is Device, does not."""
    for supply in layout.parts(power_supplies, "*"):
        if layout.text(f"{supply.path}/type") != "Battery":
            continue
        if layout.text(f"{supply.path}/scope") != "Device":
            yield supply


def _parts(directory: str, pattern: str) -> tuple[Part, ...]:
    try:
        return tuple(Part(str(each), each.name) for each in sorted(Path(directory).glob(pattern)))
    except OSError:
        return ()
