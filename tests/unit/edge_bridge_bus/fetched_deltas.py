"""Two versions of a model whose weights all moved a little, and the real delta between them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fleetward.contracts.ids import Digest
from fleetward.contracts.registry import DeltaOffer
from fleetward.delivery.delta_file import write_delta
from fleetward.delivery.delta_plan import Side
from fleetward.delivery.manifest import TensorSpan
from tests.unit.delivery.chunked_files import chunks_of, digest_of
from tests.unit.edge_bridge_bus.fetch_rig import Rig
from tests.unit.edge_bridge_bus.object_server import CHUNK_BYTES, cut_evenly

TENSORS = 12
_BEFORE = np.random.default_rng(3).normal(0, 0.02, (TENSORS, CHUNK_BYTES // 2)).astype(np.float16)
_AFTER = _BEFORE.copy()
_AFTER[1:-1] *= np.float16(1.001)
_AFTER[-1] = np.random.default_rng(4).normal(0, 0.02, CHUNK_BYTES // 2).astype(np.float16)
BASE, NEXT = _BEFORE.tobytes(), _AFTER.tobytes()
"""The first tensor is the same, the last one is another, those between differ a little."""


def side_of(content: bytes) -> Side:
    return Side(
        digest_of(content),
        len(content),
        tuple(
            TensorSpan(f"t{n}", "F16", (CHUNK_BYTES // 2,), n * CHUNK_BYTES, CHUNK_BYTES)
            for n in range(TENSORS)
        ),
        chunks_of(cut_evenly(content)),
        lambda start, length: content[start : start + length],
    )


class TwoVersions:
    """The base is on the robot; the target is NEXT, offered by ``offer``."""

    def __init__(self, rig: Rig, directory: Path) -> None:
        self.rig = rig
        self._path = directory / "delta"
        self.base: Digest
        self.offer: DeltaOffer
        self.delta: bytes

    async def publish(self, byte_cap: int | None = None) -> None:
        self.rig.publish(cut_evenly(BASE))
        await self.rig.fetch()
        self.base = self.rig.target.digest
        self.rig.publish(cut_evenly(NEXT), byte_cap)
        written = write_delta(side_of(BASE), side_of(NEXT), self._path)
        self.delta = self._path.read_bytes()
        self.offer = DeltaOffer(
            base=self.base,
            stored=self.rig.objects.put(self.delta),
            header_bytes=written.delta.header_bytes,
            fetch_bytes=written.delta.fetch_bytes,
        )
        self.rig.registry.offers[self.rig.target.digest] = [self.offer]
        self.rig.objects.ranges.clear()
        self.rig.objects.sent_bytes = 0

    @property
    def quoted_bytes(self) -> int:
        return self.rig.chunks_bytes + self.offer.fetch_bytes

    def spoil(self, first: int, last: int | None = None) -> None:
        """Change bytes of the stored delta."""
        end = len(self.delta) if last is None else last
        content = self.delta[:first] + bytes(end - first) + self.delta[end:]
        self.rig.objects.contents[self.offer.stored.digest] = content
