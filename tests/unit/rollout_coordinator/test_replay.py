"""The log of a rollout's decisions: made again, each leads to the same bytes, and a changed one shows."""

from __future__ import annotations

import zlib
from pathlib import Path

import msgspec
from hypothesis import given, settings
from msgspec.structs import replace

from fleetward.contracts.codec import decode, encode
from fleetward.contracts.decisions import (
    LIGHT_DECISIONS_KEPT,
    REVISIONS_PER_STANDING,
    Given,
    RolloutDecided,
)
from fleetward.contracts.rollout_rows import ROBOTS_PER_SHARD, split, whole_of
from fleetward.contracts.rollouts import Rollout
from fleetward.contracts.surroundings import NOTHING_AROUND, SiteRoom, Surroundings
from rollout_coordinator import decision_log
from rollout_coordinator.advance import begun
from rollout_coordinator.decision_log import logged, told_by, unpacked, within_limit
from rollout_coordinator.fold import Told, decided
from rollout_coordinator.plan import planned
from rollout_coordinator.replay import Difference, Replayed, replayed
from rollout_coordinator.state_digest import StateDigest, digest_after, digest_of
from rollout_coordinator.step import Step, Tick
from rollout_coordinator.waiting import given_up
from tests.unit.rollout_coordinator import scenes
from tests.unit.rollout_coordinator.test_advance_histories import (
    MOVES,
    PLANS,
    Move,
    fact_of,
)
from tests.unit.rollout_coordinator.test_plan import RECORD, fleet, request

OLD_LOGS = Path(__file__).parent / "logs" / "before_pipelines.zlib"
"""Of three rollouts, written by the coordinator that knew of no pipelines: one judged with check-ins that
name some, one blue-green, one taken back. An array of arrays of RolloutDecided, in msgpack, deflated."""
CLOSED = Surroundings(sites={"": SiteRoom(closed="it is night there")})


class Coordinator:
    """Decides as the coordinator does, and keeps what it would write."""

    def __init__(self, planned: Rollout) -> None:
        planned = decode(encode(planned), Rollout)
        self.log: list[RolloutDecided] = []
        self.states: list[bytes] = []
        self._digest: StateDigest | None = None
        inputs = Given(planned=encode(planned))
        self.rollout = self._write(None, inputs, begun(planned, scenes.START), scenes.START)

    def tell(self, told: list[Told], second: float, around: Surroundings = NOTHING_AROUND) -> None:
        """Facts in one decision, which is written if it changes anything."""
        now = scenes.at(second)
        made = decided(self.rollout, told, now, around)
        if made.step.rollout is not self.rollout:
            inputs = decision_log.given(made.mattered, around)
            self.rollout = self._write(self.rollout, inputs, made.step, now)

    def give_up(self, reason: str, second: float) -> None:
        """It waited, and cannot begin any more."""
        now = scenes.at(second)
        step = given_up(self.rollout, reason, now)
        self.rollout = self._write(self.rollout, Given(given_up=reason), step, now)

    def _write(self, before: Rollout | None, inputs: Given, step: Step, now: object) -> Rollout:
        rollout = replace(step.rollout, revision=step.rollout.revision + 1)
        stored = split(rollout, before)
        digest = digest_after(stored, self._digest)
        self.log.append(logged(before, inputs, now, step, (self._digest, digest)))  # type: ignore[arg-type]  # a datetime
        self._digest = digest
        self.states.append(encode(stored.whole))
        return stored.whole if stored.whole.sharding else decode(encode(stored.whole), Rollout)


def lived(plan: Rollout, moves: list[Move]) -> Coordinator:
    """A history, a decision for each move."""
    coordinator = Coordinator(plan)
    seconds = 0
    for turn, move in enumerate(moves):
        seconds += move.passed_s
        at = seconds + turn / 1000
        fact = fact_of(move, coordinator.rollout, seconds)
        decided_at = at + move.clock_off_s
        around = CLOSED if move.old else NOTHING_AROUND
        coordinator.tell([(fact, scenes.at(at))], decided_at, around)
    return coordinator


@settings(max_examples=150)
@given(PLANS, MOVES)
def test_every_decision_of_a_history_is_made_again_from_its_log_byte_for_byte(
    plan: Rollout, moves: list[Move]
) -> None:
    coordinator = lived(plan, moves)
    encoded = [encode(decision) for decision in coordinator.log]
    again = list(replayed(decode(each, RolloutDecided) for each in encoded))
    assert not [each for each in again if isinstance(each, Difference)]
    assert [
        encode(each.after) for each in again if isinstance(each, Replayed)
    ] == coordinator.states


def test_logs_of_the_coordinator_before_pipelines_are_made_again_byte_for_byte() -> None:
    logs = msgspec.msgpack.decode(zlib.decompress(OLD_LOGS.read_bytes()))
    assert [len(log) for log in logs] == [11, 7, 4]
    for log in logs:
        again = list(replayed(decode(each, RolloutDecided) for each in log))
        assert [type(each) for each in again] == [Replayed] * len(log), again[-1]


