"""What this robot believes, on its disk before it counts, and asked of the registry when it matters."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from pathlib import Path
from secrets import token_bytes

from edge_bridge.converging.converge import Memory
from edge_bridge.converging.interrupting import to_its_end
from edge_bridge.converging.swap_gate import boot_time_s
from edge_bridge.converging.trust_state import Word, is_held, reason_against, reason_against_return
from edge_bridge.errors import BridgeError, MetadataRefusedError, TargetForbiddenError
from edge_bridge.files import full_disk_named, write_whole
from edge_bridge.hub_clock import HubClock, Sample, measured, reading
from fleetward.bus.logs import log
from fleetward.contracts.codec import UnreadableMessageError, decode, encode
from fleetward.contracts.ids import ModelName, ModelRef, RobotId
from fleetward.contracts.robots import RobotTarget
from fleetward.contracts.trust import NONCE_BYTES, Freshness, RefreshTrust, TrustRefreshed
from fleetward.trust.anchors import read_anchor
from fleetward.trust.errors import TrustError
from fleetward.trust.following import (
    Kept,
    believed_keys,
    enrolled,
    follow,
    knows,
    listed_in,
    question,
    timestamp_version,
)
from fleetward.trust.listing import Listed
from fleetward.trust.signing import TARGET

_logger = logging.getLogger(__name__)

ATTEMPTS = 3
"""A replica of the registry may be a moment behind another, or something kept be spoiled: ask again,
for everything, before refusing for good."""
RETRY_WAIT_S = 0.2
FRESH_FOR_S = 2.0
"""A word of the registry counts as today's for so long."""
REFRESH_PERIOD_S = 600.0
"""How often a robot asks without being told anything: how late a rotated key is noticed."""

Ask = Callable[[RefreshTrust], Awaitable[TrustRefreshed]]
"""Asks the registry; raises TransientError."""


class Trust:
    """The robot's pinned root and everything that followed from it; ``path`` keeps it."""

    def __init__(self, robot_id: RobotId, trust_dir: Path, path: Path, ask: Ask) -> None:
        """Raises RootRefusedError when the robot was never enrolled."""
        self._robot_id = robot_id
        self._path = path
        self._ask = ask
        self._kept = _kept(path) or enrolled(read_anchor(trust_dir))
        self._turn = asyncio.Lock()
        self.clock = HubClock()
        """The hub's time, measured by each answer that was believed since this robot's boot."""
        self.clock_set = asyncio.Event()
        """Set with the first of them."""
        self._refreshed: dict[ModelName | None, float] = {}
        """When each model was last asked about, by the monotonic clock."""
        self._keys = believed_keys(self._kept.root)

    @property
    def version(self) -> int:
        """How new what the robot believes is; 0 before it ever asked."""
        return timestamp_version(self._kept)

    @property
    def labels(self) -> Mapping[str, str]:
        """Those that the robot is enrolled with, as the hub last said; none before it did."""
        return self._kept.labels or {}

    def hub_now(self) -> datetime | None:
        """The hub's time; None before the first answer since this robot's boot."""
        read = reading(self.clock, boot_time_s())
        return read.hub_now if read is not None else None

    def verify(self, purpose: str, payload: bytes, key_id: str, signature: bytes) -> None:
        """Return when a key that counts today signed this; raises SignatureError."""
        self._keys.verify(purpose, payload, key_id, signature)

    def listed(self, model: ModelRef) -> Listed | None:
        """What the registry last said about one version; None: it is not listed."""
        return listed_in(self._kept, model)

    def release_of(self, target: RobotTarget) -> int:
        """Which release the registry last said the target's model is; 0 when it does not list it."""
        listed = self.listed(target.model)
        return listed.release if listed and listed.digest == target.digest else 0

    async def run(self) -> None:
        """Ask from time to time, for ever, so that rotated keys are noticed without a rollout."""
        while True:
            try:
                await self.refresh(None)
            except BridgeError as problem:
                log(_logger, "trust.not_refreshed", level=logging.WARNING, reason=str(problem))
            await asyncio.sleep(REFRESH_PERIOD_S)

    async def refresh(self, model: ModelName | None, *, anew: bool = False) -> None:
        """Believe what is new, unless that was just done and ``anew`` is not asked for.

        Raises TransientError, MetadataRefusedError, or DiskFullError: what cannot be kept does not
        count.
        """
        async with self._turn:
            if not anew and self._is_fresh(model):
                return
            for attempt in range(1, ATTEMPTS + 1):
                try:
                    await self._refresh(model, whole=attempt > 1)
                except TrustError as problem:
                    if attempt == ATTEMPTS:
                        raise MetadataRefusedError(str(problem)) from problem
                    await asyncio.sleep(RETRY_WAIT_S)
                else:
                    return

    async def permit(self, target: RobotTarget, memory: Memory) -> None:
        """Return when the robot may take the target's model.

        Raises TransientError while the registry cannot be asked, TargetForbiddenError or
        MetadataRefusedError for good. What the robot just left needs nobody's word.
        """
        if is_held(target, memory):
            reason = reason_against_return(target, memory, self._word(target.model))
        else:
            reason = await self._reason_against(target, memory)
            if not self._keys.knows(TARGET, memory.key_id):
                reason = f"key {memory.key_id!r} may command robots no more: the root was rotated."
        if reason is not None:
            raise TargetForbiddenError(reason)

    async def _reason_against(self, target: RobotTarget, memory: Memory) -> str | None:
        """A no is asked for anew: what it names may have been published a moment ago."""
        await self.refresh(target.model.name)
        reason = reason_against(target, memory, self._word(target.model))
        if reason is not None:
            await self.refresh(target.model.name, anew=True)
            reason = reason_against(target, memory, self._word(target.model))
        return reason

    def _word(self, model: ModelRef) -> Word:
        return Word(known=knows(self._kept, model.name), listed=self.listed(model))

    def _is_fresh(self, model: ModelName | None) -> bool:
        asked = self._refreshed.get(model)
        return asked is not None and time.monotonic() - asked < FRESH_FOR_S

    async def _refresh(self, model: ModelName | None, *, whole: bool) -> None:
        began = time.monotonic()
        nonce = token_bytes(NONCE_BYTES)
        asked = question(self._kept, self._robot_id, nonce, model, whole=whole)
        asked_s = boot_time_s()
        answer = await self._ask(asked)
        answered_s = boot_time_s()
        # Its thread writes: nobody else may meanwhile.
        await to_its_end(asyncio.to_thread(self._believe, asked, answer))
        self._refreshed = {model: began, None: began}
        signed = decode(answer.proof.payload, Freshness)
        sample = Sample(hub_at=signed.at, asked_s=asked_s, answered_s=answered_s)
        self.clock = measured(self.clock, sample)
        self.clock_set.set()

    def _believe(self, asked: RefreshTrust, answer: TrustRefreshed) -> None:
        """In a thread: verifying and an fsync take milliseconds that frames do not have."""
        kept = follow(self._kept, asked, answer)
        if kept != self._kept:
            with full_disk_named(self._path.name):
                self._path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(self._path, encode(kept))
        self._kept, self._keys = kept, believed_keys(kept.root)


def _kept(path: Path) -> Kept | None:
    try:
        return decode(path.read_bytes(), Kept)
    except FileNotFoundError:
        return None
    except (UnreadableMessageError, OSError) as problem:
        # A robot must go on; it believes again what it was enrolled with, and asks.
        log(_logger, "trust.unreadable", level=logging.ERROR, path=str(path), reason=str(problem))
        return None
