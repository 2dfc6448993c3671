"""A fetcher with its store, its registry and its object server."""

from __future__ import annotations

import random
from pathlib import Path

import aiohttp

from edge_bridge.converging.converge import Cost
from edge_bridge.fetching.fetch import Fetcher
from edge_bridge.fetching.limits import FetchLimits, RangeLimits
from edge_bridge.files import Disk
from edge_bridge.store import ModelStore
from fleetward.contracts.ids import Digest
from fleetward.contracts.registry import ModelManifest
from fleetward.contracts.robots import Fetching, RobotTarget
from fleetward.trust.signing import SigningKey
from tests.unit.edge_bridge_bus.object_server import (
    CHUNK_BYTES,
    Objects,
    Registry,
    cut_evenly,
    target_for,
)

RANGE_BYTES = 4 * CHUNK_BYTES
CONTENT = random.Random(7).randbytes(10 * RANGE_BYTES - 777)
SMALL = CONTENT[: 3 * RANGE_BYTES]
"""For tests that fetch it again and again."""
LIMITS = FetchLimits(
    ranges=RangeLimits(range_bytes=RANGE_BYTES, stall_timeout_s=0.3, connect_timeout_s=1.0),
    retry_wait_s=0.01,
)


class QuickDisk(Disk):
    """Waits for no platter: in these tests nobody cuts the power."""

    def sync(self, descriptor: int) -> None:
        pass

    def sync_directory(self, directory: Path) -> None:
        pass


class Rig:
    """``manifest`` is the published CONTENT's."""

    def __init__(self, directory: Path, objects: Objects, base_url: str) -> None:
        self.objects = objects
        key = SigningKey.create(directory / "manifest.seed")
        self.registry = Registry(objects, base_url, key)
        self.manifest = self.registry.publish(cut_evenly(CONTENT))
        self.target = target_for(CONTENT)
        self.models = directory / "models"
        self.seen: list[Fetching] = []
        """The progress at each grant."""
        self.open_store(QuickDisk())

    def open_store(self, disk: Disk) -> None:
        """As a robot does that starts anew."""
        self.store = ModelStore(self.models, limit_bytes=10**9, reserve_bytes=0, disk=disk)

    @property
    def chunks_bytes(self) -> int:
        assert self.manifest.chunks
        return self.manifest.chunks.size_bytes

    @property
    def pack(self) -> Digest:
        (pack,) = {run.pack for run in self.registry.chunks[self.target.digest].header.runs}
        return pack

    def publish(self, pieces: list[bytes], byte_cap: int | None = None) -> ModelManifest:
        """Another version, which the target names from now on."""
        self.manifest = self.registry.publish(pieces)
        generation = self.target.generation + 1
        self.target = target_for(b"".join(pieces), generation, byte_cap)
        return self.manifest

    async def fetch(
        self, limits: FetchLimits = LIMITS, target: RobotTarget | None = None, spent_bytes: int = 0
    ) -> Cost:
        async with aiohttp.ClientSession(auto_decompress=False) as session:
            fetcher = Fetcher(
                lambda: session, self.registry.grant, self.store, self.registry, limits
            )
            return await fetcher.fetch(target or self.target, frozenset(), spent_bytes)

    def assert_arrived(self, content: bytes = CONTENT) -> None:
        assert self.store.path(self.target.digest).read_bytes() == content
        assert list((self.models / "partial").iterdir()) == []

    def assert_nothing_there(self) -> None:
        assert self.store.digests() == frozenset()
        assert list(self.models.glob("*.model")) == []
