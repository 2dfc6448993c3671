"""How a fetch is bounded; apart from what fetches, which loads an HTTP library."""

from __future__ import annotations

from msgspec import Struct

from edge_bridge.fetching.throttle import Throttle
from edge_bridge.pace import PaceLimits

KIB = 1024
MIB = 1024 * KIB


class RangeLimits(Struct, frozen=True, kw_only=True):
    """How much one ranged GET asks for and how patient it is."""

    range_bytes: int = 8 * MIB
    block_bytes: int = MIB
    connect_timeout_s: float = 10.0
    stall_timeout_s: float = 10.0
    """No byte for so long ends the attempt."""
    slowest_bytes_per_s: float = 4 * KIB
    """A range slower than this on the whole ends too: a drip must not hold a rollout."""

    def deadline_s(self, length: int, throttle: Throttle) -> float:
        """The longest that ``length`` bytes may take."""
        slowest = min(self.slowest_bytes_per_s, (throttle.bytes_per_s or float("inf")) / 2)
        return self.connect_timeout_s + self.stall_timeout_s + length / slowest


class FetchLimits(Struct, frozen=True, kw_only=True):
    """How a whole transfer is bounded."""

    ranges: RangeLimits = RangeLimits()
    bytes_per_s: float | None = None
    """The most that a fetch takes of the link; None: all of it."""
    site_cache: str | None = None
    """The base URL of a caching proxy on this site, put in place of the object store's."""
    cache_patience_s: float = 60.0
    """A cache is silent while it fetches a whole range for somebody else."""
    attempts_without_progress: int = 4
    """GETs that may fail one after the other before the caller waits longer."""
    portion_s: float = 2.0
    """One GET takes about so long where the link is slow: what is urgent waits behind no more than that."""
    first_portion_bytes: int = 64 * KIB
    least_portion_bytes: int = 16 * KIB
    retry_wait_s: float = 0.2
    retry_wait_limit_s: float = 5.0
    whole_attempts: int = 2
    """Wrong bytes are fetched once more, in case the disk or the way was to blame."""

    @property
    def pace(self) -> PaceLimits:
        """Of the GETs' sizes."""
        most_bytes = self.ranges.range_bytes
        return PaceLimits(
            portion_s=self.portion_s,
            first_bytes=min(self.first_portion_bytes, most_bytes),
            least_bytes=min(self.least_portion_bytes, most_bytes),
            most_bytes=most_bytes,
        )
