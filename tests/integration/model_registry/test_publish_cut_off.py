"""A registry killed anywhere in a publish leaves a whole version or none, and the next push works."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from pathlib import Path

from fleetward.bus.last_values import last_value
from fleetward.client import Fleet
from fleetward.client.access import Access
from fleetward.contracts.ids import ModelName
from fleetward.contracts.registry import ModelRecord, ModelVersion
from fleetward.delivery.manifest import decode_manifest
from testkit.servers import ObjectStore
from testkit.service_process import ServiceProcess
from tests.integration.model_registry import bucket, graphs
from tests.integration.model_registry.forged_uploads import ForgedUpload
from tests.integration.model_registry.watched_store import watched

NAME = ModelName("cut-off")

POINTS = {
    "GET /{bucket}/uploads/": False,
    "PUT /{bucket}/packs/": False,
    "PUT /{bucket}/manifests/": False,
    "PUT /{bucket}/models/": False,
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
    fatal, dead = "", asyncio.Event()

    async def heard(request: str) -> None:
        if fatal and request.startswith(fatal):
            await process.kill()
            dead.set()
            raise ConnectionError("killed")

    async with (
        watched(object_store.endpoint, heard) as endpoint,
        Fleet.connect(access=operator_access) as fleet,
    ):
        environment = {**registry_environment, "FLEETWARD_S3_ENDPOINT": endpoint}
        process = ServiceProcess("model_registry", tmp_path, environment)
        await process.start()
        for number, (point, stands) in enumerate(POINTS.items()):
            dead.clear()
            fatal = point.format(bucket=object_store.bucket)
            content: bytes = graphs.good_model(100.0 + number).SerializeToString()
            version = f"{number}.0"
            upload = ForgedUpload.of(content)
            pushing = asyncio.ensure_future(
                upload.register(fleet, object_store, NAME, version=version)
            )
            await asyncio.wait_for(dead.wait(), 20.0)
            pushing.cancel()

            versions = await versions_of(fleet)
            assert (version in versions) is stands, point
            if stands:
                await expect_whole(object_store, versions[version])

            fatal = ""
            await process.start()
            again = await ForgedUpload.of(content).register(
                fleet, object_store, NAME, version=version
            )
            assert again.already_published is stands
        await process.stop()
        for each in (await versions_of(fleet)).values():
            await expect_whole(object_store, each)


async def versions_of(fleet: Fleet) -> dict[str, ModelVersion]:
    """Every version that anybody can see."""
    value = await last_value(fleet.connection, ModelRecord, name=NAME)
    record = value.event if value is not None else ModelRecord(name=NAME)
    return {held.manifest.model.version: held for held in record.versions}


async def expect_whole(store: ObjectStore, version: ModelVersion) -> None:
    """A version's bytes can be made from what its record names, and are what it says."""
    manifest = version.manifest
    assert manifest.chunks is not None
    chunks = decode_manifest(await bucket.contents_of(store, manifest.chunks.key))
    packs = {
        pack: await bucket.contents_of(store, f"packs/sha256/{pack.removeprefix('sha256:')}")
        for pack in chunks.packs()
    }
    content = b"".join(
        packs[place.pack][place.offset : place.offset + chunk.length]
        for chunk, place in chunks.places()
    )
    assert f"sha256:{hashlib.sha256(content).hexdigest()}" == manifest.digest
