"""A registry killed anywhere in a prune has lost nothing that a version needs, and ends it later."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from fleetward.client import Fleet
from fleetward.client.access import Access
from fleetward.client.archives import export_version
from fleetward.delivery.manifest import decode_manifest
from testkit.servers import ObjectStore
from tests.integration.model_registry import bucket
from tests.integration.model_registry.dying_registry import DyingRegistry
from tests.integration.model_registry.watched_store import watched
from tests.unit.delivery.model_files import safetensors, saved, tensors

pytestmark = pytest.mark.slow

NAME = "pruned"
POINTS = (
    "GET /{bucket}?list-type=2&prefix=packs",
    "DELETE /{bucket}/packs/",
    "DELETE /{bucket}/manifests/",
    "GET /{bucket}?list-type=2&prefix=uploads",
)
"""Requests before which the registry is killed."""


async def push(fleet: Fleet, tmp_path: Path, release: str) -> None:
    content = safetensors(tensors(1, 1000, seed=int(float(release))))
    path = saved(content, tmp_path / f"{release}.safetensors")
    await fleet.push_model(path, NAME, release)


async def test_a_prune_killed_at_any_step_loses_nothing(
    registry_environment: Mapping[str, str],
    operator_access: Access,
    object_store: ObjectStore,
    tmp_path: Path,
) -> None:
    keep_one = {"FLEETWARD_KEEP_VERSIONS": "1", "FLEETWARD_PRUNE_GRACE_S": "0.001"}
    registry = DyingRegistry({**registry_environment, **keep_one}, tmp_path)
    async with (
        watched(object_store.endpoint, registry.heard) as endpoint,
        Fleet.connect(access=operator_access) as fleet,
    ):
        await registry.start(endpoint)
        await push(fleet, tmp_path, "0.0")
        for number, point in enumerate(POINTS, 1):
            await push(fleet, tmp_path, f"{number}.0")
            await fleet.curation.prune()  # what is unnamed now may go the next time

            await registry.die_of(point.format(bucket=object_store.bucket), fleet.curation.prune())
            await registry.start(endpoint)

            (left,) = (await fleet.model_record(NAME)).versions
            model = left.manifest.model
            assert model.version == f"{number}.0"
            exported = await export_version(fleet.connection, model, tmp_path / "whole.tar")
            assert exported.digest == left.manifest.digest  # every chunk of it was checked
        await fleet.curation.prune()
        await registry.stop()
    assert left.manifest.chunks is not None
    chunks = decode_manifest(await bucket.contents_of(object_store, left.manifest.chunks.key))
    named = {f"packs/sha256/{pack.removeprefix('sha256:')}" for pack in chunks.packs()}
    keys = await bucket.keys_in(object_store)
    assert {key for key in keys if key.startswith("packs/")} == named
    assert {key for key in keys if key.startswith("manifests/")} == {left.manifest.chunks.key}
