"""One coordinator and five robots on a fresh real server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from testkit.servers import NatsSystem
from tests.integration.rollout_coordinator.coordinator_process import (
    CoordinatorProcess,
    signing_key,
)
from tests.integration.rollout_coordinator.fleet import Fleet, running_fleet

NAMES = ("berlin-1", "berlin-2", "berlin-3", "paris-1", "paris-2")


@pytest.fixture
async def coordinator(nats_system: NatsSystem, tmp_path: Path) -> AsyncIterator[CoordinatorProcess]:
    """One running replica."""
    process = CoordinatorProcess(nats_system, tmp_path / "one", signing_key(tmp_path / "keys"))
    await process.start()
    yield process
    if process.child is not None and process.child.running:
        assert await process.stop() == 0


@pytest.fixture
async def fleet(
    coordinator: CoordinatorProcess, nats_system: NatsSystem, tmp_path: Path
) -> AsyncIterator[Fleet]:
    """Five robots that serve version 1."""
    async with running_fleet(nats_system, tmp_path / "keys" / "trust", NAMES) as robots:
        await robots.give_everybody("1")
        yield robots
