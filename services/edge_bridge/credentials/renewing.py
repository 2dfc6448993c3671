"""Renews the robot's credentials before they end: the next ones work before the old ones go.

What is done next follows from what lies on the disk (``held.step``), so a robot that died between two
steps goes on with the second. Whether it is time is said by the hub's clock, never by the robot's.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Protocol

from edge_bridge.credentials.held import (
    Ask,
    Confirm,
    Credential,
    Forget,
    MakeKey,
    Next,
    Step,
    Wait,
    step,
)
from edge_bridge.credentials.keyring import Keyring
from edge_bridge.credentials.limits import RenewalLimits
from edge_bridge.errors import CredentialRefusedError, TransientError
from edge_bridge.link import Link
from edge_bridge.settings import Settings
from fleetward.bus.backoff import pause_s
from fleetward.bus.last_values import last_value
from fleetward.bus.logs import log
from fleetward.bus.requests import ask
from fleetward.contracts.errors import FleetwardError
from fleetward.contracts.ids import RobotId
from fleetward.contracts.robot_keys import (
    ConfirmCredentials,
    CredentialsConfirmed,
    CredentialsRenewed,
    RenewCredentials,
)
from fleetward.contracts.robots import SignedTarget
from fleetward.contracts.signals import CREDENTIAL_LIFE_LEFT
from fleetward.trust.nats_jwt import KeyPair, claims_of
from fleetward.trust.renewals import confirmation, renewal_asked

_logger = logging.getLogger(__name__)
_CLOCK_LOOK_S = 1.0

Record = Callable[[str, float], None]
"""Takes one sample of a signal."""
HubNow = Callable[[], datetime | None]
"""The hub's time; None: nobody said it yet since the robot's boot."""


class Hub(Protocol):
    """The hub, over whatever connection there is, and the way to another."""

    @property
    def is_up(self) -> bool:
        """Whether the robot is let in."""

    async def renew(self, asked: RenewCredentials) -> CredentialsRenewed:
        """Raises BusError."""

    async def confirm(self, said: ConfirmCredentials) -> CredentialsConfirmed:
        """Raises BusError."""

    async def move(self, credential: Credential) -> None:
        """Be connected with it; raises CredentialRefusedError, TransientError."""


class Renewing:
    """One robot's. ``trouble`` says why it does not come to its next credentials; empty: all is well."""

    def __init__(
        self,
        robot: RobotId,
        keyring: Keyring,
        hub: Hub,
        hub_now: HubNow,
        limits: RenewalLimits,
        record: Record = lambda _signal, _value: None,
    ) -> None:
        self._robot = robot
        self._keyring = keyring
        self._hub = hub
        self._hub_now = hub_now
        self._limits = limits
        self._record = record
        self.trouble = ""

    async def run(self) -> None:
        """Renew for ever."""
        failures = 0
        while True:
            try:
                wait_s = await self.turn()
                failures, self.trouble = 0, ""
            except FleetwardError as problem:
                failures += 1
                self.trouble = str(problem)
                log(_logger, "credentials.not_renewed", level=logging.WARNING, reason=str(problem))
                wait_s = pause_s(failures, self._limits.retry_wait_s, self._limits.retry_limit_s)
            await asyncio.sleep(wait_s)

    async def turn(self) -> float:
        """Do what is due now; for how many seconds nothing is then. Raises FleetwardError."""
        hub_now = self._hub_now()
        if hub_now is None:
            return min(self._limits.look_s, _CLOCK_LOOK_S)
        due = step(await asyncio.to_thread(self._keyring.reload), hub_now)
        self._record_life(hub_now)
        if isinstance(due, Wait):
            return _wait_s(due, hub_now, self._limits.look_s)
        await self._do(due)
        return 0.0

    def _record_life(self, hub_now: datetime) -> None:
        current = self._keyring.held.current
        left = current.life_left(hub_now) if current is not None else None
        if left is not None:
            self._record(CREDENTIAL_LIFE_LEFT.name, left)

    async def _do(self, due: Step) -> None:
        match due:
            case MakeKey():
                coming = Next(KeyPair.create("user").seed)
                await asyncio.to_thread(self._keyring.keep_next, coming)
            case Ask(key=key, next=coming):
                await self._ask(key, coming)
            case Confirm(next=credential):
                await self._confirm(credential)
            case Forget():
                await asyncio.to_thread(self._keyring.forget_next)

    async def _ask(self, current: Credential, coming: Next) -> None:
        asked = renewal_asked(self._robot, current.key, coming.key)
        renewed = await self._hub.renew(asked)
        if claims_of(renewed.token).get("sub") != coming.key.public:
            raise TransientError("the hub issued credentials of another key than was asked for.")
        await asyncio.to_thread(self._keyring.keep_next, Next(coming.seed, renewed.token))

    async def _confirm(self, credential: Credential) -> None:
        if self._keyring.in_use != credential:
            await self._move(credential)
        await self._hub.confirm(confirmation(self._robot, credential.key))
        await asyncio.to_thread(self._keyring.adopt, credential)
        ends_at = credential.ends_at
        log(
            _logger,
            "credentials.renewed",
            key=credential.key.public,
            ends_at=ends_at.isoformat() if ends_at else "never",
        )

    async def _move(self, credential: Credential) -> None:
        if not self._hub.is_up:
            raise TransientError("the hub cannot be reached with what the robot has now.")
        try:
            await self._hub.move(credential)
        except CredentialRefusedError:
            if self._hub.is_up:  # by what was there before: begin anew, with another key
                await asyncio.to_thread(self._keyring.forget_next)
            raise


def renewing(settings: Settings, link: Link, hub_now: HubNow, record: Record) -> Renewing:
    """What renews the credentials of a bridge."""
    robot = settings.robot_id
    return Renewing(robot, link.keyring, BusHub(robot, link), hub_now, settings.renewal, record)


class BusHub:
    """The hub over a ``Link``."""

    def __init__(self, robot: RobotId, link: Link) -> None:
        self._robot = robot
        self._link = link

    @property
    def is_up(self) -> bool:
        """Whether the robot is let in."""
        return self._link.is_up

    async def renew(self, asked: RenewCredentials) -> CredentialsRenewed:
        """Raises BusError."""
        renewed: CredentialsRenewed = await ask(await self._link.connected(), asked)
        return renewed

    async def confirm(self, said: ConfirmCredentials) -> CredentialsConfirmed:
        """Raises BusError."""
        confirmed: CredentialsConfirmed = await ask(await self._link.connected(), said)
        return confirmed

    async def move(self, credential: Credential) -> None:
        """Raises CredentialRefusedError, TransientError."""
        await self._link.move(
            credential,
            lambda connection: last_value(connection, SignedTarget, robot_id=self._robot),
        )


def _wait_s(wait: Wait, hub_now: datetime, look_s: float) -> float:
    if wait.until is None:
        return look_s
    return min(look_s, max(0.0, (wait.until - hub_now) / timedelta(seconds=1)))
