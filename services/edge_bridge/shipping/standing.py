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


class NumberGaps:
    """Counts what no sealed file has, by the numbers that files cover, as they are said one after the other."""

    def __init__(self) -> None:
        self.lost = 0
        self._until: int | None = None

    def sealed(self, first: int, end: int, messages: int) -> None:
        """A file covers ``first`` up to but without ``end`` and has so many; one that was said before is not new."""
        if self._until is not None and end <= self._until:
            return
        before = first if self._until is None else min(first, self._until)
        self.lost += end - before - messages
        self._until = end
