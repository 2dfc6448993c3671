"""A model arrives whole or not at all, whatever the link and the server do on the way."""

from __future__ import annotations

import asyncio
import random
import time
from datetime import timedelta

import pytest
from msgspec.structs import replace

from edge_bridge.converging.converge import Cost
from edge_bridge.errors import (
    DigestMismatchError,
    FetchInterruptedError,
    FetchRefusedError,
    ManifestRefusedError,
)
from edge_bridge.fetching.limits import FetchLimits, RangeLimits
from fleetward.contracts.codec import encode
from fleetward.contracts.ids import ModelName, ModelRef, Version
from fleetward.delivery.manifest import encode_manifest
from tests.unit.delivery.chunked_files import digest_of
from tests.unit.edge_bridge_bus.fetch_rig import CONTENT, LIMITS, RANGE_BYTES, Rig
from tests.unit.edge_bridge_bus.object_server import CHUNK_BYTES, MODEL, serving

RANGES = 10


async def test_a_model_arrives_in_ranges_and_every_byte_is_counted(rig: Rig) -> None:
    cost = await rig.fetch()
    rig.assert_arrived()
    moved = len(CONTENT) + rig.chunks_bytes
    assert cost == Cost(received_bytes=moved, planned_bytes=moved)
    assert rig.objects.sent_bytes == moved
    assert len(rig.objects.asked_of(rig.pack)) == RANGES


async def test_after_a_cut_body_the_next_get_goes_on_at_the_same_byte(rig: Rig) -> None:
    rig.objects.faults = [rig.objects.well(), rig.objects.cut(1000)]
    cost = await rig.fetch()
    rig.assert_arrived()
    assert rig.objects.asked_of(rig.pack)[:2] == [(0, RANGE_BYTES), (1000, RANGE_BYTES)]
    assert cost.received_bytes == cost.planned_bytes


async def test_a_get_that_takes_too_long_is_gone_on_with_in_smaller_ones(rig: Rig) -> None:
    rig.objects.faults = [rig.objects.well(), rig.objects.drip(0.002)]
    slow = replace(LIMITS, portion_s=0.05, least_portion_bytes=CHUNK_BYTES)
    cost = await asyncio.wait_for(rig.fetch(slow), 10)
    rig.assert_arrived()
    (first, end), (second, second_end), *_ = rig.objects.asked_of(rig.pack)
    assert (first, end) == (0, RANGE_BYTES)
    assert 0 < second < RANGE_BYTES
    assert second_end - second == CHUNK_BYTES
    assert cost.received_bytes == cost.planned_bytes, "no byte came twice"


async def test_a_stalled_body_never_hangs(rig: Rig) -> None:
    released = asyncio.Event()
    rig.objects.faults = [rig.objects.well(), rig.objects.stall(1000, released)]
    await asyncio.wait_for(rig.fetch(), 10)
    released.set()
    rig.assert_arrived()


async def test_a_drip_below_the_slowest_rate_is_ended_although_it_never_stalls(rig: Rig) -> None:
    rig.objects.faults = [rig.objects.well(), rig.objects.drip(0.01)]
    impatient = FetchLimits(
        ranges=RangeLimits(
            range_bytes=RANGE_BYTES,
            stall_timeout_s=0.3,
            connect_timeout_s=0.1,
            slowest_bytes_per_s=1_000_000,
        ),
        retry_wait_s=0.01,
    )
    await asyncio.wait_for(rig.fetch(impatient), 10)
    rig.assert_arrived()
    assert len(rig.objects.asked_of(rig.pack)) == RANGES + 1


async def test_an_expired_url_is_asked_for_again(rig: Rig) -> None:
    rig.objects.faults = [rig.objects.status(403), rig.objects.well(), rig.objects.status(403)]
    await rig.fetch()
    rig.assert_arrived()
    assert len(rig.registry.asked) == 3


async def test_a_url_known_to_have_expired_is_not_tried(rig: Rig) -> None:
    rig.registry.valid_for = timedelta(seconds=-1)
    await rig.fetch()
    rig.assert_arrived()
    assert len(rig.registry.asked) == 1 + 1 + RANGES


async def test_an_object_store_that_is_down_is_transient_and_keeps_what_arrived(rig: Rig) -> None:
    rig.objects.faults = [rig.objects.well()] * 3 + [
        rig.objects.status(503)
    ] * LIMITS.attempts_without_progress
    with pytest.raises(FetchInterruptedError):
        await rig.fetch()
    cost = await rig.fetch()
    rig.assert_arrived()
    assert cost == Cost(
        received_bytes=len(CONTENT) + rig.chunks_bytes,
        planned_bytes=len(CONTENT) + rig.chunks_bytes,
    )


async def test_a_store_that_moved_to_another_address_is_found_by_the_next_grant(rig: Rig) -> None:
    rig.objects.faults = [rig.objects.well()] * 5 + [rig.objects.cut(10)] * 4
    with pytest.raises(FetchInterruptedError):
        await rig.fetch()
    async with serving(rig.objects) as elsewhere:
        rig.registry.base_url = elsewhere
        cost = await rig.fetch()
    rig.assert_arrived()
    assert cost.received_bytes - cost.planned_bytes <= 40


