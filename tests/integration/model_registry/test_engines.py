"""Engines cross from robot to robot over a real registry and store, and only where all agree that they may.

Workers are real, TensorRT and CUDA are stand-ins (``testkit/stand_ins``): nothing here ran on a GPU.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timezone
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import aiohttp
import pytest
from msgspec.structs import replace

from edge_bridge.backends.engine_key import pool_of
from edge_bridge.backends.engine_settings import ANYBODY, TwinSettings
from edge_bridge.link import Link
from edge_bridge.settings import Settings
from edge_bridge.shipping.upstream import Upstream, UpstreamLimits
from edge_bridge.twins.exchange import EngineExchange, exchange_of
from edge_bridge.workers.protocol import Ready
from fleetward.bus.errors import RefusedError
from fleetward.bus.last_values import last_values
from fleetward.bus.publish import publish
from fleetward.bus.requests import ask
from fleetward.client import Fleet
from fleetward.contracts.engines import (
    EngineOffer,
    EngineOffered,
    EngineOfferSigned,
    EnginesFound,
    FindEngine,
    GrantEngine,
)
from fleetward.contracts.ids import Digest, RobotId
from fleetward.contracts.robots import RobotEnrolled
from fleetward.contracts.rows import Principal
from fleetward.trust.engine_offers import signed_offer
from fleetward.trust.nats_jwt import key_in
from testkit.servers import NatsSystem, ObjectStore
from tests.integration.edge_slots.rig import running
from tests.integration.edge_slots.tensorrt_robot import STAND_INS, loaded
from tests.integration.edge_slots.tensorrt_robot import settings as tensorrt_settings
from tests.integration.model_registry.bucket import put

WAIT_S = 30.0


class Robot:
    """Enrolled, with a GPU and the twins' key."""

    def __init__(self, system: NatsSystem, directory: Path, name: str) -> None:
        self.id = RobotId(f"{name}-{uuid4().hex[:6]}")
        self.system = system
        self.directory = directory / name
        self.key = directory / "twins.key"
        self.link = Link(system.settings(self.id), self.directory / "credentials")

    def settings(self, *builders: str) -> Settings:
        slots = tensorrt_settings(self.directory / "engines")
        twins = TwinSettings(robot_id=self.id, key=str(self.key), builders=builders)
        return Settings(
            robot_id=self.id,
            nats_url=self.system.url,
            credentials=self.system.credentials(self.id),
            state_dir=self.directory,
            trust_dir=self.directory,
            slots=replace(slots, engines=replace(slots.engines, twins=twins)),
        )

    @asynccontextmanager
    async def exchange(self, *builders: str) -> AsyncIterator[EngineExchange]:
        async with aiohttp.ClientSession() as session:
            upstream = Upstream(UpstreamLimits())
            exchange = exchange_of(self.settings(*builders), self.link, lambda: session, upstream)
            assert exchange is not None
            parts = [asyncio.ensure_future(part) for part in exchange.parts().values()]
            try:
                yield exchange
            finally:
                for part in parts:
                    part.cancel()

    async def load(self, directory: Path, *builders: str, until: Callable[[], bool]) -> Ready:
        """Serve the model, and go on until ``until``."""
        async with (
            self.exchange(*builders) as exchange,
            running(self.settings(*builders).slots, twins=exchange) as rig,
        ):
            ready = await loaded(rig, directory)
            await rig.until(until)
            return ready

    def signed(self, offer: EngineOffer) -> EngineOfferSigned:
        """With the key of its credentials, whoever it is that offers."""
        key = key_in(self.system.credentials(self.id).read_text("ascii"))
        return replace(signed_offer(offer, key), robot_id=offer.robot_id)

    def waiting(self) -> list[Path]:
        """Engines that were not sent yet."""
        return list((self.directory / "engines").glob("*.offer"))


