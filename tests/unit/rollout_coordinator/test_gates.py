"""Gates: who must agree before a rollout goes on, and what becomes of a no, an error, and silence."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from fleetward.contracts.alerts import Severity
from fleetward.contracts.control import ControlAction
from fleetward.contracts.gates import Checkpoint, Gate, GateKind, Verdict
from fleetward.contracts.policies import PolicyError, check_policy
from fleetward.contracts.rollouts import RobotPhase, Rollout, RolloutPolicy, RolloutState
from rollout_coordinator.advance import begun
from rollout_coordinator.gates import questions
from rollout_coordinator.step import Tick
from tests.unit.rollout_coordinator import scenes
from tests.unit.rollout_coordinator.gate_words import approval, gate_answer

SAFETY = Gate(name="safety", kind=GateKind.APPROVAL, before=Checkpoint.START, approvals=2)
TWIN = Gate(name="twin", kind=GateKind.WEBHOOK, before=Checkpoint.WAVE, url="http://twin/ok")
QUIET = Gate(name="quiet", kind=GateKind.ALERT_FREE, before=Checkpoint.END, alert_free_s=100)


def gated(*gates: Gate, waves: tuple[int, ...] = (1, 1), stalled_after_s: float = 1000) -> Rollout:
    policy = replace(scenes.POLICY, gates=gates, stalled_after_s=stalled_after_s, bake_s=0)
    policy = replace(policy, min_success_percent=50)
    return begun(scenes.planned(*waves, policy=policy), scenes.START).rollout


def waiting_at_wave_2() -> Rollout:
    return scenes.after(
        gated(TWIN),
        (scenes.activated(1), 1),
        (scenes.summary(1, 2), 2),
        (Tick(), 3),
    )


def test_nobody_is_given_anything_before_the_start_is_approved() -> None:
    rollout = gated(SAFETY)
    assert rollout.checkpoint == "start"
    assert rollout.withheld == "before start, gate safety waits for 2 more of 2 approvals"
    assert {held.phase for held in rollout.robots.values()} == {RobotPhase.WAITING}


def test_two_people_must_agree_and_one_person_counts_once() -> None:
    rollout = gated(SAFETY)
    once = scenes.told(rollout, approval(rollout, "bob"), 1)
    assert not once.targets
    assert scenes.told(once.rollout, approval(rollout, "bob"), 2).rollout is once.rollout
    twice = scenes.told(once.rollout, approval(rollout, "cleo"), 3)
    assert [order.robot_id for order in twice.targets] == [scenes.robot(1)]
    assert not twice.rollout.checkpoint


def test_who_asked_for_a_rollout_cannot_approve_it() -> None:
    rollout = gated(SAFETY)
    word = approval(rollout, rollout.requested_by)
    assert scenes.told(rollout, word, 1).rollout is rollout


@pytest.mark.parametrize("change", ["plan", "digest", "checkpoint"])
def test_an_approval_of_something_else_says_nothing(change: str) -> None:
    rollout = gated(SAFETY)
    other = {"plan": "0" * 64, "digest": scenes.OLD, "checkpoint": "wave 2"}[change]
    word = replace(approval(rollout), **{change: other})
    assert scenes.told(rollout, word, 1).rollout is rollout


def test_the_plan_that_is_approved_changes_with_robots_policy_and_bytes() -> None:
    plan = gated(SAFETY).plan
    assert gated(SAFETY).plan == plan
    assert gated(SAFETY, waves=(2, 1)).plan != plan
    assert gated(replace(SAFETY, approvals=1)).plan != plan


def test_a_no_pauses_with_its_reason_and_resuming_asks_again() -> None:
    rollout = gated(SAFETY)
    agreed = scenes.told(rollout, approval(rollout, "bob"), 1).rollout
    refused = scenes.told(agreed, approval(rollout, "dora", yes=False), 2).rollout
    assert refused.state is RolloutState.PAUSED
    assert refused.reason == "gate safety refused: dora said no"
    assert scenes.told(refused, approval(rollout, "cleo"), 2).rollout is refused
    resumed = scenes.told(refused, scenes.asked(ControlAction.RESUME), 3).rollout
    assert resumed.withheld == "before start, gate safety waits for 2 more of 2 approvals"


def test_a_web_service_is_asked_before_the_next_wave_and_not_after_it_agreed() -> None:
    waiting = waiting_at_wave_2()
    (question,) = questions(waiting)
    assert (question.url, question.checkpoint) == ("http://twin/ok", "wave 2")
    passed = scenes.told(waiting, gate_answer(waiting), 5)
    assert [order.robot_id for order in passed.targets] == [scenes.robot(2)]
    assert not questions(passed.rollout)


def test_an_error_of_a_web_service_is_shown_and_it_is_asked_again() -> None:
    waiting = waiting_at_wave_2()
    failed = scenes.told(waiting, gate_answer(waiting, Verdict.ERROR), 5).rollout
    assert failed.withheld.endswith("gate twin waits for http://twin/ok: so it says")
    assert questions(failed)
    assert failed.withheld_since == waiting.withheld_since


def test_a_late_copy_of_a_no_says_nothing_once_the_gate_is_asked_anew() -> None:
    waiting = waiting_at_wave_2()
    no = gate_answer(waiting, Verdict.REFUSED)
    resumed = scenes.after(waiting, (no, 5), (scenes.asked(ControlAction.RESUME), 6))
    assert resumed.state is RolloutState.RUNNING
    assert scenes.told(resumed, no, 7).rollout is resumed
    (before,), (after,) = questions(waiting), questions(resumed)
    assert before.key != after.key


def test_a_gate_that_never_answers_pauses_the_rollout_and_asks_a_person() -> None:
    waiting = waiting_at_wave_2()
    assert waiting.withheld_since is not None
    stalled = scenes.told(waiting, Tick(), 3 + 1000).rollout
    assert stalled.state is RolloutState.PAUSED
    assert stalled.reason.startswith("inconclusive: for 1000 s before wave 2, gate twin waits for")
    assert not questions(stalled)


def test_evidence_is_still_judged_while_a_rollout_waits_at_gates() -> None:
    waiting = waiting_at_wave_2()
    assert scenes.told(waiting, scenes.fell_back(1), 5).rollout.state is RolloutState.REVERTING


def test_success_waits_until_no_alert_fired_for_the_time_asked_for() -> None:
    rollout = scenes.after(
        gated(QUIET, waves=(1,)), (scenes.activated(1), 1), (scenes.summary(1, 2), 2), (Tick(), 3)
    )
    assert rollout.withheld == "before end, gate quiet waits for 100 s without an alert"
    warned = scenes.told(rollout, scenes.alert(1, Severity.WARNING), 50).rollout
    assert scenes.told(warned, Tick(), 120).rollout.state is RolloutState.RUNNING
    assert "last: InferenceSlow on r1" in scenes.told(warned, Tick(), 120).rollout.withheld
    assert scenes.told(warned, Tick(), 151).rollout.state is RolloutState.SUCCEEDED


def test_an_alert_about_the_model_before_does_not_count() -> None:
    rollout = scenes.after(gated(QUIET, waves=(1,)), (scenes.activated(1), 1))
    old = scenes.alert(1, Severity.WARNING, digest=scenes.OLD)
    assert scenes.told(rollout, old, 50).rollout is rollout


@pytest.mark.parametrize(
    ("gates", "complaint"),
    [
        ((SAFETY, SAFETY), "another gate has the same name"),
        ((replace(SAFETY, approvals=0),), "0 approvals cannot be given"),
        ((replace(TWIN, url="twin:80"),), "no http:// or https:// URL"),
        ((replace(QUIET, alert_free_s=0),), "0 s without an alert"),
        ((replace(QUIET, name="a b"),), "name it with"),
        (tuple(replace(SAFETY, name=f"g{n}") for n in range(17)), "17 gates; at most 16"),
    ],
)
def test_gates_that_cannot_be_are_refused_by_name(gates: tuple[Gate, ...], complaint: str) -> None:
    with pytest.raises(PolicyError, match=complaint):
        check_policy(RolloutPolicy(gates=gates))
