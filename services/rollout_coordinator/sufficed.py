"""What was enough for a rollout to go on: to the next wave, the switch, a gate or its success. Pure."""

from __future__ import annotations

from datetime import datetime

from fleetward.contracts.rollouts import Rollout, RolloutState
from fleetward.contracts.wording import how_many, listed
from rollout_coordinator.gates import checkpoint_of, gates_before
from rollout_coordinator.step import count, counted, goal_phase, reached


def went_on(before: Rollout, after: Rollout) -> bool:
    """Whether a decision let the rollout go on because it had done well."""
    succeeds = RolloutState.SUCCEEDED
    has_succeeded = succeeds in (after.state, after.ends_as) and before.ends_as is not succeeds
    return (
        after.wave > before.wave
        or (before.staging and not after.staging)
        or (after.checkpoint != before.checkpoint and after.state is RolloutState.RUNNING)
        or (has_succeeded and before.state is RolloutState.RUNNING)
    )


def what_sufficed(told: Rollout, now: datetime) -> str:
    """What the rollout had shown, everything ``told`` by then: gates, proofs, bake and telemetry."""
    if told.checkpoint:
        gates = listed([gate.name for gate in gates_before(told, checkpoint_of(told))])
        return f"before {told.checkpoint}, {gates} had passed"
    robots, goal = counted(told, reached(told)), goal_phase(told)
    arrived = count(told, robots, goal)
    proofs = f"{arrived} of {how_many(len(robots), 'robot')} had {goal.value} the model"
    if told.staging or told.baking_since is None:
        return proofs
    if told.is_promoted:
        return f"{proofs}, and a person had promoted it"
    baked_s = (now - told.baking_since).total_seconds()
    return (
        f"{proofs}, its wave had done well for {baked_s:.0f} s, and telemetry showed "
        f"{told.evidence.canary.inferences} of at least {told.policy.min_inferences} inferences"
    )
