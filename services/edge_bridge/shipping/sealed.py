"""What is written down beside a sealed file: all that is told of it, and how far its upload is."""

from __future__ import annotations

from msgspec import Struct

from fleetward.contracts.ids import SegmentId
from fleetward.contracts.segments import Segment


class Sealed(Struct, frozen=True, kw_only=True):
    """One file of the outbox. ``attempts``: uploads of it whose bytes did not arrive as they were sealed."""

    segment: Segment
    part_md5s: tuple[str, ...] = ()
    upload_id: str = ""
    attempts: int = 0


class Losses(Struct, frozen=True, kw_only=True):
    """What an outbox ever gave up unsent. ``last``: what was given up last; its file may still be there."""

    files: int = 0
    messages: int = 0
    size_bytes: int = 0
    last: SegmentId | None = None

    def with_one(self, segment: Segment) -> Losses:
        """This one is given up too."""
        return Losses(
            files=self.files + 1,
            messages=self.messages + segment.messages,
            size_bytes=self.size_bytes + segment.size_bytes,
            last=segment.segment_id,
        )
