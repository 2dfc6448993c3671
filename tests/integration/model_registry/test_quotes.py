"""What the registry quotes is what a robot then fetches, to the byte."""

from __future__ import annotations

import random
from pathlib import Path
from uuid import uuid4

import aiohttp
import pytest

from edge_bridge.converge import Cost
from edge_bridge.errors import ByteCapError
from edge_bridge.fetch import Fetcher
from edge_bridge.store import ModelStore
from edge_bridge.transfer import FetchLimits
from fleetward.bus.errors import RefusedError
from fleetward.bus.publish import publish
from fleetward.bus.requests import ask
from fleetward.client import Fleet
from fleetward.client.quotes import Cohort, RolloutQuote, quote
from fleetward.contracts.ids import BootId, Digest, ModelRef, RobotId, RolloutId, version
from fleetward.contracts.quotes import MAX_HELD_SETS, QuoteUpdate
from fleetward.contracts.registry import FetchGranted, GrantFetch, ModelVersion
from fleetward.contracts.robots import RobotCheckedIn, RobotEnrolled, RobotTarget
from fleetward.contracts.rows import Principal
from fleetward.trust.listing import Listed, listed
from testkit.servers import NatsSystem
from tests.integration.model_registry.targets import NOW, give_target
from tests.unit.delivery.model_files import Tensor, safetensors, saved, tensors

MIB = 1024 * 1024


class Robot:
    """The robot's own store and fetcher, over its own credentials."""

    def __init__(self, name: str, system: NatsSystem, directory: Path) -> None:
        self.id = RobotId(name)
        self.store = ModelStore(directory / name, limit_bytes=10**9, reserve_bytes=0)
        self._system = system
        self._version: ModelVersion

    async def fetch(self, wanted: ModelVersion, byte_cap: int | None = None) -> Cost:
        await give_target(self._system, self.id, wanted, fallback=wanted)
        self._version = wanted
        target = RobotTarget(
            robot_id=self.id,
            generation=1,
            rollout_id=RolloutId("r-1"),
            model=wanted.manifest.model,
            digest=wanted.manifest.digest,
            byte_cap=byte_cap,
            issued_at=NOW,
        )
        async with aiohttp.ClientSession(auto_decompress=False) as session:
            fetcher = Fetcher(session, self._grant, self.store, self, FetchLimits())
            return await fetcher.fetch(target, self.store.digests())

    def listed(self, model: ModelRef) -> Listed:
        manifest = self._version.manifest
        return listed(self._version.signed.payload, manifest.digest, 1, fallback=False)

    async def _grant(self, digest: Digest, held: tuple[Digest, ...]) -> FetchGranted:
        connection = await self._system.connect(self.id)
        granted: FetchGranted = await ask(
            connection, GrantFetch(robot_id=self.id, digest=digest, held=held)
        )
        return granted

    async def check_in(self, site: str) -> None:
        enroller = await self._system.connect(Principal.ENROLLER)
        await publish(
            enroller, RobotEnrolled(robot_id=self.id, labels={"site": site}, enrolled_at=NOW)
        )
        await publish(
            await self._system.connect(self.id),
            RobotCheckedIn(
                robot_id=self.id,
                boot_id=BootId("b-1"),
                sequence=1,
                cached_digests=tuple(self.store.digests()),
                checked_in_at=NOW,
            ),
        )


@pytest.fixture
async def versions(fleet: Fleet, tmp_path: Path) -> list[ModelVersion]:
    """Two versions: of eight tensors one became another."""
    name, held = f"m-{uuid4().hex[:12]}", tensors(8, MIB, seed=random.randrange(10**9))
    changed = Tensor(held[5].name, random.Random(5).randbytes(MIB))
    files = [held, [*held[:5], changed, *held[6:]]]
    return [
        (
            await fleet.push_model(
                saved(safetensors(file), tmp_path / f"{number}"), name, f"{number}.0"
            )
        ).version
        for number, file in enumerate(files)
    ]


def cohort_of(quoted: RolloutQuote, robot: Robot) -> Cohort:
    (found,) = (cohort for cohort in quoted.cohorts if robot.id in cohort.robots)
    return found


async def test_the_quote_is_what_each_robot_then_fetches(
    fleet: Fleet, shared_nats_system: NatsSystem, versions: list[ModelVersion], tmp_path: Path
) -> None:
    first, second = versions
    robots = [Robot(f"arm-{n}", shared_nats_system, tmp_path) for n in range(1, 4)]
    fresh, behind, current = robots
    await behind.fetch(first)
    await current.fetch(second)
    for robot in robots:
        await robot.check_in("hall")

    quoted = await quote(fleet.connection, str(second.manifest.model), "site=hall")

    assert cohort_of(quoted, current).quote.fetch_bytes == 0
    for robot in (fresh, behind):
        cost = await robot.fetch(second)
        assert cost.received_bytes == cost.planned_bytes
        assert cohort_of(quoted, robot).quote.fetch_bytes == cost.received_bytes
        assert not cost.remarks
    whole, update = (cohort_of(quoted, robot).quote.fetch_bytes for robot in (fresh, behind))
    assert quoted.dearest_bytes == whole > 8 * MIB
    assert MIB <= update < 1.02 * MIB + 20_000
    assert quoted.total_bytes == whole + update
    assert cohort_of(quoted, fresh).minutes(link_mbps=whole * 8 / 1e6) == pytest.approx(1 / 60)


async def test_a_cap_of_the_quote_is_enough_and_a_byte_less_is_not(
    fleet: Fleet, shared_nats_system: NatsSystem, versions: list[ModelVersion], tmp_path: Path
) -> None:
    first, second = versions
    one, other = (Robot(f"arm-{n}", shared_nats_system, tmp_path) for n in (4, 5))
    for robot in (one, other):
        await robot.fetch(first)
        await robot.check_in("yard")
    quoted = await quote(fleet.connection, str(second.manifest.model), "site=yard")

    with pytest.raises(ByteCapError, match="needs"):
        await one.fetch(second, quoted.dearest_bytes - 1)
    cost = await other.fetch(second, quoted.dearest_bytes)

    assert cost.received_bytes == quoted.dearest_bytes
    assert one.store.digests() == {first.manifest.digest}


async def test_a_quote_of_what_is_not_published_or_of_too_many_kinds_is_refused(
    fleet: Fleet, versions: list[ModelVersion]
) -> None:
    model = versions[0].manifest.model
    missing = QuoteUpdate(name=model.name, version=version("9.9"), held=((),))
    with pytest.raises(RefusedError, match="is not published"):
        await ask(fleet.connection, missing)
    many = QuoteUpdate(name=model.name, version=model.version, held=((),) * (MAX_HELD_SETS + 1))
    with pytest.raises(RefusedError, match="Ask for fewer robots"):
        await ask(fleet.connection, many)
