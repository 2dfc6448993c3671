"""A forecast adds up what its waves take, each strategy in its own way."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone

import pytest
from msgspec.structs import replace

from fleetward.client.forecast import ASSUMED_WARM_UP_S, Pace, Wait, forecast
from fleetward.client.opening_times import OpeningTimes
from fleetward.contracts.gates import Checkpoint, Gate, GateKind
from fleetward.contracts.ids import RobotId, SiteName
from fleetward.contracts.rollout_plans import PlannedWave, RolloutPlanned
from fleetward.contracts.rollouts import RolloutPolicy, Strategy
from fleetward.contracts.sites import SitePolicy
from fleetward.contracts.windows import parse_window

POLICY = RolloutPolicy(
    bake_s=100, hold_s=1000, switch_lead_s=5, proof_inferences=20, max_unavailable=2
)
PROOF_S = 2.0
PACE = Pace(link_mbps=8, warm_up_s=(1.0, 3.0, 90.0))
WARM_UP_S = 3.0
FETCHES = {RobotId("r1"): 10_000_000, RobotId("r2"): 0, RobotId("r3"): 20_000_000}


def wave(*robots: str, site: str = "berlin") -> PlannedWave:
    return PlannedWave(robots=tuple(map(RobotId, robots)), sites={site: len(robots)})


ALWAYS_OPEN = OpeningTimes(begins_at=datetime(2026, 1, 5, 12, tzinfo=timezone.utc))  # a Monday


def windows(*texts: str, site: str = "berlin", **further: object) -> OpeningTimes:
    """The same, with windows at one site."""
    policy = SitePolicy(site=SiteName(site), windows=tuple(map(parse_window, texts)), **further)  # type: ignore[arg-type]  # as the test says
    return replace(ALWAYS_OPEN, policies={site: policy})


def plan(strategy: Strategy, *waves: PlannedWave, policy: RolloutPolicy = POLICY) -> RolloutPlanned:
    return RolloutPlanned(strategy=strategy, policy=policy, waves=waves)


def test_a_wave_takes_as_long_as_its_slowest_robot_and_bakes() -> None:
    found = forecast(
        plan(Strategy.CANARY, wave("r1"), wave("r2", "r3")), FETCHES, PACE, ALWAYS_OPEN
    )

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
    assert forecast(plan(strategy, *waves), FETCHES, PACE, ALWAYS_OPEN).takes_s == takes_s


def test_rolling_robots_queue_for_the_places_of_all_and_of_their_site() -> None:
    three = wave("r1", "r2", "r3")
    each_s = [fetch_s + WARM_UP_S + PROOF_S for fetch_s in (10.0, 0.0, 20.0)]
    mean_s = sum(each_s) / 3
    one_at_a_site = forecast(plan(Strategy.ROLLING, three), FETCHES, PACE, ALWAYS_OPEN)
    assert one_at_a_site.takes_s == pytest.approx(2 * mean_s + max(each_s) + 100)

    spread = PlannedWave(robots=three.robots, sites={"berlin": 1, "paris": 1, "oslo": 1})
    two_at_a_time = forecast(plan(Strategy.ROLLING, spread), FETCHES, PACE, ALWAYS_OPEN)
    assert two_at_a_time.takes_s == pytest.approx(mean_s + max(each_s) + 100)


MONDAY_NOON = ALWAYS_OPEN.begins_at
TO_TEN_S = 10 * 3600.0
"""From Monday noon to 22:00."""


def test_a_wave_whose_turn_comes_while_its_window_is_closed_waits_for_it() -> None:
    two = plan(Strategy.CANARY, wave("r1", site="paris"), wave("r2"))
    found = forecast(two, FETCHES, PACE, windows("daily 22:00+2h UTC"))
    first, second = found.waves
    assert first.ends_after_s == 10 + WARM_UP_S + PROOF_S + 100
    assert second.ends_after_s == TO_TEN_S + WARM_UP_S + PROOF_S + 100
    assert found.waits == (
        Wait(wave=2, site="berlin", opens_at=MONDAY_NOON + timedelta(seconds=TO_TEN_S)),
    )


def test_a_window_that_is_open_is_not_waited_for_and_a_blackout_is() -> None:
    one = plan(Strategy.CANARY, wave("r1"))
    is_open = forecast(one, FETCHES, PACE, windows("mon 11:00+2h UTC"))
    assert (is_open.waits, is_open.takes_s) == ((), 10 + WARM_UP_S + PROOF_S + 100)
    closed = windows("daily 11:00+2h UTC", blackouts=(date(2026, 1, 5), date(2026, 1, 6)))
    (wait,) = forecast(one, FETCHES, PACE, closed).waits
    assert wait.opens_at == datetime(2026, 1, 7, 11, tzinfo=timezone.utc)


def test_a_rolling_wave_that_is_longer_than_its_window_goes_on_in_the_next() -> None:
    policy = replace(POLICY, bake_s=0, max_unavailable=1, proof_inferences=0)
    rolling = plan(Strategy.ROLLING, wave("r1", "r2", "r3"), policy=policy)
    pace = Pace(link_mbps=8, warm_up_s=(40.0,))
    each_s = [40 + fetch_s for fetch_s in (10.0, 0.0, 20.0)]
    queue_s = 2 * sum(each_s) / 3
    assert queue_s > 60, "the last robot is given nothing in the first window of a minute"
    found = forecast(rolling, FETCHES, pace, windows("daily 12:00+1m UTC"))
    assert found.waits == ()
    a_day_s = 24 * 3600.0
    assert found.takes_s == pytest.approx(a_day_s + queue_s - 60 + max(each_s))


def test_blue_green_waits_for_windows_to_stage_and_again_to_switch() -> None:
    policy = replace(POLICY, bake_s=0)
    waves = wave("r1"), wave("r3", site="paris")
    found = forecast(
        plan(Strategy.BLUE_GREEN, *waves, policy=policy),
        FETCHES,
        PACE,
        windows("daily 22:00+1m UTC"),
    )
    staged_s = TO_TEN_S + 20 + WARM_UP_S
    switched_s = 5 + PROOF_S
    assert [wait.wave for wait in found.waits] == [0]
    assert [each.ends_after_s for each in found.waves] == [
        staged_s + switched_s,
        staged_s + 2 * switched_s,
    ]
    slow = Pace(link_mbps=8, warm_up_s=(60.0,))
    late = forecast(
        plan(Strategy.BLUE_GREEN, *waves, policy=policy),
        FETCHES,
        slow,
        windows("daily 22:00+1m UTC"),
    )
    assert [(wait.wave, wait.site) for wait in late.waits] == [(0, "berlin"), (1, "berlin")]
    assert late.waves[0].ends_after_s == TO_TEN_S + 24 * 3600 + switched_s


def test_one_that_begins_later_is_forecast_from_its_time_on() -> None:
    one, night = plan(Strategy.CANARY, wave("r1")), windows("daily 22:00+2h UTC")
    later = replace(night, begins_at=MONDAY_NOON + timedelta(seconds=TO_TEN_S))
    assert forecast(one, FETCHES, PACE, night).takes_s > TO_TEN_S
    found = forecast(one, FETCHES, PACE, later)
    assert (found.begins_at, found.waits) == (later.begins_at, ())
    assert found.takes_s == 10 + WARM_UP_S + PROOF_S + 100


def test_what_the_times_rest_on_is_said() -> None:
    gate = Gate(name="ann", kind=GateKind.APPROVAL, before=Checkpoint.START)
    gated = RolloutPolicy(gates=(gate,))
    said = " ".join(
        forecast(
            plan(Strategy.CANARY, wave("r1"), policy=gated), FETCHES, Pace(link_mbps=8), ALWAYS_OPEN
        ).assumptions
    )
    assert "8 Mbit/s" in said
    assert f"{ASSUMED_WARM_UP_S:g} s to warm up, as none" in said
    assert "gates that pass at once: ann" in said
    seen = " ".join(
        forecast(plan(Strategy.CANARY, wave("r1")), FETCHES, PACE, ALWAYS_OPEN).assumptions
    )
    assert "3.0 s to warm up, the median of 3 earlier activations" in seen
