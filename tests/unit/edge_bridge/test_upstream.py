"""What is large leaves a portion at a time, as much as the link carries in a moment, and steps back when asked."""

from __future__ import annotations

import asyncio

import pytest

from edge_bridge.shipping.upstream import Upstream, UpstreamLimits

KIB = 1024
LIMITS = UpstreamLimits()
FILE = memoryview(bytes(16 * KIB * KIB))


class Link:
    """Carries so many bytes a second, by a clock of its own."""

    def __init__(self, bytes_per_s: float, limits: UpstreamLimits = LIMITS) -> None:
        self.bytes_per_s = bytes_per_s
        self.now_s = 0.0
        self.most_unsent = 0
        self._unsent = 0.0
        self.upstream = Upstream(limits, now_s=lambda: self.now_s, sleep=self.sleep)

    async def sleep(self, duration_s: float) -> None:
        self.now_s += duration_s
        self._unsent = max(0.0, self._unsent - duration_s * self.bytes_per_s)
        await asyncio.sleep(0)

    async def write(self, portion: memoryview) -> None:
        self._unsent += len(portion)
        self.most_unsent = max(self.most_unsent, int(self._unsent))

    async def upload(self, until_s: float) -> int:
        """How much went by then."""
        sent = 0
        while self.now_s < until_s:
            portion = FILE[: self.upstream.portion_bytes]
            await self.upstream.move(portion, self.write, lambda: int(self._unsent), lambda: None)
            sent += len(portion)
        return sent


@pytest.mark.parametrize("bytes_per_s", [8_000, 125_000, 2_000_000])
def test_no_more_is_on_its_way_than_a_moment_carries_and_the_link_is_used(
    bytes_per_s: float,
) -> None:
    link = Link(bytes_per_s)
    asyncio.run(link.upload(20.0))
    link.most_unsent = 0
    sent = asyncio.run(link.upload(60.0))
    assert link.most_unsent <= 1.6 * LIMITS.portion_s * bytes_per_s + LIMITS.least_bytes
    assert sent > 0.9 * 40.0 * bytes_per_s


def test_link_that_becomes_slow_is_soon_given_no_more_than_it_carries() -> None:
    link = Link(2_000_000)
    asyncio.run(link.upload(10.0))
    link.bytes_per_s = 8_000
    asyncio.run(link.upload(300.0))
    link.most_unsent = 0
    asyncio.run(link.upload(330.0))
    assert link.most_unsent <= 1.6 * LIMITS.portion_s * 8_000 + LIMITS.least_bytes


def test_those_who_upload_take_turns_and_are_one_on_the_link() -> None:
    link = Link(125_000)

    async def both() -> tuple[int, int]:
        return await asyncio.gather(link.upload(60.0), link.upload(60.0))

    one, other = asyncio.run(both())
    assert 0.8 < one / other < 1.25
    assert link.most_unsent <= 1.6 * LIMITS.portion_s * 125_000 + LIMITS.first_bytes


def test_while_something_goes_first_uploads_take_their_share_and_no_more() -> None:
    link = Link(125_000)
    asyncio.run(link.upload(20.0))
    with link.upstream.others_first():
        beside = asyncio.run(link.upload(120.0))
    assert 0.5 < beside / (100.0 * 125_000 * LIMITS.share_of_time) < 2.0
    after = asyncio.run(link.upload(140.0))
    assert after > 0.9 * 20.0 * 125_000


def test_whoever_else_asks_to_go_first_is_heard() -> None:
    link, is_behind = Link(125_000), True
    link.upstream.first.append(lambda: is_behind)
    assert asyncio.run(link.upload(100.0)) < 0.3 * 100.0 * 125_000


def test_cap_holds_for_all_together() -> None:
    link = Link(10_000_000, UpstreamLimits(bytes_per_s=50_000))

    async def three() -> list[int]:
        return await asyncio.gather(*(link.upload(60.0) for _ in range(3)))

    assert sum(asyncio.run(three())) <= 61.0 * 50_000
