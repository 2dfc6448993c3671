"""Registries in this process, over the real bus; their disk, or the way to their store, may fail."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

from msgspec import Struct
from nats.aio.client import Client

from fleetward.bus.requests import answer
from fleetward.client.uploads import Uploads
from fleetward.contracts.ids import ModelName
from fleetward.contracts.judgements import PruneModels
from fleetward.contracts.registry import (
    ChunksListed,
    ListChunks,
    ModelRegistered,
    RegisterModel,
)
from fleetward.contracts.rows import Principal
from model_registry.handlers import Registry
from model_registry.objects import ModelObjects
from model_registry.pruning import Pruner
from model_registry.records import Records
from model_registry.retention import RetentionPolicy
from model_registry.trust_ledger import TrustLedger
from testkit.servers import NatsSystem
from tests.integration.model_registry.failing_scratch import FailingScratch
from tests.integration.model_registry.registry_here import (
    ledger_here,
    now,
    registry_here,
    settings_here,
)
from tests.integration.model_registry.repeated_publish import RepeatedPublish


class Way(Struct, frozen=True):
    """How one publisher and its registry reach a store. ``arrived``: the name of each whole upload."""

    objects: ModelObjects
    uploads: Uploads
    arrived: list[str]


class Fault(Protocol):
    """Something that counts its operations, and fails the one that a test names."""

    operations: int

    def fail_at(self, point: int) -> None:
        """Count anew from 0, and fail at ``point``."""


OpenWay = Callable[[ModelName, FailingScratch], AbstractAsyncContextManager[tuple[Way, Fault]]]


class FailingPublish(RepeatedPublish):
    """One whose disk, or way to the store, fails where ``fault`` is told to."""

    def __init__(
        self, name: ModelName, connection: Client, directory: Path, way: Way, fault: Fault
    ) -> None:
        super().__init__(name, connection, directory, way.uploads)
        self.fault = fault
        self.arrived = way.arrived


class FailingPublishes:
    """Every model's publisher, and what looks after their one bucket."""

    def __init__(self, connection: Client, ledger: TrustLedger) -> None:
        self.rigs: list[FailingPublish] = []
        self._connection = connection
        self._ledger = ledger

    async def pruned(self, objects: ModelObjects, directory: Path) -> set[str]:
        """Have the bucket pruned as days go by; what its versions name."""
        day = 0

        def later() -> datetime:
            nonlocal day
            day += 2
            return now() + timedelta(days=day)

        pruner = Pruner(
            connection=self._connection,
            records=Records(self._connection, self._ledger),
            objects=objects,
            policy=RetentionPolicy(),
            memory=directory / "unnamed.json",
            now=later,
        )
        await pruner.prune(PruneModels())
        await pruner.prune(PruneModels())
        return set(await pruner._named())


@asynccontextmanager
async def failing_publishes(
    names: Sequence[ModelName],
    system: NatsSystem,
    root: Path,
    directory: Path,
    open_way: OpenWay,
) -> AsyncIterator[FailingPublishes]:
    """A registry for each name, whose versions are published by an operator; see ``first_root``."""
    operator = await system.connect(Principal.OPERATOR)
    connection = await system.connect(Principal.REGISTRY)
    ledger = await ledger_here(connection, root)
    registries: dict[ModelName, Registry] = {}
    publishes = FailingPublishes(connection, ledger)
    async with AsyncExitStack() as stack:
        for name in names:
            settings = settings_here(system, directory / name, root)
            settings.incoming_dir.mkdir(parents=True)
            scratch = FailingScratch(settings.incoming_dir)
            way, fault = await stack.enter_async_context(open_way(name, scratch))
            registries[name] = registry_here(connection, ledger, way.objects, scratch, settings)
            publishes.rigs.append(FailingPublish(name, operator, directory / name, way, fault))
        await _answer(connection, registries)
        yield publishes


async def _answer(connection: Client, registries: Mapping[ModelName, Registry]) -> None:
    async def register(request: RegisterModel) -> ModelRegistered:
        return await registries[request.name].register_model(request)

    async def list_chunks(request: ListChunks) -> ChunksListed:
        return await registries[request.name].list_chunks(request)

    await answer(connection, RegisterModel, register)
    await answer(connection, ListChunks, list_chunks)
