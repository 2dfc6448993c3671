"""A local system of real servers and tiny stand-ins for the services."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from fleetward.local.happenings import Happening
from fleetward.local.programs import BRIDGE, SERVICES, Settings, fleet

WAIT_TIMEOUT_S = 60.0
STAND_IN = [sys.executable, str(Path(__file__).parent / "stand_in.py")]


class Heard(list[Happening]):
    """What a supervisor told, in order; give it ``append``."""

    def __init__(self) -> None:
        super().__init__()
        self._more = asyncio.Event()

    def append(self, happening: Happening) -> None:
        """Hear it, and wake who waits for it."""
        super().append(happening)
        self._more.set()

    async def until(self, enough: Callable[[], bool]) -> None:
        """Wait until what was told is ``enough``."""
        async with asyncio.timeout(WAIT_TIMEOUT_S):
            while not enough():
                self._more.clear()
                await self._more.wait()

    def of(self, kind: type[Happening], name: str = "") -> list[Happening]:
        """The happenings of one kind, of one process if ``name`` is given."""
        found = [happening for happening in self if isinstance(happening, kind)]
        return [happening for happening in found if name in ("", getattr(happening, "name", ""))]


@pytest.fixture
def heard() -> Heard:
    return Heard()


def stand_in_settings(
    home: Path, robots: int = 2, environment: Mapping[str, Mapping[str, str]] | None = None
) -> Settings:
    """A system whose services and robots are all stand-ins."""
    return Settings(
        home=home,
        robots=fleet(robots),
        environment=environment or {},
        programs=dict.fromkeys((*SERVICES.values(), BRIDGE), STAND_IN),
    )
