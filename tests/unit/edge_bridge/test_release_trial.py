"""When a release of the bridge counts as proved, and what is said of one that was left."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest
from msgspec.structs import replace

from edge_bridge.converging.converge import Memory, Placed, accept, commit
from edge_bridge.updating.left_behind import report_of
from edge_bridge.updating.trial import PATIENCE_S, Seen, SeenPipeline, waits_for
from fleetward.contracts.bridge_release import BRIDGE_MODEL
from fleetward.contracts.ids import Digest, ModelRef, RobotId, RolloutId, Version
from fleetward.contracts.robots import ActivationFailed, ModelFellBack, RobotTarget
from fleetward.releases.launch import Choice

NOW = datetime(2026, 1, 1, tzinfo=timezone.utc)
SERVES = SeenPipeline(model="detector:v1", serves=True, captured=30, served=20)
DOES_ALL = Seen(hub_is_up=True, was_heard=True, pipelines=(SERVES,))


def test_a_release_that_does_all_is_proved() -> None:
    assert waits_for(DOES_ALL, 20) == ""


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"hub_is_up": False}, "the hub is not reached"),
        ({"was_heard": False}, "not acknowledged a check-in"),
        ({"pipelines": (replace(SERVES, serves=False),)}, "detector:v1 does not serve yet"),
        ({"pipelines": (replace(SERVES, served=19),)}, "answered 19 of 30 frames"),
        ({"pipelines": (replace(SERVES, failed=21),)}, "failed on 21"),
        ({"pipelines": (SERVES, replace(SERVES, model="other:v1", served=0))}, "other:v1"),
        ({"pipelines": (replace(SERVES, captured=0, served=0),)}, "answered 0 of 0"),
    ],
)
def test_one_thing_that_is_not_so_keeps_it_on_trial(
    changes: dict[str, object], reason: str
) -> None:
    assert reason in waits_for(replace(DOES_ALL, **changes), 20)


def test_a_robot_that_sees_few_frames_or_none_is_watched_for_a_while_and_then_believed() -> None:
    none = replace(DOES_ALL, pipelines=(replace(SERVES, captured=0, served=0),))
    few = replace(DOES_ALL, pipelines=(replace(SERVES, captured=4, served=3),))
    failing = replace(DOES_ALL, pipelines=(replace(SERVES, captured=4, served=3, failed=1),))
    unanswered = replace(DOES_ALL, pipelines=(replace(SERVES, captured=4, served=0),))
    for seen in (none, few):
        assert waits_for(seen, 20) != ""
        assert waits_for(replace(seen, for_s=PATIENCE_S), 20) == ""
    for seen in (failing, unanswered):
        assert waits_for(replace(seen, for_s=PATIENCE_S), 20) != ""


def test_a_robot_that_served_nothing_need_serve_nothing() -> None:
    nothing = SeenPipeline(model="", serves=False)
    assert waits_for(replace(DOES_ALL, pipelines=(nothing,)), 20) == ""


def release(version: str, generation: int) -> RobotTarget:
    return RobotTarget(
        robot_id=RobotId("r1"),
        generation=generation,
        rollout_id=RolloutId("ro1"),
        model=ModelRef(BRIDGE_MODEL, Version(version)),
        digest=Digest(f"sha256:{generation:064x}"),
        issued_at=NOW,
    )


FIRST, SECOND = release("0.2.0", 1), release("0.3.0", 2)
OWNS_FIRST = commit(accept(Memory(), FIRST, ""))
TRIES_SECOND = accept(OWNS_FIRST, SECOND, "")
OWNS_SECOND = commit(TRIES_SECOND)


def left(target: RobotTarget, *, was_own: bool = False) -> Choice:
    name = target.digest.partition(":")[2]
    return Choice(left=name, reason="it ended", was_own=was_own)


def test_a_trial_that_was_left_fails_its_generation_once() -> None:
    change, facts = report_of(left(SECOND), FIRST.digest, TRIES_SECOND, NOW)
    (fact,) = facts
    assert isinstance(fact, ActivationFailed)
    assert (fact.generation, fact.reason) == (2, "it ended; the release before runs again")
    after = change(TRIES_SECOND)
    assert (after.settled_generation, after.active) == (2, OWNS_FIRST.active)
    assert report_of(left(SECOND), FIRST.digest, after, NOW)[1] == [], "told already"


def test_a_trial_that_a_newer_target_overtook_is_not_reported_of_that_one() -> None:
    newer = accept(TRIES_SECOND, release("0.4.0", 3), "")
    change, facts = report_of(left(SECOND), FIRST.digest, newer, NOW)
    assert (change(newer), facts) == (newer, [])


def test_a_release_that_was_proved_and_left_is_a_fall_back() -> None:
    change, facts = report_of(left(SECOND, was_own=True), FIRST.digest, OWNS_SECOND, NOW)
    (fact,) = facts
    assert isinstance(fact, ModelFellBack)
    assert (fact.generation, fact.from_digest, fact.to_digest) == (2, SECOND.digest, FIRST.digest)
    after = change(OWNS_SECOND)
    assert after.active == Placed(FIRST.model, FIRST.digest)
    assert report_of(left(SECOND, was_own=True), FIRST.digest, after, NOW)[1] == []


def test_a_fall_back_to_what_enrolment_brought_has_no_digest_and_is_a_failure() -> None:
    change, facts = report_of(left(FIRST, was_own=True), None, OWNS_FIRST, NOW)
    (fact,) = facts
    assert isinstance(fact, ActivationFailed)
    assert "enrolled with runs again" in fact.reason
    after = change(OWNS_FIRST)
    assert (after.active, after.settled_generation) == (None, 1), "it is not tried again"


def test_a_fall_back_to_a_published_release_that_enrolment_brought_names_it() -> None:
    brought = Digest(f"sha256:{9:064x}")
    change, facts = report_of(left(FIRST, was_own=True), brought, OWNS_FIRST, NOW)
    (fact,) = facts
    assert isinstance(fact, ModelFellBack)
    assert (fact.from_digest, fact.to_digest) == (FIRST.digest, brought)
    after = change(OWNS_FIRST)
    assert (after.active, after.settled_generation) == (None, 1), "it is not tried again"
