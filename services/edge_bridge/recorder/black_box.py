"""The flight recorder of one bridge: what is recorded, and what is sent when somebody asks.

It takes what passes by and never holds it up. Off, it takes nothing and starts nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from datetime import datetime, timezone
from secrets import token_hex
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from edge_bridge.converging.swap_gate import boot_time_s
from edge_bridge.converging.trust import Trust
from edge_bridge.frames import FrameType
from edge_bridge.hub_clock import reading
from edge_bridge.link import Link
from edge_bridge.recorder import messages
from edge_bridge.recorder.cutting import Cutter
from edge_bridge.recorder.file import Recorded
from edge_bridge.recorder.frames import PassingFrames
from edge_bridge.recorder.incidents import Incidents, Stage
from edge_bridge.recorder.recorder import FlightRecorder, now_ns
from edge_bridge.recorder.refusals import Refusals
from edge_bridge.recorder.ring import SegmentRing
from edge_bridge.recorder.sending import RecordingSender
from edge_bridge.recorder.upload import Uploader
from edge_bridge.reporting import Reporter
from edge_bridge.settings import Settings
from edge_bridge.sources.source import Source
from edge_bridge.workers.inference_done import InferenceDone
from edge_bridge.workers.pump import Loan
from edge_bridge.workers.ticket import StagedModel
from fleetward.bus.logs import log
from fleetward.contracts.event import Event
from fleetward.contracts.ids import RecordingId
from fleetward.contracts.recordings import AFTER_S, BEFORE_S, RecordingRequested
from fleetward.contracts.telemetry import TelemetryFrame

if TYPE_CHECKING:
    import aiohttp

_logger = logging.getLogger(__name__)


class BlackBox:
    """Made with the bridge; ``connect`` before ``parts``, ``start`` and ``stop`` around them."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._limits = settings.recorder
        self._recorder: FlightRecorder | None = None
        self._frames: PassingFrames | None = None
        self._sender: RecordingSender | None = None

    @property
    def records(self) -> bool:
        """Whether it is on."""
        return self._recorder is not None

    @property
    def dropped(self) -> int:
        """Messages that were not recorded because the recorder was behind or the disk full."""
        return self._recorder.dropped if self._recorder else 0

    def log(
        self,
        topic: str,
        message: bytes | Struct | dict[str, Any],
        *,
        at_ns: int | None = None,
        encoding: str = "",
        schema_name: str = "",
        schema_encoding: str = "",
        schema: bytes = b"",
    ) -> bool:
        """Record a message of the robot's own program, from any thread; False when it was not.

        A Struct or dict becomes JSON; bytes are taken as they are, in ``encoding`` (MCAP's names, as
        "cdr" or "protobuf"). ``at_ns``: unix time, now when left out. Raises what msgspec raises for
        what is no JSON.
        """
        if self._recorder is None:
            return False
        plain = isinstance(message, bytes)
        recorded = Recorded(
            topic=topic,
            at_ns=now_ns() if at_ns is None else at_ns,
            content=message if isinstance(message, bytes) else msgspec.json.encode(message),
            encoding=encoding or ("" if plain else "json"),
            schema_name=schema_name,
            schema_encoding=schema_encoding,
            schema=schema,
        )
        return self._recorder.put(recorded)

    def keep(
        self, reason: str, *, before_s: float = BEFORE_S, after_s: float = AFTER_S
    ) -> RecordingId | None:
        """Send a recording of now, as a person's ``fleetward robot record`` does; on the event loop.

        Returns its id, None when the recorder is off.
        """
        if self._sender is None:
            return None
        requested = RecordingRequested(
            robot_id=self._settings.robot_id,
            recording_id=RecordingId(f"own-{token_hex(8)}"),
            at=self._hub_now(),
            before_s=before_s,
            after_s=after_s,
            reason=reason,
        )
        self._sender.request(requested)
        return requested.recording_id

    def inferred(self, done: InferenceDone) -> None:
        """A result."""
        if self._recorder is not None:
            self._recorder.later(lambda: messages.inference(done))

    def reported(self, event: Event) -> None:
        """A fact that the robot reports."""
        if self._recorder is not None:
            at_ns = now_ns()
            self._recorder.later(lambda: messages.fact(event, at_ns))

    def sampled(self, frame: TelemetryFrame) -> None:
        """A frame of samples, of which the chosen ones are kept."""
        if self._recorder is not None:
            chosen = frozenset(self._limits.signals)
            self._recorder.later(lambda: messages.samples(frame, chosen))

    def watched(self, source: Source) -> Source:
        """``source``, with every so many-th frame recorded."""
        return source if self._frames is None else self._frames.of(source)

    def lent(self, loan: Loan | None, shape: tuple[int, ...], dtype: FrameType) -> Loan | None:
        """``loan``, whose frame is recorded as one of a source is."""
        if loan is None or self._frames is None:
            return loan
        return self._frames.lent(loan, shape, dtype)

    def open(self) -> None:
        """Find what a bridge before left; a disk that refuses costs the recorder, not the robot."""
        if not self._limits.enabled:
            return
        try:
            self._open()
        except OSError as problem:
            log(_logger, "recorder.off", level=logging.ERROR, reason=str(problem))

    def _open(self) -> None:
        directory = self._settings.state_dir / "recorder"
        self._incidents = Incidents(directory / "incidents", self._limits.remembered)
        ring = SegmentRing(
            directory / "ring", self._limits, reserve_bytes=self._settings.store.reserve_bytes
        )
        ring.wanted = bool(self._incidents.at(Stage.WAITING))
        self._recorder = FlightRecorder(ring, self._limits)
        if self._limits.frame_every > 0:
            self._frames = PassingFrames(self._recorder, self._limits.frame_every)

    def connect(
        self,
        link: Link,
        session: Callable[[], aiohttp.ClientSession],
        trust: Trust,
        serving: Callable[[], StagedModel | None],
        reporter: Reporter,
    ) -> None:
        """Who sends what is asked for."""
        if self._recorder is None:
            return
        self._trust = trust
        robot_id, limits = self._settings.robot_id, self._limits
        self._sender = RecordingSender(
            robot_id,
            recorder=self._recorder,
            incidents=self._incidents,
            link=link,
            uploader=Uploader(robot_id, link, session, limits),
            cutter=Cutter(
                robot_id,
                self._recorder,
                self._incidents,
                limits,
                self._settings.store.reserve_bytes,
            ),
            refusals=Refusals(robot_id, lambda refused: reporter.report(None, [refused])),
            limits=limits,
            clock_set=trust.clock_set,
            hub_time=lambda: reading(trust.clock, boot_time_s()),
            serving=lambda: model.digest if (model := serving()) is not None else None,
        )

    def parts(self) -> dict[str, Coroutine[Any, Any, None]]:
        """What runs beside the rest of the bridge, by name."""
        return self._sender.parts() if self._sender else {}

    def start(self) -> None:
        """Begin to record."""
        if self._recorder is not None:
            self._recorder.start()

    async def stop(self) -> None:
        """Write what waits."""
        if self._recorder is not None:
            await asyncio.to_thread(self._recorder.stop)

    def _hub_now(self) -> datetime:
        read = reading(self._trust.clock, boot_time_s())
        return read.hub_now if read is not None else datetime.now(timezone.utc)
