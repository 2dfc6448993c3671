"""Which open rollouts a fact concerns, as far as this replica knows."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from fleetward.bus.connection import BusSettings
from fleetward.contracts.rollouts import MAX_ROBOTS_PER_ROLLOUT, RolloutState
from rollout_coordinator.interest import Interest
from rollout_coordinator.settings import Settings
from tests.unit.rollout_coordinator.scenes import ELSEWHERE, HERE, activated, alert, started

SETTINGS = Settings(
    bus=BusSettings(url="nats://127.0.0.1:4222", name="coordinator", credentials=Path("unused")),
    signing_key=Path("unused"),
    trust_dir=Path("unused"),
)


def test_fact_about_a_robot_reaches_its_rollout() -> None:
    interest = Interest()
    interest.note(started(1, 1))
    assert interest.of(alert(2)) == (HERE,)
    assert interest.of(alert(9)) == ()


def test_fact_that_names_a_rollout_reaches_it_known_or_not() -> None:
    assert Interest().of(activated(1)) == (HERE,)


def test_ended_rollout_is_forgotten() -> None:
    interest = Interest()
    interest.note(started(1))
    interest.note(replace(started(1), state=RolloutState.SUCCEEDED))
    assert interest.open_rollouts() == ()
    assert interest.of(alert(1)) == ()


def test_rollout_that_starts_while_the_stream_is_read_stays_known() -> None:
    interest = Interest()
    interest.note(started(1))
    interest.begin_refresh()
    interest.note(replace(started(1), rollout_id=ELSEWHERE))
    interest.replace([started(1)])
    assert interest.open_rollouts() == (ELSEWHERE, HERE)


def test_rollout_that_ends_while_the_stream_is_read_stays_forgotten() -> None:
    interest = Interest()
    interest.begin_refresh()
    interest.note(replace(started(1), state=RolloutState.ABORTED))
    interest.replace([started(1)])
    assert interest.open_rollouts() == ()


def test_refresh_forgets_what_the_stream_does_not_hold() -> None:
    interest = Interest()
    interest.note(started(1))
    interest.begin_refresh()
    interest.replace([])
    assert interest.open_rollouts() == ()


def test_facts_are_gathered_for_longer_the_more_robots_the_largest_rollout_has() -> None:
    interest = Interest()
    assert SETTINGS.gathering_s(interest.most_robots()) == SETTINGS.facts_wait_s
    interest.note(started(MAX_ROBOTS_PER_ROLLOUT))
    interest.note(replace(started(1), rollout_id=ELSEWHERE))
    assert SETTINGS.gathering_s(interest.most_robots()) == pytest.approx(1.0)
