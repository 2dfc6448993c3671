"""Gives robots their next credentials: what was decided is written down before anybody gets any."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import datetime

from nats.aio.client import Client

from fleetward.bus.errors import ConflictError
from fleetward.bus.last_values import last_value
from fleetward.bus.logs import log
from fleetward.bus.publish import publish
from fleetward.bus.requests import answer
from fleetward.contracts.ids import RobotId
from fleetward.contracts.robot_keys import (
    ConfirmCredentials,
    CredentialsConfirmed,
    CredentialsRenewed,
    RenewCredentials,
    RobotKeysChanged,
)
from fleetward.contracts.robots import RobotEnrolled
from fleetward.trust.renewals import confirmed_in, renewal_in
from fleetward.trust.robot_issuer import RobotIssuer
from fleetward.trust.succession import RenewedTooSoonError, confirmed, renewed, standing
from model_registry.errors import RegistryBusyError
from model_registry.settings import RenewalSettings

_logger = logging.getLogger(__name__)

MAX_ATTEMPTS = 8
ASK_SPACING_S = 1.0
"""Between two questions of one robot, so that none of them keeps the registry busy."""
ROBOTS_REMEMBERED = 100_000

Decide = Callable[[RobotKeysChanged], RobotKeysChanged]
"""From a robot's keys to what they are after this; raises TrustError."""


class Renewals:
    """``now`` is the hub's clock: the robots' own may say anything."""

    def __init__(
        self, connection: Client, settings: RenewalSettings, now: Callable[[], datetime]
    ) -> None:
        """Raises KeyMissingError."""
        self._connection = connection
        self._issuer = RobotIssuer.load(settings.signer, settings.account)
        self._limits = settings.limits
        self._now = now
        self._asked_s: dict[RobotId, float] = {}

    async def answer(self) -> None:
        """Answer robots from now on."""
        await answer(self._connection, RenewCredentials, self.renew)
        await answer(self._connection, ConfirmCredentials, self.confirm)

    async def renew(self, asked: RenewCredentials) -> CredentialsRenewed:
        """Issue the next credentials, or those that were issued already; raises TrustError."""
        self._refuse_busy(asked.robot_id)
        renewal = renewal_in(asked)
        keys = await self._change(
            asked.robot_id, lambda keys: renewed(keys, renewal, self._now(), self._limits)
        )
        key = keys.key(renewal.next_key)
        assert key is not None, "it was just written down"
        assert key.expires_at is not None, "what is issued here ends"
        log(_logger, "credentials.renewed", robot_id=asked.robot_id, expires_at=key.expires_at)
        return CredentialsRenewed(
            token=self._issuer.token(asked.robot_id, key), expires_at=key.expires_at
        )

    async def confirm(self, said: ConfirmCredentials) -> CredentialsConfirmed:
        """From now on the robot's new key is the only one that counts; raises TrustError."""
        told = confirmed_in(said)
        await self._change(said.robot_id, lambda keys: confirmed(keys, told.key, self._now()))
        return CredentialsConfirmed(key=told.key)

    async def _change(self, robot: RobotId, decide: Decide) -> RobotKeysChanged:
        for _ in range(MAX_ATTEMPTS):
            enrolled = await last_value(self._connection, RobotEnrolled, robot_id=robot)
            known = await last_value(self._connection, RobotKeysChanged, robot_id=robot)
            keys = standing(enrolled.event if enrolled else None, known.event if known else None)
            changed = decide(keys)
            if changed is keys:
                return keys
            try:
                await publish(self._connection, changed, after=known.sequence if known else 0)
            except ConflictError:
                continue
            return changed
        raise RegistryBusyError(f"the keys of {robot} kept changing. Ask again.")

    def _refuse_busy(self, robot: RobotId) -> None:
        now_s = time.monotonic()
        if now_s - self._asked_s.get(robot, -ASK_SPACING_S) < ASK_SPACING_S:
            raise RenewedTooSoonError(f"{robot} asks more than once in {ASK_SPACING_S:g} s.")
        if len(self._asked_s) >= ROBOTS_REMEMBERED:
            self._asked_s.clear()
        self._asked_s[robot] = now_s
