"""Has a coordinator say each thing that it says outside of a decision, and die of it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType

from msgspec.structs import replace

from fleetward.bus.errors import NoAnswerError
from fleetward.bus.last_values import last_value
from fleetward.bus.provision import stream_config
from fleetward.bus.publish import publish
from fleetward.bus.requests import ask
from fleetward.contracts.catalog import STREAMS, row_of
from fleetward.contracts.dead_letter import DeadLettered
from fleetward.contracts.gates import Checkpoint, Gate, GateKind
from fleetward.contracts.ids import RobotId, RolloutId, model_selector
from fleetward.contracts.robots import ModelFellBack
from fleetward.contracts.rollout_plans import PlanRollout, RolloutPlanned
from fleetward.contracts.rollouts import (
    RobotPhase,
    Rollout,
    RolloutRequested,
    RolloutState,
    Strategy,
)
from fleetward.contracts.rows import Principal, StreamName
from tests.integration.rollout_coordinator.bad_news import critical, withdraw
from tests.integration.rollout_coordinator.fleet import POLICY, Fleet
from tests.integration.rollout_coordinator.mortal_coordinator import Mortal
from tests.integration.rollout_coordinator.robot import now
from tests.integration.rollout_coordinator.web_service import web_service
from tests.integration.rollout_coordinator.write_points import (
    ANSWER,
    LATER,
    NEVER,
    Phase,
    Point,
    acknowledged,
)

SPOILT = RobotId("berlin-1")
TIMEOUT_S = 30.0
ASK_AGAIN_S = 2.0
LOOK_S = 0.05

Deadly = Callable[[Mortal, Point], Awaitable[None]]


async def _refused(mortal: Mortal, point: Point) -> None:
    async with mortal.wire.cut_at(point):
        wanted = await mortal.fleet.ask(_named(point), "2", "site=mars")
    assert "matches none" in await mortal.fleet.refusal(wanted)


async def _gated(mortal: Mortal, point: Point) -> None:
    version = {Phase.BEFORE: "2", Phase.AFTER: "1"}[point.phase]
    async with web_service() as service:
        gate = Gate(name="twin", kind=GateKind.WEBHOOK, before=Checkpoint.START, url=service.url)
        policy = replace(POLICY, gates=(gate,))
        async with mortal.wire.cut_at(point):
            wanted = await mortal.fleet.ask(
                _named(point), version, strategy=Strategy.ALL_AT_ONCE, policy=policy
            )
        ended = await mortal.fleet.ended(wanted)
    assert ended.state is RolloutState.SUCCEEDED


async def _buried(mortal: Mortal, point: Point) -> None:
    async with mortal.wire.cut_at(point):
        body = await _spoil(mortal.fleet, point)
    await _in_dead_letters(mortal.fleet, body)


async def _given_back(mortal: Mortal, point: Point) -> None:
    """While there is no place for dead letters, what nobody can read is tried again."""
    jetstream = (await mortal.fleet.system.connect(Principal.PROVISIONER)).jetstream()
    await jetstream.delete_stream(StreamName.DEAD_LETTERS.value)
    async with mortal.wire.cut_at(point):
        body = await _spoil(mortal.fleet, point)
    (row,) = (row for row in STREAMS if row.name is StreamName.DEAD_LETTERS)
    await jetstream.add_stream(stream_config(row))
    await _in_dead_letters(mortal.fleet, body)


async def _alerted(mortal: Mortal, point: Point) -> None:
    running = await _baking(mortal.fleet, point, "2")
    proved = (robot for robot, held in running.robots.items() if held.phase is RobotPhase.PROVED)
    async with mortal.wire.cut_at(point):
        alerting = await mortal.fleet.system.connect(Principal.ALERTING)
        await publish(alerting, critical(next(proved)))
    await _taken_back(mortal.fleet, running.rollout_id)


async def _withdrawn(mortal: Mortal, point: Point) -> None:
    version = {Phase.BEFORE: "3", Phase.AFTER: "2"}[point.phase]
    running = await _baking(mortal.fleet, point, version)
    async with mortal.wire.cut_at(point):
        await withdraw(mortal.fleet, version)
    await _taken_back(mortal.fleet, running.rollout_id)


async def _answered(mortal: Mortal, point: Point) -> None:
    async with mortal.wire.cut_at(point):
        asking = asyncio.create_task(_asked_until_answered(mortal.fleet, point))
    assert (await asking).waves


SAID_ALONE: Mapping[str, Deadly] = MappingProxyType(
    {
        "RolloutRefused": _refused,
        "GateAnswered": _gated,
        LATER: _given_back,
        "DeadLettered": _buried,
        NEVER: _buried,
        acknowledged("coordinator-alerts"): _alerted,
        acknowledged("coordinator-withdrawals"): _withdrawn,
        ANSWER: _answered,
    }
)
"""What is written by itself, and what has it written; each leaves a fleet without an open rollout."""


async def _baking(fleet: Fleet, point: Point, version: str) -> Rollout:
    """A rollout whose first wave serves the model and is not done yet."""
    policy = replace(POLICY, bake_s=600)
    wanted = await fleet.ask(_named(point), version, policy=policy)
    return await fleet.reached(wanted, lambda rollout: rollout.baking_since is not None)


async def _taken_back(fleet: Fleet, rollout_id: RolloutId) -> None:
    assert (await fleet.ended(rollout_id)).state is RolloutState.REVERTED


async def _spoil(fleet: Fleet, point: Point) -> bytes:
    """Say something, as a robot, that nobody can read; what was said."""
    body = f"not a fact: {point}".encode()
    robot = await fleet.system.connect(SPOILT)
    await robot.publish(row_of(ModelFellBack).subject.format(robot_id=SPOILT), body)
    await robot.flush()
    return body


async def _in_dead_letters(fleet: Fleet, body: bytes) -> None:
    stream, consumer = StreamName.ROBOTS.value, "coordinator-robots"
    async with asyncio.timeout(TIMEOUT_S):
        while True:
            letter = await last_value(fleet.people, DeadLettered, stream=stream, consumer=consumer)
            if letter is not None and letter.event.payload == body:
                return
            await asyncio.sleep(LOOK_S)  # a stream is read, as live messages may be of no write


async def _asked_until_answered(fleet: Fleet, point: Point) -> RolloutPlanned:
    """As people do: whoever gets no answer asks again."""
    request = RolloutRequested(
        rollout_id=RolloutId(_named(point)),
        model=model_selector("detector:3"),
        selector="all",
        strategy=Strategy.CANARY,
        policy=POLICY,
        requested_by="ann",
        requested_at=now(),
    )
    async with asyncio.timeout(TIMEOUT_S):
        while True:
            with contextlib.suppress(NoAnswerError):
                planned: RolloutPlanned = await ask(
                    fleet.people, PlanRollout(request=request), timeout_s=ASK_AGAIN_S
                )
                return planned
            await asyncio.sleep(LOOK_S)  # nobody may be there to answer yet


def _named(point: Point) -> str:
    return str(point).replace(" ", "-").lower()
