"""A directory of sealed files that wait to be stored, within a bound: the oldest are given up first.

Beside each file lies a note of it. A note without its file is of one that was stored, or that its maker
still has; a loss is written down, with its name, before the file goes. So whatever a kill interrupts is
neither sent as another nor counted twice.
"""

from __future__ import annotations

import logging
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import msgspec

from edge_bridge.errors import DiskFullError
from edge_bridge.files import Disk, Files, full_disk_named
from edge_bridge.shipping.sealed import Losses, Sealed
from edge_bridge.shipping.standing import Standing
from fleetward.bus.logs import log
from fleetward.contracts.ids import SegmentId
from fleetward.contracts.segments import SUFFIXES, Segment, SegmentKind

_logger = logging.getLogger(__name__)
_NOTE = ".note"
_LOSSES = "losses.json"


class Outbox:
    """The files of one kind. Every method may be called from any thread and waits for the disk."""

    def __init__(
        self,
        directory: Path,
        kind: SegmentKind,
        limit_bytes: int,
        *,
        reserve_bytes: int = 0,
        free_bytes: Callable[[], int] | None = None,
        disk: Disk | None = None,
    ) -> None:
        """``reserve_bytes`` stay free on the disk for others. Raises DiskFailedError, DiskFullError."""
        self._directory = directory
        self._kind = kind
        self._limit_bytes = limit_bytes
        self._reserve_bytes = reserve_bytes
        self._free_bytes = free_bytes or (lambda: shutil.disk_usage(directory).free)
        self._files = Files(disk or Disk())
        self._lock = threading.Lock()
        self._taken: SegmentId | None = None
        self.on_put: Callable[[], None] = lambda: None
        """Called in the thread that put a file in."""
        with full_disk_named(str(directory)):
            directory.mkdir(parents=True, exist_ok=True)
            self._losses = self._read_losses()
            self._given_up_before = self._losses.messages
            self._waiting = self._found()

    @property
    def losses(self) -> Losses:
        """What was ever given up, by bridges before this one too."""
        return self._losses

    @property
    def held_bytes(self) -> int:
        """Of all files that wait."""
        return sum(each.segment.size_bytes for each in list(self._waiting.values()))

    def standing(self, lost_messages: int) -> Standing:
        """How these files stand; ``lost_messages`` came into none of them."""
        return Standing(
            kind=self._kind.value,
            lost_messages=lost_messages + self._losses.messages - self._given_up_before,
            waiting_bytes=self.held_bytes,
            limit_bytes=self._limit_bytes,
        )

    @property
    def last_number(self) -> int:
        """The number that what waits reaches to."""
        return max((each.segment.end_number for each in list(self._waiting.values())), default=0)

    def __len__(self) -> int:
        return len(self._waiting)

    def path_of(self, segment: Segment) -> Path:
        """Where its file lies."""
        return self._directory / f"{segment.segment_id}{SUFFIXES[self._kind]}"

    def put(self, file: Path, segment: Segment, part_md5s: tuple[str, ...] = ()) -> bool:
        """Take a whole file of the same disk, which is ``file`` no more; False: it had to be given up.

        What is put in is older than what is put in later. ``part_md5s`` are its fingerprint's; without them
        the registry reads all that arrived. Raises DiskFailedError, DiskFullError: the file is still its
        maker's, who puts it in again.
        """
        assert segment.kind is self._kind, "an outbox has one kind of files"
        with full_disk_named(file.name):
            self._sync(file)
        with self._lock, full_disk_named(file.name):
            given_up = segment.segment_id == self._losses.last  # a kill left its file
            if given_up or not self._make_room(segment.size_bytes):
                if not given_up:
                    self._lose(segment, "there is no room", file)
                self._remove(file)
                return False
            sealed = Sealed(segment=segment, part_md5s=part_md5s)
            self._note(sealed)
            self._files.move_whole(file, self.path_of(segment))
            self._waiting[segment.segment_id] = sealed
        self.on_put()
        return True

    def make_room(self) -> bool:
        """Give up the oldest until the disk has what others need; False: nothing is left to give up.

        Raises DiskFailedError, DiskFullError.
        """
        with self._lock, full_disk_named(str(self._directory)):
            return self._make_room(0)

    def take(self) -> Sealed | None:
        """The oldest, which is not given up for room until it is ``released`` or at its end; None: no file."""
        with self._lock:
            sealed = next(iter(self._waiting.values()), None)
            self._taken = None if sealed is None else sealed.segment.segment_id
            return sealed

    def released(self) -> None:
        """What was taken waits again."""
        with self._lock:
            self._taken = None

    def keep(self, sealed: Sealed) -> None:
        """Write down how far the upload of a taken file is; raises DiskFailedError, DiskFullError."""
        with self._lock:
            self._note(sealed)
            self._waiting[sealed.segment.segment_id] = sealed

    def stored(self, sealed: Sealed) -> None:
        """A taken file is stored: it goes. Raises DiskFailedError."""
        with self._lock, full_disk_named(sealed.segment.segment_id):
            self._taken = None
            self._forget(sealed.segment)

    def give_up(self, sealed: Sealed, reason: str) -> None:
        """A taken file can never be stored: it is counted and goes. Raises DiskFailedError, DiskFullError."""
        with self._lock, full_disk_named(sealed.segment.segment_id):
            self._taken = None
            self._lose(sealed.segment, reason, self.path_of(sealed.segment))

    def _make_room(self, wanted_bytes: int) -> bool:
        """Give up the oldest until the bounds hold; the new file lies on the disk already."""
        while (
            self.held_bytes + wanted_bytes > self._limit_bytes
            or self._free_bytes() < self._reserve_bytes
        ):
            oldest = next((id_ for id_ in self._waiting if id_ != self._taken), None)
            if oldest is None:
                return False
            segment = self._waiting[oldest].segment
            self._lose(segment, "the outbox is full", self.path_of(segment))
        return True

    def _lose(self, segment: Segment, reason: str, file: Path) -> None:
        try:
            self._count(segment, reason)
        except DiskFullError:
            self._remove(file)  # nothing can be written before something is gone
            self._count(segment, reason)
        self._forget(segment)

    def _count(self, segment: Segment, reason: str) -> None:
        losses = self._losses.with_one(segment)
        self._files.write_whole(self._directory / _LOSSES, msgspec.json.encode(losses))
        self._losses = losses
        log(
            _logger,
            "outbox.gave_up",
            level=logging.WARNING,
            segment_id=segment.segment_id,
            messages=segment.messages,
            bytes=segment.size_bytes,
            reason=reason,
            messages_ever=losses.messages,
        )

    def _forget(self, segment: Segment) -> None:
        self._files.disk.unlink(self.path_of(segment))
        self._files.disk.unlink(self._note_of(segment.segment_id))
        self._waiting.pop(segment.segment_id, None)

    def _remove(self, file: Path) -> None:
        """For good: it may lie in its maker's directory, who must not find it again."""
        self._files.disk.unlink(file)
        self._files.disk.sync_directory(file.parent)

    def _sync(self, file: Path) -> None:
        disk = self._files.disk
        descriptor = disk.open_to_read(file)
        try:
            disk.sync(descriptor)
        finally:
            disk.close(descriptor)

    def _note(self, sealed: Sealed) -> None:
        path = self._note_of(sealed.segment.segment_id)
        self._files.write_whole(path, msgspec.json.encode(sealed))

    def _note_of(self, segment_id: SegmentId) -> Path:
        return self._directory / f"{segment_id}{_NOTE}"

    def _read_losses(self) -> Losses:
        read = _read(self._directory / _LOSSES, Losses)
        return read if read is not None else Losses()

    def _found(self) -> dict[SegmentId, Sealed]:
        """What a bridge before this one left; what belongs to nothing any more goes."""
        for partial in self._directory.glob("*.partial"):
            self._files.disk.unlink(partial)
        notes = [_read(path, Sealed) for path in self._directory.glob(f"*{_NOTE}")]
        whole = [
            each
            for each in notes
            if each is not None
            and self.path_of(each.segment).exists()
            and each.segment.segment_id != self._losses.last
        ]
        kept = {self.path_of(each.segment) for each in whole}
        kept |= {self._note_of(each.segment.segment_id) for each in whole}
        for path in self._directory.iterdir():
            if path not in kept and path.name != _LOSSES:
                self._files.disk.unlink(path)
        whole.sort(key=lambda each: (each.segment.first_number, each.segment.started_at))
        return {each.segment.segment_id: each for each in whole}


_Read = TypeVar("_Read")


def _read(path: Path, type_: type[_Read]) -> _Read | None:
    """None: it is not there, or a damaged disk made it unreadable; what is missing then shows by its numbers."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=type_)
    except FileNotFoundError:
        return None
    except msgspec.MsgspecError as problem:
        log(
            _logger,
            "outbox.unreadable",
            level=logging.ERROR,
            path=str(path),
            reason=str(problem),
        )
        return None
