"""What a robot shows its hub: the newest credentials first, and when they are refused, the ones before."""

from __future__ import annotations

import asyncio
import logging

from edge_bridge.credentials.held import Credential
from edge_bridge.credentials.keyring import Keyring, NoCredentialsError
from fleetward.bus.backoff import pause_s
from fleetward.bus.logs import log

_logger = logging.getLogger(__name__)

REFUSED_WAIT_S = 1.0
REFUSED_WAIT_LIMIT_S = 60.0
"""How often a robot whose credentials are all refused tries again: somebody may enrol it meanwhile."""


class RobotBadge:
    """Of one connection. ``only``: these and no others, until ``open_to_all``."""

    def __init__(self, keyring: Keyring, only: Credential | None = None) -> None:
        self._keyring = keyring
        self._only = only
        self._refusals = 0
        """In a row: it says which of those held is shown."""
        self.chosen: Credential | None = only
        self.was_refused = asyncio.Event()

    def sign(self, challenge: bytes) -> bytes:
        """Choose, and sign with the chosen one's key; raises NoCredentialsError."""
        self.chosen = self._only or self._next()
        return self.chosen.key.sign(challenge)

    def token(self) -> str:
        """Of what signed the challenge just now."""
        assert self.chosen is not None, "the challenge is signed first"
        return self.chosen.token

    async def refused(self) -> None:
        """Show another next time; when all were refused, wait for longer and longer."""
        self._refusals += 1
        self.was_refused.set()
        shown = len(self._keyring.held.shown) if self._only is None else 1
        rounds, inside = divmod(self._refusals, max(1, shown))
        if inside == 0:
            self._complain()
            await asyncio.sleep(pause_s(rounds, REFUSED_WAIT_S, REFUSED_WAIT_LIMIT_S))

    def let_in(self) -> None:
        """The server took it."""
        self._refusals = 0
        self._keyring.in_use = self.chosen

    def open_to_all(self) -> None:
        """From now on any that the robot holds will do."""
        self._only = None

    def _next(self) -> Credential:
        shown = self._keyring.reload().shown
        if not shown:
            raise NoCredentialsError(
                "this robot has no readable credentials. Enrol it: fleetward robot enrol"
            )
        return shown[self._refusals % len(shown)]

    def _complain(self) -> None:
        ends_at = self.chosen.ends_at if self.chosen else None
        log(
            _logger,
            "credentials.refused",
            level=logging.ERROR,
            key=self.chosen.key.public if self.chosen else "",
            ends_at=ends_at.isoformat() if ends_at else "never",
            remedy="they ended or were voided; enrol the robot again: fleetward robot enrol USER@HOST",
        )
