"""A detector and a segmenter that switch together on r1, which serves an older one of each."""

from __future__ import annotations

from msgspec.structs import replace

from fleetward.contracts.ids import Digest, ModelRef, model_selector
from fleetward.contracts.members import Member, MemberProgress, SetProgress
from fleetward.contracts.robots import (
    ActivationFailed,
    ModelActivated,
    ModelFellBack,
    ModelStaged,
    RobotCheckedIn,
)
from fleetward.contracts.rollouts import (
    RobotPhase,
    RobotProgress,
    Rollout,
    RolloutPolicy,
    RolloutRequested,
    Strategy,
)
from rollout_coordinator.advance import begun
from rollout_coordinator.fleet import Fleet
from tests.unit.rollout_coordinator import scenes
from tests.unit.rollout_coordinator.pipeline_scenes import (
    NEW_SIGHT,
    OLD_SIGHT,
    R1,
    SEES,
    SEES_BETTER,
    SEGMENTER,
    SEGMENTERS,
    says,
    standing,
)
from tests.unit.rollout_coordinator.test_plan import request

DETECTOR = scenes.OLD_MODEL.name
BOTH = (DETECTOR, SEGMENTER)


def asked(*further: str, strategy: Strategy = Strategy.CANARY) -> RolloutRequested:
    """A request for the next detector together with ``further`` models."""
    together = tuple(map(model_selector, further or ("segmenter:2",)))
    return replace(request(), together=together, strategy=strategy)


def with_records(known: Fleet) -> Fleet:
    """The fleet, as the planner reads it for a set with a segmenter."""
    return replace(known, further={SEGMENTER: SEGMENTERS})


def planned_set(
    policy: RolloutPolicy = scenes.POLICY,
    strategy: Strategy = Strategy.CANARY,
    *,
    sight_before: bool = True,
) -> Rollout:
    """The set before its first step; ``sight_before``: whether r1 had a segmenter to go back to."""
    seen = MemberProgress(generation=4, previous=SEES, previous_digest=OLD_SIGHT)
    member = seen if sight_before else MemberProgress()
    plan = scenes.planned(1, policy=policy, strategy=strategy)
    held = replace(plan.robots[R1], pipelines=(SEGMENTER,), together=SetProgress(members=(member,)))
    together = (Member(model=SEES_BETTER, digest=NEW_SIGHT),)
    return replace(plan, robots={R1: held}, together=together)


def started_set(strategy: Strategy = Strategy.CANARY, *, sight_before: bool = True) -> Rollout:
    """The set once r1 was given it: generation 5 of each model."""
    plan = planned_set(strategy=strategy, sight_before=sight_before)
    return begun(plan, scenes.START).rollout


def held(rollout: Rollout) -> RobotProgress:
    """Where r1 stands."""
    return rollout.robots[R1]


def arrived(rollout: Rollout) -> tuple[str, ...]:
    """The models that did what r1's newest target asks."""
    together = held(rollout).together
    assert isinstance(together, SetProgress)
    return together.arrived


def phase(rollout: Rollout) -> RobotPhase:
    """The whole robot's."""
    return held(rollout).phase


def detects(generation: int = 5, digest: Digest = scenes.NEW) -> ModelActivated:
    """A proof of the detector."""
    return scenes.activated(1, generation, digest)


def sees(generation: int = 5, digest: Digest = NEW_SIGHT) -> ModelActivated:
    """A proof of the segmenter."""
    return replace(scenes.activated(1, generation, digest), model=SEES_BETTER)


def staged(model: ModelRef, digest: Digest, generation: int = 5) -> ModelStaged:
    """One model is warm."""
    return replace(scenes.staged(1, generation, digest), model=model)


def no_sight(generation: int = 5) -> ActivationFailed:
    """The segmenter could not be loaded."""
    return replace(scenes.failed(1, generation), model=SEES_BETTER)


def left_sight(generation: int = 5) -> ModelFellBack:
    """The robot left the segmenter by itself."""
    return replace(scenes.fell_back(1, generation), from_digest=NEW_SIGHT, to_digest=OLD_SIGHT)


def serves(
    detector: Digest | None,
    segmenter: Digest | None,
    generation: int = 5,
    held_back: tuple[str, str] = ("", ""),
) -> RobotCheckedIn:
    """A check-in of both pipelines, at one generation each."""
    beside = standing(SEGMENTER, generation, segmenter, held_back[1])
    said = says(beside, generation=generation)
    return replace(said, active_digest=detector, held_back=held_back[0])
