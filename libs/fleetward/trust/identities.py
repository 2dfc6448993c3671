"""Every principal and robot gets credentials for exactly what the catalog says it may do.

The issuer of a system: its keys lie in one directory, one ``*.seed`` per key (0600). Opening it
twice gives the same keys, so credentials handed out stay good.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path

from msgspec import Struct

from fleetward.contracts.accounts import Account, account_of, residents
from fleetward.contracts.errors import FleetwardError
from fleetward.contracts.ids import RobotId, robot_id
from fleetward.contracts.robot_keys import CREDENTIAL_DAYS, RobotKeysChanged
from fleetward.contracts.rows import Principal
from fleetward.trust import nats_jwt
from fleetward.trust.accounts import Door, doors, exports
from fleetward.trust.nats_jwt import Claims, KeyPair, UserScope
from fleetward.trust.permissions import OWN_INBOX, permissions_of
from fleetward.trust.private_files import make_private_dir, write_private
from fleetward.trust.voided_keys import VoidedKeys

SYSTEM = "system"
"""Who may tell the server about changed accounts; not a principal of the catalog."""
RENEWER = "robot-renewer"
"""The signing key of whoever renews robots' credentials: it can issue what a robot's can, and no more."""
_SYSTEM_PUBLISH = ("$SYS.REQ.ACCOUNT.*.CLAIMS.UPDATE", "$SYS.REQ.ACCOUNT.*.CLAIMS.LOOKUP")


class RevokedError(FleetwardError):
    """Somebody asked to renew credentials that were taken away."""


class ServerTrust(Struct, frozen=True, kw_only=True):
    """What a server must be started with. accounts: public key -> JWT."""

    operator_jwt: str
    system_account: str
    accounts: dict[str, str]


class Identities:
    """Issues and takes away; the only code that holds the seeds."""

    def __init__(
        self, keys_dir: Path, credentials_dir: Path, now: Callable[[], float] = time.time
    ) -> None:
        make_private_dir(keys_dir)
        make_private_dir(credentials_dir)
        make_private_dir(credentials_dir / "robots")
        self._keys_dir = keys_dir
        self._credentials_dir = credentials_dir
        self._now = now
        self._voided = VoidedKeys(keys_dir)
        self._operator = self._key("operator", "operator")
        self._operator_signer = self._key("operator-signer", "operator")
        self.system = self._key("account-system", "account")
        self.accounts = {
            account: self._key(f"account-{account.value.lower()}", "account") for account in Account
        }

    def server_trust(self) -> ServerTrust:
        """Operator and accounts as of now: permissions of today's catalog, today's revocations."""
        claims = nats_jwt.operator_claims(
            self._operator.public, self.system.public, [self._operator_signer.public]
        )
        accounts = {
            claim["sub"]: nats_jwt.signed(claim, self._operator_signer, self._seconds())
            for claim in (
                self._system_claims(),
                *(self._account_claims(account) for account in Account),
            )
        }
        return ServerTrust(
            operator_jwt=nats_jwt.signed(claims, self._operator, self._seconds()),
            system_account=self.system.public,
            accounts=accounts,
        )

    def issue(self, principal: Principal) -> Path:
        """The credentials file of a service, or of people or programs; written once, then kept."""
        if principal is Principal.ROBOT:
            raise FleetwardError("robots have names of their own; use issue_robot.")
        account = self.accounts[account_of(principal)]
        return self._issue(self._path_of(principal.value), principal.value, account)

    def issue_robot(self, name: str) -> Path:
        """The credentials file of one robot; raises InvalidIdError for an unsafe name.

        Written once, then kept: the robot renews what is in it by itself. It is made anew when its key
        was taken away, or when it ended and so did what the robot may have put in its place.
        The server fills ``{{name()}}`` in without looking at it, so this check is what keeps a
        robot named ``*`` from owning the fleet.
        """
        checked = robot_id(name)
        path, edge = self.robot_path(checked), self.accounts[Account.EDGE]
        if self.has_ended(checked):
            self.forget_robot(checked)
        ends = self._seconds() + int(timedelta(days=CREDENTIAL_DAYS).total_seconds())
        return self._issue(path, Principal.ROBOT.value, edge, checked, ends)

    def issue_system(self) -> Path:
        """The credentials of whoever tells the server about changed accounts."""
        return self._issue(self._path_of(SYSTEM), SYSTEM, self.system)

    def robot_path(self, name: RobotId) -> Path:
        """Where the credentials of a robot lie."""
        return self._credentials_dir / "robots" / f"{name}.creds"

    def robot_public(self, name: RobotId) -> str:
        """The public key in a robot's credentials, which are issued if they were not."""
        return _public_in(self.issue_robot(name))

    def held_public(self, name: RobotId) -> str:
        """The public key in the robot's credentials that lie here, void or not; empty: none do."""
        path = self.robot_path(name)
        return _public_in(path) if path.exists() else ""

    def robot_key_ends(self, name: RobotId) -> datetime | None:
        """When what ``issue_robot`` gives ends; None: never."""
        ends = _claims_in(self.issue_robot(name)).get("exp")
        return None if ends is None else datetime.fromtimestamp(ends, timezone.utc)

    def has_ended(self, name: RobotId) -> bool:
        """Whether the robot's credentials that lie here ended, and what it put in their place too."""
        path = self.robot_path(name)
        if not path.exists():
            return False
        claims = _claims_in(path)
        ends = max(claims.get("exp", 0), self._voided.alive_until(claims["sub"]))
        return bool(0 < ends <= self._seconds())

    def is_void(self, public: str) -> bool:
        """Whether this key was taken away."""
        return public in self._voided.taken()

    def void(self, public: str) -> None:
        """Void a key for good; the server learns it by ``resolver.push_accounts``."""
        self._voided.take(public, self._seconds())

    def follow(self, known: RobotKeysChanged) -> bool:
        """Void the keys that a robot replaced; whether there is something to push, until ``told``."""
        return self._voided.follow(known, self._seconds())

    def told(self) -> None:
        """``push_accounts`` told the server of all that is void."""
        self._voided.told()

    @property
    def renewer_seed(self) -> Path:
        """The file of RENEWER's key, for whoever renews robots' credentials."""
        self._role_key(RENEWER)
        return self._keys_dir / f"role-{RENEWER}.seed"

    def forget_robot(self, name: RobotId) -> None:
        """The robot's credentials lie here no more; the next to be issued have a key of their own."""
        self.robot_path(name).unlink(missing_ok=True)

    def user_token(
        self,
        user_public: str,
        name: str,
        role: str,
        account: KeyPair,
        expires_at: int | None = None,
    ) -> str:
        """A user's JWT under the signing key of ``role``; raises RevokedError, InvalidIdError."""
        if user_public in self._voided.taken():
            raise RevokedError(
                f"the key of {name} was revoked. Enrol it again with a key of its own."
            )
        robot_id(name)  # the server expands it into subjects, whoever's it is
        claims = nats_jwt.user_claims(user_public, name, account.public, expires_at)
        return nats_jwt.signed(claims, self._role_key(role), self._seconds())

    def _issue(
        self,
        path: Path,
        role: str,
        account: KeyPair,
        name: str | None = None,
        expires_at: int | None = None,
    ) -> Path:
        if not _opens(path, account) or self.is_void(_public_in(path)):
            user = KeyPair.create("user")
            token = self.user_token(user.public, name or role, role, account, expires_at)
            write_private(path, nats_jwt.credentials(token, user))
        return path

    def _system_claims(self) -> Claims:
        scope = UserScope(
            key=self._role_key(SYSTEM).public,
            role=SYSTEM,
            publish=_SYSTEM_PUBLISH,
            subscribe=(OWN_INBOX,),
            payload_bytes=-1,
            subscriptions=8,
        )
        return nats_jwt.account_claims(self.system.public, "SYS", [scope])

    def _account_claims(self, account: Account) -> Claims:
        return nats_jwt.account_claims(
            self.accounts[account].public,
            account.value,
            self._scopes(account),
            exports=[_export(door) for door in exports(account)],
            imports=[self._import(door, account) for door in doors(account)],
            revocations=self._revoked(account),
            jetstream=account is Account.CORE,
        )

    def _import(self, door: Door, importer: Account) -> Claims:
        exporter = self.accounts[door.exporter]
        activation = nats_jwt.activation_claims(
            door.subject, self.accounts[importer].public, door.kind
        )
        return {
            "name": door.subject,
            "subject": door.subject,
            "local_subject": door.local,
            "account": exporter.public,
            "type": door.kind,
            "token": nats_jwt.signed(activation, exporter, self._seconds()),
        }

    def _scopes(self, account: Account) -> list[UserScope]:
        scopes = [self._scope(each, each.value) for each in residents(account)]
        if account is Account.EDGE:
            scopes.append(self._scope(Principal.ROBOT, RENEWER))
        return scopes

    def _scope(self, principal: Principal, role: str) -> UserScope:
        permissions = permissions_of(principal)
        return UserScope(
            key=self._role_key(role).public,
            role=role,
            publish=permissions.publish,
            subscribe=permissions.subscribe,
            payload_bytes=permissions.payload_bytes,
            subscriptions=permissions.subscriptions,
            response_ttl_s=permissions.response_ttl_s,
        )

    def _role_key(self, role: str) -> KeyPair:
        return self._key(f"role-{role}", "account")

    def _key(self, name: str, kind: str) -> KeyPair:
        path = self._keys_dir / f"{name}.seed"
        if not path.exists():
            write_private(path, KeyPair.create(kind).seed)
        return KeyPair(path.read_bytes().strip())

    def _revoked(self, account: Account) -> dict[str, int]:
        return self._voided.revocations(of_robots=account is Account.EDGE)

    def _path_of(self, name: str) -> Path:
        return self._credentials_dir / f"{name}.creds"

    def _seconds(self) -> int:
        return int(self._now())


def _opens(path: Path, account: KeyPair) -> bool:
    """Whether the credentials in ``path`` are of ``account``; its holder may have moved since."""
    if not path.exists():
        return False
    return bool(_claims_in(path)["nats"].get("issuer_account") == account.public)


def _public_in(path: Path) -> str:
    return str(_claims_in(path)["sub"])


def _claims_in(path: Path) -> Claims:
    return nats_jwt.claims_of(nats_jwt.token_in(path.read_text(encoding="ascii")))


def _export(door: Door) -> Claims:
    export: Claims = {
        "name": door.subject,
        "subject": door.subject,
        "type": door.kind,
        "token_req": True,
    }
    if door.kind == "service":
        export["response_type"] = "Stream" if door.many_answers else "Singleton"
    if door.answer_within_s is not None:
        export["response_threshold"] = int(door.answer_within_s * 1e9)
    return export


def principals() -> Sequence[Principal]:
    """Everyone who gets credentials of a name fixed in the catalog."""
    return [principal for principal in Principal if principal is not Principal.ROBOT]
