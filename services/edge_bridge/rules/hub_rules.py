"""Takes the rules that the hub sends: heard as they change, read when the hub is reached, kept for when it is not."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

from edge_bridge.converging.interrupting import to_its_end
from edge_bridge.converging.trust import Trust
from edge_bridge.errors import BridgeError
from edge_bridge.link import Link
from edge_bridge.rules.held import HeldRules
from fleetward.bus.backoff import pause_s
from fleetward.bus.errors import BusError
from fleetward.bus.last_values import last_value
from fleetward.bus.logs import log
from fleetward.bus.waiting import happens, within
from fleetward.contracts.codec import UnreadableMessageError, decode
from fleetward.contracts.rule_sets import MAX_RULE_SET_BYTES, RuleSet, RuleSetSigned
from fleetward.trust.signing import SignatureError

_logger = logging.getLogger(__name__)

LOOK_S = 600.0
"""How often the rules are read although nobody said that they changed, and whether their key still counts."""
LOOK_SPACING_S = 1.0
RETRY_WAIT_S = 5.0
"""The first wait after a set that could not be read or believed; it doubles."""
READ_TIMEOUT_S = 30.0
"""A full set over 64 kbit/s takes half of it."""
TRUST_PATIENCE_S = 5.0
"""How long the registry may take to say whose signatures count today."""

_EXAMPLE = RuleSetSigned(payload=b"", key_id="", signature=b"")


class HubRules:
    """``on_rules`` hears of the set to judge by, None: of none, and why the hub's newest is not taken."""

    def __init__(
        self,
        link: Link,
        trust: Trust,
        path: Path,
        on_rules: Callable[[RuleSet | None, str], None],
    ) -> None:
        self._link = link
        self._trust = trust
        self._held = HeldRules(path, trust)
        self._on_rules = on_rules
        self._heard: bytes | None = None
        self._failures = 0
        self._wake = asyncio.Event()
        link.on_up.append(self._wake.set)

    async def run(self) -> None:
        """Begin with what is kept; then follow the hub, for ever."""
        self._tell()
        await self._link.listen(_EXAMPLE, self._hear)
        while True:
            self._wake.clear()
            wait_s = await self._look()
            await asyncio.sleep(LOOK_SPACING_S)
            await happens(self._wake, wait_s)

    def _hear(self, payload: bytes) -> None:
        self._heard = payload
        self._wake.set()

    async def _look(self) -> float:
        """Take what was heard, or else what is there; how long to wait before the next look."""
        try:
            signed = await self._newest()
            if signed is not None:
                await self._take(signed)
        except BusError as problem:
            if not self._failures:  # a hub from before there were any says this for ever
                log(_logger, "rules.unread", level=logging.WARNING, reason=str(problem))
            return self._failed()
        except (SignatureError, UnreadableMessageError, BridgeError) as problem:
            log(_logger, "rules.refused", level=logging.ERROR, reason=str(problem))
            self._tell(str(problem))
            return self._failed()
        self._failures = 0
        self._tell()
        return LOOK_S

    def _failed(self) -> float:
        self._failures += 1
        return pause_s(self._failures, RETRY_WAIT_S, LOOK_S)

    async def _newest(self) -> RuleSetSigned | None:
        heard, self._heard = self._heard, None
        if heard is not None:
            # Of what is too large no more is looked at: cut off, it is no set, and refused.
            return decode(heard[: MAX_RULE_SET_BYTES + 1], RuleSetSigned)
        connection = await self._link.connected()
        reading = last_value(connection, RuleSetSigned, timeout_s=READ_TIMEOUT_S)
        value = await self._link.while_connected(reading)
        return value.event if value is not None else None

    async def _take(self, signed: RuleSetSigned) -> None:
        """In a thread: verifying and an fsync take milliseconds that frames do not have."""
        try:
            await to_its_end(asyncio.to_thread(self._held.take, signed))
        except SignatureError:
            await self._hear_of_rotated_keys()
            await to_its_end(asyncio.to_thread(self._held.take, signed))

    async def _hear_of_rotated_keys(self) -> None:
        """Ask who may sign rules today; without an answer, what is known counts."""
        try:
            await within(self._trust.refresh(None), TRUST_PATIENCE_S)
        except (BridgeError, asyncio.TimeoutError) as problem:
            log(_logger, "trust.not_refreshed", level=logging.WARNING, reason=str(problem))

    def _tell(self, trouble: str = "") -> None:
        held = self._held.current
        self._on_rules(held.rule_set if held is not None else None, trouble)
