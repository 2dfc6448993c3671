"""A rollout as one SHA-256, whole, without encoding again what did not change. Pure.

Each shard of a large rollout has a digest of its own, so a decision costs what it changed. Which
revision wrote a shard is not part of it: the same rollout has the same digest however it came about.
"""

from __future__ import annotations

import hashlib

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from fleetward.contracts.codec import encode
from fleetward.contracts.rollout_rows import RolloutCounted, RolloutProgress, Shard, Stored, split
from fleetward.contracts.rollouts import Rollout
from rollout_coordinator.step import Step


class StateDigest(Struct, frozen=True):
    """The digest of the row and of every shard, by kind and number."""

    revision: int
    row: bytes
    shards: dict[tuple[str, int], bytes]

    @property
    def hex(self) -> str:
        """The digest of it all."""
        parts = (digest for _, digest in sorted(self.shards.items()))
        return hashlib.sha256(self.row + b"".join(parts)).hexdigest()


def digest_of(rollout: Rollout) -> StateDigest:
    """From nothing but the rollout."""
    return digest_after(split(replace(rollout, sharding=None), None), None)


def digest_after(stored: Stored, before: StateDigest | None) -> StateDigest:
    """From what a decision writes, and the digest of what it was made on; None: unknown."""
    sharding = stored.row.sharding
    if sharding is None:
        return StateDigest(stored.row.revision, _sha256(encode(stored.row)), {})
    if before is None and len(stored.shards) < len(sharding.progress) + len(sharding.counted):
        return digest_of(stored.whole)
    row = replace(stored.row, sharding=replace(sharding, progress=(), counted=()))
    changed = {(_kind(shard), shard.shard): _of_shard(shard) for shard in stored.shards}
    known = before.shards if before is not None else {}
    return StateDigest(stored.row.revision, _sha256(encode(row)), {**known, **changed})


def effects_digest(step: Step) -> str:
    """What a decision announces and orders."""
    names = [type(event).__name__ for event in step.events]
    return _sha256(msgspec.msgpack.encode((names, step.events, step.targets))).hex()


def _kind(shard: Shard) -> str:
    match shard:
        case RolloutProgress():
            return "progress"
        case RolloutCounted():
            return "counted"


def _of_shard(shard: Shard) -> bytes:
    return _sha256(encode(replace(shard, revision=0)))


def _sha256(payload: bytes) -> bytes:
    return hashlib.sha256(payload).digest()
