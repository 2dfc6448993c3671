"""What live viewers get of one bridge: handed to a process of its own, which serves them (docs/adr/0017).

Nothing is made that nobody watches, and what that process does not take at once is dropped: a frame when
another is still on its way, the rest past a bound.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from importlib.util import find_spec

import msgspec
from msgspec import Struct
from typing_extensions import Buffer

from edge_bridge.companion import Companion
from edge_bridge.errors import BridgeError
from edge_bridge.foxglove.address import FoxgloveAddress
from edge_bridge.foxglove.pictures import picture
from edge_bridge.foxglove.wire import (
    FRAMES,
    LOG,
    RESULTS,
    SIGNALS,
    Heard,
    HeardMessages,
    Listening,
    NotUnderstoodError,
    Result,
    Samples,
    Shown,
    Told,
    Watched,
    packed,
)
from edge_bridge.frames import FrameType
from edge_bridge.sources.frame_wire import Answer
from edge_bridge.workers.inference_done import InferenceDone
from fleetward.bus.logs import log
from fleetward.contracts.alerts import AlertFired
from fleetward.contracts.event import Event
from fleetward.contracts.ids import RobotId
from fleetward.contracts.robots import ActivationFailed, ModelFellBack, RobotCheckedIn
from fleetward.contracts.telemetry import TelemetryFrame

_logger = logging.getLogger(__name__)

_BAD = (ActivationFailed, AlertFired, ModelFellBack)
_ROUTINE = (RobotCheckedIn,)
"""Said every few seconds whatever happens; the log is for what does."""


class FoxgloveLimits(Struct, frozen=True, kw_only=True):
    """What viewers may take of the bridge."""

    frames_per_s: float = 10.0
    unsent_bytes: int = 1024 * 1024
    """Results, samples and lines that their process has not taken; further ones are lost to viewers."""
    awaited_frames: int = 256
    """Frames that were shown and whose results are still due; older ones were dropped."""


class NoFoxgloveError(BridgeError):
    """Live viewers were asked for where Foxglove's SDK is not installed."""

    def __init__(self) -> None:
        super().__init__(
            "FLEETWARD_FOXGLOVE needs Foxglove's SDK, which is not here. Install edge-bridge[foxglove], or "
            "leave it unset."
        )


class FoxgloveView:
    """On the event loop; gives everything, and waits for nobody."""

    def __init__(
        self,
        address: FoxgloveAddress,
        robot_id: RobotId,
        limits: FoxgloveLimits = FoxgloveLimits(),  # noqa: B008 (frozen)
    ) -> None:
        """Raises NoFoxgloveError."""
        if find_spec("foxglove") is None:
            raise NoFoxgloveError
        self._address = address
        self._robot_id = robot_id
        self._limits = limits
        self._watched: frozenset[str] = frozenset()
        self._transport: asyncio.WriteTransport | None = None
        self._next_frame_s = 0.0
        self._stamps: OrderedDict[int, int] = OrderedDict()
        self.dropped = 0
        """Messages that viewers did not get because their process was behind."""

    async def run(self) -> None:
        """Serve viewers until cancelled; their process is started again when it ends."""
        await Companion(
            module="edge_bridge.foxglove",
            argv=lambda fd: [str(fd), self._robot_id, self._address.host, str(self._address.port)],
            connect=lambda: _Connection(self._connected, self._heard),
            gone=self._gone,
            lost_event="foxglove.lost",
        ).run()

    @property
    def watches_frames(self) -> bool:
        """Whether anybody looks at frames now."""
        return FRAMES in self._watched

    def passed(
        self, number: int | None, content: Buffer, shape: tuple[int, ...], dtype: FrameType
    ) -> None:
        """A frame that was captured now, under the id that its result will have; copied here if shown."""
        now_s = time.monotonic()
        if now_s < self._next_frame_s:
            return
        self._next_frame_s = now_s + 1 / self._limits.frames_per_s
        if self.unsent_bytes:
            self.dropped += 1
            return
        at_ns = time.time_ns()
        shown = picture(content, shape, dtype, at_ns)
        if shown is not None:
            self._send(shown)
            self._await_result(number, at_ns)

    def inferred(self, done: InferenceDone) -> None:
        """A result: stamped as its frame was, where viewers saw that."""
        own = self._stamps.pop(done.frame, None) if done.pipeline is None else None
        if RESULTS not in self._watched:
            return
        answer = Answer(
            frame=done.frame,
            digest=done.digest,
            latency_s=done.latency_s,
            perception_s=done.perception_s,
            confidence=done.confidence,
            error=done.error or "",
            outputs=done.outputs_summary,
        )
        at_ns = done.captured_ns if own is None else own
        self._give(Result(at_ns=at_ns, pipeline=done.pipeline, answer=answer))

    def reported(self, event: Event) -> None:
        """A fact that the robot reports."""
        if LOG in self._watched and not isinstance(event, _ROUTINE):
            self._give(
                Told(
                    at_ns=time.time_ns(),
                    is_bad=isinstance(event, _BAD),
                    name=type(event).__name__,
                    text=msgspec.json.encode(event).decode(),
                )
            )

    def sampled(self, frame: TelemetryFrame) -> None:
        """What was measured."""
        if SIGNALS in self._watched:
            self._give(Samples(frame=frame))

    def _await_result(self, number: int | None, at_ns: int) -> None:
        if number is None:
            return
        self._stamps[number] = at_ns
        if len(self._stamps) > self._limits.awaited_frames:
            self._stamps.popitem(last=False)

    @property
    def unsent_bytes(self) -> int:
        """What their process has not taken yet."""
        return 0 if self._transport is None else self._transport.get_write_buffer_size()

    def _give(self, shown: Shown) -> None:
        if self.unsent_bytes > self._limits.unsent_bytes:
            self.dropped += 1
            return
        self._send(shown)

    def _send(self, shown: Shown) -> None:
        if self._transport is not None:
            for piece in packed(shown):
                self._transport.write(piece)

    def _connected(self, transport: asyncio.WriteTransport) -> None:
        self._transport = transport

    def _gone(self) -> None:
        self._transport = None
        self._watched = frozenset()
        self._stamps.clear()

    def _heard(self, heard: Heard) -> None:
        match heard:
            case Listening(port=port):
                log(_logger, "foxglove.listening", host=self._address.host, port=port)
            case Watched(topics=topics):
                self._watched = frozenset(topics)


class _Connection(asyncio.Protocol):
    """The bridge's end of the socket."""

    def __init__(
        self, connected: Callable[[asyncio.WriteTransport], None], heard: Callable[[Heard], None]
    ) -> None:
        self._connected, self._heard = connected, heard
        self._messages = HeardMessages()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport
        self._connected(transport)

    def data_received(self, data: bytes) -> None:
        try:
            for heard in self._messages.arrived(data):
                self._heard(heard)
        except NotUnderstoodError as problem:
            log(_logger, "foxglove.refused", level=logging.ERROR, reason=str(problem))
            self._transport.close()
