"""One registry after the other, on one store and one bus; each is killed -9 where a test says."""

from __future__ import annotations

import asyncio
import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from msgspec import structs
from nats.aio.client import Client

from fleetward.bus.last_values import last_value, last_values
from fleetward.bus.requests import answer
from fleetward.contracts.curation import ModelCuration
from fleetward.contracts.ids import ModelName, Version
from fleetward.contracts.registry import (
    ChunksListed,
    ListChunks,
    ModelPublished,
    ModelRegistered,
    ModelVersion,
    RegisterModel,
)
from fleetward.contracts.rows import Principal
from fleetward.delivery.cuts import MERGE_BELOW_BYTES
from model_registry.handlers import Registry
from model_registry.settings import Settings
from testkit.servers import NatsSystem
from tests.integration.model_registry.failing_publish import FailingPublishes
from tests.integration.model_registry.memory_store import MemoryObjects, MemoryStore
from tests.integration.model_registry.mortal_publish import (
    Died,
    Life,
    MortalBus,
    MortalObjects,
    MortalScratch,
    MortalUploads,
)
from tests.integration.model_registry.registry_here import (
    ledger_here,
    registry_here,
    settings_here,
)
from tests.integration.model_registry.repeated_publish import RepeatedPublish
from tests.integration.model_registry.whole_versions import expect_whole_in

TENSOR_BYTES = MERGE_BELOW_BYTES
"""The least that makes a chunk of its own: the shared ones come from a pack that stands."""


class DyingPublishes:
    """Publisher and registry live and die together: while one works, the other only waits.

    Made by ``dying_publishes``.
    """

    life: Life
    registry: Registry

    def __init__(
        self, operator: Client, connection: Client, store: MemoryStore, settings: Settings
    ) -> None:
        self.store = store
        self.uploads = MortalUploads(store)
        self._operator = operator
        self._connection = connection
        self._settings = settings
        directory = settings.state_dir / "publisher"
        directory.mkdir(parents=True)
        name = ModelName("killed")
        self.model = RepeatedPublish(name, operator, directory, self.uploads, TENSOR_BYTES)
        self._died = asyncio.Event()

    async def start(self) -> None:
        """Begin as a registry does that starts again: with what is on the bus and in the store."""
        self.life = self.uploads.life = Life()
        self._died.clear()
        shutil.rmtree(self._settings.incoming_dir, ignore_errors=True)
        self._settings.incoming_dir.mkdir(parents=True)
        bus = MortalBus(self._connection, self.life)
        self.registry = registry_here(
            bus,
            await ledger_here(bus, self._settings.root),
            MortalObjects(self.store, self.life),
            MortalScratch(self._settings.incoming_dir, self.life),
            self._settings,
        )

    async def answer(self) -> None:
        """Answer publishers, by whichever registry runs."""
        await answer(self._connection, RegisterModel, self._register)
        await answer(self._connection, ListChunks, self._list_chunks)

    async def die_at(self, point: int, version: Version, content: bytes) -> None:
        """Publish until both are dead, which they must be before that is done; start anew."""
        self.life.die_at(point)
        pushing = asyncio.ensure_future(self.model.push(version, content))
        dying = asyncio.ensure_future(self._died.wait())
        await asyncio.wait([pushing, dying], return_when=asyncio.FIRST_COMPLETED)
        dying.cancel()
        pushing.cancel()
        with suppress(asyncio.CancelledError, Died):
            await pushing
        assert self.life.is_dead, f"a publish has a point {point}, as the recorded one has"
        await self.start()

    async def visible(self) -> dict[str, ModelVersion]:
        """Every version that anybody sees; what is said of it stands and falls with it."""
        name, versions = self.model.name, dict(await self.model.visible())
        curations = await last_values(self._connection, ModelCuration, name=name)
        said = {each.event.release: each.event.version for each in curations}
        assert said == {
            each.manifest.release: each.manifest.model.version for each in versions.values()
        }
        announced = await last_value(self._operator, ModelPublished, name=name)
        assert announced is not None
        assert announced.event.version == said[max(said)]
        return versions

    async def expect_whole(self, version: ModelVersion, content: bytes) -> None:
        """It can be fetched, is ``content``, and its adapter lies where the record says."""
        assert version.manifest.digest == f"sha256:{hashlib.sha256(content).hexdigest()}"
        await expect_whole_in(self._contents_of, version)
        if version.merged is not None:
            adapter = self.store.contents[version.merged.stored.key]
            assert version.merged.stored.digest == f"sha256:{hashlib.sha256(adapter).hexdigest()}"

    async def pruned(self) -> set[str]:
        """Have the store pruned as days go by; what is named in it."""
        ledger = await ledger_here(self._connection, self._settings.root)
        publishes = FailingPublishes(self._connection, ledger)
        return await publishes.pruned(MemoryObjects(self.store), self._settings.state_dir)

    async def _contents_of(self, key: str) -> bytes:
        return self.store.contents[key]

    async def _register(self, request: RegisterModel) -> ModelRegistered:
        with self._silent_when_dead():
            return await self.registry.register_model(request)

    async def _list_chunks(self, request: ListChunks) -> ChunksListed:
        """Of the newest version alone: it has every chunk that the next one shares."""
        with self._silent_when_dead():
            listed = await self.registry.list_chunks(request)
        return structs.replace(listed, manifests=listed.manifests[:1])

    @contextmanager
    def _silent_when_dead(self) -> Iterator[None]:
        try:
            yield
        except Died:
            self._died.set()
            raise asyncio.CancelledError from None  # which sends no answer


async def dying_publishes(
    system: NatsSystem, store: MemoryStore, directory: Path, root: Path
) -> DyingPublishes:
    """With the first registry begun."""
    publishes = DyingPublishes(
        await system.connect(Principal.OPERATOR),
        await system.connect(Principal.REGISTRY),
        store,
        settings_here(system, directory / "registry", root),
    )
    await publishes.start()
    await publishes.answer()
    return publishes
