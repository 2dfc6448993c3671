"""Registries in this process, over the real bus; their disk, or the way to their store, may fail."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Protocol

import numpy as np
from msgspec import Struct
from nats.aio.client import Client

from fleetward.bus.last_values import last_value
from fleetward.bus.requests import answer
from fleetward.client.publishing import MergedFile, push
from fleetward.client.uploads import Uploads
from fleetward.contracts.ids import ModelName, ModelRef, Version
from fleetward.contracts.judgements import PruneModels
from fleetward.contracts.registry import (
    ChunksListed,
    ListChunks,
    ModelRecord,
    ModelRegistered,
    ModelVersion,
    RegisterModel,
)
from fleetward.contracts.rows import Principal
from fleetward.contracts.trust import RoleSigned
from fleetward.trust.online_keys import OnlineKeys
from fleetward.trust.roles import role_of
from model_registry import model_file
from model_registry.curations import Curations
from model_registry.errors import ModelRefusedError
from model_registry.handlers import Registry
from model_registry.inspection import InspectionLimits
from model_registry.intake import Intake
from model_registry.objects import ModelObjects
from model_registry.pruning import Pruner
from model_registry.records import Records
from model_registry.retention import RetentionPolicy
from model_registry.settings import Settings, StoreSettings
from model_registry.trust_ledger import TrustLedger, read_first_root
from model_registry.verdicts import Inspection, Refusal
from testkit.servers import NatsSystem
from tests.integration.model_registry.failing_scratch import FailingScratch
from tests.unit.delivery.model_files import safetensors, saved, tensors
from tests.unit.delivery.safetensors_files import tensor, write_safetensors

KIB = 1024
BASE = Version("0.0")


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


class FailingPublish:
    """One model that is published again and again, past a disk and a store of its own."""

    def __init__(
        self, name: ModelName, connection: Client, directory: Path, way: Way, fault: Fault
    ) -> None:
        self.name = name
        self.fault = fault
        self.arrived = way.arrived
        self.published: dict[str, bytes] = {}
        self._connection = connection
        self._uploads = way.uploads
        self.directory = directory
        self._chance = random.Random(name)

    def another(self) -> bytes:
        """A model that is like the others but for one tensor."""
        last = tensors(1, 32 * KIB, seed=self._chance.randrange(10**9))
        return safetensors([*tensors(2, 64 * KIB, seed=len(self.name)), *last])

    async def push(self, version: Version, content: bytes) -> ModelRegistered:
        """What ``fleetward model push`` does, with an adapter that was merged into the base."""
        path = saved(content, self.directory / version)
        registered = await push(
            self._connection,
            self._uploads,
            path,
            ModelRef(self.name, version),
            {},
            lambda sent, total: None,
            merged=self._merged(content) if version != BASE else None,
        )
        self.published[version] = content
        return registered

    def _merged(self, content: bytes) -> MergedFile:
        half = tensor(np.frombuffer(content[-16:], np.uint8).astype(np.float32), "F32")
        shaped = (half[0], (4, 4), half[2])
        path = self.directory / "lora"
        write_safetensors(path, {"q.lora_A.weight": shaped, "q.lora_B.weight": shaped})
        return MergedFile(base=BASE, adapter=path)

    async def visible(self) -> Mapping[str, ModelVersion]:
        """Every version that a person sees, which is every version that a robot may have."""
        value = await last_value(self._connection, ModelRecord, name=self.name)
        record = value.event if value is not None else ModelRecord(name=self.name)
        versions = {each.manifest.model.version: each for each in record.versions}
        assert await self._listed() == {f"{self.name}/{version}" for version in versions}
        assert set(record.aliases.values()) <= set(versions)
        return {str(version): each for version, each in versions.items()}

    async def _listed(self) -> set[str]:
        signed = await last_value(self._connection, RoleSigned, role=role_of(self.name))
        return set(json.loads(signed.event.metadata)["signed"]["targets"]) if signed else set()


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
            return _now() + timedelta(days=day)

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
    environment: Mapping[str, str],
    directory: Path,
    open_way: OpenWay,
) -> AsyncIterator[FailingPublishes]:
    """A registry for each name, whose versions are published by an operator."""
    operator = await system.connect(Principal.OPERATOR)
    connection = await system.connect(Principal.REGISTRY)
    root = Path(environment["FLEETWARD_ROOT"])
    ledger = await _ledger(connection, Path(environment["FLEETWARD_ONLINE_KEYS"]), root)
    registries: dict[ModelName, Registry] = {}
    publishes = FailingPublishes(connection, ledger)
    curations, records = Curations(connection, ledger), Records(connection, ledger)
    async with AsyncExitStack() as stack:
        for name in names:
            settings = _settings(system, directory / name, root)
            settings.incoming_dir.mkdir(parents=True)
            scratch = FailingScratch(settings.incoming_dir)
            way, fault = await stack.enter_async_context(open_way(name, scratch))
            registries[name] = Registry(
                connection=connection,
                objects=way.objects,
                curations=curations,
                records=records,
                ledger=ledger,
                settings=settings,
                intake=Intake(way.objects, scratch),
                scratch=scratch,
                now=_now,
                inspect=_inspected_here,
            )
            publishes.rigs.append(FailingPublish(name, operator, directory / name, way, fault))
        await _answer(connection, registries)
        yield publishes


async def _ledger(connection: Client, online_keys: Path, root: Path) -> TrustLedger:
    ledger = TrustLedger(connection, OnlineKeys.load(online_keys), _now)
    await ledger.begin(read_first_root(root))
    return ledger


async def _answer(connection: Client, registries: Mapping[ModelName, Registry]) -> None:
    async def register(request: RegisterModel) -> ModelRegistered:
        return await registries[request.name].register_model(request)

    async def list_chunks(request: ListChunks) -> ChunksListed:
        return await registries[request.name].list_chunks(request)

    await answer(connection, RegisterModel, register)
    await answer(connection, ListChunks, list_chunks)


async def _inspected_here(path: Path, limits: InspectionLimits) -> Inspection:
    """Without a process of its own, which takes longer than all the rest of a publish."""
    verdict = await asyncio.to_thread(model_file.inspect, path)
    if isinstance(verdict, Refusal):
        raise ModelRefusedError(verdict.reason)
    return verdict


def _settings(system: NatsSystem, directory: Path, root: Path) -> Settings:
    return Settings(
        bus=system.settings(Principal.REGISTRY),
        store=StoreSettings(
            endpoint="", public_endpoint="", access_key="", secret_key="", bucket=""
        ),
        state_dir=directory,
        root=root,
        online_keys=root.parent / "online",
    )


def _now() -> datetime:
    return datetime.now(timezone.utc)
