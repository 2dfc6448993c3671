"""What the registry does when its own disk is full, and with uploads nobody came back for."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from model_registry.errors import ScratchSpaceError
from model_registry.objects import open_objects
from model_registry.rebuilding import rebuild
from model_registry.recording_objects import open_recordings
from model_registry.scratch import Scratch
from model_registry.settings import StoreSettings
from testkit.servers import ObjectStore
from tests.integration.model_registry import bucket
from tests.integration.model_registry.forged_uploads import manifest_of

ALWAYS_FULL = Path("/dev/full")
"""A file on which every write fails as on a full disk."""


@pytest.fixture
def settings(object_store: ObjectStore) -> StoreSettings:
    return StoreSettings(
        endpoint=object_store.endpoint,
        public_endpoint=object_store.endpoint,
        access_key=object_store.keys.registry.access_key,
        secret_key=object_store.keys.registry.secret_key,
        bucket=object_store.bucket,
    )


async def test_a_full_disk_is_named_with_what_to_do(
    object_store: ObjectStore, settings: StoreSettings, tmp_path: Path
) -> None:
    content, scratch = b"x" * 100_000, Scratch(tmp_path)
    manifest = manifest_of([content])
    await bucket.put(object_store, "uploads/large/pack", content)
    async with open_objects(settings) as objects:
        packs = {manifest.header.digest: await objects.look("uploads/large/pack")}
        with (
            pytest.raises(ScratchSpaceError, match=r"No space left on device\. Free space there"),
            scratch.folder(),
        ):
            await rebuild(objects, manifest, packs, ALWAYS_FULL, scratch)


async def test_only_uploads_of_yesterday_are_swept(
    object_store: ObjectStore, settings: StoreSettings
) -> None:
    await bucket.put(object_store, "uploads/fresh", b"x")
    await bucket.put(object_store, "models/sha256/kept", b"x")
    now = datetime.now(timezone.utc)
    async with open_objects(settings) as objects:
        await objects.remove_stale_uploads(now)
        assert {"uploads/fresh", "models/sha256/kept"} <= await bucket.keys_in(object_store)

        await objects.remove_stale_uploads(now + timedelta(days=2))
        keys = await bucket.keys_in(object_store)
    assert not any(key.startswith("uploads/") for key in keys)
    assert "models/sha256/kept" in keys


async def test_parts_of_an_upload_that_was_cut_off_are_swept_too(
    object_store: ObjectStore, settings: StoreSettings
) -> None:
    await bucket.begin_upload(object_store, "uploads/cut")
    now = datetime.now(timezone.utc)
    async with open_objects(settings) as objects:
        await objects.remove_stale_uploads(now)
        assert "uploads/cut" in await bucket.unfinished_in(object_store)

        assert await objects.remove_stale_uploads(now + timedelta(days=2))
    assert await bucket.unfinished_in(object_store) == set()


async def test_oldest_segments_of_a_robot_go_first_and_no_others(
    object_store: ObjectStore, settings: StoreSettings
) -> None:
    for number in range(5):
        await bucket.put(object_store, f"segments/a/recording/{number}", b"x" * 10)
    await bucket.put(object_store, "segments/a/logs/1", b"x" * 10)
    async with open_objects(settings) as objects, open_recordings(settings, objects) as recordings:
        assert await recordings.keep_within("segments/a/recording/", 50) == 0
        assert await recordings.keep_within("segments/a/recording/", 35) == 2
    kept = {key for key in await bucket.keys_in(object_store) if key.startswith("segments/")}
    assert len(kept) == 4
    assert {"segments/a/logs/1", "segments/a/recording/2"} <= kept
