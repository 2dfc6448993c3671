"""A registry killed anywhere in a publish leaves a whole version or none, and the next push works."""

from __future__ import annotations

from collections.abc import Coroutine, Mapping
from pathlib import Path
from typing import Any

import pytest

from fleetward.bus.last_values import last_value
from fleetward.client import Fleet
from fleetward.client.access import Access
from fleetward.contracts.ids import ModelName
from fleetward.contracts.registry import ModelRecord, ModelRegistered, ModelVersion
from testkit.servers import ObjectStore
from tests.integration.model_registry.dying_registry import DyingRegistry
from tests.integration.model_registry.forged_uploads import ForgedUpload
from tests.integration.model_registry.watched_store import watched
from tests.integration.model_registry.whole_versions import expect_whole
from tests.unit.delivery.model_files import safetensors, tensors

pytestmark = pytest.mark.slow

NAME = ModelName("cut-off")

Pushing = Coroutine[Any, Any, ModelRegistered]

POINTS = {
    "GET /{bucket}/uploads/": False,
    "PUT /{bucket}/packs/": False,
    "PUT /{bucket}/manifests/": False,
    "GET /{bucket}?list-type=2&prefix=uploads": True,
    "DELETE /{bucket}/uploads/": True,
}
"""Requests before which the registry is killed, and whether its version stands by then."""


async def test_a_publish_killed_at_any_step_is_whole_or_nowhere(
    registry_environment: Mapping[str, str],
    operator_access: Access,
    object_store: ObjectStore,
    tmp_path: Path,
) -> None:
    registry = DyingRegistry(registry_environment, tmp_path)
    async with (
        watched(object_store.endpoint, registry.heard) as endpoint,
        Fleet.connect(access=operator_access) as fleet,
    ):
        await registry.start(endpoint)
        for number, (point, stands) in enumerate(POINTS.items()):
            content = safetensors(tensors(1, 1000, seed=number))
            version = f"{number}.0"

            def push(content: bytes = content, version: str = version) -> Pushing:
                return ForgedUpload.of(content).register(fleet, object_store, NAME, version=version)

            await registry.die_of(point.format(bucket=object_store.bucket), push())

            versions = await versions_of(fleet)
            assert (version in versions) is stands, point
            if stands:
                await expect_whole(object_store, versions[version])

            await registry.start(endpoint)
            assert (await push()).already_published is stands
        await registry.stop()
        for each in (await versions_of(fleet)).values():
            await expect_whole(object_store, each)


async def versions_of(fleet: Fleet) -> dict[str, ModelVersion]:
    """Every version that anybody can see."""
    value = await last_value(fleet.connection, ModelRecord, name=NAME)
    record = value.event if value is not None else ModelRecord(name=NAME)
    return {held.manifest.model.version: held for held in record.versions}
