"""What the registry vouches for, on the bus: signed with every change, renewed, handed to robots."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from pathlib import Path

from nats.aio.client import Client

from fleetward.bus.batch import Write, write_atomically
from fleetward.bus.errors import BusError, ConflictError, PublishError
from fleetward.bus.last_values import Value, last_value, last_values, last_values_of
from fleetward.bus.logs import log
from fleetward.contracts.codec import decode
from fleetward.contracts.curation import SignedWithdrawals, Withdrawals, withdrawals_message
from fleetward.contracts.ids import Digest, RobotId
from fleetward.contracts.registry import ModelRecord
from fleetward.contracts.robots import RobotEnrolled
from fleetward.contracts.trust import (
    PublishRoot,
    RefreshTrust,
    RoleName,
    RoleSigned,
    RootPublished,
    TrustRefreshed,
)
from fleetward.trust.answering import answer, roles_wanted
from fleetward.trust.errors import RootRefusedError, TrustError
from fleetward.trust.online_keys import OnlineKeys
from fleetward.trust.repository import Repository, root_version
from fleetward.trust.roles import ONLINE_ROLES, TARGETS, TIMESTAMP_PERIOD_S, role_of
from fleetward.trust.roots import check_chain, read_root
from fleetward.trust.signing import MANIFEST, Signature
from model_registry.errors import RegistryBusyError
from model_registry.listings import first_listings, listings

_logger = logging.getLogger(__name__)

MAX_ATTEMPTS = 8
HEARTBEATS_PER_WHOLE_RENEWAL = 144
"""Every role is looked at once a day; the timestamp with each heartbeat."""
ROOT_WARNING_DAYS = 60


class TrustLedger:
    """Roots and roles on the bus. ``keys`` signs; ``now`` is the clock that expiry is set by."""

    def __init__(self, connection: Client, keys: OnlineKeys, now: Callable[[], datetime]) -> None:
        self._connection = connection
        self._keys = keys
        self._now = now
        self._root = b""
        """The newest root that was seen."""
        self.turn = asyncio.Lock()
        """Every listing is signed on top of the last, so two at once would only refuse one another."""

    def sign(self, purpose: str, payload: bytes) -> Signature:
        """Sign what is no metadata, with the key that signs what is published."""
        return self._keys.of(read_root(self._root).signed, TARGETS).sign(purpose, payload)

    async def begin(self, first_root: bytes) -> None:
        """Publish the root and list what is there, unless that was done; renew what is due.

        Raises RootRefusedError when the bus holds roots that do not follow ``first_root``.
        """
        roots = await self._roots()
        if roots:
            _refuse_other(first_root, roots)
            await self.renew()
            return
        self._root = first_root
        check_chain([first_root])
        self._keys.check(read_root(first_root).signed)
        repository = Repository(first_root, {}, self._keys, self._now())
        withdrawn = await self._withdrawn()
        for record in await last_values(self._connection, ModelRecord):
            repository.list_model(record.event.name, first_listings(record.event, withdrawn))
        first = Write(RootPublished(version=1, metadata=first_root), 0)
        try:
            await self._write([first, *_writes(repository, {})])
        except ConflictError:
            await self.begin(first_root)  # another replica was quicker
        else:
            log(_logger, "trust.began", root=1)

    async def list_record(self, before: ModelRecord, after: ModelRecord) -> list[Write]:
        """What must be stored with a changed record, in one batch with it."""
        repository, sequences = await self._load([role_of(after.name)])
        standing = repository.versions(after.name)
        withdrawn = await self._withdrawn()
        repository.list_model(after.name, listings(before, after, standing, withdrawn))
        return _writes(repository, sequences)

    async def withdraw(self, digests: Collection[Digest]) -> list[Write]:
        """What must be stored so that no robot takes these bytes, under whatever name."""
        repository, sequences = await self._load_all()
        repository.withdraw(digests)
        return _writes(repository, sequences)

    async def renew(self, *, every_role: bool = True) -> None:
        """Let nothing expire; another replica may do it at the same time."""
        repository, sequences = await (self._load_all() if every_role else self._load([]))
        repository.renew()
        _warn_of_expiry(read_root((await self._roots())[-1]).signed.expires, self._now())
        try:
            await self._write(_writes(repository, sequences))
        except ConflictError:
            return  # somebody else signed in between, and with it the timestamp

    async def refresh(self, asked: RefreshTrust) -> TrustRefreshed:
        """Tell a robot what it lacks, and prove that it is today's."""
        roots = await self._roots()
        values = await self._values(roles_wanted(asked))
        roles = {value.event.role: value.event.metadata for value in values}
        labels = await self._labels_of(asked.robot_id) if asked.labels else None
        return answer(asked, roots, roles, self._keys, self._now(), labels)

    async def _labels_of(self, robot: RobotId) -> dict[str, str] | None:
        """None: nobody enrolled it."""
        value = await last_value(self._connection, RobotEnrolled, robot_id=robot)
        return value.event.labels if value is not None else None

    async def publish_root(self, request: PublishRoot) -> RootPublished:
        """Follow a new root, signed by its own keys and those before; raises RootRefusedError."""
        for _ in range(MAX_ATTEMPTS):
            roots = await self._roots()
            if request.metadata == roots[-1]:
                return RootPublished(version=len(roots), metadata=roots[-1])
            check_chain([*roots, request.metadata])
            repository, sequences = await self._load_all()
            repository.follow(request.metadata)
            published = RootPublished(version=len(roots) + 1, metadata=request.metadata)
            self._root = request.metadata
            withdrawals = await self._withdrawals_signed_anew()
            try:
                await self._write(
                    [Write(published, 0), *withdrawals, *_writes(repository, sequences)]
                )
            except (ConflictError, PublishError):
                continue
            log(_logger, "trust.root_followed", root=published.version)
            return published
        raise RegistryBusyError(
            f"the root could not be stored in {MAX_ATTEMPTS} attempts. Try again."
        )

    async def keep(self) -> None:
        """Renew for ever; a registry that cannot tells its log and tries again."""
        beats = 0
        while True:
            await asyncio.sleep(TIMESTAMP_PERIOD_S)
            beats += 1
            try:
                await self.renew(every_role=beats % HEARTBEATS_PER_WHOLE_RENEWAL == 0)
            except (BusError, TrustError) as problem:
                log(_logger, "trust.not_renewed", level=logging.ERROR, reason=str(problem))

    async def _load(self, models: Sequence[RoleName]) -> tuple[Repository, dict[RoleName, int]]:
        return await self._repository(await self._values([*ONLINE_ROLES, *models]))

    async def _load_all(self) -> tuple[Repository, dict[RoleName, int]]:
        return await self._repository(await last_values(self._connection, RoleSigned))

    async def _repository(
        self, values: Sequence[Value[RoleSigned]]
    ) -> tuple[Repository, dict[RoleName, int]]:
        roles = {value.event.role: value.event.metadata for value in values}
        sequences = {value.event.role: value.sequence for value in values}
        root = (await self._roots())[-1]
        return Repository(root, roles, self._keys, self._now()), sequences

    async def _values(self, roles: Sequence[RoleName]) -> list[Value[RoleSigned]]:
        return await last_values_of(self._connection, RoleSigned, "role", roles)

    async def _withdrawn(self) -> frozenset[Digest]:
        signed = await last_value(self._connection, SignedWithdrawals)
        reasons = decode(signed.event.payload, Withdrawals).reasons if signed else {}
        return frozenset(reasons)

    async def _withdrawals_signed_anew(self) -> list[Write]:
        """The list of withdrawals under today's key, so that a rotation makes no robot forget it."""
        signed = await last_value(self._connection, SignedWithdrawals)
        if signed is None:
            return []
        payload = signed.event.payload
        signature = self.sign(MANIFEST, withdrawals_message(payload))
        again = SignedWithdrawals(
            payload=payload, key_id=signature.key_id, signature=signature.signature
        )
        return [Write(again, signed.sequence)]

    async def _roots(self) -> list[bytes]:
        published = await last_values(self._connection, RootPublished)
        roots = [
            value.event.metadata for value in sorted(published, key=lambda one: one.event.version)
        ]
        self._root = roots[-1] if roots else b""
        return roots

    async def _write(self, writes: list[Write]) -> None:
        if writes:
            await write_atomically(self._connection, writes)


