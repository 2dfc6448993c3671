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

ONE_BY_ONE = (
    "tests/e2e",
    "tests/faults/test_kill_again_and_again.py",
    "tests/faults/test_switch_and_shadow.py",
    "tests/faults/test_workers_and_silence.py",
    "tests/faults/test_wrong_clocks.py",
)
"""Whole fleets that are judged by latency, by frames or by silence: two of them at once could starve
each other on two cores, so they share one of the workers."""
FLEETS = "fleets"
FIRST = (FLEETS, "tests/faults", "tests/integration")
"""What is begun before the rest, in this order: a test that waits for long and begins last would
be waited for by every other worker, and the short ones fill up what is left."""


class LongestFirst(LoadScopeScheduling):  # type: ignore[misc]  # xdist ships no types
    """Keeps the tests of one file together, and those of sensitive fleets on one worker."""

    def _split_scope(self, nodeid: str) -> str:
        return FLEETS if nodeid.startswith(ONE_BY_ONE) else nodeid.partition("::")[0]

    def _assign_work_unit(self, node: WorkerController) -> None:
        """Deal out next what FIRST names first."""
        self.workqueue.move_to_end(min(self.workqueue, key=_turn), last=False)
        super()._assign_work_unit(node)


def _turn(scope: str) -> int:
    """When a scope's turn is, counted in places of FIRST."""
    return next((turn for turn, kind in enumerate(FIRST) if scope.startswith(kind)), len(FIRST))


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LongestFirst:
    """What ``make test`` deals the tests out by."""
    return LongestFirst(config, log)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """How much each model check searched: a check of few states proves little."""
    checks = [
        (states, report.nodeid.rpartition("::")[2])
        for report in terminalreporter.getreports("passed")
        for kind, states in report.user_properties
        if kind == "states"
    ]
    if checks:
        terminalreporter.section("model checks")
    for states, test in checks:
        terminalreporter.write_line(f"{states:>9,} states  {test}")
