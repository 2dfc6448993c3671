"""Loads a model's record, and saves it with its facts and its listing in one batch, by compare-and-set."""

from __future__ import annotations

from collections.abc import Callable

from nats.aio.client import Client

from fleetward.bus.batch import Write, write_atomically
from fleetward.bus.errors import ConflictError, PublishError
from fleetward.bus.last_values import last_value
from fleetward.contracts.ids import ModelName
from fleetward.contracts.registry import ModelRecord
from model_registry.changes import Changes
from model_registry.errors import RegistryBusyError
from model_registry.publication import RecordStep
from model_registry.trust_ledger import TrustLedger

MAX_ATTEMPTS = 8
"""One attempt loses only to another process's success, so eight of them at once all get through."""

Decide = Callable[[ModelRecord], RecordStep]


class Records:
    """Every model's record, on the bus; what changes in it is listed for robots by ``ledger``."""

    def __init__(
        self, connection: Client, ledger: TrustLedger, changes: Changes | None = None
    ) -> None:
        self._connection = connection
        self._ledger = ledger
        self._changes = changes

    async def load(self, name: ModelName) -> tuple[ModelRecord, int]:
        """The record and its sequence; an empty one at sequence 0 when the name is new."""
        value = await last_value(self._connection, ModelRecord, name=name)
        return (value.event, value.sequence) if value else (ModelRecord(name=name), 0)

    async def change(self, name: ModelName, decide: Decide) -> RecordStep:
        """Load, decide, save; decide again when somebody else saved first.

        ``decide`` must find its own work done when it meets it: a save whose acknowledgement was
        lost is decided again. Raises what ``decide`` raises, and RegistryBusyError.
        """
        problem: Exception | None = None
        for _ in range(MAX_ATTEMPTS):
            try:
                async with self._ledger.turn:
                    step = await self._changed(name, decide)
            except (ConflictError, PublishError) as error:
                problem = error
                continue
            if self._changes is not None:
                self._changes.note(name)
            return step
        raise RegistryBusyError(
            f"{name} could not be changed in {MAX_ATTEMPTS} attempts ({problem}). Try again."
        )

    async def _changed(self, name: ModelName, decide: Decide) -> RecordStep:
        record, sequence = await self.load(name)
        step = decide(record)
        await self._save(record, step, sequence)
        return step

    async def _save(self, before: ModelRecord, step: RecordStep, sequence: int) -> None:
        record = Write(step.record, expected_last_sequence=sequence)
        if not step.facts:  # nothing that is signed changed
            if step.record != before:
                await write_atomically(self._connection, [record])
        else:
            listed = await self._ledger.list_record(before, step.record)
            await write_atomically(self._connection, [record, *listed, *map(Write, step.facts)])
