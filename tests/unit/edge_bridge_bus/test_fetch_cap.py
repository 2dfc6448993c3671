"""A byte cap is never passed: not by a plan, not by retries, not by being killed and started again."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from edge_bridge.errors import ByteCapError, FetchInterruptedError
from edge_bridge.fetching.limits import FetchLimits
from fleetward.contracts.robots import RobotTarget
from tests.unit.edge_bridge_bus.fetch_rig import CONTENT, LIMITS, RANGE_BYTES, Rig
from tests.unit.edge_bridge_bus.object_server import target_for


def capped(byte_cap: int, generation: int = 1) -> RobotTarget:
    return target_for(CONTENT, generation, byte_cap)


async def test_a_plan_above_the_cap_is_refused_before_a_byte_of_it_moves(rig: Rig) -> None:
    with pytest.raises(
        ByteCapError, match=r"det:1 needs at least 65\d{4} bytes .* allows 100000\."
    ):
        await rig.fetch(target=capped(100_000))
    assert rig.objects.asked_of(rig.pack) == []


async def test_not_even_the_chunk_manifest_is_fetched_above_the_cap(rig: Rig) -> None:
    with pytest.raises(ByteCapError, match=r"allows 10\."):
        await rig.fetch(target=capped(10))
    assert rig.objects.ranges == []


async def test_a_plan_of_exactly_the_cap_is_carried_out(rig: Rig) -> None:
    cost = await rig.fetch(target=capped(len(CONTENT) + rig.chunks_bytes))
    assert cost.received_bytes == len(CONTENT) + rig.chunks_bytes
    rig.assert_arrived()


async def test_retries_end_where_they_would_pass_the_cap(rig: Rig) -> None:
    cap = len(CONTENT) + rig.chunks_bytes + RANGE_BYTES
    rig.objects.faults = [rig.objects.well()] * 3 + [rig.objects.spoiled()] * 4
    with pytest.raises(ByteCapError):
        await rig.fetch(replace(LIMITS, whole_attempts=9), target=capped(cap))
    assert rig.objects.sent_bytes <= cap
    rig.assert_nothing_there()


async def test_what_was_spent_before_a_restart_counts(rig: Rig) -> None:
    cap = len(CONTENT) + rig.chunks_bytes + RANGE_BYTES // 2
    once = FetchLimits(ranges=LIMITS.ranges, attempts_without_progress=1)
    rig.objects.faults = [rig.objects.well()] * 4 + [rig.objects.cut(RANGE_BYTES - 10)]
    with pytest.raises(FetchInterruptedError):
        await rig.fetch(once, target=capped(cap))
    cost = await rig.fetch(once, target=capped(cap))
    assert cost.received_bytes <= cap
    rig.assert_arrived()
    with pytest.raises(ByteCapError):
        rig.store.remove(rig.target.digest)
        await rig.fetch(once, target=capped(cap), spent_bytes=cost.received_bytes)


async def test_a_rollout_with_a_higher_cap_goes_on_from_what_arrived(rig: Rig) -> None:
    low = len(CONTENT) + rig.chunks_bytes + 100
    rig.objects.faults = [rig.objects.well()] * 4 + [rig.objects.spoiled()]
    with pytest.raises(ByteCapError):
        await rig.fetch(target=capped(low))
    cost = await rig.fetch(target=capped(low, generation=2))
    rig.assert_arrived()
    assert cost.received_bytes == len(CONTENT) - 3 * RANGE_BYTES
