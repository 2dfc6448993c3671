"""A rollout of any size is what was stored of it, and a decision stores no more than it changed."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from msgspec.structs import replace

from fleetward.contracts.catalog import row_of
from fleetward.contracts.codec import decode, encode, encode_within
from fleetward.contracts.compared import ALWAYS
from fleetward.contracts.event import Event
from fleetward.contracts.evidence import (
    MAX_SIGNAL_GUARDS,
    MAX_STRATA,
    Evidence,
    Observed,
    Spread,
    Stratum,
    Sums,
)
from fleetward.contracts.ids import Digest, ModelName, ModelRef, RobotId, RolloutId, Version
from fleetward.contracts.rollout_rows import (
    ROBOTS_PER_SHARD,
    RolloutCounted,
    RolloutProgress,
    Shard,
    Stored,
    TornRolloutError,
    split,
    whole_of,
)
from fleetward.contracts.rollouts import (
    MAX_ROBOTS_PER_ROLLOUT,
    MAX_TARGETS_PER_STEP,
    RobotPhase,
    RobotProgress,
    Rollout,
    RolloutPolicy,
    RolloutState,
    Strategy,
)

NOW = datetime(2026, 1, 1, tzinfo=timezone.utc)
WAITING = RobotProgress()
LONGEST_REASON = "ü" * 200
MODEL = ModelRef(ModelName("m" * 48), Version("9" * 48))
DIGEST = Digest("sha256:" + "a" * 64)


def rollout(*wave_sizes: int, progress: RobotProgress = WAITING) -> Rollout:
    """Robots with the longest ids there are."""
    names = iter(RobotId(f"{number:048}") for number in range(sum(wave_sizes)))
    waves = tuple(tuple(next(names) for _ in range(size)) for size in wave_sizes)
    return Rollout(
        rollout_id=RolloutId("r-1"),
        model=MODEL,
        digest=DIGEST,
        strategy=Strategy.CANARY,
        policy=RolloutPolicy(),
        waves=waves,
        robots={robot: progress for wave in waves for robot in wave},
        state=RolloutState.RUNNING,
        wave_started_at=NOW,
        started_at=NOW,
        revision=1,
    )


class Shelf:
    """Keeps the newest message of each subject, as the stream does."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[type[Event], bytes]] = {}

    def put(self, stored: Stored) -> None:
        for fact in (stored.row, *stored.shards):
            row = row_of(type(fact))
            content = encode_within(fact, row.size_limit_bytes)
            self._kept[row.subject_of(fact)] = (type(fact), content)

    def whole(self) -> Rollout:
        facts = [decode(content, kind) for kind, content in self._kept.values()]
        (row,) = [fact for fact in facts if isinstance(fact, Rollout)]
        shards: list[Shard] = [
            fact for fact in facts if isinstance(fact, (RolloutProgress, RolloutCounted))
        ]
        return whole_of(row, shards)


def proved(before: Rollout, robots: set[int]) -> Rollout:
    """The next revision: these robots have proved the model."""
    names = list(before.robots)
    changed = {names[number]: RobotProgress(phase=RobotPhase.PROVED) for number in robots}
    return replace(before, robots={**before.robots, **changed}, revision=before.revision + 1)


def counted(before: Rollout, robots: set[int]) -> Rollout:
    """The next revision: these robots' windows were counted."""
    names = list(before.robots)
    until = NOW + timedelta(seconds=before.revision)
    held = {**before.evidence.counted_until, **{names[number]: until for number in robots}}
    said = {names[number]: Observed(after=(Sums(before.revision, 1.0),)) for number in robots}
    observed = {**before.evidence.observed, **said}
    evidence = replace(before.evidence, counted_until=held, observed=observed)
    return replace(before, evidence=evidence, revision=before.revision + 1)


def widest_evidence(of: Rollout) -> Evidence:
    """Every robot counted, every stratum there is, every metric that one policy may compare."""
    metrics = len(ALWAYS) + 1 + MAX_SIGNAL_GUARDS
    said = (Sums(2**40, 1 / 3),) * metrics
    third = 1 / 3
    spread = Spread(2**40, third, third, 2**40, third, third, third, third, 2**40, third)
    spreads = (spread,) * metrics
    return Evidence(
        counted_until=dict.fromkeys(of.robots, NOW),
        observed=dict.fromkeys(of.robots, Observed(True, said, said)),
        strata={
            f"{number:048}/{number:048}": Stratum("s" * 48, "h" * 48, spreads, spreads)
            for number in range(MAX_STRATA + 1)
        },
    )


sizes = some.lists(some.integers(1, 400), min_size=1, max_size=4)
steps = some.lists(
    some.tuples(some.booleans(), some.sets(some.integers(0, 10_000), max_size=5)), max_size=6
)


