"""After a publish the registry prepares deltas by itself, and each gives exactly the version."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path
from uuid import uuid4

import aiohttp
import numpy as np
import pytest
from msgspec import structs
from nats.aio.client import Client

from fleetward.bus.batch import Write, write_atomically
from fleetward.bus.errors import RefusedError
from fleetward.bus.last_values import last_value
from fleetward.bus.requests import ask
from fleetward.client import Fleet
from fleetward.client.publishing import MergedFile
from fleetward.contracts.comparison import CompareVersions, VersionsCompared
from fleetward.contracts.ids import ModelName, ModelRef, Version
from fleetward.contracts.registry import DeltaOffer, ModelRecord
from fleetward.contracts.rows import Principal
from fleetward.delivery.apply import Applier
from fleetward.delivery.compare import Fate
from fleetward.delivery.delta import Recipe, decode_delta
from fleetward.delivery.floats import floats_of, rounded
from fleetward.trust.online_keys import OnlineKeys
from model_registry.changes import Changes
from model_registry.deltas import DeltaPreparer
from model_registry.objects import open_objects
from model_registry.records import Records
from model_registry.settings import StoreSettings
from model_registry.trust_ledger import TrustLedger
from testkit.servers import NatsSystem, ObjectStore
from tests.unit.delivery.safetensors_files import (
    Tensor,
    random_tensor,
    tensor,
    write_safetensors,
)

POLL_S = 0.05
WITHIN_S = 60.0
ROWS, COLUMNS, RANK = 600, 512, 4


@pytest.fixture
def name() -> str:
    """A model name that no other test of the module uses."""
    return f"m-{uuid4().hex[:12]}"


def a_model(seed: int = 1) -> dict[str, Tensor]:
    random = np.random.default_rng(seed)
    return {name: random_tensor(random, "F16", (ROWS, COLUMNS)) for name in ("q.weight", "up")}


def nudged(model: Mapping[str, Tensor]) -> dict[str, Tensor]:
    random = np.random.default_rng(2)
    changed = {}
    for name, (element_type, shape, content) in model.items():
        noise = random.standard_normal(len(content) // 2) * 1e-5
        weights = (np.frombuffer(content, "<f2") + noise).astype("<f2")
        changed[name] = (element_type, shape, weights.tobytes())
    return changed


async def offered(fleet: Fleet, model: str, count: int = 1) -> tuple[DeltaOffer, ...]:
    """The version's offers, once there are ``count``: preparing is announced to nobody."""
    async with asyncio.timeout(WITHIN_S):
        while True:
            offers = (await fleet.model(model)).deltas
            if len(offers) >= count:
                return offers
            await asyncio.sleep(POLL_S)


async def applied(fleet: Fleet, name: str, base: Path, target: Path) -> tuple[bytes, set[type]]:
    """What the delta from 1.0 to 2.0 makes of the file, and the kinds of its segments."""
    versions = [ModelRef(ModelName(name), Version(version)) for version in ("1.0", "2.0")]
    compared: VersionsCompared = await ask(
        fleet.connection, CompareVersions(base=versions[0], target=versions[1])
    )
    assert compared.delta is not None
    async with aiohttp.ClientSession() as session, session.get(compared.delta.url) as answer:
        stored = await answer.read()
    delta = decode_delta(stored, len(stored))
    held, new = base.read_bytes(), target.read_bytes()
    applier = Applier(
        delta,
        read_base=lambda start, length: held[start : start + length],
        read_delta=lambda start, length: stored[start : start + length],
        read_chunks=lambda start, length: new[start : start + length],
    )
    kinds = {type(segment) for segment in delta.header.segments}
    return b"".join(bytes(applier.bytes_of(placed)) for placed in delta.placed()), kinds


async def test_a_small_change_is_offered_as_a_delta_that_gives_it_exactly(
    fleet: Fleet, name: str, tmp_path: Path
) -> None:
    before = write_safetensors(tmp_path / "1", a_model())
    after = write_safetensors(tmp_path / "2", nudged(a_model()))
    first = (await fleet.push_model(before, name, "1.0")).version.manifest
    await fleet.push_model(after, name, "2.0")

    (offer,) = await offered(fleet, f"{name}:2.0")

    assert offer.base == first.digest
    assert offer.header_bytes < offer.stored.size_bytes <= offer.fetch_bytes
    assert offer.fetch_bytes < after.stat().st_size * 0.3
    made, _ = await applied(fleet, name, before, after)
    assert made == after.read_bytes()


