"""The way of a frame: captured, into the ring, to the worker that serves, and to its one end.

Latest wins: beside what the worker holds, one frame waits, and a newer one takes its place. Frames
are accepted from the moment the first model serves; the ledger starts there.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from functools import partial

from edge_bridge.errors import LedgerError
from edge_bridge.frames import Frame, FrameType
from edge_bridge.workers.inference_done import InferenceDone, done_by
from edge_bridge.workers.ledger import Ledger
from edge_bridge.workers.protocol import Inferred
from edge_bridge.workers.ring import FrameRing
from edge_bridge.workers.shadow import Shadow
from edge_bridge.workers.slot import WorkerSlot
from edge_bridge.workers.slot_settings import SlotSettings
from edge_bridge.workers.ticket import Ticket


def places_for(settings: SlotSettings) -> int:
    """The frames of two workers and of a shadow, the one that waits, one being written, one on loan."""
    return 3 * settings.in_flight_limit + 3


class Loan:
    """A place of the ring where a frame is written in place, so that nobody copies it.

    Write all of ``memory``, then ``give`` it, or ``return_it`` unused; afterwards write no more. On the
    event loop's thread, but for the writing.
    """

    def __init__(
        self,
        memory: memoryview,
        give: Callable[[], int],
        return_it: Callable[[], None],
        begin: Callable[[], None],
    ) -> None:
        self.memory = memory
        self.begin = begin
        """Call it or not, just before you write: the worker, if it sleeps, wakes meanwhile. Not before you
        wait for a camera: it would sleep again, and have been woken for nothing."""
        self._give, self._return = give, return_it
        self._is_open = True

    def give(self) -> int:
        """The frame was captured now; returns the id that its result will have."""
        self._end()
        return self._give()

    def return_it(self) -> None:
        """There is no frame after all."""
        self._end()
        self._return()

    def _end(self) -> None:
        if not self._is_open:
            raise LedgerError("this place was given or returned before: lend another one.")
        self._is_open = False


class FramePump:
    """Feeds whichever worker it is aimed at, and keeps the ledger."""

    def __init__(
        self,
        settings: SlotSettings,
        ring: FrameRing,
        ledger: Ledger,
        on_result: Callable[[InferenceDone], None],
        shadow: Shadow,
    ) -> None:
        self._settings = settings
        self._ring = ring
        self._ledger = ledger
        self._on_result = on_result
        self._shadow = shadow
        self._target: WorkerSlot | None = None
        self._began = False
        self._reissued: deque[Ticket] = deque()
        self._waiting: Ticket | None = None

    def accept(self, frame: Frame) -> int | None:
        """Take a frame that was captured now, and say its id; None before the first model serves.

        Raises FrameRefusedError and then keeps no trace.
        """
        if not self._began:
            return None
        offset = None if self._target is None else self._ring.claim()
        if offset is None:
            dropped = self._ledger.capture()
            self._ledger.drop(dropped)
            return dropped
        try:
            self._ring.write(offset, frame)
        except BaseException:
            self._ring.release(offset)
            raise
        return self._given(Ticket(offset=offset, shape=frame.shape, dtype=frame.dtype))

    def lend(self, shape: tuple[int, ...], dtype: FrameType) -> Loan | None:
        """A place to write a frame into; None when nobody serves, or every place is taken.

        Raises FrameRefusedError when no place holds so much.
        """
        target = self._target
        offset = None if target is None else self._ring.claim()
        if target is None or offset is None:
            return None
        try:
            memory = self._ring.place(offset, shape, dtype)
        except BaseException:
            self._ring.release(offset)
            raise
        ticket = Ticket(offset=offset, shape=shape, dtype=dtype)
        give, return_it = partial(self._given, ticket), partial(self._ring.release, offset)
        return Loan(memory, give, return_it, target.expect)

    def aim(self, slot: WorkerSlot | None) -> int:
        """Give this worker every frame from now on, and return the first one's id.

        None: nobody serves for the moment; frames are counted as dropped.
        """
        self._began = self._began or slot is not None
        self._target = slot
        self._shadow.begin_anew()
        first = self._first_undelivered()
        if slot is None:
            self._drop_undelivered()
        self._dispatch()
        return first

    def complete(self, slot: WorkerSlot, ticket: Ticket, inferred: Inferred) -> None:
        """End a frame with its answer, and let the next one go before anybody looks at it."""
        self._ring.release(ticket.offset)
        end = self._ledger.serve if inferred.error is None else self._ledger.fail
        end(ticket.frame)
        self._dispatch()
        self._on_result(done_by(slot, ticket, inferred))
        self._shadow.served(ticket, inferred)

    def reissue(self, slot: WorkerSlot) -> int:
        """Give the frames of a lost worker to the one that serves; returns how many went there.

        Without one, or when a frame was tried often enough, it is dropped.
        """
        reissued = 0
        for ticket in slot.take_back():
            if self._target is None or ticket.reissues >= self._settings.reissue_limit:
                self._drop(ticket)
                continue
            ticket.reissues += 1
            self._ledger.reissue(ticket.frame)
            self._reissued.append(ticket)
            reissued += 1
        self._dispatch()
        return reissued

    def stop(self) -> None:
        """Accept nothing more and end what waits, so that the account closes."""
        self._began = False
        self._target = None
        self._drop_undelivered()

    def _given(self, ticket: Ticket) -> int:
        """The frame in its place is whole: it waits for the worker, and takes the waiting one's place."""
        ticket.frame = self._ledger.capture()
        ticket.captured_ns = time.time_ns()
        ticket.captured_monotonic_ns = time.monotonic_ns()
        if self._target is None:  # it went while the frame was written
            self._drop(ticket)
            return ticket.frame
        self._replace_waiting(ticket)
        self._dispatch()
        return ticket.frame

    def _replace_waiting(self, ticket: Ticket) -> None:
        if self._waiting is not None:
            self._drop(self._waiting)
        self._waiting = ticket

    def _dispatch(self) -> None:
        while self._target is not None and self._target.has_room:
            ticket = self._next()
            if ticket is None:
                return
            ticket.compared = self._shadow.wants(ticket)
            self._target.give(ticket)
            if ticket.compared:
                self._shadow.show(ticket)

    def _next(self) -> Ticket | None:
        if self._reissued:
            return self._reissued.popleft()
        ticket, self._waiting = self._waiting, None
        return ticket

    def _first_undelivered(self) -> int:
        if self._reissued:
            return self._reissued[0].frame
        return self._waiting.frame if self._waiting else self._ledger.next_frame

    def _drop_undelivered(self) -> None:
        while ticket := self._next():
            self._drop(ticket)

    def _drop(self, ticket: Ticket) -> None:
        self._ring.release(ticket.offset)
        self._ledger.drop(ticket.frame)
