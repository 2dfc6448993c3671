"""The recorders of one bridge: its last seconds, sent when somebody asks, and what is recorded all the time.

They take what passes by and never hold it up. Off, they take nothing and start nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from datetime import datetime, timedelta, timezone
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
from edge_bridge.recorder.frames import FrameTaker, JpegFrames, PassingFrames, RawFrames
from edge_bridge.recorder.incidents import Incidents, Stage
from edge_bridge.recorder.recorder import FlightRecorder, Maker, now_ns
from edge_bridge.recorder.refusals import Refusals
from edge_bridge.recorder.ring import SegmentRing
from edge_bridge.recorder.sending import RecordingSender
from edge_bridge.recorder.tape import Tape
from edge_bridge.recorder.upload import Uploader
from edge_bridge.reporting import Reporter
from edge_bridge.settings import Settings
from edge_bridge.shipping.standing import Standing
from edge_bridge.shipping.upstream import Upstream
from edge_bridge.sources.source import Source
from edge_bridge.workers.inference_done import InferenceDone
from edge_bridge.workers.pump import Loan
from edge_bridge.workers.staged_model import StagedModel
from fleetward.bus.logs import log
from fleetward.contracts.event import Event
from fleetward.contracts.ids import RecordingId
from fleetward.contracts.recordings import AFTER_S, BEFORE_S, RecordingRequested
from fleetward.contracts.telemetry import TelemetryFrame

if TYPE_CHECKING:
    import aiohttp

_logger = logging.getLogger(__name__)
MAX_NS = 1 << 63
INCIDENT = "incident"
"""The kind of what the flight recorder keeps, beside the kinds of segments."""


class BlackBox:
    """Made with the bridge; ``connect`` before ``parts``, ``start`` and ``stop`` around them."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._limits = settings.recorder
        self.tape = Tape(settings)
        """What is recorded all the time."""
        self._recorder: FlightRecorder | None = None
        self._frames: PassingFrames | None = None
        self._sender: RecordingSender | None = None
        self._trust: Trust | None = None

    @property
    def records(self) -> bool:
        """Whether the flight recorder is on."""
        return self._recorder is not None

    @property
    def dropped(self) -> int:
        """Messages that the flight recorder did not record: it was behind, or the disk full."""
        return self._recorder.dropped if self._recorder else 0

    def standings(self) -> list[Standing]:
        """How each recorder that is on stands."""
        standings = self.tape.standings()
        if self._recorder is not None:
            standings.append(
                Standing(
                    kind=INCIDENT,
                    lost_messages=self._recorder.dropped,
                    waiting_bytes=self._incidents.held_bytes(),
                    limit_bytes=self._limits.outbox_bytes,
                )
            )
        return standings

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
        """Record a message of the robot's own program, from any thread; False when nobody did.

        A Struct or dict becomes JSON; bytes are taken as they are, in ``encoding`` (MCAP's names, as
        "cdr" or "protobuf"). ``at_ns``: unix time, now when left out. Raises what msgspec raises for
        what is no JSON, and ValueError for a time that no file can hold.
        """
        if at_ns is not None and not 0 <= at_ns < MAX_NS:
            raise ValueError(f"at_ns={at_ns} is no unix time in nanoseconds.")
        if self._recorder is None and not self.tape.wants(topic):
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
        return self._put(recorded)

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
        self._later(messages.INFERENCE, lambda: messages.inference(done))

    def reported(self, event: Event) -> None:
        """A fact that the robot reports."""
        at_ns = now_ns()
        self._later(messages.FACTS, lambda: messages.fact(event, at_ns))

    def sampled(self, frame: TelemetryFrame) -> None:
        """A frame of samples; the flight recorder keeps the chosen ones."""
        if (tape := self.tape.recorder) is not None and tape.wants(messages.SIGNALS):
            tape.later(lambda: messages.samples(frame))
        if self._recorder is not None:
            chosen = frozenset(self._limits.signals)
            self._recorder.later(lambda: messages.chosen_samples(frame, chosen))

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
        self.tape.open(self._clock_offset_s)
        if self._limits.enabled:
            try:
                self._open()
            except OSError as problem:
                log(_logger, "recorder.off", level=logging.ERROR, reason=str(problem))
        takers = self._frame_takers()
        self._frames = PassingFrames(takers) if takers else None

    def _frame_takers(self) -> list[FrameTaker]:
        takers: list[FrameTaker] = []
        if self._recorder is not None and self._limits.frame_every > 0:
            takers.append(JpegFrames(self._recorder, self._limits.frame_every))
        if (tape := self.tape.recorder) is not None and tape.wants(messages.FRAMES):
            takers.append(RawFrames(tape, self._settings.continuous.frame_every))
        return takers

    def _open(self) -> None:
        directory = self._settings.state_dir / "recorder"
        self._incidents = Incidents(directory / "incidents", self._limits.remembered)
        ring = SegmentRing(
            directory / "ring", self._limits, reserve_bytes=self._settings.store.reserve_bytes
        )
        ring.wanted = bool(self._incidents.at(Stage.WAITING))
        self._recorder = FlightRecorder(ring, self._limits)

    def connect(
        self,
        link: Link,
        session: Callable[[], aiohttp.ClientSession],
        upstream: Upstream,
        trust: Trust,
        serving: Callable[[], StagedModel | None],
        reporter: Reporter,
    ) -> None:
        """Who sends what is asked for, and what is recorded all the time."""
        self._trust = trust
        self.tape.connect(link, session, upstream)
        if self._recorder is None:
            return
        robot_id, limits = self._settings.robot_id, self._limits
        self._sender = RecordingSender(
            robot_id,
            recorder=self._recorder,
            incidents=self._incidents,
            link=link,
            uploader=Uploader(robot_id, link, session, upstream, limits),
            cutter=Cutter(
                robot_id,
                self._recorder,
                self._incidents,
                limits,
                self._settings.store.reserve_bytes,
            ),
            refusals=Refusals(robot_id, lambda refused: reporter.report({}, [refused])),
            limits=limits,
            clock_set=trust.clock_set,
            hub_time=lambda: reading(trust.clock, boot_time_s()),
            serving=lambda: model.digest if (model := serving()) is not None else None,
        )

    def parts(self) -> dict[str, Coroutine[Any, Any, None]]:
        """What runs beside the rest of the bridge, by name."""
        return {**(self._sender.parts() if self._sender else {}), **self.tape.parts()}

    def start(self) -> None:
        """Begin to record."""
        self.tape.start()
        if self._recorder is not None:
            self._recorder.start()

    async def stop(self) -> None:
        """Write what waits."""
        if self._recorder is not None:
            await asyncio.to_thread(self._recorder.stop)
        await self.tape.stop()

    def _put(self, message: Recorded) -> bool:
        """Whether anybody recorded it."""
        taped, tape = False, self.tape.recorder
        if tape is not None and tape.wants(message.topic):
            taped = tape.put(message)
            if len(message.content) > self._settings.continuous.ring_message_bytes:
                return taped  # the ring would soon hold nothing else
        return (self._recorder is not None and self._recorder.put(message)) or taped

    def _later(self, topic: str, make: Maker) -> None:
        if (tape := self.tape.recorder) is not None and tape.wants(topic):
            tape.later(make)
        if self._recorder is not None:
            self._recorder.later(make)

    def _clock_offset_s(self) -> float | None:
        """The hub's clock minus the robot's; from any thread."""
        read = reading(self._trust.clock, boot_time_s()) if self._trust else None
        return (read.hub_now - datetime.now(timezone.utc)).total_seconds() if read else None

    def _hub_now(self) -> datetime:
        return datetime.now(timezone.utc) + timedelta(seconds=self._clock_offset_s() or 0.0)
