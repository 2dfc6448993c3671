"""How long the model before stays warm after a swap."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from fleetward.contracts.rollouts import RolloutPolicy, Strategy
from rollout_coordinator.switch import MAX_WARM_S, warm_s
from tests.unit.rollout_coordinator.scenes import started

POLICY = RolloutPolicy(health_window_s=7, switch_lead_s=5, silent_after_s=100, bake_s=10)


def test_in_a_blue_green_rollout_the_model_before_stays_warm_through_every_switch_and_bake() -> (
    None
):
    two_sites = replace(started(1, 1, policy=POLICY), strategy=Strategy.BLUE_GREEN)
    assert warm_s(two_sites) == 2 * (5 + 100 + 10)


def test_no_robot_keeps_two_models_in_memory_for_longer_than_the_bound() -> None:
    slow = replace(POLICY, bake_s=86_400.0)
    assert warm_s(replace(started(1, policy=slow), strategy=Strategy.BLUE_GREEN)) == MAX_WARM_S


@pytest.mark.parametrize("strategy", sorted(set(Strategy) - {Strategy.BLUE_GREEN}))
def test_otherwise_the_policy_says_how_long(strategy: Strategy) -> None:
    assert warm_s(replace(started(1, policy=POLICY), strategy=strategy)) == 7
