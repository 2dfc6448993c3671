"""A whole system, started as a person starts it: ``fleetward up``."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

STOP_TIMEOUT_S = 30.0


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The state directory of a running system with one robot."""
    directory = tmp_path_factory.mktemp("home")
    command = [sys.executable, "-m", "fleetward.cli", "up", "--robots", "1", "--json"]
    with subprocess.Popen(
        [*command, "--home", str(directory)], stdout=subprocess.PIPE, text=True
    ) as system:
        try:
            wait_until_ready(system)
            yield directory
        finally:
            system.send_signal(signal.SIGINT)
            system.communicate(timeout=STOP_TIMEOUT_S)
    assert system.returncode == 0


def wait_until_ready(system: subprocess.Popen[str]) -> None:
    """Read what ``fleetward up`` reports until the system is ready; fails when it ends before."""
    assert system.stdout is not None
    for line in system.stdout:
        if json.loads(line)["event"] == "SystemReady":
            return
    raise AssertionError(f"the system ended with {system.wait()} before it was ready")


@pytest.fixture(scope="module")
def environment(home: Path) -> dict[str, str]:
    """What a person's shell would have set for that system."""
    return {**os.environ, "FLEETWARD_HOME": str(home)}
