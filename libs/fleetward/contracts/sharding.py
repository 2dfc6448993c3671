"""Where the robots of a rollout lie that is too large for one row."""

from __future__ import annotations

from msgspec import Struct


class Sharding(Struct, frozen=True, kw_only=True):
    """Shards of ``rollout_rows.ROBOTS_PER_SHARD`` robots, in the order of the rollout's waves.

    progress, counted: the rollout's revision that last wrote each shard.
    """

    wave_sizes: tuple[int, ...]
    progress: tuple[int, ...]
    counted: tuple[int, ...]
