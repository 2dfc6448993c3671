"""How a rollout widens, waits, halts and takes its model back."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from fleetward.contracts.alerts import Severity
from fleetward.contracts.control import AbortMode, ControlAction
from fleetward.contracts.rollout_events import (
    RolloutEnded,
    RolloutHalted,
    WaveCompleted,
    WaveStarted,
)
from fleetward.contracts.rollouts import MAX_TARGETS_PER_STEP, RobotPhase, RolloutState
from rollout_coordinator.advance import begun
from rollout_coordinator.fold import Told, folded
from rollout_coordinator.robot_facts import MAX_REASON_CHARACTERS
from rollout_coordinator.step import RobotTaken, Tick
from tests.unit.rollout_coordinator import scenes
from tests.unit.rollout_coordinator.scenes import (
    NEW,
    OLD,
    POLICY,
    activated,
    after,
    alert,
    asked,
    at,
    checked_in,
    failed,
    fell_back,
    phase,
    robot,
    started,
    summary,
    told,
)

PROVED = (activated(1), 1.0)
EVIDENCE = (summary(1, 2), 2.0)


def test_only_the_first_wave_is_given_the_model_at_the_start() -> None:
    step = begun(scenes.planned(1, 2), scenes.START)
    assert [order.robot_id for order in step.targets] == [robot(1)]
    assert step.targets[0].generation == 5
    assert (step.targets[0].fallback_digest, step.targets[0].digest) == (OLD, NEW)


def test_next_wave_starts_after_proof_bake_time_and_evidence() -> None:
    baking = after(started(1, 2), PROVED, EVIDENCE)
    assert not told(baking, Tick(), 10.9).targets
    step = told(baking, Tick(), 11.1)
    assert [order.robot_id for order in step.targets] == [robot(2), robot(3)]
    assert [type(event) for event in step.events] == [WaveCompleted, WaveStarted]


def test_rollout_succeeds_after_its_last_wave() -> None:
    done = after(started(1), PROVED, EVIDENCE, (Tick(), 12))
    assert done.state is RolloutState.SUCCEEDED
    assert "1 of 1 robot proved detector:2" in done.reason


def test_no_news_is_not_good_news() -> None:
    silent = after(started(1), PROVED, (Tick(), 12))
    assert silent.state is RolloutState.RUNNING
    asking = after(silent, (Tick(), 72))
    assert asking.state is RolloutState.PAUSED
    assert asking.reason.startswith("inconclusive: telemetry shows 0 of at least 10 inferences")


def test_silent_robot_counts_against_success() -> None:
    halted = after(started(2), PROVED, (Tick(), 60))
    assert phase(halted, 2) is RobotPhase.REVERTING
    assert halted.reason.startswith("only 1 of 2 robots proved the model (0 failed, 1 unknown)")


def test_silence_counts_only_while_we_listened() -> None:
    deaf = started(1)
    waited = after(deaf, (Tick(listening_since=at(50)), 60))
    assert phase(waited, 1) is RobotPhase.TARGETED
    assert after(deaf, (Tick(listening_since=at(50)), 110)).state is RolloutState.REVERTING


def test_silent_robot_that_proves_the_model_late_counts_as_proved() -> None:
    policy = replace(POLICY, min_success_percent=50)
    late = after(started(2, policy=policy), PROVED, (Tick(), 60), (activated(2), 61))
    assert phase(late, 2) is RobotPhase.PROVED


def test_failures_within_the_allowed_share_do_not_halt() -> None:
    policy = replace(POLICY, min_success_percent=50, max_error_percent=50)
    running = after(started(2, policy=policy), PROVED, (failed(2), 1))
    assert running.state is RolloutState.RUNNING
    assert after(running, (fell_back(1), 2)).state is RolloutState.REVERTING


def test_success_is_taken_back_when_the_robot_serves_the_old_model_again() -> None:
    halted = after(started(1, 2), PROVED, (checked_in(1, digest=OLD), 2))
    assert halted.state is RolloutState.REVERTING
    assert f"it proved the model but now serves {OLD}" in halted.reason


def test_heartbeat_sent_before_the_swap_does_not_undo_a_proof_that_came_first() -> None:
    proved = after(started(1), (activated(1), 2))
    assert told(proved, checked_in(1, digest=OLD), 1).rollout is proved


def test_proof_of_another_digest_is_a_failure() -> None:
    halted = after(started(1), (activated(1, digest=OLD), 1))
    assert "it attests" in halted.reason


@pytest.mark.parametrize("fact", [activated(1, 4), failed(1, 4), fell_back(1, 4), failed(1, 6)])
def test_facts_about_another_generation_say_nothing(fact: scenes.RobotReport) -> None:
    running = started(1)
    assert told(running, fact, 1).rollout is running


@pytest.mark.parametrize("report", [activated, failed, fell_back])
def test_facts_about_another_rollout_say_nothing(report: scenes.Report) -> None:
    running = started(1)
    assert told(running, report(1, rollout=scenes.ELSEWHERE), 1).rollout is running


def test_robots_that_are_not_part_of_the_rollout_say_nothing() -> None:
    running = started(1)
    for fact in (activated(9), failed(9), alert(9), summary(9, 1), checked_in(9)):
        assert told(running, fact, 1).rollout is running


def test_alert_stored_before_the_target_is_not_blamed_on_the_model() -> None:
    running = started(1)
    assert told(running, alert(1), -1).rollout is running


def test_alert_about_the_old_models_samples_is_not_blamed_on_the_new_model() -> None:
    running = started(1)
    assert told(running, alert(1, digest=OLD), 1).rollout is running
    assert told(running, alert(1, digest=None), 1).rollout.state is RolloutState.REVERTING


def test_warning_does_not_halt() -> None:
    running = started(1)
    assert told(running, alert(1, Severity.WARNING), 1).rollout is running


def test_alert_on_a_robot_that_still_waits_does_not_halt() -> None:
    running = started(1, 1)
    assert told(running, alert(2, digest=None), 1).rollout is running


def test_paused_rollout_goes_no_further_but_is_judged() -> None:
    paused = after(started(1, 2), PROVED, EVIDENCE, (asked(ControlAction.PAUSE), 3))
    assert not told(paused, Tick(), 500).targets
    assert after(paused, (fell_back(1), 4)).state is RolloutState.REVERTING


def test_resumed_rollout_bakes_again() -> None:
    paused = after(started(1, 2), PROVED, EVIDENCE, (asked(ControlAction.PAUSE), 3))
    resumed = after(paused, (asked(ControlAction.RESUME), 100))
    assert not told(resumed, Tick(), 109).targets
    assert told(resumed, Tick(), 110).targets


def test_copy_of_a_pause_does_not_undo_a_resume() -> None:
    resumed = after(started(1), (asked(ControlAction.PAUSE), 1), (asked(ControlAction.RESUME), 2))
    assert told(resumed, asked(ControlAction.PAUSE), 1).rollout is resumed


def test_copy_of_a_resume_that_meant_nothing_does_not_lift_a_later_pause() -> None:
    paused = after(started(1), (asked(ControlAction.RESUME), 1), PROVED, (Tick(), 2), (Tick(), 90))
    assert paused.state is RolloutState.PAUSED
    assert told(paused, asked(ControlAction.RESUME), 1).rollout is paused


def test_controls_heard_in_the_wrong_order_end_as_if_heard_in_order() -> None:
    running = started(1)
    swapped = after(running, (asked(ControlAction.RESUME), 2), (asked(ControlAction.PAUSE), 1))
    assert swapped.state is RolloutState.RUNNING


def test_abort_can_keep_the_model_where_it_is() -> None:
    step = told(after(started(1), PROVED), asked(ControlAction.ABORT, AbortMode.KEEP), 2)
    assert not step.targets
    assert step.rollout.reason == "aborted by ann, model kept"


def test_aborted_rollout_takes_the_model_back_and_ends_as_aborted() -> None:
    aborting = told(after(started(1), PROVED), asked(ControlAction.ABORT), 2)
    assert [(order.digest, order.generation) for order in aborting.targets] == [(OLD, 6)]
    ended = told(aborting.rollout, checked_in(1, 6, OLD), 3)
    assert ended.rollout.state is RolloutState.ABORTED
    assert [type(event) for event in ended.events] == [RolloutEnded]


def test_revert_ends_only_when_every_robot_acknowledged_its_return() -> None:
    reverting = after(started(3), (activated(1), 1), (failed(2), 2))
    assert [phase(reverting, number) for number in (1, 2, 3)] == [RobotPhase.REVERTING] * 3
    waiting = after(reverting, (checked_in(1, 6, OLD), 3), (checked_in(2, 6, OLD), 3))
    waiting = after(waiting, (checked_in(3, 6, NEW), 4), (checked_in(3, 5, OLD), 4), (Tick(), 900))
    assert waiting.state is RolloutState.REVERTING
    assert after(waiting, (checked_in(3, 6, OLD), 901)).state is RolloutState.REVERTED


def test_robots_that_were_never_given_the_model_are_left_alone_by_a_revert() -> None:
    reverting = told(started(1, 2), failed(1), 1)
    assert [order.robot_id for order in reverting.targets] == [robot(1)]
    assert phase(reverting.rollout, 2) is RobotPhase.WAITING


def test_robot_with_nothing_to_return_to_keeps_its_state_and_blocks_nobody() -> None:
    fresh = begun(scenes.planned(1, fresh=frozenset({robot(1)})), scenes.START).rollout
    ended = told(fresh, failed(1, generation=1), 1)
    assert [type(event) for event in ended.events] == [RolloutHalted, RolloutEnded]
    assert not ended.targets


def test_robot_taken_by_another_rollout_is_not_returned_by_this_one() -> None:
    taken = after(started(2), (RobotTaken(robot(1), "rollout elsewhere"), 1))
    reverting = told(taken, failed(2), 2)
    assert [order.robot_id for order in reverting.targets] == [robot(2)]


def test_previous_model_of_a_taken_robot_is_no_failure() -> None:
    taken = after(started(1, 1), (RobotTaken(robot(2), "rollout elsewhere"), 1))
    assert told(taken, activated(2, 4, OLD, scenes.ELSEWHERE), 2).rollout is taken


def test_clocks_run_from_the_decision_and_not_from_a_fact_read_late() -> None:
    """An hour of backlog after an outage starts no deadline in the past."""
    step, _ = folded(
        scenes.started(1, 2, policy=replace(POLICY, bake_s=0)),
        [PROVED_AT, EVIDENCE_AT, (Tick(), at(3600))],
        at(3600),
    )
    assert step.rollout.robots[robot(2)].phase is RobotPhase.TARGETED
    assert step.rollout.robots[robot(2)].targeted_at == at(3600)


PROVED_AT = (activated(1), at(1))
EVIDENCE_AT = (summary(1, 2), at(2))


def test_one_write_gives_a_robot_one_target_at_most() -> None:
    """The first wave is done and the second starts; the same facts also halt the rollout."""
    ready = after(started(1, 1), PROVED, EVIDENCE)
    facts: list[Told] = [(Tick(), at(20)), (fell_back(1), at(20)), (Tick(), at(20))]
    step, used = folded(ready, facts, at(20))
    assert used == 1
    assert [order.robot_id for order in step.targets] == [robot(2)]
    step, used = folded(step.rollout, facts[used:], at(20))
    assert {order.robot_id: order.generation for order in step.targets} == {
        robot(1): 6,
        robot(2): 6,
    }


def test_a_wave_larger_than_a_write_is_targeted_in_several() -> None:
    large = begun(scenes.planned(1200), scenes.START)
    assert len(large.targets) == MAX_TARGETS_PER_STEP
    step, used = folded(large.rollout, [(activated(1), at(1)), (activated(2), at(1))], at(1))
    assert (len(step.targets), used) == (MAX_TARGETS_PER_STEP, 2)
    step, used = folded(step.rollout, [(Tick(), at(2))], at(2))
    assert len(step.targets) == 1200 - 2 * MAX_TARGETS_PER_STEP


def test_facts_that_change_nothing_are_told_by_the_same_object() -> None:
    running = started(1)
    step, used = folded(running, [(Tick(), at(1)), (activated(9), at(1))], at(1))
    assert step.rollout is running
    assert used == 2


def test_a_robots_words_are_bounded() -> None:
    wordy = replace(failed(1), reason="x" * 10_000)
    halted = after(started(1), (wordy, 1))
    assert len(halted.robots[robot(1)].reason) == MAX_REASON_CHARACTERS
