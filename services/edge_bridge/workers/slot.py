"""One worker process seen from the bridge: started, loaded, given frames, and missed when it dies.

Death is seen as the end of its socket, milliseconds after it happened. A worker that holds a frame
and answers nothing within the frame deadline is killed and counts as dead.
"""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import nullcontext
from functools import partial
from typing import Protocol

import msgspec

from edge_bridge.disturbance.brake import Brake
from edge_bridge.errors import LoadFailedError, WarmUpFailedError
from edge_bridge.workers import protocol
from edge_bridge.workers.frame_deadline import FrameDeadline
from edge_bridge.workers.growth import Growth
from edge_bridge.workers.load_watch import LoadWatch
from edge_bridge.workers.protocol import (
    Answer,
    Expect,
    Hasten,
    Inferred,
    Load,
    Order,
    Preparing,
    Ready,
    Refused,
    Wanted,
)
from edge_bridge.workers.ring import FrameRing
from edge_bridge.workers.slot_settings import SlotSettings
from edge_bridge.workers.spawning import spawn
from edge_bridge.workers.staged_model import StagedModel
from edge_bridge.workers.ticket import Ticket
from edge_bridge.workers.twins import Twins


class SlotOwner(Protocol):
    """Who is told what a worker does."""

    def answered(self, slot: WorkerSlot, ticket: Ticket, inferred: Inferred) -> None: ...

    def died(self, slot: WorkerSlot, reason: str) -> None:
        """Its frames are still in ``slot.in_flight``. Told once, and never of a stopped slot."""

    def outgrown(self, slot: WorkerSlot, reason: str) -> None:
        """It took too much memory, and answers still. Told again and again."""


