"""From a request to a rollout: which robots, in which waves. Pure, deterministic."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from fleetward.contracts.ids import RobotId
from fleetward.contracts.ownership import owners
from fleetward.contracts.policies import check_policy
from fleetward.contracts.registry import ModelRecord, Variant
from fleetward.contracts.robots import RobotEnrolled, TargetMode
from fleetward.contracts.rollouts import (
    FINAL_STATES,
    MAX_OPEN_ROLLOUTS,
    MAX_ROBOTS_PER_ROLLOUT,
    RobotProgress,
    Rollout,
    RolloutRequested,
    RolloutState,
    Strategy,
)
from fleetward.contracts.selectors import meant_robot, parse_selector
from fleetward.contracts.sites import SITE_LABEL
from fleetward.contracts.wording import how_many, listed
from rollout_coordinator.artifacts import Chosen, Wanted
from rollout_coordinator.choosing import choice_of, wanted_of
from rollout_coordinator.conflicts import placed
from rollout_coordinator.errors import PlanRefusedError
from rollout_coordinator.fleet import Fleet
from rollout_coordinator.standing import standing_with
from rollout_coordinator.wave_plan import waves_of


def planned(
    request: RolloutRequested,
    record: ModelRecord | None,
    fleet: Fleet,
    now: datetime,
    traceparent: str = "",
) -> Rollout:
    """The rollout that ``request`` asks for, before its first step.

    Raises PlanRefusedError or MalformedError with what is wrong, which, and what to do.
    """
    _refuse_too_many_open(fleet)
    asked = wanted_of(request, record, fleet)
    check_policy(request.policy)
    _check_continuous(request)
    choice = choice_of(asked, _selected(request.selector, fleet, now), fleet)
    _refuse_misfits(asked, choice)
    _refuse_withdrawn(_given(asked, choice, request), fleet)
    given = choice.of if request.again else _without_up_to_date(choice, asked[0], fleet)
    wanted, *members = left = _left(asked, choice, given, request)
    standing = standing_with(left, given, choice, fleet)
    _check_modes(request.strategy, standing, fleet)
    sites = {each.robot_id: each.labels.get(SITE_LABEL, "") for each in fleet.robots}
    waves = waves_of(request.strategy, request.policy, given, sites)
    plan = Rollout(
        rollout_id=request.rollout_id,
        model=wanted.model,
        digest=wanted.digest,
        variants=wanted.variants,
        together=tuple(each.as_member for each in members),
        strategy=request.strategy,
        policy=request.policy,
        waves=waves,
        staging=request.strategy is Strategy.BLUE_GREEN,
        state=RolloutState.RUNNING,
        robots={robot: standing[robot] for wave in waves for robot in wave},
        selector=request.selector,
        is_continuous=request.is_continuous,
        requested_by=request.requested_by,
        wave_started_at=now,
        started_at=now,
        traceparent=traceparent,
    )
    return placed(plan, request, owners(fleet.open_rollouts), now)


def _refuse_too_many_open(fleet: Fleet) -> None:
    if sum(held.state not in FINAL_STATES for held in fleet.open_rollouts) >= MAX_OPEN_ROLLOUTS:
        raise PlanRefusedError(
            f"{MAX_OPEN_ROLLOUTS} rollouts are open, no more may be. End some: "
            "`fleetward rollout list` shows them."
        )


def matching(selector: str, fleet: Fleet, now: datetime) -> tuple[RobotEnrolled, ...]:
    """The robots that a selector names; raises SelectorError."""
    matches = parse_selector(selector)
    return tuple(robot for robot in fleet.robots if matches(fleet.facts(robot, now)))


def _selected(selector: str, fleet: Fleet, now: datetime) -> tuple[RobotEnrolled, ...]:
    selected = matching(selector, fleet, now)
    if not selected:
        raise PlanRefusedError(
            f"the selector {selector!r} matches none of {how_many(len(fleet.robots), 'robot')}. "
            "`fleetward robot list` shows their labels."
            + meant_robot(selector, {robot.robot_id for robot in fleet.robots})
        )
    if len(selected) > MAX_ROBOTS_PER_ROLLOUT:
        raise PlanRefusedError(
            f"the selector {selector!r} matches {len(selected)} robots, more than the "
            f"{MAX_ROBOTS_PER_ROLLOUT} of one rollout. Narrow it, for example by site."
        )
    return selected


def _given(asked: Sequence[Wanted], choice: Chosen, request: RolloutRequested) -> Iterable[Variant]:
    """Every artifact that a robot is given, or may be given later."""
    if request.is_continuous:
        return [each for of in asked for each in of.artifacts]
    if not choice.beside:
        return choice.of.values()
    return [each for robot in choice.of for each in choice.every(robot)]


def _left(
    asked: Sequence[Wanted],
    choice: Chosen,
    given: Mapping[RobotId, Variant],
    request: RolloutRequested,
) -> Sequence[Wanted]:
    """What is asked for without what nobody is given."""
    if request.is_continuous:
        return asked
    if not choice.beside:
        return [asked[0].with_only(given.values())]
    every = list(zip(*map(choice.every, given), strict=True))
    return [wanted.with_only(of) for wanted, of in zip(asked, every, strict=True)]


def _refuse_misfits(asked: Sequence[Wanted], choice: Chosen) -> None:
    if choice.of:
        return
    robot, reason = next(iter(choice.misfits.items()))
    models = " and ".join(str(each.model) for each in asked)
    advice = " Push a variant for them, or relabel them." if len(asked) == 1 else ""
    raise PlanRefusedError(
        f"none of {how_many(len(choice.misfits), 'selected robot')} can be given {models}; of "
        f"{robot}: {reason}.{advice}"
    )


def _without_up_to_date(choice: Chosen, wanted: Wanted, fleet: Fleet) -> dict[RobotId, Variant]:
    """Who serves every model already needs none; a set is given whole to who lacks one of it."""
    behind = {
        robot: it for robot, it in choice.of.items() if not _has_all(choice, robot, it, fleet)
    }
    if not behind:
        every = [(robot, it) for robot in choice.of for it in choice.every(robot)]
        serving = [fleet.served(robot, it.model.name) for robot, it in every]
        given = ", ".join(sorted({str(now.model) for now in serving if now is not None}))
        meant = sorted({(str(each.model), each.digest[:19]) for _, each in every})
        by_another_name = given != ", ".join(model for model, _ in meant)
        same = f", whose bytes are those of {wanted.model}" if by_another_name else ""
        raise PlanRefusedError(
            f"all {len(choice.of)} selected robots were already given {given}{same} "
            f"({', '.join(digest for _, digest in meant)}); there is nothing to roll out. "
            "With --again it is given to them anew."
        )
    return behind


def _has_all(choice: Chosen, robot: RobotId, own: Variant, fleet: Fleet) -> bool:
    return fleet.serves(robot, own) and (
        not choice.beside or fleet.serves_all(robot, choice.beside[robot])
    )


NEEDS_MODE = {Strategy.BLUE_GREEN: TargetMode.STAGE, Strategy.SHADOW: TargetMode.SHADOW}


def mode_lacked(strategy: Strategy, robot: RobotId, fleet: Fleet) -> TargetMode | None:
    """What the robot's bridge would have to understand for this strategy, and did not say that it does."""
    mode = NEEDS_MODE.get(strategy)
    return mode if mode is not None and mode not in fleet.modes(robot) else None


