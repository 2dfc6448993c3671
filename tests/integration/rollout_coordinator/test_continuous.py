"""Robots that match a continuous rollout after it began join it, on a real server and coordinator."""

from __future__ import annotations

from msgspec.structs import replace

from fleetward.bus.publish import publish
from fleetward.client.rollouts import control
from fleetward.contracts.control import AbortMode, ControlAction
from fleetward.contracts.ids import RobotId
from fleetward.contracts.robots import RobotEnrolled
from fleetward.contracts.rollout_events import RobotsJoined
from fleetward.contracts.rollouts import (
    RobotPhase,
    RolloutState,
)
from fleetward.contracts.rows import Principal, StreamName
from tests.integration.rollout_coordinator.detector import DIGESTS
from tests.integration.rollout_coordinator.fleet import POLICY, Fleet
from tests.integration.rollout_coordinator.robot import now
from tests.integration.rollout_coordinator.stored import stored_in

QUICK = replace(POLICY, joiners_per_minute=600)
LONG_LEASE_S = 3600.0


async def moved_to_berlin(fleet: Fleet, *names: str) -> None:
    """Robots are labelled anew; these say something only when they are given a target."""
    enroller = await fleet.system.connect(Principal.ENROLLER)
    for name in names:
        enrolled = RobotEnrolled(
            robot_id=RobotId(name),
            labels={"site": "berlin"},
            enrolled_at=now(),
            lease_s=LONG_LEASE_S,
        )
        await publish(enroller, enrolled)


async def test_robots_that_match_later_join_once_nobody_else_owns_them_until_it_is_finished(
    fleet: Fleet,
) -> None:
    other = await fleet.ask("other", "3", "robot=paris-2", policy=replace(QUICK, bake_s=3600))
    rollout = await fleet.ask("berlin", "2", "site=berlin", policy=QUICK, is_continuous=True)
    await fleet.reached(rollout, lambda held: held.steady_since is not None)

    await moved_to_berlin(fleet, "paris-1", "paris-2")
    joined = await fleet.reached(rollout, lambda held: "paris-1" in held.robots)
    assert joined.waves[-1][-1] == "paris-1"
    assert "paris-2" not in joined.robots

    await control(fleet.people, other, ControlAction.ABORT, abort=AbortMode.KEEP)
    await fleet.reached(
        rollout,
        lambda held: (
            "paris-2" in held.robots and held.robots[RobotId("paris-2")].phase is RobotPhase.PROVED
        ),
    )
    await control(fleet.people, rollout, ControlAction.FINISH)
    ended = await fleet.ended(rollout)

    assert ended.state is RolloutState.SUCCEEDED
    assert {robot.serves for robot in fleet.robots} == {DIGESTS["2"]}
    facts = await stored_in(fleet.system, StreamName.ROLLOUTS)
    joinings = [fact.robots for fact in facts if isinstance(fact, RobotsJoined)]
    assert joinings == [("paris-1",), ("paris-2",)]
