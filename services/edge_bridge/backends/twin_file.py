"""A file in which a robot of the same hardware is said to offer an engine, and who looks for one."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from msgspec import Struct

from fleetward.contracts.ids import RobotId


class TwinFile(Struct, frozen=True, kw_only=True):
    """Nothing of it is proved yet. It is read once and removed."""

    path: str
    builder: RobotId


Ask: TypeAlias = Callable[[str], "TwinFile | None"]
"""Looks for the engine of this name (``EngineKey.name``), and waits until it is here; None: there is none."""


def ask_nobody(engine: str) -> TwinFile | None:
    """Where there is no bridge to ask."""
    return None
