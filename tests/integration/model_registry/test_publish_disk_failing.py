"""A registry's disk that fails anywhere in a publish: a whole version or none, and nothing for good."""

from __future__ import annotations

import errno
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fleetward.contracts.ids import ModelName
from testkit.servers import NatsSystem
from tests.integration.model_registry.failing_again import expect_failed_often
from tests.integration.model_registry.failing_publish import Fault, Way, failing_publishes
from tests.integration.model_registry.failing_scratch import FailingScratch
from tests.integration.model_registry.memory_store import (
    MemoryObjects,
    MemoryUploads,
    memory_store,
)
from tests.integration.model_registry.whole_versions import expect_whole_in

FAILURES = {ModelName("disk-full"): errno.ENOSPC, ModelName("disk-broken"): errno.EIO}


async def test_a_publish_on_a_disk_that_fails_at_any_point_is_whole_or_nowhere(
    first_root: Path, shared_nats_system: NatsSystem, tmp_path: Path
) -> None:
    async with memory_store() as store:

        @asynccontextmanager
        async def way(name: ModelName, scratch: FailingScratch) -> AsyncIterator[tuple[Way, Fault]]:
            scratch.error_number = FAILURES[name]
            uploads = MemoryUploads(store)
            yield Way(MemoryObjects(store), uploads, uploads.arrived), scratch

        async def contents_of(key: str) -> bytes:
            return store.contents[key]

        async with failing_publishes(
            list(FAILURES), shared_nats_system, first_root, tmp_path, way
        ) as publishes:
            await expect_failed_often(publishes)
            for each in publishes.rigs:
                for version in (await each.visible()).values():
                    await expect_whole_in(contents_of, version)
            assert await publishes.pruned(MemoryObjects(store), tmp_path) == set(store.contents)
