"""What a rollout waits for now, since when, and what a person can do: one sentence, or none."""

from __future__ import annotations

from datetime import datetime

from fleetward.cli.durations import spoken
from fleetward.client.gates import open_approvals
from fleetward.contracts.deadlines import (
    baked_at,
    evidence_by,
    expected,
    expected_since,
    given_up_at,
    held_back,
    in_phase,
)
from fleetward.contracts.policies import is_steady
from fleetward.contracts.rollouts import WAITING_STATES, RobotPhase, Rollout, RolloutState, Strategy
from fleetward.contracts.wording import listed, shortened

SHORT_CHARACTERS = 72
OVERDUE_S = 15.0
"""The coordinator decides every second or so: so long past a deadline, something is wrong."""


def waiting_for(rollout: Rollout, now: datetime) -> str:
    """The sentence for a rollout that has not ended; empty when it has."""
    if rollout.state is RolloutState.PAUSED:
        return (
            f"paused: `fleetward rollout resume {rollout.rollout_id}` lets it go on, "
            f"`fleetward rollout abort {rollout.rollout_id}` takes the model back"
        )
    if rollout.state is RolloutState.REVERTING:
        return _return(rollout)
    if rollout.state in WAITING_STATES:
        return (
            "planned anew when it begins; "
            f"`fleetward rollout abort {rollout.rollout_id}` takes it off"
        )
    if rollout.watched_until is not None:
        left_s = (rollout.watched_until - now).total_seconds()
        return f"its success is watched for {spoken(max(0.0, left_s))} more"
    if rollout.state is not RolloutState.RUNNING:
        return ""
    return (
        _withheld(rollout, now)
        or _proof(rollout, now)
        or _swap(rollout, now)
        or _bake(rollout, now)
    )


def is_held(rollout: Rollout) -> bool:
    """Whether a running rollout may not go on: for a gate, a floor, a window."""
    return rollout.state is RolloutState.RUNNING and bool(rollout.withheld)


def in_short(rollout: Rollout, now: datetime) -> str:
    """Why it stands where it does, for a cell of a table: its reason, or what it waits for."""
    if rollout.state is RolloutState.RUNNING:
        told = rollout.withheld or waiting_for(rollout, now)
    else:
        told = rollout.reason
    return shortened(told, SHORT_CHARACTERS)


def _withheld(rollout: Rollout, now: datetime) -> str:
    """Robots whose turn it is, and who may not be given the model now."""
    if not rollout.withheld:
        return ""
    waiting = open_approvals(rollout)
    if waiting:
        return (
            f"{rollout.withheld}: `fleetward rollout approve {rollout.rollout_id}`, by somebody other "
            f"than {rollout.requested_by or 'who asked for it'}"
        )
    if rollout.withheld_since is None:
        return f"may not go on: {rollout.withheld}"
    waited_s, limit_s = _passed_s(rollout.withheld_since, now), rollout.policy.stalled_after_s
    return (
        f"may not go on: {rollout.withheld}; {spoken(waited_s)} of at most {spoken(limit_s)}, "
        "then it pauses"
    )


def _return(rollout: Rollout) -> str:
    """Who is on the way back, and why others are not yet."""
    back = f"taking the model back from {listed(in_phase(rollout, RobotPhase.REVERTING))}"
    return f"{back}; others wait: {rollout.withheld}" if rollout.withheld else back


def _proof(rollout: Rollout, now: datetime) -> str:
    """The robots that have the target and have not proved the model yet."""
    targeted = expected(rollout)
    if not targeted:
        return ""
    if rollout.switch_at is not None and rollout.switch_at > now:
        left_s = (rollout.switch_at - now).total_seconds()
        return f"{listed(targeted)} switch together in {spoken(left_s)}"
    since = min(expected_since(rollout, rollout.robots[robot]) for robot in targeted)
    longest_s = _passed_s(since, now)
    deadline_s = rollout.policy.silent_after_s
    return (
        f"waiting for {_awaited(rollout)} from {listed(targeted)}: {spoken(longest_s)} "
        f"of at most {spoken(deadline_s)}" + _overdue(longest_s - deadline_s)
    )


def _swap(rollout: Rollout, now: datetime) -> str:
    """The robots that say why they may not swap yet."""
    robots, until = held_back(rollout), given_up_at(rollout)
    if until is None:
        return ""
    return (
        f"{listed(robots)} may not swap yet ({rollout.robots[robots[0]].reason}); in "
        f"{spoken(_passed_s(now, until))} it goes on without them, or pauses and asks"
    )


def _awaited(rollout: Rollout) -> str:
    if rollout.staging:
        return "a warm green slot"
    return "shadowed frames" if rollout.strategy is Strategy.SHADOW else "proof"


def _bake(rollout: Rollout, now: datetime) -> str:
    since, until, evidence = rollout.baking_since, baked_at(rollout), evidence_by(rollout)
    if since is None or until is None or evidence is None:
        return ""
    if is_steady(rollout):
        return (
            "every robot is through; waiting for robots that its selector names later, until "
            f"`fleetward rollout finish {rollout.rollout_id}`"
        )
    policy, baked_s = rollout.policy, _passed_s(since, now)
    if now < until:
        hold_s = _passed_s(since, until)
        return f"the wave must do well: {spoken(baked_s)} of {spoken(hold_s)}"
    seen = rollout.evidence.canary.inferences
    if seen >= policy.min_inferences:
        return f"the wave did well for {spoken(baked_s)}" + _overdue(_passed_s(until, now))
    return (
        f"waiting for telemetry: {seen} of at least {policy.min_inferences} inferences; "
        f"pauses {spoken(_passed_s(since, evidence))} after the wave settled, {spoken(baked_s)} ago"
        + _overdue(_passed_s(evidence, now))
    )


def _overdue(late_s: float) -> str:
    return ". That is overdue: is rollout-coordinator running?" if late_s > OVERDUE_S else ""


def _passed_s(since: datetime, now: datetime) -> float:
    """Never negative: the server's clock may be ahead of ours."""
    return max(0.0, (now - since).total_seconds())
