"""The rig of the alerting tests, on a fresh real server per test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from testkit.servers import NatsSystem
from tests.integration.alerting.rig import Rig, rig_on


@pytest.fixture
async def rig(nats_system: NatsSystem, tmp_path: Path) -> AsyncIterator[Rig]:
    """Alerting's surroundings; the service is started by the test."""
    async with rig_on(nats_system, tmp_path) as prepared:
        yield prepared
