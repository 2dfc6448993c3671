"""Why a rollout, or a robot in it, is where it is: what led there, read from its log. Pure.

The log is made again decision by decision, and fact by fact where something notable changed, so that
what is named as the cause is the fact that did it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from datetime import datetime

from msgspec import Struct
from msgspec.structs import replace

from fleetward.contracts.codec import decode
from fleetward.contracts.control import RolloutControlRequested
from fleetward.contracts.decisions import Reason, RolloutExplained
from fleetward.contracts.ids import RobotId
from fleetward.contracts.judgements import ModelWithdrawn
from fleetward.contracts.model_sets import called, parts
from fleetward.contracts.rollout_index import RolloutRefused
from fleetward.contracts.rollouts import (
    WAITING_STATES,
    RobotPhase,
    Rollout,
    RolloutRequested,
    RolloutState,
    Strategy,
    is_open,
)
from fleetward.contracts.surroundings import Surroundings
from fleetward.contracts.variants import wanted
from fleetward.contracts.wording import how_many
from rollout_coordinator.advance import Fact, advance, reported
from rollout_coordinator.gates import is_before_start
from rollout_coordinator.joining import RobotsMatched
from rollout_coordinator.moves import moves, robot_moves
from rollout_coordinator.places_told import also_of, where_given
from rollout_coordinator.replay import Difference, Replayed
from rollout_coordinator.said import moment, said
from rollout_coordinator.step import RobotTaken, Superseded, Tick
from rollout_coordinator.sufficed import went_on, what_sufficed

MAX_REASONS = 100
"""The newest that one answer tells."""


class Asked(Struct, frozen=True):
    """Of what a person wants to know why, as it stands now.

    opened: the open rollouts, of which one may own the robot.
    """

    rollout: Rollout
    robot: RobotId | None
    now: datetime
    around: Surroundings
    opened: tuple[Rollout, ...] = ()


class _Change(Struct, frozen=True):
    """What one fact did."""

    cause: str
    before: Rollout
    after: Rollout


def explained(asked: Asked, log: Iterable[Replayed | Difference]) -> RolloutExplained:
    """The answer; ``log`` is the whole log, made again."""
    reasons: deque[Reason] = deque(maxlen=MAX_REASONS)
    reproduced, excluded, difference = 0, "", ""
    for made in log:
        if isinstance(made, Difference):
            difference = f"decision {made.revision}: {made.reason}"
            continue
        reproduced += 1
        if asked.robot is not None:
            excluded = made.given.excluded.get(asked.robot, excluded)
        reasons.extend(_reasons(made, asked.robot))
    here = asked.robot
    return RolloutExplained(
        rollout_id=asked.rollout.rollout_id,
        robot_id=here,
        now=stands(asked.rollout) if here is None else _robot_stands(asked, here, excluded),
        moves=_moves(asked),
        why=tuple(reasons),
        reproduced=reproduced,
        difference=difference,
    )


def refused(refusal: RolloutRefused) -> RolloutExplained:
    """The answer about a request that never became a rollout."""
    return RolloutExplained(
        rollout_id=refusal.rollout_id,
        now=f"{refusal.rollout_id} was refused at {moment(refusal.refused_at)}: {refusal.reason}",
    )


def stands(rollout: Rollout) -> str:
    """Where a rollout is, in a sentence."""
    if is_before_start(rollout) and is_open(rollout):
        return (
            f"{rollout.rollout_id} ({called(rollout)}) is {rollout.state.value} and has not begun: it "
            "waits at gates before its first wave, and no robot was given the model."
        )
    wave = f"wave {rollout.wave + 1} of {len(rollout.waves)}"
    reason = f": {rollout.reason.rstrip('.')}" if rollout.reason else ""
    ended = f" since {moment(rollout.ended_at)}" if rollout.ended_at else f" in {wave}"
    return f"{rollout.rollout_id} ({called(rollout)}) {_is(rollout.state)}{ended}{reason}."


def _is(state: RolloutState) -> str:
    return "has succeeded" if state is RolloutState.SUCCEEDED else f"is {state.value}"


def _moves(asked: Asked) -> tuple[str, ...]:
    if asked.robot is None:
        return moves(asked.rollout, asked.now)
    if asked.robot not in asked.rollout.robots:
        return ()
    return robot_moves(asked.rollout, asked.robot, asked.around)


def _robot_stands(asked: Asked, robot: RobotId, excluded: str) -> str:
    rollout = asked.rollout
    progress = rollout.robots.get(robot)
    owner = also_of(robot, rollout, asked.opened)
    if progress is None:
        why = excluded or "it was not enrolled when the rollout was planned, as far as the log says"
        return f"{robot} is not in {rollout.rollout_id}: {why}.{owner}"
    number = next(number for number, wave in enumerate(rollout.waves, 1) if robot in wave)
    reason = f": {progress.reason.rstrip('.')}" if progress.reason else ""
    return (
        f"{robot} is {progress.phase.value} in wave {number} of {len(rollout.waves)} of "
        f"{rollout.rollout_id}, which is {rollout.state.value}{where_given(rollout, progress)}{reason}."
        f"{owner}"
    )


def _reasons(made: Replayed, robot: RobotId | None) -> Iterator[Reason]:
    if made.before is None:
        effect = _beginning(made.after) if robot is None else _placed(made.after, robot)
        if effect:
            yield _reason(made, _request(made), effect)
        return
    if made.given.given_up and (robot is None or robot in made.before.robots):
        when, after = moment(made.decision.decided_at), made.after
        cause = f"it was planned anew at {when}, and could not begin"
        yield _reason(made, cause, f"the rollout is {after.state.value}: {after.reason}")
        return
    if not _effect(made.before, made.after, robot):
        return
    for change in _changes(made, made.before):
        effect = _effect(change.before, change.after, robot)
        if effect:
            yield _reason(made, change.cause, effect)


def _changes(made: Replayed, before: Rollout) -> Iterator[_Change]:
    """What each fact of a decision did."""
    for fact, stored_at in made.told:
        at, around = made.decision.decided_at, made.given.surroundings
        after = advance(before, fact, stored_at, at, around).rollout
        yield _Change(_cause(before, after, fact, stored_at, at), before, after)
        before = after


def _cause(
    before: Rollout, after: Rollout, fact: Fact, stored_at: datetime, decided_at: datetime
) -> str:
    """What did it: the fact alone, or all that had sufficed once this fact came last."""
    last = said(fact, stored_at)
    if not went_on(before, after) or isinstance(fact, RolloutControlRequested):
        return last
    return f"{what_sufficed(_with(before, fact, stored_at), decided_at)}; last, {last}"


def _with(rollout: Rollout, fact: Fact, stored_at: datetime) -> Rollout:
    """The rollout as a fact was decided on: with what it reported."""
    match fact:
        case (
            Tick()
            | RobotTaken()
            | RobotsMatched()
            | Superseded()
            | RolloutControlRequested()
            | ModelWithdrawn()
        ):
            return rollout
        case _:
            return reported(rollout, fact, stored_at)


def _effect(before: Rollout, after: Rollout, robot: RobotId | None) -> str:
    return _of_rollout(before, after) if robot is None else _of_robot(before, after, robot)


def _of_rollout(before: Rollout, after: Rollout) -> str:
    """What people would call news of the rollout."""
    news: list[str] = []
    if after.wave != before.wave:
        news.append(f"wave {after.wave + 1} of {len(after.waves)} began")
    if before.staging and not after.staging:
        news.append("everybody had staged the model, and the switch began")
    if after.baking_since and not before.baking_since:
        news.append(f"wave {after.wave + 1} was settled, and bakes")
    if after.checkpoint != before.checkpoint:
        gates = (
            f"it waits at gates before {after.checkpoint}" if after.checkpoint else "gates passed"
        )
        news.append(gates)
    if after.withheld and after.withheld != before.withheld:
        news.append(f"it may not go on: {after.withheld}")
    if after.state is not before.state:
        reason = f": {after.reason}" if after.reason else ""
        news.append(f"it {_is(after.state)}{reason}")
    return "; ".join(news)


def _of_robot(before: Rollout, after: Rollout, robot: RobotId) -> str:
    held, now = before.robots.get(robot), after.robots.get(robot)
    if now is None or held == now:
        return ""
    if held is None:
        return f"it joined the last wave of {after.rollout_id}"
    reason = f": {now.reason}" if now.reason else ""
    if now.phase is RobotPhase.TARGETED and now.generation != held.generation:
        given = [
            f"{wanted(*part).model} as its generation {part[1].generation}"
            for part in parts(after, now)
        ]
        return f"it was given {' and '.join(given)}"
    if now.phase is held.phase:
        silent = "it fell silent" if now.silent_at and not held.silent_at else ""
        return silent or (f"still {now.phase.value}{reason}" if now.reason != held.reason else "")
    return f"{held.phase.value} before, it is {now.phase.value}{reason}"


def _request(made: Replayed) -> str:
    if not made.given.request:
        return "it was asked for"
    request = decode(made.given.request, RolloutRequested)
    by = request.requested_by or "somebody"
    return (
        f"{by} asked at {moment(request.requested_at)} for {request.model} on {request.selector!r}"
    )


def _beginning(after: Rollout) -> str:
    if after.state in WAITING_STATES:
        return f"it was {after.state.value}, to be planned when it begins"
    waves = ", ".join(str(len(wave)) for wave in after.waves)
    spoken = f"waves of {waves}" if len(after.waves) > 1 else "one wave"
    waits = f"; it waits at gates before {after.checkpoint}" if after.checkpoint else ""
    return f"it was planned for {how_many(len(after.robots), 'robot')} in {spoken}{waits}"


def _placed(after: Rollout, robot: RobotId) -> str:
    if robot not in after.robots:
        return ""
    number = next(number for number, wave in enumerate(after.waves, 1) if robot in wave)
    into = f"it was planned into wave {number} of {len(after.waves)}"
    if after.strategy is Strategy.A_B and number > 1:
        return f"{into}, which keeps what it has"
    given = "and was given the model" if after.robots[robot].targeted_at else "and waits for it"
    return f"{into}, {given}"


def _reason(made: Replayed, cause: str, effect: str) -> Reason:
    decision = made.decision
    return Reason(at=decision.decided_at, revision=decision.revision, cause=cause, effect=effect)


def with_log(answer: RolloutExplained, kept: int, revision: int) -> RolloutExplained:
    """The answer with how many decisions the log holds, of ``revision`` that were made."""
    return replace(answer, decisions=kept, forgotten=max(revision - kept, 0))