def read_first_root(path: Path) -> bytes:
    """The root that this system began with; raises RootRefusedError."""
    try:
        root = path.read_bytes()
    except OSError as error:
        raise RootRefusedError(
            f"the root {path} cannot be read: {error}. Make one: fleetward keys init"
        ) from error
    read_root(root)
    return root


def _writes(repository: Repository, sequences: dict[RoleName, int]) -> list[Write]:
    return [
        Write(RoleSigned(role=role, version=version, metadata=metadata), sequences.get(role, 0))
        for role, (version, metadata) in repository.changes().items()
    ]


def _refuse_other(given: bytes, roots: Sequence[bytes]) -> None:
    """The roots on the bus must be the given one's: whoever wrote others holds no root key."""
    check_chain(roots)
    version = root_version(given)
    if version > len(roots) or read_root(roots[version - 1]).signed != read_root(given).signed:
        raise RootRefusedError(
            f"the bus holds another root v{version} than this registry was given. Give it the root "
            "that the system began with, or publish the new one with fleetward keys publish-root."
        )


def _warn_of_expiry(expires: datetime, now: datetime) -> None:
    days = (expires - now).days
    if days < ROOT_WARNING_DAYS:
        log(_logger, "trust.root_expires", level=logging.WARNING, days_left=days)
