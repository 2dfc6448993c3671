"""Robots that serve a detector in their own pipeline and a segmenter in one of its name."""

from __future__ import annotations

from msgspec import UNSET
from msgspec.structs import replace

from fleetward.contracts.ids import Digest, ModelName, ModelRef, RobotId, RolloutId, Version
from fleetward.contracts.registry import ModelRecord
from fleetward.contracts.robots import (
    PipelineStanding,
    RobotCheckedIn,
    RobotTarget,
    TargetMode,
)
from fleetward.contracts.rollouts import RobotProgress, Rollout, Strategy
from rollout_coordinator.fleet import Fleet, Heard
from testkit.telemetry import digest_of
from tests.unit.rollout_coordinator import scenes
from tests.unit.rollout_coordinator.test_plan import fleet, version

SEGMENTER, SPEECH = ModelName("segmenter"), ModelName("speech")
SEES, SEES_BETTER = (ModelRef(SEGMENTER, Version(each)) for each in "12")
OLD_SIGHT, NEW_SIGHT = digest_of("c"), digest_of("d")
THERE = RolloutId("there")
"""A rollout of the segmenter, beside the detector's ``HERE``."""
R1 = scenes.robot(1)
SEGMENTERS = ModelRecord(
    name=SEGMENTER,
    versions=tuple(
        replace(made, manifest=replace(made.manifest, model=model))
        for made, model in (
            (version("1", OLD_SIGHT), SEES),
            (version("2", NEW_SIGHT), SEES_BETTER),
        )
    ),
)


def entry(
    model: ModelRef, digest: Digest, generation: int, rollout: RolloutId = scenes.ELSEWHERE
) -> RobotTarget:
    """What r1 was given of one model."""
    return RobotTarget(
        robot_id=R1,
        generation=generation,
        rollout_id=rollout,
        model=model,
        digest=digest,
        issued_at=scenes.START,
    )


DETECTS = entry(scenes.OLD_MODEL, scenes.OLD, 4)
SEGMENTS = entry(SEES, OLD_SIGHT, 7)
HEARS = entry(ModelRef(SPEECH, Version("1")), digest_of("e"), 2)


def told(*entries: RobotTarget) -> RobotTarget:
    """One target, as it is stored: the newest entry first."""
    first, *others = entries
    return replace(first, beside=tuple(others))


def standing(
    name: ModelName,
    generation: int = 0,
    digest: Digest | None = None,
    held_back: str = "",
) -> PipelineStanding:
    """One pipeline's part of a check-in."""
    return PipelineStanding(
        name=name, generation=generation, active_digest=digest, held_back=held_back
    )


def says(*pipelines: PipelineStanding, generation: int = 4) -> RobotCheckedIn:
    """r1 checks in: its own pipeline serves the old detector."""
    said = scenes.checked_in(1, generation, scenes.OLD)
    return replace(said, pipelines=pipelines, modes=tuple(TargetMode))


def knowing(target: RobotTarget | None, said: RobotCheckedIn | None, *opened: Rollout) -> Fleet:
    """A fleet of r1 alone."""
    targets = {} if target is None else {R1: target}
    heard = {} if said is None else {R1: Heard(said, scenes.START)}
    return replace(fleet(1, targets, opened), heard=heard)


def detecting(strategy: Strategy = Strategy.CANARY, *, alone: bool = False) -> Rollout:
    """A rollout of the next detector to r1, planned; ``alone``: r1 named no pipelines."""
    plan = scenes.planned(1, strategy=strategy)
    return plan if alone else _with_pipelines(plan)


def segmenting(strategy: Strategy = Strategy.CANARY) -> Rollout:
    """A rollout of the next segmenter to r1, planned."""
    plan = replace(
        scenes.planned(1, strategy=strategy),
        rollout_id=THERE,
        model=SEES_BETTER,
        digest=NEW_SIGHT,
        robots={R1: RobotProgress(generation=7, previous=SEES, previous_digest=OLD_SIGHT)},
    )
    return _with_pipelines(plan)


def _with_pipelines(plan: Rollout) -> Rollout:
    robots: dict[RobotId, RobotProgress] = {
        robot: replace(progress, pipelines=(SEGMENTER,)) for robot, progress in plan.robots.items()
    }
    assert all(progress.pipelines is not UNSET for progress in robots.values())
    return replace(plan, robots=robots)
