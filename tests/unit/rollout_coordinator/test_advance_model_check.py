"""Every state that two or three robots can lead the real ``advance`` into, breadth first."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from functools import cache

import pytest
from msgspec import UNSET
from msgspec.structs import replace

from fleetward.contracts.codec import encode
from fleetward.contracts.control import AbortMode, ControlAction
from fleetward.contracts.evidence import CohortEvidence, Evidence
from fleetward.contracts.gates import Checkpoint, Gate, GateKind, Verdict
from fleetward.contracts.ids import Digest
from fleetward.contracts.rollouts import (
    FINAL_STATES,
    RobotPhase,
    RobotProgress,
    Rollout,
    RolloutPolicy,
    RolloutState,
    Strategy,
    is_open,
)
from fleetward.contracts.variants import digests, wanted
from rollout_coordinator.advance import Fact, advance, begun
from rollout_coordinator.step import RobotTaken, Tick
from tests.unit.rollout_coordinator import scenes
from tests.unit.rollout_coordinator.gate_words import approval, gate_answer
from tests.unit.rollout_coordinator.invariants import check
from tests.unit.rollout_coordinator.takeover_scenes import superseded
from tests.unit.rollout_coordinator.variant_scenes import with_variants

UNIT_S = 5
OLDEST = timedelta(seconds=2 * UNIT_S)
"""As old as any deadline of the policies below: all such times are the same."""
GENERATION = 5
"""Of every robot: facts are told of it relatively, and a retry would count on for ever."""
STRICT = RolloutPolicy(bake_s=5, hold_s=5, switch_lead_s=0, silent_after_s=5, min_inferences=1)
LAX = replace(STRICT, min_success_percent=30, max_error_percent=50)


def canonical(rollout: Rollout, passed_s: float = 0) -> Rollout:
    """The same state seen at START: ages instead of times, no words, no growing counts."""

    def seen(moment: datetime) -> datetime:
        return max(moment - timedelta(seconds=passed_s), scenes.START - OLDEST)

    def progress(of: RobotProgress) -> RobotProgress:
        return replace(
            of,
            generation=GENERATION,
            targeted_at=_aged(of, of.targeted_at, seen),
            proved_at=scenes.START - OLDEST if of.proved_at else None,
            silent_at=_aged(of, of.silent_at, seen),
            held_at=of.held_at if of.held_at is UNSET else seen(of.held_at),
            reason="",
        )

    heard = min(rollout.evidence.canary.inferences, 1)
    return replace(
        rollout,
        robots={robot: progress(of) for robot, of in rollout.robots.items()},
        evidence=Evidence(canary=CohortEvidence(inferences=heard)),
        wave_started_at=scenes.START - OLDEST,
        switch_at=scenes.START - OLDEST if rollout.switch_at else None,
        baking_since=seen(rollout.baking_since) if rollout.baking_since else None,
        withheld_since=seen(rollout.withheld_since) if rollout.withheld_since else None,
        checkpoint_since=None,
        gates={name: replace(held, round=0) for name, held in rollout.gates.items()},
        word=None,
        watched_until=_left(rollout.watched_until, passed_s),
        controlled_at=None,
        ended_at=None,
        reason="",
    )


def _left(moment: datetime | None, passed_s: float) -> datetime | None:
    """A deadline to come, seen from START."""
    return max(moment - timedelta(seconds=passed_s), scenes.START) if moment else None


def _aged(
    of: RobotProgress, moment: datetime | None, seen: Callable[[datetime], datetime]
) -> datetime | None:
    """Only a targeted robot's age is ever asked for; of the others, whether there was a moment."""
    if moment is None:
        return None
    oldest = scenes.START - timedelta(seconds=UNIT_S)
    return max(seen(moment), oldest) if of.phase is RobotPhase.TARGETED else oldest


