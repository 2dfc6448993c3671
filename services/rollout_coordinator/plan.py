"""From a request to a rollout: which robots, in which waves. Pure, deterministic."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from datetime import datetime

from msgspec import Struct

from fleetward.contracts.ids import Digest, ModelSelector, RobotId, Version
from fleetward.contracts.policies import ALL_PERCENT, check_policy
from fleetward.contracts.registry import ModelManifest, ModelRecord
from fleetward.contracts.robots import RobotEnrolled, RobotTarget
from fleetward.contracts.rollouts import (
    MAX_OPEN_ROLLOUTS,
    MAX_ROBOTS_PER_ROLLOUT,
    RobotProgress,
    Rollout,
    RolloutRequested,
    RolloutState,
    Strategy,
)
from fleetward.contracts.selectors import parse_selector
from rollout_coordinator.errors import PlanRefusedError


class Fleet(Struct, frozen=True):
    """What the planner sees: who is enrolled, what each was last given, which rollouts are open."""

    robots: tuple[RobotEnrolled, ...]
    targets: Mapping[RobotId, RobotTarget]
    open_rollouts: tuple[Rollout, ...]
    withdrawn: Mapping[Digest, str] = {}
    """Why nobody may be given, or return to, some bytes any more."""


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
    if len(fleet.open_rollouts) >= MAX_OPEN_ROLLOUTS:
        raise PlanRefusedError(
            f"{MAX_OPEN_ROLLOUTS} rollouts are open, no more may be. End some: "
            "`fleetward rollout list` shows them."
        )
    manifest = _manifest(request.model, record)
    _refuse_withdrawn(manifest, fleet)
    check_policy(request.policy)
    selected = _selected(request.selector, fleet)
    robots = _without_up_to_date(selected, manifest, fleet)
    _check_owners(robots, fleet)
    return Rollout(
        rollout_id=request.rollout_id,
        model=manifest.model,
        digest=manifest.digest,
        strategy=request.strategy,
        policy=request.policy,
        waves=_waves(request, robots),
        state=RolloutState.RUNNING,
        robots={robot: _progress(fleet.targets.get(robot), fleet) for robot in robots},
        wave_started_at=now,
        started_at=now,
        traceparent=traceparent,
    )


def wave_sizes(robots: int, percents: Sequence[int]) -> tuple[int, ...]:
    """How many robots each wave adds: cumulative percents, rounded up, never an empty wave."""
    sizes: list[int] = []
    reached = 0
    for percent in percents:
        upto = min(robots, math.ceil(robots * percent / ALL_PERCENT))
        if upto > reached:
            sizes.append(upto - reached)
            reached = upto
    return tuple(sizes)


def _manifest(wanted: ModelSelector, record: ModelRecord | None) -> ModelManifest:
    if record is None:
        raise PlanRefusedError(
            f"no model is called {wanted.name!r}. `fleetward model list` shows what exists; "
            "`fleetward model push` publishes."
        )
    version = _version(wanted, record)
    for candidate in record.versions:
        if candidate.manifest.model.version == version:
            return candidate.manifest
    known = ", ".join(candidate.manifest.model.version for candidate in record.versions[-5:])
    raise PlanRefusedError(
        f"model {wanted.name!r} has no version {version!r}; the newest are: {known or 'none'}."
    )


def _version(wanted: ModelSelector, record: ModelRecord) -> Version | None:
    if wanted.alias is None:
        return wanted.version
    if wanted.alias not in record.aliases:
        known = ", ".join(sorted(record.aliases)) or "none"
        raise PlanRefusedError(
            f"model {wanted.name!r} has no alias {wanted.alias!r}; its aliases are: {known}. "
            "`fleetward model alias` sets one."
        )
    return record.aliases[wanted.alias]


def _selected(selector: str, fleet: Fleet) -> tuple[RobotId, ...]:
    matches = parse_selector(selector)
    selected = [
        robot.robot_id
        for robot in fleet.robots
        if matches({**robot.labels, "robot": robot.robot_id})
    ]
    if not selected:
        raise PlanRefusedError(
            f"the selector {selector!r} matches none of {len(fleet.robots)} robots. "
            "`fleetward robot list` shows their labels."
        )
    if len(selected) > MAX_ROBOTS_PER_ROLLOUT:
        raise PlanRefusedError(
            f"the selector {selector!r} matches {len(selected)} robots, more than the "
            f"{MAX_ROBOTS_PER_ROLLOUT} of one rollout. Narrow it, for example by site."
        )
    return tuple(selected)


def _without_up_to_date(
    selected: Sequence[RobotId], manifest: ModelManifest, fleet: Fleet
) -> tuple[RobotId, ...]:
    behind = tuple(
        robot
        for robot in selected
        if robot not in fleet.targets or fleet.targets[robot].digest != manifest.digest
    )
    if not behind:
        given = ", ".join(sorted({str(fleet.targets[robot].model) for robot in selected}))
        raise PlanRefusedError(
            f"all {len(selected)} selected robots were already given {given}, whose bytes are "
            f"those of {manifest.model} ({manifest.digest[:19]}); there is nothing to roll out."
        )
    return behind


def _check_owners(robots: Sequence[RobotId], fleet: Fleet) -> None:
    """A robot belongs to an open rollout from its start, also while it waits for its wave."""
    owners = {robot: rollout for rollout in fleet.open_rollouts for robot in rollout.robots}
    for robot in robots:
        owner = owners.get(robot)
        if owner is not None:
            raise PlanRefusedError(
                f"{robot} belongs to rollout {owner.rollout_id}, which is {owner.state.value}. "
                f"Wait for it, or end it with `fleetward rollout abort {owner.rollout_id}`."
            )


def _waves(request: RolloutRequested, robots: Sequence[RobotId]) -> tuple[tuple[RobotId, ...], ...]:
    ordered = sorted(robots, key=_cohort_order)
    if request.strategy is Strategy.ALL_AT_ONCE:
        return (tuple(ordered),)
    waves: list[tuple[RobotId, ...]] = []
    for size in wave_sizes(len(ordered), request.policy.wave_percents):
        waves.append(tuple(ordered[:size]))
        ordered = ordered[size:]
    return tuple(waves)


def _cohort_order(robot: RobotId) -> str:
    """A stable shuffle: the same robots go first in every rollout, and not by their names."""
    return hashlib.sha256(robot.encode()).hexdigest()


def _refuse_withdrawn(manifest: ModelManifest, fleet: Fleet) -> None:
    reason = fleet.withdrawn.get(manifest.digest)
    if reason is not None:
        raise PlanRefusedError(
            f"{manifest.model} was withdrawn: {reason}. `fleetward model list` shows what else "
            "is published."
        )


def _progress(target: RobotTarget | None, fleet: Fleet) -> RobotProgress:
    if target is None:
        return RobotProgress()
    if target.digest in fleet.withdrawn:
        return RobotProgress(generation=target.generation)
    return RobotProgress(
        generation=target.generation, previous=target.model, previous_digest=target.digest
    )
