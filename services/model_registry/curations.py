"""Loads what is said of a version, and saves a judgement with its facts in one batch."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct
from nats.aio.client import Client

from fleetward.bus.batch import Write, write_atomically
from fleetward.bus.errors import ConflictError, PublishError
from fleetward.bus.last_values import last_value
from fleetward.contracts.codec import decode, encode
from fleetward.contracts.curation import (
    NONE_WITHDRAWN,
    ModelCuration,
    SignedWithdrawals,
    Withdrawals,
    withdrawals_message,
)
from fleetward.contracts.ids import ModelName, Version
from fleetward.contracts.registry import ModelRecord, ModelVersion
from fleetward.trust.signing import MANIFEST
from model_registry.description import undescribed
from model_registry.errors import RegistryBusyError, UnknownModelError
from model_registry.judgement import Judgement, Known
from model_registry.trust_ledger import TrustLedger

MAX_ATTEMPTS = 8

Decide = Callable[[Known], Judgement]


class Held(Struct, frozen=True, kw_only=True):
    """What was loaded, with the sequences to compare and set by."""

    version: ModelVersion
    known: Known
    curation_sequence: int
    withdrawals_sequence: int


class Curations:
    """What is said of every version, on the bus; withdrawals are signed by ``ledger``."""

    def __init__(self, connection: Client, ledger: TrustLedger) -> None:
        self._connection = connection
        self._ledger = ledger

    async def load(self, name: ModelName, version: Version) -> Held:
        """What is said of one published version; raises UnknownModelError."""
        record = await last_value(self._connection, ModelRecord, name=name)
        found = _version(record.event if record else ModelRecord(name=name), version)
        release = str(found.manifest.release)
        said = await last_value(self._connection, ModelCuration, name=name, release=release)
        withdrawals, sequence = await self._withdrawals()
        curation = said.event if said else undescribed(found.manifest)
        return Held(
            version=found,
            known=Known(curation=curation, withdrawals=withdrawals),
            curation_sequence=said.sequence if said else 0,
            withdrawals_sequence=sequence,
        )

    async def withdrawals(self) -> Withdrawals:
        """Every digest that was withdrawn."""
        return (await self._withdrawals())[0]

    async def change(self, name: ModelName, version: Version, decide: Decide) -> Judgement:
        """Load, decide, save; decide again when somebody else saved first.

        ``decide`` must find its own work done when it meets it. Raises what it raises, and
        UnknownModelError, RegistryBusyError.
        """
        problem: Exception | None = None
        for _ in range(MAX_ATTEMPTS):
            held = await self.load(name, version)
            judgement = decide(held.known)
            try:
                await self._save(judgement, held)
            except (ConflictError, PublishError) as error:
                problem = error
                continue
            return judgement
        raise RegistryBusyError(
            f"{name}:{version} could not be changed in {MAX_ATTEMPTS} attempts ({problem}). "
            "Try again."
        )

    async def _save(self, judgement: Judgement, held: Held) -> None:
        if not judgement.facts:
            return
        writes = [Write(judgement.curation, held.curation_sequence)]
        if judgement.withdrawals is not None:
            # The ledger first: it looks at the roots, and then knows which key signs today.
            writes += await self._ledger.withdraw(judgement.withdrawals.reasons)
            signed = self._signed(judgement.withdrawals)
            writes.append(Write(signed, held.withdrawals_sequence))
        await write_atomically(self._connection, [*writes, *map(Write, judgement.facts)])

    async def _withdrawals(self) -> tuple[Withdrawals, int]:
        signed = await last_value(self._connection, SignedWithdrawals)
        if signed is None:
            return NONE_WITHDRAWN, 0
        return decode(signed.event.payload, Withdrawals), signed.sequence

    def _signed(self, withdrawals: Withdrawals) -> SignedWithdrawals:
        payload = encode(withdrawals)
        signature = self._ledger.sign(MANIFEST, withdrawals_message(payload))
        return SignedWithdrawals(
            payload=payload, key_id=signature.key_id, signature=signature.signature
        )


def _version(record: ModelRecord, wanted: Version) -> ModelVersion:
    for version in record.versions:
        if version.manifest.model.version == wanted:
            return version
    raise UnknownModelError(
        f"{record.name}:{wanted} is not published. `fleetward model list` shows what is."
    )