GATED = replace(
    LAX,
    stalled_after_s=5,
    gates=tuple(
        Gate(
            name=f"{kind.value}-{checkpoint.value}", kind=kind, before=checkpoint, url="http://twin"
        )
        for kind, checkpoint in (
            (GateKind.APPROVAL, Checkpoint.START),
            (GateKind.WEBHOOK, Checkpoint.WAVE),
            (GateKind.APPROVAL, Checkpoint.END),
        )
    ),
)
INTERLOCKED = replace(LAX, stalled_after_s=5, interlocks=("docked",))
WATCHED = replace(LAX, watch_after_s=UNIT_S, max_error_percent=0)
PLANS = {
    "control": scenes.planned(1, 1, policy=WATCHED),
    "gates": scenes.planned(1, 1, policy=GATED),
    "canary, strict": scenes.planned(1, 2, policy=STRICT, fresh=frozenset({scenes.robot(3)})),
    "canary, lax": scenes.planned(1, 1, policy=LAX, fresh=frozenset({scenes.robot(2)})),
    "rolling": scenes.planned(2, policy=STRICT, strategy=Strategy.ROLLING),
    "blue-green": scenes.planned(1, 1, policy=LAX, strategy=Strategy.BLUE_GREEN),
    "shadow": scenes.planned(2, policy=LAX, strategy=Strategy.SHADOW),
    "interlocks": scenes.planned(1, 1, policy=INTERLOCKED),
    "variants": with_variants(scenes.planned(1, 1, policy=LAX)),
    "a-b": scenes.planned(1, 1, policy=LAX, strategy=Strategy.A_B),
}
FEWEST_STATES = {
    "control": 11_350,
    "gates": 7_510,
    "canary, strict": 11_430,
    "canary, lax": 1_900,
    "rolling": 1_560,
    "blue-green": 8_950,
    "shadow": 2_670,
    "interlocks": 3_040,
    "variants": 2_120,
    "a-b": 380,
}
"""Of each plan, some nine tenths of what there were: a search that finds fewer has lost moves."""


def facts_about(rollout: Rollout) -> Iterator[Fact]:
    """Everything that anybody may say next, true, late or foreign."""
    yield scenes.asked(ControlAction.PAUSE)
    yield scenes.asked(ControlAction.RESUME)
    yield scenes.asked(ControlAction.ABORT)
    yield scenes.asked(ControlAction.ABORT, AbortMode.KEEP)
    for digest in (*new_digests(rollout), scenes.OLD):
        yield scenes.withdrawn(digest)
    if rollout.policy.watch_after_s:
        yield from _control_of(rollout)
    if rollout.policy.gates:
        yield from _words_at_gates(rollout)
    if rollout.policy.interlocks:
        yield from _held_back(rollout)
    for number in range(1, len(rollout.robots) + 1):
        progress = rollout.robots[scenes.robot(number)]
        given = wanted(rollout, progress).digest
        told_of = (*new_digests(rollout), scenes.OLD)
        yield from _said_by(number, progress.generation, rollout.strategy, given, told_of)
        if progress.phase is not RobotPhase.REVERTED:
            yield RobotTaken(scenes.robot(number), "rollout elsewhere")


def _held_back(rollout: Rollout) -> Iterator[Fact]:
    """Robots that serve the old model yet, and say why."""
    for number in range(1, len(rollout.robots) + 1):
        generation = rollout.robots[scenes.robot(number)].generation
        yield scenes.checked_in(number, generation, scenes.OLD, held_back="docked is false")


@cache
def _said_by(
    number: int, now: int, strategy: Strategy, given: Digest, told_of: Sequence[Digest]
) -> Sequence[Fact]:
    """What is said by and about one robot, of the target it has and of the one before."""
    facts: list[Fact] = []
    for generation in (now, now - 1):
        for digest in told_of:
            facts.append(scenes.activated(number, generation, digest))
            facts.append(scenes.checked_in(number, generation, digest))
            if strategy is Strategy.BLUE_GREEN:
                facts.append(scenes.staged(number, generation, digest))
            if strategy is Strategy.SHADOW:
                facts.append(scenes.shadowed(number, generation, digest))
        facts.append(scenes.failed(number, generation))
        facts.append(scenes.fell_back(number, generation))
    facts.append(scenes.activated(number, now, rollout=scenes.ELSEWHERE))
    facts.append(scenes.alert(number, digest=given))
    facts.append(scenes.silent(number))
    facts.append(scenes.summary(number, 0, given, inferences=1))
    return facts


