"""An update moves what changed, by the cheapest way; what turns out wrong is said and paid for."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from edge_bridge.converging.converge import Cost
from edge_bridge.errors import ByteCapError, FetchInterruptedError
from tests.unit.edge_bridge_bus.fetch_rig import CONTENT, Rig
from tests.unit.edge_bridge_bus.fetched_deltas import BASE, NEXT, TwoVersions
from tests.unit.edge_bridge_bus.object_server import CHUNK_BYTES, cut_evenly


@pytest.fixture
async def versions(rig: Rig, tmp_path: Path) -> TwoVersions:
    made = TwoVersions(rig, tmp_path)
    await made.publish()
    return made


async def test_only_chunks_that_no_held_model_has_are_fetched(rig: Rig) -> None:
    await rig.fetch()
    before = rig.objects.sent_bytes
    pieces = cut_evenly(CONTENT)
    changed = [*pieces[:3], b"new" * 1000, *pieces[3:8], b"newer" * 1000, *pieces[8:]]
    rig.publish(changed)
    cost = await rig.fetch()
    rig.assert_arrived(b"".join(changed))
    assert cost.received_bytes == rig.chunks_bytes + 8000 == rig.objects.sent_bytes - before
    assert len(rig.objects.asked_of(rig.objects.ranges[-1][0])) == 1, "neighbours share one GET"
    assert rig.registry.asked[-1] == (max(rig.store.digests() - {rig.target.digest}),)


async def test_an_update_by_delta_costs_what_the_offer_says(versions: TwoVersions) -> None:
    rig = versions.rig
    cost = await rig.fetch()
    rig.assert_arrived(NEXT)
    assert cost == Cost(received_bytes=versions.quoted_bytes, planned_bytes=versions.quoted_bytes)
    assert rig.objects.sent_bytes == versions.quoted_bytes
    assert versions.offer.fetch_bytes < len(NEXT) / 2


async def test_a_delta_dearer_than_its_chunks_is_not_taken(versions: TwoVersions) -> None:
    rig = versions.rig
    dear = replace(versions.offer, fetch_bytes=len(NEXT))
    rig.registry.offers[rig.target.digest] = [dear]
    cost = await rig.fetch()
    rig.assert_arrived(NEXT)
    assert cost.received_bytes == rig.chunks_bytes + len(NEXT) - CHUNK_BYTES
    assert rig.objects.asked_of(dear.stored.digest) == []


async def test_a_delta_whose_payload_is_wrong_is_left_for_plain_chunks_and_reported(
    versions: TwoVersions,
) -> None:
    rig = versions.rig
    versions.spoil(versions.offer.header_bytes + 1000)
    cost = await rig.fetch()
    rig.assert_arrived(NEXT)
    assert cost.planned_bytes == versions.quoted_bytes < cost.received_bytes
    (remark,) = cost.remarks
    assert remark.startswith(f"delta {versions.offer.stored.digest} gave wrong bytes")
    assert "MB were still to be fetched" in remark


async def test_a_wrong_delta_is_not_left_for_more_bytes_than_the_cap_allows(
    rig: Rig, tmp_path: Path
) -> None:
    versions = TwoVersions(rig, tmp_path)
    await versions.publish(byte_cap=150_000)
    assert versions.quoted_bytes < 150_000
    versions.spoil(versions.offer.header_bytes + 1000)
    with pytest.raises(ByteCapError, match=r"allows 150000"):
        await rig.fetch()
    assert rig.objects.sent_bytes <= 150_000
    assert rig.store.digests() == {versions.base, *rig.store.digests()} - {rig.target.digest}


async def test_a_delta_with_a_broken_header_is_refused_and_reported(versions: TwoVersions) -> None:
    rig = versions.rig
    versions.spoil(20, 40)
    cost = await rig.fetch()
    rig.assert_arrived(NEXT)
    assert "was refused" in cost.remarks[0]


async def test_a_delta_that_is_gone_is_left_for_plain_chunks(versions: TwoVersions) -> None:
    rig = versions.rig
    del rig.objects.contents[versions.offer.stored.digest]
    cost = await rig.fetch()
    rig.assert_arrived(NEXT)
    assert "404" in cost.remarks[0]


async def test_a_delta_that_was_wrong_once_is_not_tried_by_the_next_attempt(
    versions: TwoVersions,
) -> None:
    rig = versions.rig
    versions.spoil(versions.offer.header_bytes + 1000)
    well, cut = rig.objects.well(), rig.objects.cut(10)
    rig.objects.faults = [well, well, well, cut, cut, cut, cut]
    with pytest.raises(FetchInterruptedError):
        await rig.fetch()
    asked = len(rig.objects.asked_of(versions.offer.stored.digest))
    cost = await rig.fetch()
    rig.assert_arrived(NEXT)
    assert len(rig.objects.asked_of(versions.offer.stored.digest)) == asked
    assert cost.remarks == (f"an earlier attempt refused the delta from {versions.base}.",)


async def test_a_held_model_that_rotted_is_not_copied_from(rig: Rig) -> None:
    await rig.fetch()
    path = rig.store.path(rig.target.digest)
    path.write_bytes(b"rot" + CONTENT[3:])
    pieces = cut_evenly(CONTENT)
    rig.publish([b"another beginning", *pieces])
    cost = await rig.fetch()
    rig.assert_arrived(b"another beginning" + CONTENT)
    assert cost.planned_bytes == rig.chunks_bytes + len(b"another beginning")
    assert cost.received_bytes == cost.planned_bytes + len(CONTENT)
    assert cost.remarks[0].startswith("held sha256:")


async def test_a_rotten_base_costs_the_delta_and_nothing_else(versions: TwoVersions) -> None:
    rig = versions.rig
    rig.store.path(versions.base).write_bytes(BASE[: len(BASE) // 2] + bytes(len(BASE) // 2))
    cost = await rig.fetch()
    rig.assert_arrived(NEXT)
    assert cost.remarks


async def test_a_model_without_its_chunk_manifest_is_not_copied_from_and_that_is_said(
    rig: Rig,
) -> None:
    await rig.fetch()
    rig.store.path(rig.target.digest).with_suffix(".chunks").unlink()
    pieces = [b"another beginning", *cut_evenly(CONTENT)]
    held = rig.target.digest
    rig.publish(pieces)
    cost = await rig.fetch()
    assert cost.received_bytes == rig.chunks_bytes + len(b"".join(pieces))
    assert cost.remarks == (
        f"{held} is held and nothing was copied from it: its chunk manifest cannot be read.",
    )


async def test_what_a_file_holds_twice_moves_once(rig: Rig) -> None:
    rig.publish([b"a" * 5000, b"b" * 5000, b"a" * 5000, b"b" * 5000])
    cost = await rig.fetch()
    rig.assert_arrived((b"a" * 5000 + b"b" * 5000) * 2)
    assert cost.received_bytes == rig.chunks_bytes + 10_000
