"""Random histories of a fleet: told in any order, twice, late, or of somebody else.

The coordinator is restarted now and then, and its clock jumps; the server's clock, by which facts
are stored, does not.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as some
from msgspec import Struct

from fleetward.contracts.codec import decode, encode
from fleetward.contracts.control import AbortMode, ControlAction
from fleetward.contracts.ids import Digest
from fleetward.contracts.judgements import ModelWithdrawn
from fleetward.contracts.rollouts import Rollout, RolloutPolicy, Strategy
from fleetward.contracts.telemetry import InferenceSummarized
from fleetward.contracts.variants import digests, wanted
from rollout_coordinator.advance import Fact, advance, begun
from rollout_coordinator.fold import folded
from rollout_coordinator.step import RobotTaken, Tick
from tests.unit.rollout_coordinator import scenes
from tests.unit.rollout_coordinator.invariants import check, check_targets
from tests.unit.rollout_coordinator.takeover_scenes import superseded
from tests.unit.rollout_coordinator.variant_scenes import with_variants

MAX_FACTS = 40
STEP_S = 7
HOUR_S = 3600


class Move(Struct, frozen=True):
    """What happens next: who, what, how much time went by, and what befell who decides on it."""

    number: int
    what: str
    stale: bool
    old: bool
    passed_s: int
    copied_later: int
    is_restarted: bool
    clock_off_s: int


WHATS = (
    *("activated",) * 8,
    *("staged",) * 4,
    *("summary",) * 4,
    *("tick",) * 4,
    *("checked_in", "checked_in", "failed", "fell_back", "alert", "silent", "taken"),
    *("pause", "resume", "resume", "abort", "keep"),
    *("promote", "promote all", "retry", "roll back", "superseded", "withdrawn"),
)
ONE_MOVE = some.builds(
    Move,
    number=some.integers(1, 3),
    what=some.sampled_from(WHATS),
    stale=some.sampled_from((False, False, False, True)),
    old=some.sampled_from((False, False, False, True)),
    passed_s=some.sampled_from((0, 1, STEP_S, 65)),
    copied_later=some.integers(0, MAX_FACTS),
    is_restarted=some.sampled_from((False, False, False, True)),
    clock_off_s=some.sampled_from((0, 0, 0, 0, -HOUR_S, -STEP_S, STEP_S, HOUR_S)),
)
MOVES = some.lists(ONE_MOVE, max_size=MAX_FACTS) | some.lists(
    ONE_MOVE, min_size=MAX_FACTS // 2, max_size=MAX_FACTS
)
"""Half of them long: few short ones get beyond a first wave, or to a switch."""
POLICIES = some.builds(
    RolloutPolicy,
    bake_s=some.sampled_from((0.0, 5.0)),
    silent_after_s=some.just(60.0),
    min_success_percent=some.sampled_from((0.0, 50.0, 95.0)),
    max_error_percent=some.sampled_from((0.0, 34.0, 100.0)),
    min_inferences=some.just(1),
    watch_after_s=some.sampled_from((0.0, 60.0)),
)
WAVES = some.lists(some.integers(1, 2), min_size=1, max_size=2)


def plan_of(waves: list[int], policy: RolloutPolicy, strategy: Strategy) -> Rollout:
    """A plan of several waves gives its robots two variants in turn."""
    plan = scenes.planned(*waves, policy=policy, strategy=strategy)
    return with_variants(plan) if len(waves) > 1 else plan


STRATEGIES = some.sampled_from((Strategy.CANARY, Strategy.ROLLING, Strategy.BLUE_GREEN))
PLANS = some.builds(plan_of, WAVES, POLICIES, STRATEGIES)


def fact_of(move: Move, rollout: Rollout, seconds: int) -> Fact:
    """The move as a robot, a person or a clock would say it of the rollout as it stands."""
    number = move.number
    progress = rollout.robots.get(scenes.robot(number))
    generation = (progress.generation if progress else 0) - (1 if move.stale else 0)
    new = wanted(rollout, progress).digest if progress else scenes.NEW
    digest = scenes.OLD if move.old else new
    elsewhere = scenes.ELSEWHERE if move.stale else scenes.HERE
    facts: dict[str, Fact] = {
        "activated": scenes.activated(number, generation, digest, elsewhere),
        "staged": scenes.staged(number, generation, digest),
        "failed": scenes.failed(number, generation, elsewhere),
        "fell_back": scenes.fell_back(number, generation, elsewhere),
        "checked_in": scenes.checked_in(number, generation, digest),
        "alert": scenes.alert(number, digest=digest),
        "silent": scenes.silent(number),
        "summary": scenes.summary(number, seconds, digest),
        "taken": RobotTaken(scenes.robot(number), "rollout elsewhere"),
        "tick": Tick(),
        "pause": scenes.asked(ControlAction.PAUSE),
        "resume": scenes.asked(ControlAction.RESUME),
        "abort": scenes.asked(ControlAction.ABORT),
        "keep": scenes.asked(ControlAction.ABORT, AbortMode.KEEP),
        "promote": scenes.asked(ControlAction.PROMOTE),
        "promote all": scenes.asked(ControlAction.PROMOTE, to_all=True),
        "retry": scenes.asked(ControlAction.RETRY),
        "roll back": scenes.asked(ControlAction.ROLLBACK),
        "superseded": superseded(number),
        "withdrawn": scenes.withdrawn(digest),
    }
    return facts[move.what]


Story = list[tuple[Fact, datetime, datetime]]


def lived(plan: Rollout, moves: list[Move]) -> tuple[list[bytes], Story]:
    """The states of a history, with every decision checked, and the story that led to them."""
    rollout = begun(plan, scenes.START).rollout
    states, story = [encode(rollout)], Story()
    withdrawn: set[Digest] = set()
    seconds = 0
    for turn, move in enumerate(moves):
        seconds += move.passed_s
        stored_at = scenes.at(seconds + turn / 1000)
        now = stored_at + timedelta(seconds=move.clock_off_s)
        fact = fact_of(move, rollout, seconds)
        story.append((fact, stored_at, now))
        if move.is_restarted:
            rollout = decode(encode(rollout), Rollout)
        step = advance(rollout, fact, stored_at, now)
        check(rollout, fact, step)
        if isinstance(fact, ModelWithdrawn):
            withdrawn |= {fact.digest} & digests(plan)
        assert withdrawn.isdisjoint(order.digest for order in step.targets)
        rollout = step.rollout
        states.append(encode(rollout))
    return states, story


@settings(max_examples=200)
@given(PLANS, MOVES)
def test_every_history_keeps_the_promises(plan: Rollout, moves: list[Move]) -> None:
    lived(plan, moves)


@settings(max_examples=200)
@given(PLANS, MOVES)
def test_replaying_a_history_gives_the_identical_states_byte_for_byte(
    plan: Rollout, moves: list[Move]
) -> None:
    """Whoever was never restarted decides as who was."""
    states, story = lived(plan, moves)
    assert _replayed(plan, story) == states


@settings(max_examples=200)
@given(PLANS, MOVES)
def test_copies_told_at_once_or_later_change_nothing(plan: Rollout, moves: list[Move]) -> None:
    """A copy keeps the instant at which its original was stored; it is only read later.

    Two things may change: a window that did not count while its robot was unknown may count once
    it proved itself, so those are told once; time itself is never a copy.
    """
    rollout = begun(plan, scenes.START).rollout
    _, story = lived(plan, moves)
    copies: dict[int, list[tuple[Fact, datetime]]] = {}
    for turn, ((fact, stored_at, now), move) in enumerate(zip(story, moves, strict=True)):
        rollout = advance(rollout, fact, stored_at, now).rollout
        if not isinstance(fact, Tick | InferenceSummarized | RobotTaken):
            copies.setdefault(turn, []).append((fact, stored_at))
            copies.setdefault(turn + move.copied_later, []).append((fact, stored_at))
        for copy, first_stored_at in copies.get(turn, ()):
            step = advance(rollout, copy, first_stored_at, now)
            assert step.rollout is rollout, f"a copy of {copy} changed something"


@settings(max_examples=200)
@given(PLANS, MOVES, some.randoms(use_true_random=False))
def test_any_order_of_the_same_facts_keeps_the_promises(
    plan: Rollout, moves: list[Move], chance: scenes.Shuffler
) -> None:
    _, story = lived(plan, moves)
    rollout = begun(plan, scenes.START).rollout
    shuffled = story + story
    chance.shuffle(shuffled)
    for fact, stored_at, now in shuffled:
        step = advance(rollout, fact, stored_at, now)
        check(rollout, fact, step)
        rollout = step.rollout


@settings(max_examples=200)
@given(PLANS, MOVES, some.integers(1, MAX_FACTS))
def test_facts_decided_in_batches_keep_the_promises(
    plan: Rollout, moves: list[Move], size: int
) -> None:
    _, story = lived(plan, moves)
    rollout = begun(plan, scenes.START).rollout
    for start in range(0, len(story), size):
        batch = story[start : start + size]
        now = batch[-1][2]
        left = [(fact, stored_at) for fact, stored_at, _ in batch]
        while left:
            step, used = folded(rollout, left, now)
            check_targets(rollout, step)
            assert used > 0
            assert step.rollout.wave in {rollout.wave, rollout.wave + 1}
            rollout, left = step.rollout, left[used:]


def _replayed(plan: Rollout, story: Story) -> list[bytes]:
    rollout = begun(plan, scenes.START).rollout
    states = [encode(rollout)]
    for fact, stored_at, now in story:
        rollout = advance(rollout, fact, stored_at, now).rollout
        states.append(encode(rollout))
    return states
