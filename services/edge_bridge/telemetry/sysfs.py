"""Small files of the kernel: one text or number each, and missing where the machine has no such part."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

POWER_SUPPLIES = "sys/class/power_supply"
"""Below the root of the machine's file system."""


def text(attribute: Path) -> str | None:
    """What the file says, without its newline; None where it is missing or cannot be read now.

    An Orin refuses to read the temperature of a part that is switched off.
    """
    try:
        return attribute.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return None


def number(attribute: Path, scale: float = 1.0) -> float | None:
    """The number in the file, divided by ``scale``; None where there is none."""
    said = text(attribute)
    try:
        value = float(said) / scale if said else math.nan
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def batteries(power_supplies: Path) -> Iterator[Path]:
    """What powers the robot; a mouse's or a gamepad's battery, whose scope is Device, does not."""
    for supply in children(power_supplies, "*"):
        if text(supply / "type") == "Battery" and text(supply / "scope") != "Device":
            yield supply


def children(directory: Path, pattern: str) -> Iterator[Path]:
    """What matches in the directory, by name; nothing where the machine has no such directory."""
    try:
        yield from sorted(directory.glob(pattern))
    except OSError:
        return
