"""What every test gets: patience with a busy machine, real servers, and a place among two workers."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# Two cores may serve a NATS server and a robot beside the test: no deadline for one example.
settings.register_profile(
    "house", deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=100
)
settings.load_profile("house")

# Real servers: nats_system, shared_nats_system, object_store.
pytest_plugins = ["testkit.servers"]

WHOLE_SYSTEMS = (
    "tests/e2e",
    "tests/faults",
    "tests/integration/client",
    "tests/integration/edge_bridge",
    "tests/integration/edge_slots",
    "tests/integration/examples",
    "tests/integration/local",
)
"""Directories whose tests run robots. Two fleets at once would starve each other on two cores, so
these tests share one of the workers; all other files may go to either."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Name the group that ``--dist loadgroup`` keeps on one worker."""
    root = Path(__file__).parent.parent
    for item in items:
        place = item.path.relative_to(root).as_posix()
        robots = place.startswith(WHOLE_SYSTEMS)
        item.add_marker(pytest.mark.xdist_group("robots" if robots else place))
