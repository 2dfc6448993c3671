"""A swarm: thousands of simulated robots that speak the real contracts to a real server.

One process and one connection stand for all of them, so each costs what it says and not a process.
Each robot reads its own target from the server, believes it only when it is signed for it, has a clock
of its own that is wrong by some seconds, and reports as a bridge does. What is not simulated: models
are not fetched or run; a proof comes as soon as the swap was due.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections import deque
from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from msgspec import Struct
from nats.aio.client import Client
from nats.aio.msg import Msg

from fleetward.bus.connection import BusSettings, close, connect
from fleetward.bus.errors import BusError
from fleetward.bus.last_values import last_value
from fleetward.bus.publish import publish
from fleetward.contracts.accounts import Account
from fleetward.contracts.catalog import row_of
from fleetward.contracts.codec import decode
from fleetward.contracts.event import Event
from fleetward.contracts.ids import BootId, Digest, RobotId, robot_id
from fleetward.contracts.robots import (
    ModelActivated,
    ModelShadowed,
    ModelStaged,
    RobotCheckedIn,
    RobotEnrolled,
    RobotNudged,
    RobotTarget,
    SignedTarget,
    TargetMode,
)
from fleetward.trust import nats_jwt
from fleetward.trust.identities import Identities
from fleetward.trust.nats_jwt import KeyPair
from fleetward.trust.private_files import write_private
from fleetward.trust.signing import TARGET, TrustedKeys
from testkit.servers import NatsSystem

MAX_CLOCK_ERROR_S = 30.0
WORKERS = 64
"""Robots that talk at the same moment: a server sees so many of thousands at once."""
PUBLISH_TIMEOUT_S = 60.0
CONNECT_TIMEOUT_S = 10.0
SWARM = "swarm"


class SimulatedRobot(Struct):
    """What one robot is and did. ``clock_error_s``: its clock minus the hub's, which it has measured."""

    robot_id: RobotId
    clock_error_s: float
    generation: int = 0
    serves: Digest | None = None
    staged: Digest | None = None
    switched_at: float = 0.0
    """When it last let another model serve, in unix seconds of the hub's clock."""

    def serve(self, target: RobotTarget) -> None:
        """Let the target's model serve from now on."""
        self.serves, self.staged, self.switched_at = target.digest, None, time.time()

    def now(self) -> datetime:
        """By its own clock."""
        return datetime.now(timezone.utc) + timedelta(seconds=self.clock_error_s)


class Swarm:
    """Robots by their ids. Enter ``running_swarm``."""

    def __init__(self, connection: Client, keys: TrustedKeys, robots: Sequence[RobotId]) -> None:
        chance = random.Random(len(robots))  # noqa: S311 (the same clocks in every run)
        self.robots = {
            name: SimulatedRobot(name, chance.uniform(-MAX_CLOCK_ERROR_S, MAX_CLOCK_ERROR_S))
            for name in robots
        }
        self._connection = connection
        self._keys = keys
        self._due: deque[RobotId] = deque()
        self._queued: set[RobotId] = set()
        self._work = asyncio.Semaphore(0)
        self._reporting: set[asyncio.Future[None]] = set()

    async def run(self) -> None:
        """Look at targets when nudged, for ever."""
        await self._connection.subscribe(row_of(RobotNudged).pattern, cb=self._on_nudge)
        await self._connection.flush()
        await asyncio.gather(*(self._worker() for _ in range(WORKERS)))

    async def check_in(self) -> None:
        """Everybody says what it serves and what its bridge understands."""
        names = iter(self.robots.values())

        async def talk() -> None:
            for robot in names:
                await self._say(_checked_in(robot))

        await asyncio.gather(*(talk() for _ in range(WORKERS)))

    def poll(self) -> None:
        """Everybody looks at its target, as a bridge does now and then without being nudged."""
        for name in self.robots:
            self._queue(name)

    async def _on_nudge(self, message: Msg) -> None:
        name = RobotId(message.subject.rpartition(".")[2])
        if name in self.robots:
            self._queue(name)

    def _queue(self, name: RobotId) -> None:
        if name not in self._queued:
            self._queued.add(name)
            self._due.append(name)
            self._work.release()

    async def _worker(self) -> None:
        while True:
            await self._work.acquire()
            name = self._due.popleft()
            self._queued.discard(name)
            await self._look(self.robots[name])

    async def _look(self, robot: SimulatedRobot) -> None:
        value = await last_value(
            self._connection, SignedTarget, robot_id=robot.robot_id, timeout_s=PUBLISH_TIMEOUT_S
        )
        assert value is not None, "a nudge comes after its target"
        signed = value.event
        self._keys.verify(TARGET, signed.payload, signed.key_id, signed.signature)
        target = decode(signed.payload, RobotTarget)
        assert target.robot_id == robot.robot_id
        if target.generation <= robot.generation:
            return
        robot.generation = target.generation
        if target.switch_at is None:
            await self._obey(robot, target)
            return
        due_s = (target.switch_at - robot.now()).total_seconds() + robot.clock_error_s
        asyncio.get_running_loop().call_later(due_s, self._switch, robot, target)

    def _switch(self, robot: SimulatedRobot, target: RobotTarget) -> None:
        """At the instant: all robots of the process switch before any of them reports."""
        if robot.generation == target.generation:
            robot.serve(target)
            reporting = asyncio.ensure_future(self._report(robot, _proof(robot, target)))
            self._reporting.add(reporting)
            reporting.add_done_callback(self._reporting.discard)

    async def _obey(self, robot: SimulatedRobot, target: RobotTarget) -> None:
        match target.mode:
            case TargetMode.STAGE:
                robot.staged = target.digest
                said: Event = ModelStaged(
                    **_of(target), warm_up_ms=1, bytes_fetched=0, staged_at=robot.now()
                )
            case TargetMode.SHADOW:
                said = ModelShadowed(
                    **_of(target), frames=target.proof_inferences, shadowed_at=robot.now()
                )
            case TargetMode.SERVE:
                robot.serve(target)
                said = _proof(robot, target)
        await self._report(robot, said)

    async def _report(self, robot: SimulatedRobot, said: Event) -> None:
        await self._say(said)
        await self._say(_checked_in(robot))

    async def _say(self, fact: Event) -> None:
        """Until it is stored: a robot's spool does not forget."""
        while True:
            with contextlib.suppress(BusError):
                await publish(self._connection, fact, timeout_s=PUBLISH_TIMEOUT_S)
                return


