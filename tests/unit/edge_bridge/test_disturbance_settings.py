"""What a preparation may cost the robot is set per robot, in milliseconds."""

from __future__ import annotations

from edge_bridge.disturbance.limits import DisturbanceLimits
from tests.unit.edge_bridge.test_backend_settings import told


def test_a_robot_that_is_told_nothing_holds_no_preparation_up() -> None:
    assert told().disturbance == DisturbanceLimits()


def test_a_robot_takes_the_limits_it_is_told() -> None:
    limits = told(
        FLEETWARD_DISTURBANCE_INFERENCE_MS="50",
        FLEETWARD_DISTURBANCE_CONTROL_LOOP_MS="2.5",
        FLEETWARD_DISTURBANCE_PATIENCE_S="30",
    ).disturbance
    assert (limits.inference_p99_s, limits.control_loop_p99_s) == (0.05, 0.0025)
    assert limits.patience_s == 30.0