def new_digests(rollout: Rollout) -> list[Digest]:
    """What it gives to anybody."""
    return sorted(digests(rollout))


def _words_at_gates(rollout: Rollout) -> Iterator[Fact]:
    yield approval(rollout)
    yield approval(rollout, yes=False)
    yield approval(rollout, rollout.requested_by)
    yield approval(rollout, plan="another plan")
    for gate in rollout.policy.gates:
        for verdict in Verdict:
            yield gate_answer(rollout, verdict, gate.name)


def _control_of(rollout: Rollout) -> Iterator[Fact]:
    """What else a person may ask, and a newer rollout may do."""
    yield scenes.asked(ControlAction.PROMOTE)
    yield scenes.asked(ControlAction.PROMOTE, to_all=True)
    yield scenes.asked(ControlAction.RETRY)
    yield scenes.asked(ControlAction.ROLLBACK)
    for number in range(1, len(rollout.robots) + 1):
        yield superseded(number)


def explored(plan: Rollout) -> tuple[dict[bytes, Rollout], dict[bytes, set[bytes]]]:
    """All states, and for each the states that lead to it; every decision is checked."""
    first = canonical(begun(plan, scenes.START).rollout)
    states = {encode(first): first}
    led_here: dict[bytes, set[bytes]] = defaultdict(set)
    waiting = deque(states)
    while waiting:
        key = waiting.popleft()
        for following in next_states(states[key]):
            following_key = encode(following)
            led_here[following_key].add(key)
            if following_key not in states:
                states[following_key] = following
                if not may_move(following):
                    assert all(map(following.__eq__, next_states(following)))
                else:
                    waiting.append(following_key)
    return states, led_here


def may_move(rollout: Rollout) -> bool:
    """Whether anything still changes it: it is open, or a success that may be rolled back."""
    can_return = rollout.state is RolloutState.SUCCEEDED and rollout.policy.watch_after_s > 0
    return is_open(rollout) or can_return


def next_states(before: Rollout) -> Iterator[Rollout]:
    for fact in facts_about(before):
        step = advance(before, fact, scenes.START, scenes.START)
        check(before, fact, step)
        if step.rollout is not before:
            _check_copy(step.rollout, fact)
            yield canonical(step.rollout)
    step = advance(before, Tick(), scenes.START, scenes.START)
    check(before, Tick(), step)
    yield canonical(step.rollout)
    if is_open(before):
        yield canonical(before, UNIT_S)


def _check_copy(after: Rollout, fact: Fact) -> None:
    again = advance(after, fact, scenes.START, scenes.START)
    assert again.rollout is after, f"a copy of {fact} had an effect"
    assert not again.events
    assert not again.targets


@pytest.mark.parametrize("plan", PLANS)
def test_every_reachable_state_keeps_the_promises_and_can_end(
    plan: str, record_property: Callable[[str, object], None]
) -> None:
    states, led_here = explored(PLANS[plan])
    record_property("states", len(states))
    ending = deque(key for key, rollout in states.items() if rollout.state in FINAL_STATES)
    can_end = set(ending)
    while ending:
        for earlier in led_here[ending.popleft()] - can_end:
            can_end.add(earlier)
            ending.append(earlier)
    assert can_end == set(states)
    assert len(states) >= FEWEST_STATES[plan], "the search lost moves"
    assert {rollout.state for rollout in states.values()} >= FINAL_STATES - {scenes.UNUSED_STATE}
