"""How what leaves the robot stands: what was lost, and what waits; each kind of recording for itself."""

from __future__ import annotations

from msgspec import Struct


class Standing(Struct, frozen=True, kw_only=True):
    """Of one kind. ``lost_messages``: since the bridge started, and what the one before took with it.

    ``waiting_bytes`` wait to be stored, where there is room for ``limit_bytes``.
    """

    kind: str
    lost_messages: int
    waiting_bytes: int
    limit_bytes: int

    @property
    def utilization(self) -> float:
        """The share of the room that is taken."""
        return self.waiting_bytes / self.limit_bytes if self.limit_bytes else 0.0
