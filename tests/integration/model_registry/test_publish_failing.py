"""A store that fails anywhere in a publish: a whole version or none, and nothing for good."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiobotocore.config import AioConfig

from fleetward.client.access import StoreAccess
from fleetward.client.uploads import Uploads
from fleetward.contracts.ids import ModelName
from fleetward.delivery.s3 import s3_client
from model_registry.objects import open_objects
from model_registry.settings import StoreSettings
from testkit.servers import NatsSystem, ObjectStore
from tests.integration.model_registry import bucket
from tests.integration.model_registry.failing_again import expect_failed_often
from tests.integration.model_registry.failing_publish import Fault, Way, failing_publishes
from tests.integration.model_registry.failing_scratch import FailingScratch
from tests.integration.model_registry.failing_store import Failure, failing_store
from tests.integration.model_registry.whole_versions import expect_whole_in

pytestmark = pytest.mark.slow

FAILURES = {
    ModelName("store-full"): Failure.FULL,
    ModelName("store-broken"): Failure.BROKEN,
    ModelName("way-unheard"): Failure.UNHEARD,
    ModelName("way-unanswered"): Failure.UNANSWERED,
}


async def test_a_publish_to_a_store_that_fails_at_any_point_is_whole_or_nowhere(
    registry_environment: Mapping[str, str],
    shared_nats_system: NatsSystem,
    object_store: ObjectStore,
    tmp_path: Path,
) -> None:
    @asynccontextmanager
    async def way(name: ModelName, scratch: FailingScratch) -> AsyncIterator[tuple[Way, Fault]]:
        async with (
            failing_store(object_store.endpoint, FAILURES[name]) as store,
            open_objects(registrys(object_store, store.endpoint)) as objects,
            impatient_uploads(object_store, store.endpoint) as uploads,
        ):
            yield Way(objects, uploads, store.arrived), store

    root = Path(registry_environment["FLEETWARD_ROOT"])
    async with failing_publishes(
        list(FAILURES), shared_nats_system, root, tmp_path, way
    ) as publishes:
        await expect_failed_often(publishes)
        async with bucket.opened(object_store) as contents_of:
            for each in publishes.rigs:
                for version in (await each.visible()).values():
                    await expect_whole_in(contents_of, version)
        async with open_objects(registrys(object_store, object_store.endpoint)) as objects:
            named = await publishes.pruned(objects, tmp_path)
    assert await bucket.kept_in(object_store) == named
    assert not [key for key in await bucket.keys_in(object_store) if key.startswith("uploads/")]
    assert await bucket.unfinished_in(object_store) == set()


def registrys(store: ObjectStore, endpoint: str) -> StoreSettings:
    """How a registry that does not try again reaches the store."""
    return StoreSettings(
        endpoint=endpoint,
        public_endpoint=endpoint,
        access_key=store.keys.registry.access_key,
        secret_key=store.keys.registry.secret_key,
        bucket=store.bucket,
        attempts=1,
    )


@asynccontextmanager
async def impatient_uploads(store: ObjectStore, endpoint: str) -> AsyncIterator[Uploads]:
    """An operator's, who does not try again either: it would only wait."""
    key = store.keys.operator
    config = AioConfig(retries={"total_max_attempts": 1})
    access = StoreAccess(
        endpoint=endpoint,
        access_key=key.access_key,
        secret_key=key.secret_key,
        bucket=store.bucket,
    )
    async with s3_client(endpoint, key.access_key, key.secret_key, config) as client:
        yield Uploads(client, access)
