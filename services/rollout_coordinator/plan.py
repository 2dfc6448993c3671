"""From a request to a rollout: which robots, in which waves. Pure, deterministic."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from msgspec import UNSET, Struct
from msgspec.structs import replace

from fleetward.contracts.fleet_facts import facts_of
from fleetward.contracts.ids import Digest, ModelName, RobotId
from fleetward.contracts.ownership import owners
from fleetward.contracts.places import Place, place_of, said_at
from fleetward.contracts.policies import check_policy
from fleetward.contracts.registry import ModelRecord, Variant
from fleetward.contracts.robots import RobotCheckedIn, RobotEnrolled, RobotTarget, TargetMode
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
from fleetward.contracts.selector_terms import Facts
from fleetward.contracts.selectors import meant_robot, parse_selector
from fleetward.contracts.sites import SITE_LABEL
from fleetward.contracts.wording import how_many, listed
from rollout_coordinator.artifacts import Chosen, Wanted, chosen, settled, wanted_by
from rollout_coordinator.conflicts import placed, returns_to
from rollout_coordinator.entries import Pipelines, entry_at
from rollout_coordinator.errors import PlanRefusedError
from rollout_coordinator.serving import Served, served
from rollout_coordinator.wave_plan import waves_of

HARDWARE_LABEL = "hw"
"""With the site the label by whose values robots are compared with their like."""


class Heard(Struct, frozen=True):
    """What a robot said of itself last, and when the server stored it."""

    said: RobotCheckedIn
    at: datetime


class Fleet(Struct, frozen=True):
    """What the planner sees: who is enrolled, what each was last given, which rollouts are open."""

    robots: tuple[RobotEnrolled, ...]
    targets: Mapping[RobotId, RobotTarget]
    open_rollouts: tuple[Rollout, ...]
    withdrawn: Mapping[Digest, str] = {}
    """Why nobody may be given, or return to, some bytes any more."""
    heard: Mapping[RobotId, Heard] = {}
    """What each robot said last; those that never said anything are missing."""

    def modes(self, robot: RobotId) -> frozenset[TargetMode]:
        """What its bridge said that it understands beside serving."""
        heard = self.heard.get(robot)
        return frozenset(heard.said.modes) if heard else frozenset()

    def pipelines(self, robot: RobotId) -> Pipelines:
        """The models that have a pipeline of their own there, as far as it said so."""
        heard = self.heard.get(robot)
        if heard is None or not heard.said.pipelines:
            return UNSET
        return tuple(each.name for each in heard.said.pipelines)

    def place(self, robot: RobotId, model: ModelName) -> Place:
        """Where a model stands there."""
        return place_of(model, self.pipelines(robot))

    def given(self, robot: RobotId, model: ModelName) -> RobotTarget | None:
        """What the robot was given last where ``model`` stands there."""
        pipelines = self.pipelines(robot)
        return entry_at(self.targets.get(robot), place_of(model, pipelines), pipelines)

    def served(self, robot: RobotId, model: ModelName) -> Served | None:
        """What its newest target lets it serve where ``model`` stands there."""
        return served(self.given(robot, model))

    def serves(self, robot: RobotId, it: Variant) -> bool:
        """Whether these bytes are what its newest target lets it serve there."""
        now = self.served(robot, it.model.name)
        return now is not None and now.digest == it.digest

    def facts(self, robot: RobotEnrolled, now: datetime) -> Facts:
        """What a selector is asked of."""
        heard = self.heard.get(robot.robot_id)
        if heard is None:
            return facts_of(robot, None, None, now)
        return facts_of(robot, heard.said, heard.at, now)


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
    wanted = wanted_by(request.model, record)
    check_policy(request.policy)
    _check_continuous(request)
    choice = chosen(wanted.artifacts, _selected(request.selector, fleet, now))
    _refuse_misfits(wanted, choice)
    _refuse_withdrawn(wanted.artifacts if request.is_continuous else choice.of.values(), fleet)
    given = choice.of if request.again else _without_up_to_date(choice.of, wanted, fleet)
    wanted = wanted if request.is_continuous else wanted.with_only(given.values())
    standing = settled(progresses(given, fleet), given, wanted.variants)
    _check_modes(request.strategy, standing, fleet)
    sites = {each.robot_id: each.labels.get(SITE_LABEL, "") for each in fleet.robots}
    waves = waves_of(request.strategy, request.policy, given, sites)
    plan = Rollout(
        rollout_id=request.rollout_id,
        model=wanted.model,
        digest=wanted.digest,
        variants=wanted.variants,
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


def _refuse_misfits(wanted: Wanted, choice: Chosen) -> None:
    if choice.of:
        return
    robot, reason = next(iter(choice.misfits.items()))
    raise PlanRefusedError(
        f"none of {how_many(len(choice.misfits), 'selected robot')} can be given {wanted.model}; of "
        f"{robot}: {reason}. Push a variant for them, or relabel them."
    )


def _without_up_to_date(
    choice: Mapping[RobotId, Variant], wanted: Wanted, fleet: Fleet
) -> dict[RobotId, Variant]:
    behind = {robot: it for robot, it in choice.items() if not fleet.serves(robot, it)}
    if not behind:
        serving = [fleet.served(robot, it.model.name) for robot, it in choice.items()]
        given = ", ".join(sorted({str(now.model) for now in serving if now is not None}))
        meant = sorted({(str(each.model), each.digest[:19]) for each in choice.values()})
        by_another_name = given != ", ".join(model for model, _ in meant)
        same = f", whose bytes are those of {wanted.model}" if by_another_name else ""
        raise PlanRefusedError(
            f"all {len(choice)} selected robots were already given {given}{same} "
            f"({', '.join(digest for _, digest in meant)}); there is nothing to roll out. "
            "With --again it is given to them anew."
        )
    return behind


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


def progresses(given: Mapping[RobotId, Variant], fleet: Fleet) -> dict[RobotId, RobotProgress]:
    """Where robots stand before a rollout gives them what is ``given``, and what they return to."""
    labels = {robot.robot_id: robot.labels for robot in fleet.robots}
    owned = owners(fleet.open_rollouts)
    return {
        robot: replace(
            _progress(robot, it, fleet, owned.get((robot, fleet.place(robot, it.model.name)))),
            site=labels[robot].get(SITE_LABEL, ""),
            hardware=labels[robot].get(HARDWARE_LABEL, ""),
        )
        for robot, it in given.items()
    }


def _progress(robot: RobotId, given: Variant, fleet: Fleet, owner: Rollout | None) -> RobotProgress:
    """Nobody returns to withdrawn bytes, nor to those that are being given."""
    pipelines, target = fleet.pipelines(robot), fleet.given(robot, given.model.name)
    if target is None:
        accepted = 0 if pipelines is UNSET else _accepted(robot, given.model.name, fleet)
        return RobotProgress(generation=accepted, pipelines=pipelines)
    held = returns_to(target, owner)
    if held.previous_digest in {*fleet.withdrawn, given.digest}:
        return RobotProgress(generation=held.generation, pipelines=pipelines)
    return held if pipelines is UNSET else replace(held, pipelines=pipelines)


def _accepted(robot: RobotId, model: ModelName, fleet: Fleet) -> int:
    """The newest generation that it took there, though its target says nothing of that place.

    It may have had another set of pipelines then, and refuses an older one.
    """
    heard = fleet.heard.get(robot)
    said = said_at(heard.said, fleet.place(robot, model)) if heard is not None else None
    return said.generation if said is not None else 0