@contextlib.asynccontextmanager
async def running_swarm(
    system: NatsSystem, trust_dir: Path, robots: Sequence[RobotId], enroller: Client
) -> AsyncIterator[Swarm]:
    """Enrolled robots at work; their labels: ``site`` is the part of the name before the dash."""
    for name in robots:
        enrolled = RobotEnrolled(
            robot_id=name, labels={"site": name.split("-")[0]}, enrolled_at=_utc_now()
        )
        await publish(enroller, enrolled, timeout_s=PUBLISH_TIMEOUT_S)
    assert isinstance(system.identities, SwarmIdentities), "make it by swarm_system"
    settings = system.identities.settings_of_swarm(system.url)
    connection = await asyncio.wait_for(connect(settings, on_closed=_nothing), CONNECT_TIMEOUT_S)
    swarm = Swarm(connection, TrustedKeys.load(trust_dir), robots)
    running = asyncio.ensure_future(swarm.run())
    await swarm.check_in()
    try:
        yield swarm
        assert not running.done(), "the swarm stopped working"
    finally:
        running.cancel()
        await asyncio.wait({running})
        await close(connection)


def names(count: int, sites: int = 10) -> tuple[RobotId, ...]:
    """Ids of robots that are spread evenly over sites."""
    return tuple(robot_id(f"site{number % sites}-{number}") for number in range(count))


class SwarmIdentities(Identities):
    """Identities of a test system whose account of robots also has a key without a scope.

    With it the swarm is every robot at once. No other system knows such a key.
    """

    def settings_of_swarm(self, url: str) -> BusSettings:
        """How the swarm connects."""
        user, edge = KeyPair.create("user"), self.accounts[Account.EDGE]
        claims = nats_jwt.user_claims(user.public, SWARM, edge.public)
        claims["nats"] |= {"sub": {}, "pub": {}, "subs": -1, "data": -1, "payload": -1}
        token = nats_jwt.signed(claims, self._key(SWARM, "account"), int(time.time()))
        path = self._credentials_dir / f"{SWARM}.creds"
        write_private(path, nats_jwt.credentials(token, user))
        return BusSettings(url=url, credentials=path, name=SWARM, reconnect_wait_s=0.1)

    def _account_claims(self, account: Account) -> nats_jwt.Claims:
        claims = super()._account_claims(account)
        if account is Account.EDGE:
            claims["nats"]["signing_keys"].append(self._key(SWARM, "account").public)
        return claims


def swarm_system(directory: Path) -> NatsSystem:
    """A system, still to be started, that a swarm can connect to."""
    system = NatsSystem(directory)
    system.identities = SwarmIdentities(directory / "keys", directory / "credentials")
    return system


def _of(target: RobotTarget) -> dict[str, Any]:  # Any: the fields that every report begins with
    return {
        "robot_id": target.robot_id,
        "rollout_id": target.rollout_id,
        "generation": target.generation,
        "model": target.model,
        "digest": target.digest,
    }


def _proof(robot: SimulatedRobot, target: RobotTarget) -> ModelActivated:
    return ModelActivated(
        **_of(target),
        inferences=target.proof_inferences,
        swap_ms=1,
        warm_up_ms=1,
        bytes_fetched=0,
        activated_at=robot.now(),
    )


def _checked_in(robot: SimulatedRobot) -> RobotCheckedIn:
    return RobotCheckedIn(
        robot_id=robot.robot_id,
        boot_id=BootId("boot"),
        sequence=1,
        generation=robot.generation,
        active_digest=robot.serves,
        modes=(TargetMode.STAGE, TargetMode.SHADOW),
        checked_in_at=robot.now(),
    )


def _utc_now() -> datetime:
    return datetime.now(timezone.utc)


async def _nothing() -> None:
    """The swarm's end is told by its task."""
