"""From a request to a recording in the store: heard, waited for, cut, sent, whatever comes between."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextlib import suppress
from datetime import datetime, timezone
from typing import Any

from msgspec.structs import replace

from edge_bridge.errors import BridgeError, TransientError
from edge_bridge.hub_clock import Reading
from edge_bridge.link import Link
from edge_bridge.recorder.cutting import Cutter
from edge_bridge.recorder.incidents import Incident, Incidents, Stage
from edge_bridge.recorder.limits import RecorderLimits
from edge_bridge.recorder.recorder import FlightRecorder, now_ns
from edge_bridge.recorder.refusals import Refusals
from edge_bridge.recorder.requests import Asked, refusal_reason
from edge_bridge.recorder.upload import Uploader
from edge_bridge.shipping.asking import ArrivedWrongError, UploadRefusedError
from fleetward.bus.backoff import pause_s
from fleetward.bus.errors import BusError
from fleetward.bus.last_values import last_value
from fleetward.bus.logs import log
from fleetward.bus.waiting import happens
from fleetward.contracts.codec import UnreadableMessageError, decode
from fleetward.contracts.ids import Digest, RobotId
from fleetward.contracts.recordings import RecordingRequested

_logger = logging.getLogger(__name__)
_NS_PER_S = 1_000_000_000
_LOOK_AGAIN_S = 5.0


class RecordingSender:
    """Everything that becomes of requests for recordings. All of it runs on the event loop."""

    def __init__(
        self,
        robot_id: RobotId,
        *,
        recorder: FlightRecorder,
        incidents: Incidents,
        link: Link,
        uploader: Uploader,
        cutter: Cutter,
        refusals: Refusals,
        limits: RecorderLimits,
        clock_set: asyncio.Event,
        hub_time: Callable[[], Reading | None],
        serving: Callable[[], Digest | None],
    ) -> None:
        self._robot_id = robot_id
        self._recorder = recorder
        self._incidents = incidents
        self._link = link
        self._uploader = uploader
        self._limits = limits
        self._cutter = cutter
        self._refusals = refusals
        self._clock_set = clock_set
        self._hub_time = hub_time
        self._serving = serving
        self._asked = Asked()
        self._heard: list[RecordingRequested] = []
        self._fresh = asyncio.Event()
        self._cut = asyncio.Event()
        self._up = asyncio.Event()
        link.on_up.append(self._up.set)

    def parts(self) -> dict[str, Coroutine[Any, Any, None]]:
        """What runs beside the rest of the bridge, by name."""
        return {
            "recording-requests": self._hear(),
            "recording-cuts": self._cut_when_due(),
            "recording-uploads": self._send(),
        }

    def request(self, requested: RecordingRequested) -> None:
        """A recording is wanted; one that was asked for before is not made again."""
        self._heard.append(requested)
        self._fresh.set()

    async def _hear(self) -> None:
        """What was asked while the hub could not be reached is read when it can be again."""
        example = RecordingRequested(
            robot_id=self._robot_id,
            recording_id="any",  # type: ignore[arg-type]  # the subject does not name it
            at=datetime.now(timezone.utc),
        )
        await self._link.listen(example, self._received)
        while True:
            self._up.clear()
            connection = await self._link.connected()
            try:
                last = await last_value(connection, RecordingRequested, robot_id=self._robot_id)
            except (BusError, UnreadableMessageError) as problem:
                log(
                    _logger, "recording.requests_unread", level=logging.WARNING, reason=str(problem)
                )
                await asyncio.sleep(self._limits.retry_wait_s)
                continue
            if last is not None:
                self.request(last.event)
            await self._up.wait()

    def _received(self, payload: bytes) -> None:
        try:
            self.request(decode(payload, RecordingRequested))
        except UnreadableMessageError as problem:
            log(_logger, "recording.request_unread", level=logging.WARNING, reason=str(problem))

    async def _cut_when_due(self) -> None:
        while True:
            self._fresh.clear()
            heard, self._heard = self._heard, []
            if heard:
                await self._learn_the_time()
            try:
                for requested in heard:
                    await self._begin(requested)
                for incident in self._incidents.at(Stage.WAITING):
                    if now_ns() >= incident.between_ns[1]:
                        await self._cut_one(incident)
            except BridgeError as problem:
                log(_logger, "recording.not_written", level=logging.ERROR, reason=str(problem))
                self._heard = [*heard, *self._heard][-self._limits.outbox :]  # what began is known
                await asyncio.sleep(self._limits.retry_wait_s)
            waiting = self._incidents.at(Stage.WAITING)
            self._recorder.want(bool(waiting))
            await happens(self._fresh, self._until_due_s(waiting))

    async def _cut_one(self, incident: Incident) -> None:
        if await asyncio.to_thread(self._cutter.make, incident):
            self._cut.set()
        else:
            await self._refusals.tell(incident.recording_id, "nothing was recorded then")

    def _until_due_s(self, waiting: list[Incident]) -> float:
        """The robot's clock may be set while it waits: look again in any case."""
        due_ns = min((incident.between_ns[1] for incident in waiting), default=None)
        if due_ns is None:
            return _LOOK_AGAIN_S
        return min(_LOOK_AGAIN_S, max(0.0, (due_ns - now_ns()) / _NS_PER_S))

    async def _learn_the_time(self) -> None:
        """Just started, a robot has not asked yet; one without a registry goes by its own clock."""
        await happens(self._clock_set, self._limits.clock_patience_s)

    async def _begin(self, requested: RecordingRequested) -> None:
        if requested.recording_id in self._incidents:
            return
        offset_s = self._offset_s()
        incident = Incident(
            recording_id=requested.recording_id,
            at_ns=round((requested.at.timestamp() - (offset_s or 0.0)) * _NS_PER_S),
            before_s=requested.before_s,
            after_s=requested.after_s,
            reason=requested.reason,
            alert=requested.alert,
            incident=requested.incident,
            model_digest=self._serving(),
            clock_offset_s=offset_s,
        )
        reason = refusal_reason(self._asked, incident, self._open(), self._limits, now_ns())
        if reason is not None:
            await self._refusals.tell(incident.recording_id, reason)
            return
        self._recorder.want(True)
        await asyncio.to_thread(self._incidents.keep, incident)
        self._asked = self._asked.with_one(incident)
        log(_logger, "recording.begun", recording_id=incident.recording_id, why=incident.reason)

    def _open(self) -> int:
        return len(self._incidents.at(Stage.WAITING)) + len(self._incidents.at(Stage.CUT))

    def _offset_s(self) -> float | None:
        """The hub's clock minus the robot's; None before the hub was asked."""
        read = self._hub_time()
        if read is None:
            return None
        return (read.hub_now - datetime.now(timezone.utc)).total_seconds()

    async def _send(self) -> None:
        failures = 0
        while True:
            self._cut.clear()
            ready = self._incidents.at(Stage.CUT)
            if not ready:
                await happens(self._cut, _LOOK_AGAIN_S)
                continue
            try:
                await self._send_one(ready[0])
                failures = 0
            except BridgeError as problem:  # a full disk too: it must not end the bridge
                failures += 1
                log(_logger, "recording.unsent", level=logging.WARNING, reason=str(problem))
                await asyncio.sleep(
                    pause_s(failures, self._limits.retry_wait_s, self._limits.retry_wait_limit_s)
                )

    async def _send_one(self, incident: Incident) -> None:
        made, current = incident.made, incident
        assert made is not None, "a recording that is cut says what it is"

        async def begun(upload_id: str) -> None:
            nonlocal current
            current = replace(current, upload_id=upload_id)
            with suppress(BridgeError):  # it only would have to be sent from the beginning
                await asyncio.to_thread(self._incidents.keep, current)

        try:
            path = self._incidents.file_of(incident)
            await self._uploader.send(made, path, incident.upload_id, begun)
        except ArrivedWrongError as problem:
            again = replace(current, upload_id="", attempts=current.attempts + 1)
            if again.attempts >= self._limits.upload_attempts:
                await self._give_up(again, str(problem))
                return
            await asyncio.to_thread(self._incidents.keep, again)
            raise TransientError(str(problem)) from problem
        except (UploadRefusedError, FileNotFoundError) as problem:
            await self._give_up(current, str(problem))
            return
        await asyncio.to_thread(self._incidents.end, current)
        log(_logger, "recording.stored", recording_id=made.recording_id, bytes=made.size_bytes)

    async def _give_up(self, incident: Incident, reason: str) -> None:
        await asyncio.to_thread(self._incidents.end, incident)
        await self._refusals.tell(incident.recording_id, reason)
