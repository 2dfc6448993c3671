"""A forecast adds up what its waves take, each strategy in its own way."""

from __future__ import annotations

import pytest

from fleetward.client.forecast import ASSUMED_WARM_UP_S, Pace, forecast
from fleetward.contracts.gates import Checkpoint, Gate, GateKind
from fleetward.contracts.ids import RobotId
from fleetward.contracts.rollout_plans import PlannedWave, RolloutPlanned
from fleetward.contracts.rollouts import RolloutPolicy, Strategy

POLICY = RolloutPolicy(
    bake_s=100, hold_s=1000, switch_lead_s=5, proof_inferences=20, max_unavailable=2
)
PROOF_S = 2.0
PACE = Pace(link_mbps=8, warm_up_s=(1.0, 3.0, 90.0))
WARM_UP_S = 3.0
FETCHES = {RobotId("r1"): 10_000_000, RobotId("r2"): 0, RobotId("r3"): 20_000_000}


def wave(*robots: str, site: str = "berlin") -> PlannedWave:
    return PlannedWave(robots=tuple(map(RobotId, robots)), sites={site: len(robots)})


def plan(strategy: Strategy, *waves: PlannedWave, policy: RolloutPolicy = POLICY) -> RolloutPlanned:
    return RolloutPlanned(strategy=strategy, policy=policy, waves=waves)


def test_a_wave_takes_as_long_as_its_slowest_robot_and_bakes() -> None:
    found = forecast(plan(Strategy.CANARY, wave("r1"), wave("r2", "r3")), FETCHES, PACE)

    first, second = found.waves
    assert (first.fetch_bytes, first.fetch_s) == (10_000_000, 10.0)
    assert (second.fetch_bytes, second.fetch_s) == (20_000_000, 20.0)
    assert first.ends_after_s == 10 + WARM_UP_S + PROOF_S + 100
    assert second.ends_after_s == first.ends_after_s + 20 + WARM_UP_S + PROOF_S + 100
    assert (found.fetch_bytes, found.takes_s) == (30_000_000, second.ends_after_s)


@pytest.mark.parametrize(
    ("strategy", "waves", "takes_s"),
    [
        (Strategy.ALL_AT_ONCE, [wave("r1", "r2", "r3")], 20 + WARM_UP_S + PROOF_S + 100),
        (
            Strategy.BLUE_GREEN,
            [wave("r1", site="berlin"), wave("r2", "r3", site="paris")],
            20 + WARM_UP_S + 2 * (5 + PROOF_S + 100),
        ),
        (Strategy.SHADOW, [wave("r1", "r2")], 10 + WARM_UP_S + PROOF_S + 1000),
        (Strategy.A_B, [wave("r1"), wave("r3")], 10 + WARM_UP_S + PROOF_S + 1000),
    ],
    ids=lambda value: value.value if isinstance(value, Strategy) else "",
)
def test_each_strategy_takes_its_own_time(
    strategy: Strategy, waves: list[PlannedWave], takes_s: float
) -> None:
    assert forecast(plan(strategy, *waves), FETCHES, PACE).takes_s == takes_s


def test_rolling_robots_queue_for_the_places_of_all_and_of_their_site() -> None:
    three = wave("r1", "r2", "r3")
    each_s = [fetch_s + WARM_UP_S + PROOF_S for fetch_s in (10.0, 0.0, 20.0)]
    mean_s = sum(each_s) / 3
    one_at_a_site = forecast(plan(Strategy.ROLLING, three), FETCHES, PACE)
    assert one_at_a_site.takes_s == pytest.approx(2 * mean_s + max(each_s) + 100)

    spread = PlannedWave(robots=three.robots, sites={"berlin": 1, "paris": 1, "oslo": 1})
    two_at_a_time = forecast(plan(Strategy.ROLLING, spread), FETCHES, PACE)
    assert two_at_a_time.takes_s == pytest.approx(mean_s + max(each_s) + 100)


def test_what_the_times_rest_on_is_said() -> None:
    gate = Gate(name="ann", kind=GateKind.APPROVAL, before=Checkpoint.START)
    gated = RolloutPolicy(gates=(gate,))
    said = " ".join(
        forecast(
            plan(Strategy.CANARY, wave("r1"), policy=gated), FETCHES, Pace(link_mbps=8)
        ).assumptions
    )
    assert "8 Mbit/s" in said
    assert f"{ASSUMED_WARM_UP_S:g} s to warm up, as none" in said
    assert "gates that pass at once: ann" in said
    seen = " ".join(forecast(plan(Strategy.CANARY, wave("r1")), FETCHES, PACE).assumptions)
    assert "3.0 s to warm up, the median of 3 earlier activations" in seen
