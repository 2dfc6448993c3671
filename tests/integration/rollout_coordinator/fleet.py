"""A fleet of robots that serve what their targets say, and people who ask for rollouts."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime
from pathlib import Path
from secrets import token_hex

from nats.aio.client import Client

from fleetward.bus.errors import BusError
from fleetward.bus.last_values import last_value
from fleetward.bus.publish import publish
from fleetward.bus.stored_rollouts import read_rollout
from fleetward.contracts.control import ControlAction, RolloutControlRequested
from fleetward.contracts.ids import (
    BootId,
    Digest,
    RobotId,
    RolloutId,
    model_selector,
)
from fleetward.contracts.registry import ModelRecord
from fleetward.contracts.robots import RobotEnrolled
from fleetward.contracts.rollout_index import RolloutRefused
from fleetward.contracts.rollouts import (
    FINAL_STATES,
    Rollout,
    RolloutPolicy,
    RolloutRequested,
    Strategy,
)
from fleetward.contracts.rows import Principal
from fleetward.contracts.telemetry import InferenceSummarized
from fleetward.trust.signing import TrustedKeys
from testkit.servers import NatsSystem
from tests.integration.rollout_coordinator.detector import DIGESTS, record
from tests.integration.rollout_coordinator.robot import Robot, now

POLICY = RolloutPolicy(wave_percents=(20, 60, 100), bake_s=0.2, silent_after_s=30, min_inferences=5)
SUMMARY_S = 0.25
END_TIMEOUT_S = 90.0
CANCEL_AGAIN_S = 0.5
LEASE_S = 600.0
"""These robots check in when something changes, and only then."""

Condition = Callable[[Rollout], bool]


class Fleet:
    """Robots with names, and the principals whose facts the coordinator acts on."""

    def __init__(self, system: NatsSystem, robots: Sequence[Robot], people: Client) -> None:
        self.system = system
        self.robots = robots
        self.people = people

    def robot(self, name: str) -> Robot:
        """One of them."""
        return next(robot for robot in self.robots if robot.robot_id == name)

    async def ask(
        self,
        rollout_id: str,
        version: str,
        selector: str = "all",
        strategy: Strategy = Strategy.CANARY,
        policy: RolloutPolicy = POLICY,
        *,
        attempt: int = 1,
        begins_at: datetime | None = None,
        is_continuous: bool = False,
        together: Sequence[str] = (),
    ) -> RolloutId:
        """Ask for a rollout, as a person does."""
        wanted = RolloutRequested(
            rollout_id=RolloutId(rollout_id),
            model=model_selector(f"detector:{version}" if ":" not in version else version),
            selector=selector,
            strategy=strategy,
            policy=policy,
            is_continuous=is_continuous,
            requested_by="ann",
            requested_at=now(),
            begins_at=begins_at,
            together=tuple(map(model_selector, together)),
        )
        await publish(self.people, wanted, message_id=f"{rollout_id}-{attempt}")
        return wanted.rollout_id

    async def steer(
        self,
        rollout_id: RolloutId,
        action: ControlAction,
        *,
        to_all: bool = False,
        skip: bool = False,
    ) -> Rollout:
        """Steer a rollout, as a person does, and wait until it heard."""
        asked = RolloutControlRequested(
            rollout_id=rollout_id,
            action=action,
            to_all=to_all,
            skip=skip,
            word=token_hex(4),
            requested_by="ann",
            requested_at=now(),
        )
        await publish(self.people, asked)
        return await self.reached(
            rollout_id, lambda held: held.word is not None and held.word.word == asked.word
        )

    async def ended(self, rollout_id: RolloutId) -> Rollout:
        """Wait for a rollout's end."""
        return await self.reached(rollout_id, lambda rollout: rollout.state in FINAL_STATES)

    async def reached(self, rollout_id: RolloutId, until: Condition) -> Rollout:
        """Wait until a rollout is as described, by what the stream holds."""
        async with asyncio.timeout(END_TIMEOUT_S):
            while True:
                with contextlib.suppress(BusError):
                    value = await read_rollout(self.people, rollout_id)
                    if value is not None and until(value.event):
                        return value.event
                await asyncio.sleep(0.05)  # a state is read, as live messages may be of no write

    async def answered(self, rollout_id: RolloutId) -> Rollout | None:
        """Wait for the answer to a request: the rollout, or None when it was refused."""
        async with asyncio.timeout(END_TIMEOUT_S):
            while True:
                value = await read_rollout(self.people, rollout_id)
                if value is not None:
                    return value.event
                if await last_value(self.people, RolloutRefused, rollout_id=rollout_id):
                    return None
                await asyncio.sleep(0.05)

    async def refusal(self, rollout_id: RolloutId) -> str:
        """Wait for a refusal; its reason."""
        async with asyncio.timeout(END_TIMEOUT_S):
            while True:
                value = await last_value(self.people, RolloutRefused, rollout_id=rollout_id)
                if value is not None:
                    return value.event.reason
                await asyncio.sleep(0.05)

    async def give_everybody(self, version: str) -> None:
        """Every robot serves ``version``: where most tests begin."""
        rollout_id = await self.ask(f"first-{version}", version, strategy=Strategy.ALL_AT_ONCE)
        await self.ended(rollout_id)
        assert {robot.serves for robot in self.robots} == {DIGESTS[version]}