async def test_what_changed_between_versions_is_told_without_their_bytes(
    fleet: Fleet, name: str, tmp_path: Path
) -> None:
    model = a_model(5)
    await fleet.push_model(write_safetensors(tmp_path / "1", model), name, "1.0")
    changed = {**model, "up": nudged(model)["up"]}
    await fleet.push_model(write_safetensors(tmp_path / "2", changed), name, "2.0")
    (offer,) = await offered(fleet, f"{name}:2.0")

    diff = await fleet.diff_models(f"{name}:1.0", f"{name}:2.0")

    fates = {change.name: change.fate for change in diff.changes[:2]}
    assert fates == {"q.weight": Fate.UNCHANGED, "up": Fate.CHANGED}
    assert diff.delta_bytes == offer.fetch_bytes < diff.plain_bytes
    back = await fleet.diff_models(f"{name}:2.0", f"{name}:1.0")
    assert back.delta_bytes is None


async def test_a_merged_adapter_makes_a_recipe(fleet: Fleet, name: str, tmp_path: Path) -> None:
    model = a_model(3)
    random = np.random.default_rng(4)
    left = random.standard_normal((ROWS, RANK), dtype=np.float32) * np.float32(0.02)
    right = random.standard_normal((RANK, COLUMNS), dtype=np.float32) * np.float32(0.02)
    weights = floats_of(model["q.weight"][2], "F16").reshape(ROWS, COLUMNS)
    change = (left @ right * 0.5).astype(np.float32)
    merged = rounded(weights + change, "F16")
    adapter = write_safetensors(
        tmp_path / "lora.safetensors",
        {"q.lora_A.weight": tensor(right, "F32"), "q.lora_B.weight": tensor(left, "F32")},
    )
    before = write_safetensors(tmp_path / "1", model)
    after = write_safetensors(
        tmp_path / "2", {**model, "q.weight": ("F16", (ROWS, COLUMNS), bytes(merged))}
    )
    await fleet.push_model(before, name, "1.0")

    pushed = await fleet.push_model(
        after,
        name,
        "2.0",
        merged=MergedFile(base=Version("1.0"), adapter=adapter, scale=0.5),
    )

    assert pushed.version.merged is not None
    (offer,) = await offered(fleet, f"{name}:2.0")
    assert offer.fetch_bytes < 4 * RANK * (ROWS + COLUMNS) * 1.2
    made, kinds = await applied(fleet, name, before, after)
    assert Recipe in kinds
    assert made == after.read_bytes()


async def test_an_adapter_of_a_version_that_is_not_there_is_refused(
    fleet: Fleet, name: str, tmp_path: Path
) -> None:
    half = tensor(np.ones((2, 2), np.float32), "F32")
    adapter = write_safetensors(
        tmp_path / "lora", {"q.lora_A.weight": half, "q.lora_B.weight": half}
    )
    model = write_safetensors(tmp_path / "1", a_model())
    with pytest.raises(RefusedError, match="nothing was merged into it"):
        await fleet.push_model(
            model, name, "1.0", merged=MergedFile(base=Version("0.9"), adapter=adapter)
        )


async def without_offers(connection: Client, name: str) -> None:
    """Take the offers out of a model's record, as if its registry had been killed before."""
    value = await last_value(connection, ModelRecord, name=name)
    assert value is not None
    versions = tuple(structs.replace(one, deltas=()) for one in value.event.versions)
    bare = structs.replace(value.event, versions=versions)
    await write_atomically(connection, [Write(bare, expected_last_sequence=value.sequence)])


@pytest.fixture
def store_settings(object_store: ObjectStore) -> StoreSettings:
    return StoreSettings(
        endpoint=object_store.endpoint,
        public_endpoint=object_store.endpoint,
        access_key=object_store.keys.registry.access_key,
        secret_key=object_store.keys.registry.secret_key,
        bucket=object_store.bucket,
    )


async def test_a_delta_that_is_missing_at_the_start_is_prepared(
    fleet: Fleet,
    name: str,
    tmp_path: Path,
    shared_nats_system: NatsSystem,
    store_settings: StoreSettings,
    registry_directory: Path,
) -> None:
    await fleet.push_model(write_safetensors(tmp_path / "1", a_model()), name, "1.0")
    await fleet.push_model(write_safetensors(tmp_path / "2", nudged(a_model())), name, "2.0")
    made_before = await offered(fleet, f"{name}:2.0")
    connection = await shared_nats_system.connect(Principal.REGISTRY)
    await without_offers(connection, name)

    keys = OnlineKeys.load(registry_directory / "online")
    ledger = TrustLedger(connection, keys, lambda: datetime.now(timezone.utc))
    changes = Changes()
    async with open_objects(store_settings) as objects:
        preparer = DeltaPreparer(
            connection=connection,
            records=Records(connection, ledger, changes),
            changes=changes,
            objects=objects,
            directory=tmp_path / "deltas",
        )
        keeping = asyncio.create_task(preparer.keep())
        assert await offered(fleet, f"{name}:2.0") == made_before
        keeping.cancel()
        with suppress(asyncio.CancelledError):
            await keeping
    assert list((tmp_path / "deltas" / "scratch").iterdir()) == []