def _check_modes(strategy: Strategy, robots: Mapping[RobotId, RobotProgress], fleet: Fleet) -> None:
    """An old bridge knows no modes and would serve at once; a shadow ends by going back to something."""
    mode = NEEDS_MODE.get(strategy)
    if mode is None:
        return
    unable = [robot for robot in robots if mode_lacked(strategy, robot, fleet)]
    if unable:
        raise PlanRefusedError(
            f"{listed(unable)} did not say that its bridge can {mode.value} a model. Start it, bring "
            "its bridge up to date, or leave it out of the selector."
        )
    bare = [robot for robot, progress in robots.items() if progress.previous is None]
    if bare and strategy is Strategy.SHADOW:
        raise PlanRefusedError(
            f"{listed(bare)} serves nothing that this model could be compared to and that it could go "
            "back to: nothing yet, bytes that were withdrawn, or these very bytes. Give it another first."
        )


ENDS_TOGETHER = frozenset({Strategy.BLUE_GREEN, Strategy.SHADOW, Strategy.A_B})


def _check_continuous(request: RolloutRequested) -> None:
    """Who joins later is given the model then: what everybody does together takes no joiners."""
    if request.is_continuous and request.strategy in ENDS_TOGETHER:
        raise PlanRefusedError(
            f"a rollout by {request.strategy.value} cannot be continuous: its robots switch, or are "
            "compared, together. Use canary, rolling or all-at-once."
        )


def _refuse_withdrawn(given: Iterable[Variant], fleet: Fleet) -> None:
    for variant in given:
        reason = fleet.withdrawn.get(variant.digest)
        if reason is not None:
            raise PlanRefusedError(
                f"{variant.model} was withdrawn: {reason}. `fleetward model list` shows what else "
                "is published."
            )
