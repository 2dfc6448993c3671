"""A fleet of robots that serve what their targets say, and people who ask for rollouts."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime, timezone
from pathlib import Path

from nats.aio.client import Client
from nats.aio.msg import Msg

from fleetward.bus.errors import BusError
from fleetward.bus.last_values import last_value
from fleetward.bus.publish import publish
from fleetward.contracts.catalog import row_of
from fleetward.contracts.codec import UnreadableMessageError, decode
from fleetward.contracts.event import Event
from fleetward.contracts.ids import (
    BootId,
    Digest,
    RobotId,
    RolloutId,
    model_selector,
)
from fleetward.contracts.robots import (
    ActivationFailed,
    ActivationStage,
    ModelActivated,
    RobotCheckedIn,
    RobotEnrolled,
    RobotNudged,
    RobotTarget,
    SignedTarget,
)
from fleetward.contracts.rollouts import (
    FINAL_STATES,
    Rollout,
    RolloutPolicy,
    RolloutRefused,
    RolloutRequested,
    Strategy,
)
from fleetward.contracts.rows import Principal
from fleetward.contracts.telemetry import InferenceSummarized
from fleetward.trust.signing import TARGET, SignatureError, TrustedKeys
from testkit.servers import NatsSystem
from tests.integration.rollout_coordinator.detector import DIGESTS, record

POLICY = RolloutPolicy(wave_percents=(20, 60, 100), bake_s=0.2, silent_after_s=30, min_inferences=5)
LOOK_S = 0.2
SUMMARY_S = 0.25
END_TIMEOUT_S = 60.0

Condition = Callable[[Rollout], bool]


class Robot:
    """Serves what its newest target says and reports it, ``copies`` of each report in a hundred twice."""

    def __init__(self, name: str, connection: Client, keys: TrustedKeys, copies: int) -> None:
        self.robot_id = RobotId(name)
        self.generations: list[int] = []
        self.served: list[Digest] = []
        self.breaks: Digest | None = None
        """A digest that this robot cannot load."""
        self._connection = connection
        self._keys = keys
        self._copies = copies
        self._chance = random.Random(name)
        self._unsent: list[Event] = []
        self._nudged = asyncio.Event()

    @property
    def serves(self) -> Digest | None:
        """The digest of the model it serves now."""
        return self.served[-1] if self.served else None

    async def run(self) -> None:
        """Look at the target when nudged and now and then, for ever."""
        subject = row_of(RobotNudged).subject_of(RobotNudged(robot_id=self.robot_id))
        await self._connection.subscribe(subject, cb=self._on_nudge)
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._nudged.wait(), LOOK_S)
            self._nudged.clear()
            with contextlib.suppress(BusError):
                await self._look()
                await self._send()

    async def _on_nudge(self, message: Msg) -> None:
        self._nudged.set()

    async def _look(self) -> None:
        value = await last_value(self._connection, SignedTarget, robot_id=self.robot_id)
        if value is None:
            return
        target = self._believed(value.event)
        if target is None:
            return
        if self.generations and target.generation <= self.generations[-1]:
            assert target.generation == self.generations[-1], "a target went backwards"
            return
        self.generations.append(target.generation)
        self._unsent.append(self._heartbeat(target.generation))
        if target.digest == self.breaks:
            self._unsent.append(_failed(target))
        else:
            self.served.append(target.digest)
            self._unsent.append(_proof(target))
        self._unsent.append(self._heartbeat(target.generation))

    def _believed(self, signed: SignedTarget) -> RobotTarget | None:
        """As a robot does: what is not signed for it is nothing to it."""
        try:
            self._keys.verify(TARGET, signed.payload, signed.key_id, signed.signature)
            target = decode(signed.payload, RobotTarget)
        except (SignatureError, UnreadableMessageError):
            return None
        return target if target.robot_id == self.robot_id else None

    async def _send(self) -> None:
        while self._unsent:
            report = self._unsent[0]
            for _ in range(2 if self._chance.randrange(100) < self._copies else 1):
                await publish(self._connection, report, timeout_s=2.0)
            self._unsent.pop(0)

    def _heartbeat(self, generation: int) -> RobotCheckedIn:
        return RobotCheckedIn(
            robot_id=self.robot_id,
            boot_id=BootId("boot"),
            sequence=1,
            generation=generation,
            active_digest=self.serves,
            checked_in_at=now(),
        )


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
    ) -> RolloutId:
        """Ask for a rollout, as a person does."""
        wanted = RolloutRequested(
            rollout_id=RolloutId(rollout_id),
            model=model_selector(f"detector:{version}" if ":" not in version else version),
            selector=selector,
            strategy=strategy,
            policy=policy,
            requested_by="ann",
            requested_at=now(),
        )
        await publish(self.people, wanted, message_id=f"{rollout_id}-{attempt}")
        return wanted.rollout_id

    async def ended(self, rollout_id: RolloutId) -> Rollout:
        """Wait for a rollout's end."""
        return await self.reached(rollout_id, lambda rollout: rollout.state in FINAL_STATES)

    async def reached(self, rollout_id: RolloutId, until: Condition) -> Rollout:
        """Wait until a rollout is as described, by what the stream holds."""
        async with asyncio.timeout(END_TIMEOUT_S):
            while True:
                with contextlib.suppress(BusError):
                    value = await last_value(self.people, Rollout, rollout_id=rollout_id)
                    if value is not None and until(value.event):
                        return value.event
                await asyncio.sleep(0.05)  # a state is read, as live messages may be of no write

    async def answered(self, rollout_id: RolloutId) -> Rollout | None:
        """Wait for the answer to a request: the rollout, or None when it was refused."""
        async with asyncio.timeout(END_TIMEOUT_S):
            while True:
                value = await last_value(self.people, Rollout, rollout_id=rollout_id)
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
    system: NatsSystem, trust_dir: Path, names: Sequence[str], copies: int = 0
) -> AsyncIterator[Fleet]:
    """Enrolled robots at work, a model with three versions, and telemetry of what they serve."""
    keys = TrustedKeys.load(trust_dir)
    enroller = await system.connect(Principal.ENROLLER)
    for name in names:
        enrolled = RobotEnrolled(
            robot_id=RobotId(name), labels={"site": name.split("-")[0]}, enrolled_at=now()
        )
        await publish(enroller, enrolled)
    await publish(await system.connect(Principal.REGISTRY), record())
    robots = [Robot(name, await system.connect(name), keys, copies) for name in names]
    fleet = Fleet(system, robots, await system.connect(Principal.OPERATOR))
    ingest = await system.connect(Principal.INGEST)
    tasks = [asyncio.create_task(robot.run()) for robot in robots]
    tasks.append(asyncio.create_task(_summaries(ingest, robots)))
    try:
        yield fleet
        assert not [task for task in tasks if task.done()], "a robot stopped working"
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _summaries(ingest: Client, robots: Sequence[Robot]) -> None:
    """What telemetry-ingest would say of these robots: all well, on whatever they serve."""
    window = 0
    while True:
        await asyncio.sleep(SUMMARY_S)
        window += 1
        for robot in robots:
            if robot.serves is not None:
                with contextlib.suppress(BusError):
                    await publish(ingest, _summary(robot, window), timeout_s=1.0)


