"""A robot's own store and fetcher beside a real registry, and two versions for it to fetch."""

from __future__ import annotations

import random
from pathlib import Path
from uuid import uuid4

import aiohttp

from edge_bridge.converging.converge import Cost
from edge_bridge.fetching.fetch import Fetcher
from edge_bridge.fetching.limits import FetchLimits
from edge_bridge.store import ModelStore
from fleetward.bus.publish import publish
from fleetward.bus.requests import ask
from fleetward.client import Fleet
from fleetward.contracts.ids import BootId, Digest, ModelRef, RobotId, RolloutId
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

    async def fetch(
        self,
        wanted: ModelVersion,
        byte_cap: int | None = None,
        limits: FetchLimits = FetchLimits(),  # noqa: B008  # it is frozen
    ) -> Cost:
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
            fetcher = Fetcher(lambda: session, self._grant, self.store, self, limits)
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


async def two_versions(fleet: Fleet, directory: Path) -> list[ModelVersion]:
    """Two versions: of eight tensors one became another."""
    name, held = f"m-{uuid4().hex[:12]}", tensors(8, MIB, seed=random.randrange(10**9))
    changed = Tensor(held[5].name, random.Random(5).randbytes(MIB))
    files = [held, [*held[:5], changed, *held[6:]]]
    return [
        (
            await fleet.push_model(
                saved(safetensors(file), directory / f"{number}"), name, f"{number}.0"
            )
        ).version
        for number, file in enumerate(files)
    ]
