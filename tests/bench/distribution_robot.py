"""One robot's fetch, in a process of its own: reads what is published, prints how it went."""

from __future__ import annotations

import asyncio
import sys
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path

import aiohttp
import msgspec
from msgspec import Struct

from edge_bridge.fetching.fetch import Fetcher
from edge_bridge.fetching.limits import FetchLimits
from edge_bridge.store import ModelStore
from fleetward.contracts.codec import decode, encode
from fleetward.contracts.ids import Digest, ModelRef, RobotId, RolloutId
from fleetward.contracts.registry import FetchGranted, ModelManifest, SignedManifest
from fleetward.contracts.robots import RobotTarget
from fleetward.trust.listing import Listed, listed


class Published(Struct, frozen=True, kw_only=True):
    """A model in the store, with URLs for it: in chunks, and as one object for curl."""

    manifest: ModelManifest
    chunks_url: str
    packs: dict[Digest, str]
    whole_url: str

    @property
    def size_bytes(self) -> int:
        """How long the model is."""
        return self.manifest.size_bytes


class Arrived(Struct, frozen=True, kw_only=True):
    """How long the fetch took, to the adopted file, and the most memory that was resident."""

    seconds: float
    peak_bytes: int


class _Listing:
    def __init__(self, manifest: ModelManifest) -> None:
        self._manifest = manifest

    def listed(self, model: ModelRef) -> Listed:
        return listed(encode(self._manifest), self._manifest.digest, 1, fallback=False)


async def fetch(directory: Path, published: Published, limits: FetchLimits) -> None:
    """Fetch, verify and adopt it into the store in ``directory``."""
    now = datetime.now(timezone.utc)
    manifest = published.manifest
    store = ModelStore(directory, limit_bytes=2**40, reserve_bytes=0)
    target = RobotTarget(
        robot_id=RobotId("r1"),
        generation=1,
        rollout_id=RolloutId("ro1"),
        model=manifest.model,
        digest=manifest.digest,
        issued_at=now,
    )
    signed = SignedManifest(payload=encode(manifest), key_id="", signature=b"")
    granted = FetchGranted(
        expires_at=now + timedelta(hours=1),
        signed=signed,
        chunks_url=published.chunks_url,
        packs=published.packs,
    )

    async def grant(_: Digest, __: tuple[Digest, ...]) -> FetchGranted:
        return granted

    async with aiohttp.ClientSession(auto_decompress=False) as session:
        fetcher = Fetcher(lambda: session, grant, store, _Listing(manifest), limits)
        await fetcher.fetch(target, frozenset())


def main() -> None:
    """Fetch what stdin describes into the directory that is named."""
    published = decode(sys.stdin.buffer.read(), Published)
    began = time.perf_counter()
    asyncio.run(fetch(Path(sys.argv[1]), published, FetchLimits()))
    seconds = time.perf_counter() - began
    sys.stdout.buffer.write(msgspec.json.encode(Arrived(seconds=seconds, peak_bytes=peak_bytes())))


def peak_bytes(pid: int | None = None) -> int:
    """The most that was resident of a process (None: this one), as VmHWM says.

    What getrusage says includes the process that started this one.
    """
    status = Path(f"/proc/{pid or 'self'}/status").read_text(encoding="ascii")
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    main()