def _summary(robot: Robot, window: int) -> InferenceSummarized:
    assert robot.serves is not None
    return InferenceSummarized(
        robot_id=robot.robot_id,
        boot_id=BootId("boot"),
        window=window,
        digest=robot.serves,
        started_at=now(),
        duration_s=SUMMARY_S,
        inferences=10,
        latency_ms_sum=100.0,
        latency_ms_sum_of_squares=1010.0,
        confidence_count=10,
        confidence_sum=9.0,
        confidence_sum_of_squares=8.2,
    )


def _proof(target: RobotTarget) -> ModelActivated:
    return ModelActivated(
        robot_id=target.robot_id,
        rollout_id=target.rollout_id,
        generation=target.generation,
        model=target.model,
        digest=target.digest,
        inferences=target.proof_inferences,
        swap_ms=1.0,
        warm_up_ms=1.0,
        bytes_fetched=0,
        activated_at=now(),
    )


def _failed(target: RobotTarget) -> ActivationFailed:
    return ActivationFailed(
        robot_id=target.robot_id,
        rollout_id=target.rollout_id,
        generation=target.generation,
        model=target.model,
        stage=ActivationStage.LOAD,
        reason="no such operator",
        failed_at=now(),
    )


def now() -> datetime:
    """The clock."""
    return datetime.now(timezone.utc)