def test_large_rollout_in_shards_is_made_again_byte_for_byte() -> None:
    coordinator = large()
    again = list(replayed(coordinator.log))
    assert [
        encode(each.after) for each in again if isinstance(each, Replayed)
    ] == coordinator.states
    assert coordinator.log[-1].after == digest_of(coordinator.rollout).hex


def test_decision_on_other_facts_than_those_logged_is_named() -> None:
    coordinator = large()
    stolen = unpacked(coordinator.log[2]).facts
    forged = logged_with(coordinator.log[3], Given(facts=stolen))
    again = list(replayed([*coordinator.log[:3], forged, *coordinator.log[4:]]))
    assert isinstance(again[-1], Difference)
    assert again[-1].revision == coordinator.log[3].revision
    assert len(again) == 4


def test_missing_decision_is_named() -> None:
    coordinator = large()
    again = list(replayed([*coordinator.log[:2], *coordinator.log[3:]]))
    assert again[-1] == Difference(4, "the decisions since 2 are no longer kept")


def test_log_without_its_beginning_says_so() -> None:
    again = list(replayed(large().log[1:]))
    assert again == [Difference(2, "the first decisions are no longer kept")]


def test_a_large_rollout_whose_early_decisions_are_forgotten_is_made_again_at_its_end() -> None:
    coordinator = large()
    for second in range(len(coordinator.log), LIGHT_DECISIONS_KEPT + REVISIONS_PER_STANDING):
        told: list[Told] = [(scenes.summary(1, second, scenes.NEW), scenes.at(second))]
        coordinator.tell(told, 4)
    coordinator.tell([(scenes.failed(2, 5, scenes.HERE), scenes.at(5))], 5)
    kept = list({decision.slot: decision for decision in coordinator.log}.values())
    again = list(replayed(kept))
    assert not [each for each in again if isinstance(each, Difference)]
    last = again[-1]
    assert isinstance(last, Replayed)
    assert digest_of(last.after).hex == coordinator.log[-1].after
    assert last.decision.revision == coordinator.log[-1].revision
    assert len(again) >= REVISIONS_PER_STANDING
    by_revision = sorted(kept, key=lambda each: each.revision)
    cut_off = [each for each in by_revision if each.revision > REVISIONS_PER_STANDING]
    assert isinstance(list(replayed(cut_off))[-1], Replayed)


def test_forgotten_evidence_leaves_the_other_decisions_to_be_made_again() -> None:
    """Of long rollouts, what counted telemetry alone is forgotten, and everything else is not.

    Also what came before anything was forgotten: the light decisions around it are forgotten later.
    """
    coordinator = Coordinator(scenes.planned(3, 1))
    for number, until in ((1, 101), (2, LIGHT_DECISIONS_KEPT + 280)):
        proof = scenes.activated(number, 5, scenes.NEW, scenes.HERE)
        coordinator.tell([(proof, scenes.at(number))], number)
        for second in range(coordinator.rollout.revision, until):
            coordinator.tell([(scenes.summary(1, second, scenes.NEW), scenes.at(second))], 2)
    coordinator.tell([(scenes.activated(3, 5, scenes.NEW, scenes.HERE), scenes.at(3))], 3)
    kept = {decision.slot: decision for decision in coordinator.log}.values()
    assert len(kept) < len(coordinator.log)
    again = list(replayed(kept))
    assert not [each for each in again if isinstance(each, Difference)]
    last = again[-1]
    assert isinstance(last, Replayed)
    assert encode(last.after) == coordinator.states[-1]


def test_decision_takes_no_more_facts_than_its_log_may_hold() -> None:
    long = replace(scenes.failed(1, 5, scenes.HERE), reason="x" * 100_000)
    told: list[Told] = [(long, scenes.START)] * 9
    assert len(within_limit(told)) == 5
    assert len(within_limit(told[:1])) == 1
    assert within_limit([(Tick(), scenes.START)] * 3) == [(Tick(), scenes.START)] * 3


def large() -> Coordinator:
    """More robots than one row holds, the first of which prove the model."""
    coordinator = Coordinator(scenes.planned(3, ROBOTS_PER_SHARD))
    for number in (1, 2, 3):
        fact = scenes.activated(number, 5, scenes.NEW, scenes.HERE)
        coordinator.tell([(fact, scenes.at(number))], number)
        told = (scenes.summary(number, number, scenes.NEW), scenes.at(number))
        coordinator.tell([told], number + 0.5)
    return coordinator


def logged_with(decision: RolloutDecided, inputs: Given) -> RolloutDecided:
    """The decision as if it had been made from something else."""
    assert told_by(inputs)
    step = Step(rollout=scenes.planned(1))
    digest = StateDigest(decision.revision, b"", {})
    other = logged(None, inputs, decision.decided_at, step, (None, digest))
    return replace(decision, given=other.given)


def test_large_rollout_holds_its_robots_in_one_order_planned_or_read_back() -> None:
    """A replica that reads it from its shards takes the same robots back first."""
    plan = planned(request(), RECORD, fleet(ROBOTS_PER_SHARD + 50), scenes.START)
    stored = split(plan, None)
    assert list(plan.robots) == list(whole_of(stored.row, stored.shards).robots)
