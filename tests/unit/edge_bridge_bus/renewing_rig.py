"""A hub that decides as the real one does, on nothing but memory, and a robot that can die before it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path

from edge_bridge.credentials.held import Credential, Wait, step
from edge_bridge.credentials.keyring import Keyring
from edge_bridge.credentials.limits import RenewalLimits
from edge_bridge.credentials.renewing import Renewing
from edge_bridge.errors import CredentialRefusedError
from edge_bridge.files import Disk
from fleetward.bus.errors import NoAnswerError, RefusedError
from fleetward.contracts.ids import RobotId
from fleetward.contracts.robot_keys import (
    ConfirmCredentials,
    CredentialsConfirmed,
    CredentialsRenewed,
    RenewCredentials,
    RobotKey,
)
from fleetward.contracts.robots import RobotEnrolled
from fleetward.trust import nats_jwt
from fleetward.trust.errors import TrustError
from fleetward.trust.nats_jwt import KeyPair
from fleetward.trust.renewals import confirmed_in, renewal_in
from fleetward.trust.robot_issuer import RobotIssuer
from fleetward.trust.succession import SuccessionLimits, begun, confirmed, renewed

ROBOT = RobotId("r1")
ENROLLED_AT = datetime(2026, 1, 1, tzinfo=timezone.utc)
LIFE = timedelta(days=90)


def never() -> None:
    """Nobody dies here."""


class HubHere:
    """One robot's hub. ``before`` and ``after`` are called around every question, and may raise."""

    def __init__(self, enrolled: Credential) -> None:
        self.now = ENROLLED_AT + 0.7 * LIFE
        self.issuer = RobotIssuer(KeyPair.create("account"), KeyPair.create("account").public)
        self.enrolled = RobotEnrolled(
            robot_id=ROBOT,
            enrolled_at=ENROLLED_AT,
            public_key=enrolled.key.public,
            key_expires_at=enrolled.ends_at,
        )
        self.keys = begun(self.enrolled)
        self.limits = SuccessionLimits(life=LIFE)
        self.is_up = True
        self.before: Callable[[], None] = never
        self.after: Callable[[], None] = never

    def admits(self, credential: Credential) -> bool:
        """As a server that was told of everything at once."""
        key = self.keys.key(credential.key.public)
        return (
            key is not None
            and key.retired_at is None
            and self.keys.closed_at is None
            and (key.expires_at is None or key.expires_at > self.now)
        )

    def first_admitted(self, keyring: Keyring) -> Credential | None:
        """What the robot would be connected with."""
        return next(filter(self.admits, keyring.reload().shown), None)

    async def renew(self, asked: RenewCredentials) -> CredentialsRenewed:
        self.before()
        self._refuse_cut_off()
        renewal = renewal_in(asked)
        try:
            self.keys = renewed(self.keys, renewal, self.now, self.limits)
        except TrustError as problem:
            raise RefusedError(type(problem).__name__, str(problem)) from problem
        key = self.keys.key(renewal.next_key)
        assert key
        assert key.expires_at
        self.after()
        return CredentialsRenewed(token=self.issuer.token(ROBOT, key), expires_at=key.expires_at)

    async def confirm(self, said: ConfirmCredentials) -> CredentialsConfirmed:
        self.before()
        self._refuse_cut_off()
        told = confirmed_in(said)
        try:
            self.keys = confirmed(self.keys, told.key, self.now)
        except TrustError as problem:
            raise RefusedError(type(problem).__name__, str(problem)) from problem
        self.after()
        return CredentialsConfirmed(key=told.key)

    async def move(self, credential: Credential) -> None:
        self.before()
        self._refuse_cut_off()
        if not self.admits(credential):
            raise CredentialRefusedError("the hub does not let the robot in.")
        self.after()

    def _refuse_cut_off(self) -> None:
        if not self.is_up:
            raise NoAnswerError("the hub cannot be reached.")


def enrolled_in(directory: Path, *, ends: bool = True) -> Credential:
    """Credentials as enrolment leaves them, in ``directory/robot.creds``."""
    user, account = KeyPair.create("user"), KeyPair.create("account")
    key = RobotKey(
        public_key=user.public,
        issued_at=ENROLLED_AT,
        expires_at=ENROLLED_AT + LIFE if ends else None,
    )
    token = RobotIssuer(account, account.public).token(ROBOT, key)
    (directory / "robot.creds").write_bytes(nats_jwt.credentials(token, user))
    return Credential(token, user.seed)


def keyring_in(directory: Path, disk: Disk | None = None) -> Keyring:
    return Keyring(directory / "robot.creds", directory / "state" / "credentials", disk)


async def live(keyring: Keyring, hub: HubHere) -> None:
    """Do whatever is due, until nothing is; raises what the robot would wait after."""
    keyring.in_use = hub.first_admitted(keyring)
    renewing = Renewing(ROBOT, keyring, hub, lambda: hub.now, RenewalLimits())
    while not isinstance(step(keyring.reload(), hub.now), Wait):
        await renewing.turn()
