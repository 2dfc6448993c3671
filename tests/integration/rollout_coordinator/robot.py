"""A robot that serves what its target says, and reports what happens."""

from __future__ import annotations

import asyncio
import contextlib
import random
from datetime import datetime, timezone

from nats.aio.client import Client
from nats.aio.msg import Msg

from fleetward.bus.errors import BusError
from fleetward.bus.last_values import last_value
from fleetward.bus.publish import publish
from fleetward.contracts.catalog import row_of
from fleetward.contracts.codec import UnreadableMessageError, decode
from fleetward.contracts.event import Event
from fleetward.contracts.ids import BootId, Digest, RobotId
from fleetward.contracts.robots import (
    ActivationFailed,
    ActivationStage,
    ModelActivated,
    ModelShadowed,
    ModelStaged,
    RobotCheckedIn,
    RobotNudged,
    RobotTarget,
    SignedTarget,
    TargetMode,
)
from fleetward.trust.signing import TARGET, SignatureError, TrustedKeys

LOOK_S = 0.2


class Robot:
    """Serves what its newest target says and reports it, ``copies`` of each report in a hundred twice."""

    def __init__(self, name: str, connection: Client, keys: TrustedKeys, copies: int) -> None:
        self.robot_id = RobotId(name)
        self.generations: list[int] = []
        self.served: list[Digest] = []
        self._shadows: Digest | None = None
        self.switched_at: list[datetime] = []
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

    @property
    def shadows(self) -> Digest | None:
        """The digest of the model that sees frames beside the one that serves."""
        return self._shadows

    @property
    def infers_with(self) -> tuple[Digest | None, ...]:
        """The digests that its telemetry is of."""
        return self.serves, self.shadows

    async def run(self) -> None:
        """Look at the target when nudged and now and then, for ever."""
        subject = row_of(RobotNudged).subject_of(RobotNudged(robot_id=self.robot_id))
        await self._connection.subscribe(subject, cb=self._on_nudge)
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._nudged.wait(), LOOK_S)
            self._nudged.clear()
            with contextlib.suppress(BusError, UnreadableMessageError):  # noise is no target
                await self._look()
            with contextlib.suppress(BusError):
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
        await self._do(target)
        self._unsent.append(self._heartbeat(target.generation))

    async def _do(self, target: RobotTarget) -> None:
        """What the target says, by the clock that all robots here share."""
        self._shadows = None
        if target.digest == self.breaks:
            self._unsent.append(failure_of(target))
        elif target.mode is TargetMode.STAGE:
            self._unsent.append(_staged(target))
        elif target.mode is TargetMode.SHADOW:
            self._shadows = target.digest
            self._unsent.append(_shadowed(target))
        else:
            if target.switch_at is not None:
                await asyncio.sleep((target.switch_at - now()).total_seconds())
            self.served.append(target.digest)
            self.switched_at.append(now())
            self._unsent.append(proof_of(target))

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
            modes=(TargetMode.STAGE, TargetMode.SHADOW),
            checked_in_at=now(),
        )


def proof_of(target: RobotTarget) -> ModelActivated:
    """It serves what it was given."""
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


def _staged(target: RobotTarget) -> ModelStaged:
    return ModelStaged(
        robot_id=target.robot_id,
        rollout_id=target.rollout_id,
        generation=target.generation,
        model=target.model,
        digest=target.digest,
        warm_up_ms=1.0,
        bytes_fetched=0,
        staged_at=now(),
    )


def _shadowed(target: RobotTarget) -> ModelShadowed:
    return ModelShadowed(
        robot_id=target.robot_id,
        rollout_id=target.rollout_id,
        generation=target.generation,
        model=target.model,
        digest=target.digest,
        frames=target.proof_inferences,
        shadowed_at=now(),
    )


def failure_of(target: RobotTarget) -> ActivationFailed:
    """It could not load what it was given."""
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
