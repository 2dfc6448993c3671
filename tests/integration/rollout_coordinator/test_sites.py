"""Floors and windows of sites by real coordinator processes over a real server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from fleetward.bus.last_values import last_value
from fleetward.bus.publish import publish
from fleetward.cli.rollout_waits import waiting_for
from fleetward.client import SitePolicies
from fleetward.contracts.control import AbortMode, ControlAction, RolloutControlRequested
from fleetward.contracts.ids import RobotId, RolloutId, SiteName
from fleetward.contracts.robots import RobotEnrolled
from fleetward.contracts.rollouts import RobotPhase, Rollout, RolloutState, Strategy
from fleetward.contracts.rows import Principal, StreamName
from fleetward.contracts.sites import SiteOccupancy, SitePolicy, SitePolicySet
from fleetward.contracts.windows import WEEK, Window
from rollout_coordinator.floors import away_at
from testkit.servers import NatsSystem
from tests.integration.rollout_coordinator.coordinator_process import (
    CoordinatorProcess,
    signing_key,
)
from tests.integration.rollout_coordinator.detector import DIGESTS
from tests.integration.rollout_coordinator.fleet import POLICY, Fleet, running_fleet
from tests.integration.rollout_coordinator.robot import now
from tests.integration.rollout_coordinator.stored import stored_in

BERLIN = SiteName("berlin")
NAMES = tuple(f"berlin-{number}" for number in range(1, 7))
FLOOR = 4
AT_ONCE = Strategy.ALL_AT_ONCE


@pytest.fixture
async def site(nats_system: NatsSystem, tmp_path: Path) -> AsyncIterator[Fleet]:
    """Two replicas, and six robots of one site that serve version 1."""
    key = signing_key(tmp_path / "keys")
    replicas = [CoordinatorProcess(nats_system, tmp_path / name, key) for name in ("one", "two")]
    for replica in replicas:
        await replica.start()
    async with running_fleet(nats_system, tmp_path / "keys" / "trust", NAMES) as robots:
        await robots.give_everybody("1")
        yield robots
    for replica in replicas:
        assert await replica.stop() == 0


async def states_of(fleet: Fleet, *rollouts: RolloutId) -> list[Rollout]:
    """Each decision on them in the order of the writes; none is lost."""
    facts = await stored_in(fleet.system, StreamName.ROLLOUTS)
    states = [fact for fact in facts if isinstance(fact, Rollout) and fact.rollout_id in rollouts]
    for rollout in rollouts:
        revisions = [state.revision for state in states if state.rollout_id == rollout]
        assert revisions == list(range(1, len(revisions) + 1))
    return states


def most_away(states: Sequence[Rollout]) -> int:
    """The most robots of the site that were on their way at one moment, over all rollouts."""
    newest: dict[RolloutId, Rollout] = {}
    most = 0
    for state in states:
        newest[state.rollout_id] = state
        most = max(most, sum(len(away_at(each, BERLIN)) for each in newest.values()))
    return most


async def test_two_rollouts_and_two_replicas_keep_the_floor_of_one_site(site: Fleet) -> None:
    await SitePolicies(site.people).set(SitePolicy(site=BERLIN, floor=FLOOR))
    site.robot("berlin-3").breaks = DIGESTS["2"]
    lax = replace(POLICY, min_inferences=1)
    ids = [
        await site.ask("one", "2", "robot in (berlin-1,berlin-2,berlin-3)", AT_ONCE, lax),
        await site.ask("other", "3", "robot in (berlin-4,berlin-5,berlin-6)", AT_ONCE, lax),
    ]
    one, other = [await site.ended(each) for each in ids]

    assert (one.state, other.state) == (RolloutState.REVERTED, RolloutState.SUCCEEDED)
    assert [robot.serves for robot in site.robots] == [DIGESTS["1"]] * 3 + [DIGESTS["3"]] * 3
    states = await states_of(site, *ids)
    assert most_away(states) == len(NAMES) - FLOOR
    assert any("site berlin must keep 4 of its 6 robots" in state.withheld for state in states)
    row = await last_value(site.people, SiteOccupancy, site=BERLIN)
    assert row is not None
    assert row.event.away == {}


async def test_a_closed_window_withholds_says_why_and_lets_it_go_on_when_it_opens(
    site: Fleet,
) -> None:
    policies = SitePolicies(site.people)
    in_three_days = WEEK[(now() + timedelta(days=3)).weekday()]
    later = Window(days=(in_three_days,), start="02:00", duration_s=3600, zone="UTC")
    await policies.set(SitePolicy(site=BERLIN, windows=(later,)))

    rollout = await site.reached(
        await site.ask("windowed", "2", strategy=AT_ONCE), lambda held: bool(held.withheld)
    )

    assert {held.phase for held in rollout.robots.values()} == {RobotPhase.WAITING}
    said = waiting_for(rollout, now())
    opens = f"{later.days[0].value.capitalize()} {now() + timedelta(days=3):%Y-%m-%d} 02:00 UTC"
    assert said == f"may not go on: the window of site berlin opens at {opens}"
    always = Window(days=WEEK, start="00:00", duration_s=86_400, zone="Europe/Berlin")
    await policies.set(SitePolicy(site=BERLIN, windows=(always,)))
    assert (await site.ended(rollout.rollout_id)).state is RolloutState.SUCCEEDED


async def test_what_can_never_be_is_refused_with_what_to_do(site: Fleet) -> None:
    policies = SitePolicies(site.people)
    await policies.set(SitePolicy(site=BERLIN, floor_percent=100))
    refusal = await site.refusal(await site.ask("all", "2"))
    assert "site berlin must keep 6 of its 6 robots in service" in refusal
    assert "--floor 5" in refusal

    never = Window(days=(), start="02:00", duration_s=3600, zone="UTC")
    past_the_command_line = SitePolicySet(
        site=BERLIN, policy=SitePolicy(site=BERLIN, windows=(never,)), set_at=now()
    )
    await publish(site.people, past_the_command_line)
    await binding(site, "never", "no days, so it never opens")

    await policies.remove(BERLIN)
    await binding(site, "free", "")


async def binding(fleet: Fleet, name: str, reason: str) -> None:
    """Ask until the newest policy binds: a policy may be read a second late."""
    for attempt in range(100):
        rollout_id = await fleet.ask(f"{name}-{attempt}", "2", strategy=AT_ONCE)
        rollout = await fleet.answered(rollout_id)
        if rollout is not None:
            assert not reason
            await fleet.ended(rollout_id)
            return
        if reason and reason in await fleet.refusal(rollout_id):
            return
    raise AssertionError(f"never {reason or 'free'}")


async def test_a_floor_counts_who_was_away_before_it_was_set_and_nobody_of_long_ago(
    site: Fleet,
) -> None:
    enroller = await site.system.connect(Principal.ENROLLER)
    lost = RobotEnrolled(robot_id=RobotId("lost"), labels={"site": "berlin"}, enrolled_at=now())
    await publish(enroller, lost)
    waits = await site.ask("waits", "2", "robot=lost", strategy=AT_ONCE)
    await site.reached(waits, lambda held: bool(away_at(held, BERLIN)))
    policies = SitePolicies(site.people)

    await policies.set(SitePolicy(site=BERLIN, floor=1))
    moves = await site.ask("moves", "2", "robot=berlin-1", strategy=AT_ONCE)
    await site.ended(moves)
    away = {waits: (RobotId("lost"),)}
    assert (await policies.one(BERLIN)).away == away

    await policies.remove(BERLIN)
    await end(site, waits)
    await site.ended(waits)
    await policies.set(SitePolicy(site=BERLIN, floor=1))
    assert (await policies.one(BERLIN)).away == away  # as it was left, and not believed any more
    again = await site.ask("again", "3", "robot=berlin-1", strategy=AT_ONCE)
    await site.ended(again)
    assert (await policies.one(BERLIN)).away == {}


async def end(fleet: Fleet, rollout_id: RolloutId) -> None:
    """Abort it, and leave its robots what they have."""
    asked = RolloutControlRequested(
        rollout_id=rollout_id,
        action=ControlAction.ABORT,
        abort=AbortMode.KEEP,
        requested_at=now(),
    )
    await publish(fleet.people, asked)