class WorkerSlot:
    """One worker process and the frames it holds."""

    def __init__(
        self,
        staged: StagedModel,
        settings: SlotSettings,
        ring: FrameRing,
        owner: SlotOwner,
        twins: Twins,
    ) -> None:
        self.staged = staged
        self.in_flight: dict[int, Ticket] = {}
        self.answers = 0
        self._settings = settings
        self._owner = owner
        self._twins = twins
        self._asking: asyncio.Task[None] | None = None
        self._loop = asyncio.get_running_loop()
        self._ready: asyncio.Future[Ready] = self._loop.create_future()
        self._empty = asyncio.Event()
        self._empty.set()
        self._exited = asyncio.Event()
        self._deadline = FrameDeadline(settings.frame_deadline_s, self._answered_nothing)
        self._connection, self._process = spawn(settings, ring)
        self._connected = True
        self._expects = False
        """It was told that a frame is being written."""
        self.alive = False
        """Whether frames may be given to it."""
        self._watch: LoadWatch | None = None
        self._growth: Growth | None = None
        self._loop.add_reader(self._connection, self._readable)
        self._pidfd = os.pidfd_open(self._process.pid)
        self._loop.add_reader(self._pidfd, self._reap)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def has_room(self) -> bool:
        return self.alive and len(self.in_flight) < self._settings.in_flight_limit

    async def load(self, *, brake: Brake | None, idle: bool = False) -> Ready:
        """Load and warm up; raises LoadFailedError, WarmUpFailedError, and is then stopped.

        brake: without competing for the processor, and standing still while it pauses; None: at full
        speed. idle: infer without competing for as long as it lives.
        """
        gentle = brake is not None
        path, digest, engines = str(self.staged.path), self.staged.digest, self._settings.engines
        self._send(Load(path=path, digest=digest, gentle=gentle, idle=idle, engines=engines))
        self._watch = LoadWatch(self._settings, lambda: self._send(Hasten()), self._late)
        ready: Ready | None = None
        try:
            with brake.over(self) if brake else nullcontext():
                ready = await self._ready
            return self._watch.told(ready, str(self.staged.model))
        finally:
            self._watch.stop()
            if ready is None:  # also when whoever waits is cancelled as it becomes ready
                await self.stop()

    def expect(self) -> None:
        """A frame is being written: wake a worker that sleeps.

        Once for each frame that is given: those that are not never fill its socket.
        """
        if self.alive and not self.in_flight and not self._expects:
            self._expects = True
            self._send(Expect())

    def give(self, ticket: Ticket) -> None:
        """Hand a frame over. If the worker is just dying, ``died`` follows with the frame in it."""
        self._send(ticket)  # first of all: the worker wakes while the rest is written down
        self._expects = False
        if not self.in_flight:
            self._deadline.arm()
        self.in_flight[ticket.frame] = ticket
        self._empty.clear()

    async def drained(self) -> None:
        """Wait until it holds no frame; bounded by the frame deadline, after which it is dead."""
        await self._empty.wait()

    def take_back(self) -> list[Ticket]:
        """The frames it holds, oldest first; it holds none afterwards."""
        tickets = sorted(self.in_flight.values(), key=lambda ticket: ticket.frame)
        self.in_flight.clear()
        self._empty.set()
        self._deadline.disarm()
        return tickets

    def pause(self) -> None:
        """Stand still while it loads; the time it has for that does so too."""
        if self._watch is not None:
            self._watch.pause()
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Go on."""
        self._process.send_signal(signal.SIGCONT)
        if self._watch is not None:
            self._watch.resume()

    def kill(self) -> None:
        """End the process now; its owner is told nothing."""
        self._disconnect()
        self._process.kill()

    async def stop(self) -> None:
        """End the process and wait until its memory is returned."""
        self.kill()
        await self._exited.wait()

    def _late(self, limit_s: float) -> None:
        if not self._ready.done():
            self._ready.set_exception(
                LoadFailedError(
                    f"the model {self.staged.path} was not ready after {limit_s} s. Give the robot "
                    "more idle processor time, or raise load_timeout_s."
                )
            )

    def _readable(self) -> None:
        while self._connected:
            try:
                message = self._connection.recv(protocol.MESSAGE_LIMIT_BYTES)
            except BlockingIOError:
                return
            except ConnectionResetError:
                continue  # told once, when it died with orders unread; its answers come after
            if message:
                self._hear(message)
            else:
                self._lost("its process ended")

    def _hear(self, message: bytes) -> None:
        try:
            answer = protocol.decode_answer(message)
        except msgspec.MsgspecError as error:
            return self._lost(f"it sent what is no answer: {error}")
        if isinstance(answer, Inferred):
            return self._inferred(answer)
        if isinstance(answer, Preparing):
            return self._watch.preparing(answer) if self._watch else None
        if isinstance(answer, Wanted):
            self._asking = self._loop.create_task(self._ask_twins(answer.engine))
            return None
        return self._loaded(answer)

    async def _ask_twins(self, engine: str) -> None:
        """Its engine comes from a twin or is built: both may take longer than a load."""
        if self._watch is not None:
            self._watch.preparing(Preparing(phase="asking twins", step=0, steps=0))
        self._send(await self._twins.find(engine))

    def _loaded(self, answer: Answer) -> None:
        if self._ready.done():
            return
        if isinstance(answer, Ready) and answer.digest_mapped != self.staged.digest:
            self._ready.set_exception(
                LoadFailedError(
                    f"the worker mapped {answer.digest_mapped}, the model is {self.staged.digest}: "
                    "the file changed between verification and loading."
                )
            )
        elif isinstance(answer, Ready):
            outgrown = partial(self._owner.outgrown, self)
            self._growth = Growth(self.pid, self._settings, outgrown, self._lost)
            self._ready.set_result(answer)
            self.alive = True
            self._twins.loaded()
        elif isinstance(answer, Refused):
            error = LoadFailedError if answer.stage == "load" else WarmUpFailedError
            self._ready.set_exception(error(answer.reason))

    def _inferred(self, inferred: Inferred) -> None:
        ticket = self.in_flight.pop(inferred.frame, None)
        if ticket is None:
            return self._lost(f"it answered frame {inferred.frame}, which it was not given")
        self.answers += 1
        if self.in_flight:
            self._deadline.arm()
        else:
            self._deadline.disarm()
            self._empty.set()
        self._owner.answered(self, ticket, inferred)
        if self._growth is not None and self._connected:
            self._growth.answered(self.answers)
        return None

    def _lost(self, reason: str) -> None:
        if self._ready.done():
            self.kill()
            return self._owner.died(self, reason)
        self._ready.set_exception(
            LoadFailedError(
                f"the worker that loaded {self.staged.path} is gone: {reason}. The model may need "
                "more memory than there is, or crash the runtime; try it off the robot."
            )
        )
        return self.kill()

    def _send(self, order: Order) -> None:
        if not self._connected:
            return
        try:
            self._connection.send(protocol.encode(order))
        except (BrokenPipeError, ConnectionResetError):
            return  # the end of its socket is about to be read, and tells its owner

    def _answered_nothing(self) -> None:
        self._lost(f"it held a frame for {self._settings.frame_deadline_s} s without an answer")

    def _disconnect(self) -> None:
        if self._asking is not None:
            self._asking.cancel()
        if self._connected:
            self._connected = self.alive = False
            self._deadline.disarm()
            self._loop.remove_reader(self._connection)
            self._connection.close()
        if not self._ready.done():
            self._ready.set_exception(
                LoadFailedError(f"loading {self.staged.path} was given up: its worker was stopped.")
            )

    def _reap(self) -> None:
        self._process.wait()
        self._loop.remove_reader(self._pidfd)
        os.close(self._pidfd)
        self._exited.set()
