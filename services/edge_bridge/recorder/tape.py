"""The recording that runs all the time, of one bridge: recorder, outbox and shipper. Off without topics."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from edge_bridge.errors import BridgeError
from edge_bridge.fetching.throttle import Throttle
from edge_bridge.link import Link
from edge_bridge.settings import Settings
from edge_bridge.shipping.outbox import Outbox
from edge_bridge.shipping.parts import PartSender
from edge_bridge.shipping.sealed import Losses
from edge_bridge.shipping.shipper import Shipper
from edge_bridge.shipping.standing import Standing
from edge_bridge.shipping.upstream import Upstream
from fleetward.bus.logs import log
from fleetward.contracts.segments import SegmentKind

if TYPE_CHECKING:
    import aiohttp

    from edge_bridge.recorder.continuous import ContinuousRecorder
    from edge_bridge.recorder.sealing import Sealer

_logger = logging.getLogger(__name__)


class Tape:
    """Made with the bridge; ``open``, then ``connect`` before ``parts``, ``start`` and ``stop`` around them."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._limits = settings.continuous
        self.recorder: ContinuousRecorder | None = None
        """None: nothing is recorded all the time."""
        self._outbox: Outbox | None = None
        self._sealer: Sealer | None = None
        self._shipper: Shipper | None = None

    @property
    def losses(self) -> Losses:
        """What was ever given up unsent."""
        return self._outbox.losses if self._outbox else Losses()

    @property
    def held_bytes(self) -> int:
        """What is sealed and not stored yet."""
        return self._outbox.held_bytes if self._outbox else 0

    def standings(self) -> list[Standing]:
        """Of what is recorded all the time, where it is."""
        if self.recorder is None or self._outbox is None or self._sealer is None:
            return []
        return [self._outbox.standing(self.recorder.lost + self._sealer.lost)]

    def wants(self, topic: str) -> bool:
        """Whether ``topic`` is recorded all the time."""
        return self.recorder is not None and self.recorder.wants(topic)

    def open(self, clock_offset_s: Callable[[], float | None]) -> None:
        """Find what a bridge before left; a disk that refuses costs the recording, not the robot."""
        if not self._limits.topics:
            return
        try:
            self._open(clock_offset_s)
        except (BridgeError, OSError) as problem:
            log(_logger, "continuous.off", level=logging.ERROR, reason=str(problem))

    def _open(self, clock_offset_s: Callable[[], float | None]) -> None:
        from edge_bridge.recorder.continuous import ContinuousRecorder
        from edge_bridge.recorder.sealing import Sealer
        from edge_bridge.shipping.numbers import MessageNumbers

        directory = self._settings.state_dir / "continuous"
        outbox = Outbox(
            directory / "outbox",
            SegmentKind.RECORDING,
            self._limits.shipping.outbox_bytes,
            reserve_bytes=self._settings.store.reserve_bytes,
        )
        sealer = Sealer(outbox, clock_offset_s, self._settings.stop_timeout_s)
        self.recorder = ContinuousRecorder(
            directory / "open",
            sealer,
            MessageNumbers(directory / "numbers"),
            self._limits,
            make_room=lambda: _has_room(outbox),
            metadata={"robot_id": self._settings.robot_id},
            sealed_until=outbox.last_number,
        )
        self._outbox, self._sealer = outbox, sealer

    def connect(
        self, link: Link, session: Callable[[], aiohttp.ClientSession], upstream: Upstream
    ) -> None:
        """Who sends what is sealed."""
        if self._outbox is None:
            return
        shipping = self._limits.shipping
        throttle = Throttle(shipping.bytes_per_s)
        parts = PartSender(session, throttle, upstream, stall_s=shipping.part_stall_s)
        self._shipper = Shipper(self._settings.robot_id, self._outbox, link, parts, shipping)

    def parts(self) -> dict[str, Coroutine[Any, Any, None]]:
        """What runs beside the rest of the bridge, by name."""
        return {"segment-shipper": self._shipper.run()} if self._shipper else {}

    def start(self) -> None:
        """Begin to record; from now on this process's threads take turns more often."""
        if self.recorder is not None:
            sys.setswitchinterval(min(sys.getswitchinterval(), self._limits.switch_s))
            self.recorder.start()

    async def stop(self) -> None:
        """Write and seal what waits."""
        if self.recorder is not None:
            await asyncio.to_thread(self.recorder.stop)


def _has_room(outbox: Outbox) -> bool:
    try:
        return outbox.make_room()
    except BridgeError as problem:
        log(_logger, "continuous.no_room", level=logging.ERROR, reason=str(problem))
        return False
