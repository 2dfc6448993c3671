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

WHOLE_SYSTEMS = ("tests/e2e", "tests/faults")
"""Directories whose tests run a whole fleet. Two at once would starve each other on two cores, so
these share one of the workers; every other file may go to either."""


@pytest.hookimpl(tryfirst=True)  # xdist reads the groups in this same hook
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Name the group that ``--dist loadgroup`` keeps on one worker."""
    root = Path(__file__).parent.parent
    for item in items:
        place = item.path.relative_to(root).as_posix()
        fleet = place.startswith(WHOLE_SYSTEMS)
        item.add_marker(pytest.mark.xdist_group("fleet" if fleet else place))