@pytest.fixture
async def twins(
    fleet: Fleet,
    shared_nats_system: NatsSystem,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[tuple[Robot, Robot]]:
    monkeypatch.setenv("PYTHONPATH", str(STAND_INS))
    monkeypatch.setenv("STAND_IN_JOURNAL", str(tmp_path / "journal"))
    (tmp_path / "twins.key").write_bytes(os.urandom(32))
    (tmp_path / "twins.key").chmod(0o600)
    both = (
        Robot(shared_nats_system, tmp_path, "canary"),
        Robot(shared_nats_system, tmp_path, "arm"),
    )
    for robot in both:
        await enrol(shared_nats_system, robot)
        await robot.link.open()
    yield both
    for robot in both:
        await robot.link.close(1.0)


async def enrol(system: NatsSystem, robot: Robot, public_key: str | None = None) -> None:
    """With the key of its credentials, or as a machine that has another."""
    enroller = await system.connect(Principal.ENROLLER)
    known = public_key or system.identities.robot_public(robot.id)
    now = datetime.now(timezone.utc)
    await publish(
        enroller, RobotEnrolled(robot_id=robot.id, labels={}, enrolled_at=now, public_key=known)
    )


async def sent(canary: Robot, directory: Path) -> Ready:
    return await canary.load(directory, until=lambda: not canary.waiting())


async def test_what_the_canary_built_its_twin_does_not_build_again(
    fleet: Fleet, twins: tuple[Robot, Robot], tmp_path: Path
) -> None:
    canary, arm = twins
    built = await sent(canary, tmp_path)
    taken = await arm.load(tmp_path, canary.id, until=lambda: True)

    assert "the engine was built in" in built.remarks[0]
    assert taken.remarks == (f"the engine is one that {canary.id} built",)
    assert (tmp_path / "journal").read_text().count("built") == 1
    offered = await last_values(fleet.connection, EngineOffered, engine=built.engine_key)
    assert [value.event.robot_id for value in offered] == [canary.id]
    assert arm.waiting() == [], "who took an engine offers none"


async def test_offer_that_a_kill_left_on_the_disk_is_sent_by_the_next_bridge(
    fleet: Fleet, twins: tuple[Robot, Robot], tmp_path: Path
) -> None:
    canary, arm = twins
    async with running(canary.settings().slots) as rig:  # there is no bridge to send it
        await loaded(rig, tmp_path)
    assert len(canary.waiting()) == 1
    strange = canary.directory / "engines" / "strange.offer"
    strange.touch()
    async with canary.exchange(), asyncio.timeout(WAIT_S):
        while canary.waiting() != [strange]:  # noqa: ASYNC110  # a file's end has no event here
            await asyncio.sleep(0.01)

    taken = await arm.load(tmp_path, ANYBODY, until=lambda: True)
    assert taken.remarks == (f"the engine is one that {canary.id} built",)


async def test_engine_of_a_machine_whose_key_was_voided_is_told_to_nobody(
    fleet: Fleet, twins: tuple[Robot, Robot], tmp_path: Path, shared_nats_system: NatsSystem
) -> None:
    canary, arm = twins
    built = await sent(canary, tmp_path)
    replaced = shared_nats_system.identities.robot_public(arm.id)
    await enrol(shared_nats_system, canary, public_key=replaced)

    assert (await found(arm, built)).offers == ()
    taken = await arm.load(tmp_path, ANYBODY, until=lambda: True)
    assert "the engine was built in" in taken.remarks[0]


async def test_only_an_offer_that_the_robot_itself_signed_gets_a_place(
    fleet: Fleet, twins: tuple[Robot, Robot], shared_nats_system: NatsSystem
) -> None:
    canary, arm = twins
    offer = EngineOffer(
        robot_id=canary.id,
        pool="0123456789abcdef",
        engine=Digest(f"sha256:{'a' * 64}"),
        model=Digest(f"sha256:{'b' * 64}"),
        digest=Digest(f"sha256:{'c' * 64}"),
        size_bytes=10,
        offered_at=datetime.now(timezone.utc),
    )
    larger = replace(offer, size_bytes=11)
    forged, honest = arm.signed(offer), canary.signed(offer)
    huge = canary.signed(replace(offer, size_bytes=10**13))
    altered = replace(honest, payload=canary.signed(larger).payload)
    for who, signed in ((canary, forged), (canary, altered), (canary, huge), (arm, honest)):
        with pytest.raises(RefusedError) as refused:
            await ask(await who.link.connected(), GrantEngine(robot_id=who.id, signed=signed))
        assert refused.value.code == "EngineRefusedError"


async def test_engine_that_came_damaged_is_not_handed_to_the_worker(
    fleet: Fleet, twins: tuple[Robot, Robot], tmp_path: Path, object_store: ObjectStore
) -> None:
    canary, arm = twins
    built = await sent(canary, tmp_path)
    (link,) = (await found(arm, built)).offers
    (arm.directory / "engines").mkdir(parents=True)  # as its worker does before it asks
    async with arm.exchange(ANYBODY) as exchange:
        fetched = await exchange.find(built.engine_key)
        assert fetched.builder == canary.id
        whole = Path(fetched.path).read_bytes()
        assert len(whole) == link.offer.size_bytes
        await put(object_store, urlsplit(link.url).path.split("/", 2)[2], whole[:-1] + b"!")
        damaged = await exchange.find(built.engine_key)
        nothing = await exchange.find(f"sha256:{'0' * 64}")

    assert damaged.path == nothing.path == ""
    assert not list((arm.directory / "engines").glob("*.twin"))
    taken = await arm.load(tmp_path, ANYBODY, until=lambda: True)
    assert "the engine was built in" in taken.remarks[0]


async def found(robot: Robot, built: Ready) -> EnginesFound:
    pool = pool_of(robot.key.read_bytes())
    find = FindEngine(robot_id=robot.id, engine=Digest(built.engine_key), pool=pool)
    answer: EnginesFound = await ask(await robot.link.connected(), find)
    return answer
