"""A proof holds as long as the robot is heard: silence takes it back, a heartbeat renews it."""

from __future__ import annotations

from msgspec.structs import replace

from fleetward.contracts.rollouts import RobotPhase, Rollout, RolloutState
from rollout_coordinator.step import RobotTaken, Tick
from tests.unit.rollout_coordinator.scenes import (
    NEW,
    OLD,
    POLICY,
    activated,
    after,
    alert,
    at,
    checked_in,
    phase,
    robot,
    silent,
    started,
    summary,
    told,
)

SILENCE = (silent(1), 6.0)
TOLERANT = replace(POLICY, min_success_percent=50)


def baking(*wave_sizes: int, tolerant: bool = False) -> Rollout:
    """A first wave that proved the model and did well, still baking."""
    rollout = started(*wave_sizes, policy=TOLERANT if tolerant else POLICY)
    proofs = [(activated(number), 1.0) for number in range(1, wave_sizes[0] + 1)]
    return after(rollout, *proofs, (summary(1, 2), 2.0))


def test_a_wave_does_not_widen_while_a_proved_robot_is_silent() -> None:
    held_up = after(baking(1, 2), SILENCE)
    assert phase(held_up, 1) is RobotPhase.TARGETED
    assert "then fell silent" in held_up.robots[robot(1)].reason
    assert not told(held_up, Tick(), 30).targets


def test_a_robot_that_stays_silent_is_unknown_and_counts_against_success() -> None:
    held_up = after(baking(1, 2), SILENCE)
    assert told(held_up, Tick(), 65.9).rollout.state is RolloutState.RUNNING
    halted = told(held_up, Tick(), 66.1).rollout
    assert halted.state is RolloutState.REVERTING
    assert "0 of 1 robot proved the model (0 failed, 1 unknown)" in halted.reason


def test_a_silent_robot_that_the_threshold_can_spare_is_left_behind_as_unknown() -> None:
    held_up = after(baking(2, 1, tolerant=True), SILENCE)
    step = told(held_up, Tick(), 66.1)
    assert phase(step.rollout, 1) is RobotPhase.UNKNOWN
    assert "silent for 60 s since 12:00:06" in step.rollout.robots[robot(1)].reason
    assert [order.robot_id for order in step.targets] == [robot(3)]


def test_a_robot_of_an_earlier_wave_that_falls_silent_holds_the_end_up() -> None:
    last_wave = after(baking(1, 1), (Tick(), 11.1), (activated(2), 12.0), (summary(2, 13), 13.0))
    assert told(last_wave, Tick(), 30).rollout.state is RolloutState.SUCCEEDED
    assert told(after(last_wave, (silent(1), 14.0)), Tick(), 30).rollout.state is (
        RolloutState.RUNNING
    )


def test_a_heartbeat_on_the_new_model_renews_the_proof() -> None:
    renewed = after(baking(1, 2), SILENCE, (checked_in(1), 9.0))
    assert phase(renewed, 1) is RobotPhase.PROVED
    assert renewed.robots[robot(1)].silent_at is None
    assert told(renewed, Tick(), 11.1).targets


def test_a_robot_already_counted_as_unknown_proves_itself_by_a_heartbeat() -> None:
    unknown = after(baking(2, 1, tolerant=True), SILENCE, (Tick(), 66.1))
    assert phase(after(unknown, (checked_in(1), 70.0)), 1) is RobotPhase.PROVED


def test_a_heartbeat_on_another_model_fails_the_robot() -> None:
    returned = told(after(baking(1, 2), SILENCE), checked_in(1, digest=OLD), 9.0)
    assert returned.rollout.state is RolloutState.REVERTING
    assert f"now serves {OLD}" in returned.rollout.reason


def test_a_heartbeat_of_another_generation_or_from_before_the_silence_renews_nothing() -> None:
    held_up = after(baking(1, 2), SILENCE)
    for fact, seconds in ((checked_in(1, generation=4), 9.0), (checked_in(1), 6.0)):
        assert told(held_up, fact, seconds).rollout is held_up
    assert told(held_up, activated(1), 1.0).rollout is held_up, "a copy of the old proof"


def test_a_heartbeat_proves_nothing_for_a_robot_that_never_proved_the_model() -> None:
    targeted = started(1, 2)
    assert told(targeted, silent(1), 6.0).rollout is targeted
    assert told(targeted, checked_in(1, digest=NEW), 9.0).rollout is targeted


def test_a_copy_of_an_older_silence_does_not_take_a_renewed_proof_back() -> None:
    renewed = after(baking(1, 2), SILENCE, (checked_in(1), 9.0))
    assert told(renewed, silent(1), 6.0).rollout is renewed


def test_a_critical_alert_on_a_silent_robot_still_halts() -> None:
    held_up = after(baking(1, 2), SILENCE)
    assert told(held_up, alert(1), 5.0).rollout.state is RolloutState.REVERTING


def test_silence_read_late_after_our_own_outage_starts_no_clock_in_the_past() -> None:
    held_up = after(baking(1, 2), SILENCE)
    just_back = Tick(listening_since=at(3600))
    assert told(held_up, just_back, 3659.9).rollout.state is RolloutState.RUNNING
    assert told(held_up, just_back, 3660.1).rollout.state is RolloutState.REVERTING


def test_a_silent_robot_that_another_rollout_took_stays_unknown() -> None:
    taken = after(baking(2, 1, tolerant=True), SILENCE, (RobotTaken(robot(1), "elsewhere"), 7.0))
    for fact in (checked_in(1), activated(1)):
        assert told(taken, fact, 9.0).rollout is taken
