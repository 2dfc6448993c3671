"""A fetcher's surroundings, on a free port of this machine."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.unit.edge_bridge_bus.fetch_rig import Rig
from tests.unit.edge_bridge_bus.object_server import Objects, serving


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    objects = Objects()
    async with serving(objects) as base_url:
        yield Rig(tmp_path, objects, base_url)
