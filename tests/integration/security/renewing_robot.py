"""A robot whose bridge may die on the way to its next credentials, and a hub of two registries before it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TypeVar

from nats.aio.client import Client

from edge_bridge.credentials.held import Credential
from edge_bridge.credentials.limits import RenewalLimits
from edge_bridge.credentials.renewing import BusHub, Renewing
from edge_bridge.link import Link
from fleetward.bus.errors import RefusedError
from fleetward.bus.last_values import last_value
from fleetward.bus.publish import publish
from fleetward.bus.requests import ask
from fleetward.contracts.accounts import Account
from fleetward.contracts.ids import RobotId
from fleetward.contracts.robot_keys import (
    ConfirmCredentials,
    CredentialsConfirmed,
    CredentialsRenewed,
    RenewCredentials,
    RobotKeysChanged,
)
from fleetward.contracts.robots import RobotEnrolled
from fleetward.contracts.rows import Principal
from fleetward.local.replaced_keys import void_replaced
from fleetward.trust.nats_jwt import key_in
from fleetward.trust.succession import SuccessionLimits
from model_registry.renewing import Renewals
from model_registry.settings import RenewalSettings
from testkit.servers import NatsSystem

ROBOT = RobotId("robot-a")
WAIT_S = 30.0
Answer = TypeVar("Answer")
NOBODY_DIES = "nobody dies"


class Hub:
    """The registry's side, twice, and the operator's."""

    def __init__(self, system: NatsSystem) -> None:
        self.system = system
        self.now = datetime.now(timezone.utc)
        """The hub's clock."""

    async def start(self) -> None:
        identities = self.system.identities
        self.enroller = await self.system.connect(Principal.ENROLLER)
        settings = RenewalSettings(
            signer=identities.renewer_seed,
            account=identities.accounts[Account.EDGE].public,
            limits=SuccessionLimits(spacing=timedelta(0)),
        )
        for _ in range(2):
            registry = await self.system.connect(Principal.REGISTRY)
            await Renewals(registry, settings, lambda: self.now).answer()
        self.enrolled = RobotEnrolled(
            robot_id=ROBOT,
            enrolled_at=self.now,
            public_key=identities.robot_public(ROBOT),
            key_expires_at=identities.robot_key_ends(ROBOT),
        )
        await publish(self.enroller, self.enrolled)
        self.key = key_in(self.system.credentials(ROBOT).read_text())

    async def keys(self) -> RobotKeysChanged | None:
        value = await last_value(self.enroller, RobotKeysChanged, robot_id=ROBOT)
        return value.event if value else None

    async def void_replaced(self) -> None:
        await void_replaced(
            self.enroller,
            self.system.url,
            self.system.directory / "keys",
            self.system.identities,
        )


async def patiently(question: Callable[[], Awaitable[Answer]]) -> Answer:
    """Ask again when it was only too soon."""
    while True:
        try:
            return await question()
        except RefusedError as refusal:
            if refusal.code != "RenewedTooSoonError":
                raise
        await asyncio.sleep(0.2)


async def told(robot: Client, question: RenewCredentials | ConfirmCredentials) -> str:
    """The class of the refusal; empty: there was none."""
    try:
        await patiently(lambda: ask(robot, question))
    except RefusedError as refusal:
        return refusal.code
    return ""


class DiesError(Exception):
    """The robot's process is gone."""


class MortalHub(BusHub):
    """The robot dies before or after one of its questions."""

    def __init__(self, link: Link, moment: str) -> None:
        super().__init__(ROBOT, link)
        self._moment = moment

    async def renew(self, asked: RenewCredentials) -> CredentialsRenewed:
        return await self._around("renew", lambda: super(MortalHub, self).renew(asked))

    async def confirm(self, said: ConfirmCredentials) -> CredentialsConfirmed:
        return await self._around("confirm", lambda: super(MortalHub, self).confirm(said))

    async def move(self, credential: Credential) -> None:
        await self._around("move", lambda: super(MortalHub, self).move(credential))

    async def _around(self, question: str, do: Callable[[], Awaitable[Answer]]) -> Answer:
        if self._moment == f"before {question}":
            raise DiesError
        answer = await do()
        if self._moment == f"after {question}":
            raise DiesError
        return answer


class Life:
    """One run of a robot's bridge, as far as its credentials go."""

    def __init__(self, hub: Hub, directory: Path, moment: str = NOBODY_DIES) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.link = Link(hub.system.settings(ROBOT), directory / "credentials", linger_s=0.0)
        limits = RenewalLimits(look_s=0.05, retry_wait_s=0.05, retry_limit_s=0.2)
        mortal = MortalHub(self.link, moment)
        self.renewing = Renewing(ROBOT, self.link.keyring, mortal, lambda: hub.now, limits)
        self._opening = asyncio.ensure_future(self.link.keep())

    async def to_its_end(self) -> None:
        """Until the robot lives by a renewed key and holds nothing else; raises DiesError."""
        await asyncio.wait_for(self.link.connected(), WAIT_S)
        held = self.link.keyring.held
        while held.renewed is None or held.next is not None:
            await patiently(self.renewing.turn)
            held = self.link.keyring.held

    async def end(self) -> None:
        self._opening.cancel()
        await asyncio.wait({self._opening})
        await self.link.close(1.0)