@contextlib.asynccontextmanager
async def running_fleet(
    system: NatsSystem,
    trust_dir: Path,
    names: Sequence[str],
    copies: int = 0,
    *,
    made: type[Robot] = Robot,
    records: Sequence[ModelRecord] = (),
) -> AsyncIterator[Fleet]:
    """Enrolled robots at work, a model with three versions, and telemetry of what they serve.

    ``made``: what robots they are. ``records``: of further models.
    """
    keys = TrustedKeys.load(trust_dir)
    enroller = await system.connect(Principal.ENROLLER)
    for name in names:
        enrolled = RobotEnrolled(
            robot_id=RobotId(name),
            labels={"site": name.split("-")[0]},
            enrolled_at=now(),
            lease_s=LEASE_S,
        )
        await publish(enroller, enrolled)
    registry = await system.connect(Principal.REGISTRY)
    for each in (record(), *records):
        await publish(registry, each)
    robots = [made(name, await system.connect(name), keys, copies) for name in names]
    fleet = Fleet(system, robots, await system.connect(Principal.OPERATOR))
    ingest = await system.connect(Principal.INGEST)
    tasks = [asyncio.create_task(robot.run()) for robot in robots]
    tasks.append(asyncio.create_task(_summaries(ingest, robots)))
    try:
        yield fleet
        assert not [task for task in tasks if task.done()], "a robot stopped working"
    finally:
        await _end(tasks)


async def _end(tasks: Sequence[asyncio.Task[None]]) -> None:
    """Cancel until all have ended: nats-py swallows a cancellation while it flushes."""
    left = set(tasks)
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=CANCEL_AGAIN_S)


async def _summaries(ingest: Client, robots: Sequence[Robot]) -> None:
    """What telemetry-ingest would say of these robots: all well, on whatever they serve."""
    window = 0
    while True:
        await asyncio.sleep(SUMMARY_S)
        window += 1
        for robot in robots:
            for digest in robot.infers_with:
                if digest is not None:
                    with contextlib.suppress(BusError):
                        await publish(ingest, _summary(robot, digest, window), timeout_s=1.0)


def _summary(robot: Robot, digest: Digest, window: int) -> InferenceSummarized:
    return InferenceSummarized(
        robot_id=robot.robot_id,
        boot_id=BootId("boot"),
        window=window,
        digest=digest,
        started_at=now(),
        duration_s=SUMMARY_S,
        inferences=10,
        latency_ms_sum=100.0,
        latency_ms_sum_of_squares=1010.0,
        confidence_count=10,
        confidence_sum=9.0,
        confidence_sum_of_squares=8.2,
    )