@settings(max_examples=40, deadline=None)
@given(sizes, steps)
def test_whatever_is_decided_is_read_again_and_only_what_changed_is_written(
    wave_sizes: list[int], decisions: list[tuple[bool, set[int]]]
) -> None:
    shelf, stored = Shelf(), split(rollout(*wave_sizes), None)
    shelf.put(stored)
    for is_proof, picked in decisions:
        before = stored.whole
        robots = {number % len(before.robots) for number in picked}
        after = proved(before, robots) if is_proof else counted(before, robots)
        stored = split(after, before)
        shelf.put(stored)
        assert shelf.whole() == stored.whole
        assert list(shelf.whole().robots) == list(before.robots)
        kind = RolloutProgress if is_proof else RolloutCounted
        large = len(before.robots) > ROBOTS_PER_SHARD
        touched = {number // ROBOTS_PER_SHARD for number in robots} if large else set()
        assert {(type(shard), shard.shard) for shard in stored.shards} == {
            (kind, number) for number in touched
        }


def grown(before: Rollout, joiners: int) -> Rollout:
    """The next revision: so many robots joined the last wave."""
    first = len(before.robots)
    names = tuple(RobotId(f"{number:048}") for number in range(first, first + joiners))
    return replace(
        before,
        waves=(*before.waves[:-1], (*before.waves[-1], *names)),
        robots={**before.robots, **dict.fromkeys(names, WAITING)},
        revision=before.revision + 1,
    )


@settings(max_examples=40, deadline=None)
@given(sizes, some.lists(some.tuples(some.integers(1, 300), some.booleans()), max_size=4))
def test_a_rollout_that_robots_join_is_read_again_and_its_full_shards_are_not_written_again(
    wave_sizes: list[int], joinings: list[tuple[int, bool]]
) -> None:
    shelf, stored = Shelf(), split(rollout(*wave_sizes), None)
    shelf.put(stored)
    for joiners, is_counted in joinings:
        before = stored.whole
        stored = split(grown(before, joiners), before)
        shelf.put(stored)
        assert shelf.whole() == stored.whole
        assert list(shelf.whole().robots) == [name for wave in stored.whole.waves for name in wave]
        if before.sharding is not None:
            full = len(before.robots) // ROBOTS_PER_SHARD
            assert {shard.shard for shard in stored.shards} >= {full}
            assert all(shard.shard >= full for shard in stored.shards)
        last = len(stored.whole.robots) - 1
        stored = split((counted if is_counted else proved)(stored.whole, {0, last}), stored.whole)
        shelf.put(stored)
        assert shelf.whole() == stored.whole


def test_a_small_rollout_is_one_row_that_says_it_all() -> None:
    small = rollout(1, ROBOTS_PER_SHARD - 1)
    assert split(small, None) == Stored(small, small, ())


def test_a_large_rollout_of_one_row_is_put_into_shards_by_its_next_decision() -> None:
    before = rollout(ROBOTS_PER_SHARD + 1)
    stored = split(proved(before, {0}), before)

    assert len(stored.shards) == 4
    assert whole_of(stored.row, stored.shards) == stored.whole


@pytest.mark.parametrize("stale", [0, 1, 2, 3], ids=["first", "second", "counted", "last counted"])
def test_a_shard_of_another_moment_than_the_row_is_noticed(stale: int) -> None:
    first = split(rollout(ROBOTS_PER_SHARD + 1), None)
    number = {0: 0, 1: ROBOTS_PER_SHARD, 2: 0, 3: ROBOTS_PER_SHARD}[stale]
    change = proved if stale < 2 else counted
    second = split(change(first.whole, {number}), first.whole)
    newer = {(type(shard), shard.shard): shard for shard in second.shards}

    with pytest.raises(TornRolloutError):
        whole_of(second.row, first.shards)
    with pytest.raises(TornRolloutError):
        whole_of(first.row, [newer.get((type(old), old.shard), old) for old in first.shards])
    with pytest.raises(TornRolloutError):
        whole_of(second.row, [])


def test_the_largest_rollout_fits_with_room_and_in_one_batch() -> None:
    widest = RobotProgress(
        phase=RobotPhase.REVERTING,
        generation=2**31,
        previous=MODEL,
        previous_digest=DIGEST,
        targeted_at=NOW,
        proved_at=NOW,
        silent_at=NOW,
        reason=LONGEST_REASON,
    )
    largest = rollout(2_000, MAX_ROBOTS_PER_ROLLOUT - 2_000, progress=widest)
    heard = replace(largest, evidence=widest_evidence(largest))

    stored = split(heard, None)

    for fact in (stored.row, *stored.shards):
        assert len(encode(fact)) <= row_of(type(fact)).size_limit_bytes / 2
    assert 1 + len(stored.shards) + MAX_TARGETS_PER_STEP <= 900
    assert whole_of(stored.row, stored.shards) == stored.whole


def test_the_largest_rollout_of_one_row_fits_too() -> None:
    widest = RobotProgress(previous=MODEL, previous_digest=DIGEST, reason=LONGEST_REASON)
    small = rollout(ROBOTS_PER_SHARD, progress=widest)
    small = replace(small, evidence=widest_evidence(small))
    assert len(encode(small)) <= row_of(Rollout).size_limit_bytes / 2
