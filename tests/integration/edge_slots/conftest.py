"""A robot with a TensorRT that writes down what it is made to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.edge_slots.tensorrt_robot import STAND_INS, Robot


@pytest.fixture
def robot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Robot:
    robot = Robot(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(STAND_INS))
    monkeypatch.setenv("STAND_IN_JOURNAL", str(robot.journal))
    return robot