async def test_a_fetch_never_takes_more_of_the_link_than_it_may(rig: Rig) -> None:
    rate = 1_000_000.0
    started_s = time.monotonic()
    await rig.fetch(replace(LIMITS, bytes_per_s=rate))
    least_s = len(CONTENT) / rate - 0.25
    assert time.monotonic() - started_s >= least_s
    rig.assert_arrived()


async def test_wrong_bytes_are_fetched_once_more_and_reported(rig: Rig) -> None:
    rig.objects.faults = [rig.objects.well(), rig.objects.spoiled()]
    cost = await rig.fetch()
    rig.assert_arrived()
    assert cost.received_bytes > cost.planned_bytes
    assert "fetched again" in cost.remarks[0]


async def test_bytes_that_stay_wrong_are_refused_and_leave_nothing(rig: Rig) -> None:
    rig.objects.contents[rig.pack] = bytes(len(CONTENT))
    with pytest.raises(DigestMismatchError, match="Publish the model again"):
        await rig.fetch()
    rig.assert_nothing_there()
    assert list((rig.models / "partial").iterdir()) == []


async def test_chunks_that_are_right_and_another_whole_are_refused(rig: Rig) -> None:
    """A registry that signed chunks and digest of two different files."""
    other = digest_of(b"another file")
    chunks = rig.registry.chunks[rig.target.digest]
    rig.registry.publish([b"another file"])
    lying = replace(chunks, header=replace(chunks.header, digest=other))

    rig.registry.chunks[other] = lying
    rig.registry.describe(
        other, size_bytes=len(CONTENT), chunks=rig.objects.put(encode_manifest(lying))
    )
    with pytest.raises(DigestMismatchError):
        await rig.fetch(target=replace(rig.target, digest=other))
    rig.assert_nothing_there()
    assert list((rig.models / "partial").iterdir()) == []


async def test_more_bytes_than_asked_for_are_not_taken(rig: Rig) -> None:
    rig.objects.faults = [rig.objects.well(), rig.objects.endless()]
    cost = await rig.fetch()
    rig.assert_arrived()
    assert cost.received_bytes == cost.planned_bytes


@pytest.mark.parametrize("status", [404, 410, 302])
@pytest.mark.parametrize("before", [0, 1])
async def test_an_object_that_is_not_there_is_refused_for_good(
    rig: Rig, status: int, before: int
) -> None:
    rig.objects.faults = [rig.objects.well()] * before + [rig.objects.status(status)]
    with pytest.raises(FetchRefusedError):
        await rig.fetch()
    assert list((rig.models / "partial").iterdir()) == []


async def test_a_store_that_ignores_ranges_is_refused(rig: Rig) -> None:
    rig.objects.faults = [rig.objects.well(), rig.objects.whole()]
    with pytest.raises(FetchRefusedError, match="ignores ranges"):
        await rig.fetch()


async def test_a_manifest_that_is_not_listed_is_refused_before_any_byte(rig: Rig) -> None:
    rig.registry.listed_manifests.clear()
    with pytest.raises(ManifestRefusedError):
        await rig.fetch()
    assert rig.objects.ranges == []


async def test_replaced_blob_of_the_same_length(rig: Rig) -> None:
    rig.registry.describe(rig.target.digest, opset=16)
    assert len(encode(rig.registry.listed_manifests[MODEL])) == len(encode(rig.manifest))
    rig.registry.listed_manifests[MODEL] = rig.manifest
    with pytest.raises(ManifestRefusedError, match="not the one that the registry lists"):
        await rig.fetch()
    assert rig.objects.ranges == []


@pytest.mark.parametrize(
    "changes",
    [
        {"digest": digest_of(b"another")},
        {"model": ModelRef(ModelName("other"), Version("1"))},
        {"size_bytes": 0},
        {"chunks": None},
    ],
)
async def test_a_manifest_of_another_model_is_refused_before_any_byte(
    rig: Rig, changes: dict[str, object]
) -> None:
    rig.registry.describe(rig.target.digest, **changes)
    with pytest.raises(ManifestRefusedError):
        await rig.fetch()
    assert rig.objects.ranges == []


async def test_a_chunk_manifest_that_was_not_signed_is_refused(rig: Rig) -> None:
    assert rig.manifest.chunks
    stored = rig.manifest.chunks
    rig.objects.contents[stored.digest] = bytes(stored.size_bytes)
    with pytest.raises(ManifestRefusedError, match="not the signed one"):
        await rig.fetch()
    assert rig.objects.asked_of(rig.pack) == []


async def test_a_chunk_manifest_of_another_file_is_refused(rig: Rig) -> None:
    other = rig.registry.publish([b"other", random.Random(1).randbytes(1000)])
    rig.registry.describe(rig.target.digest, chunks=other.chunks)
    with pytest.raises(ManifestRefusedError, match="Publish it again"):
        await rig.fetch()
    assert rig.objects.asked_of(rig.pack) == []
