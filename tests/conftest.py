"""What every test gets: patience with a busy machine, real servers, and a place among the workers."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling
from xdist.workermanage import WorkerController

# Two cores may serve a NATS server and a robot beside the test: no deadline for one example.
settings.register_profile(
    "house", deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=100
)
settings.load_profile("house")

# Real servers: nats_system, shared_nats_system, object_store.
pytest_plugins = ["testkit.servers"]

WHOLE_SYSTEMS = ("tests/e2e", "tests/faults")
"""Directories whose tests run a whole fleet. Two at once would starve each other on two cores, so
these share one of the workers and begin first: the other files fill up the rest, and all ends."""

BESIDE_THEM = (
    "tests/faults/test_bad_input.py",
    "tests/faults/test_coordinator_replicas.py",
    "tests/faults/test_ingest_disk_full.py",
)
"""Of those directories, what judges no model by its latency and so does not mind company."""
FLEETS = "fleets"


class OneFleetAtATime(LoadScopeScheduling):  # type: ignore[misc]  # xdist ships no types
    """Keeps the tests of one file together, and those of whole fleets on one worker."""

    def _split_scope(self, nodeid: str) -> str:
        is_fleet = nodeid.startswith(WHOLE_SYSTEMS) and not nodeid.startswith(BESIDE_THEM)
        return FLEETS if is_fleet else nodeid.partition("::")[0]

    def _assign_work_unit(self, node: WorkerController) -> None:
        """Deal the fleets out before anything else."""
        if FLEETS in self.workqueue:
            self.workqueue.move_to_end(FLEETS, last=False)
        super()._assign_work_unit(node)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> OneFleetAtATime:
    """What ``make test`` deals the tests out by."""
    return OneFleetAtATime(config, log)
