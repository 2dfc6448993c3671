"""What one decision produces: the new state, the facts to announce, the targets to set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import chain, compress, islice
from operator import attrgetter, is_

from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import replace

from fleetward.contracts.event import Event
from fleetward.contracts.ids import Digest, ModelRef, RobotId, RolloutId
from fleetward.contracts.robots import TargetMode
from fleetward.contracts.rollouts import RobotPhase, RobotProgress, Rollout, Strategy
from rollout_coordinator.written_down import WriteDown, in_a_copy

_PHASE, _IS_TO_SWITCH = attrgetter("phase"), attrgetter("is_to_switch")


class TargetOrder(Struct, frozen=True, kw_only=True):
    """Give ``robot_id`` this model as its ``generation``; refused if the robot is beyond it."""

    robot_id: RobotId
    generation: int
    model: ModelRef
    digest: Digest
    mode: TargetMode = TargetMode.SERVE
    switch_at: datetime | None = None
    fallback: ModelRef | None = None
    fallback_digest: Digest | None = None
    together: tuple[TargetOrder, ...] | UnsetType = UNSET
    """What the robot is given of other models, to switch at one instant; unset: this is all."""

    @property
    def every(self) -> tuple[TargetOrder, ...]:
        """The orders for each model."""
        return (self,) if self.together is UNSET else (self, *self.together)


class Tick(Struct, frozen=True):
    """Time went by. Silence before ``listening_since`` was ours: we could not hear anybody."""

    listening_since: datetime | None = None


class RobotTaken(Struct, frozen=True):
    """A target could not be set: the robot is already beyond the generation we would write."""

    robot_id: RobotId
    by: str


class Superseded(Struct, frozen=True):
    """A newer rollout owns these robots from now on: written with its first step."""

    robots: tuple[RobotId, ...]
    by: RolloutId


class Step(Struct, frozen=True, kw_only=True):
    """A decision. The same ``rollout`` object as before means that nothing is to be done."""

    rollout: Rollout
    events: tuple[Event, ...] = ()
    targets: tuple[TargetOrder, ...] = ()

    def then(self, following: Step) -> Step:
        """This step and the one decided on its result, as one."""
        return Step(
            rollout=following.rollout,
            events=self.events + following.events,
            targets=self.targets + following.targets,
        )


def with_robots(
    rollout: Rollout,
    changed: Mapping[RobotId, RobotProgress],
    write_down: WriteDown = in_a_copy,
) -> Rollout:
    """The rollout with some robots' progress replaced."""
    return replace(rollout, robots=write_down(rollout.robots, changed))


def in_wave(rollout: Rollout) -> tuple[RobotId, ...]:
    """The robots of the current wave; while a blue-green rollout stages, everybody."""
    return reached(rollout) if rollout.staging else rollout.waves[rollout.wave]


def reached(rollout: Rollout) -> tuple[RobotId, ...]:
    """The robots of this wave and every wave before it; while a blue-green one stages, everybody."""
    waves = rollout.waves if rollout.staging else rollout.waves[: rollout.wave + 1]
    return tuple(chain.from_iterable(waves))


def progress_of(rollout: Rollout, robots: Sequence[RobotId]) -> list[RobotProgress]:
    """What is held of each of ``robots``.

    Nearly always they are the first that are held, in the same order: then none is looked up by its name.
    """
    held = rollout.robots
    if all(map(is_, robots, held)):
        return list(islice(held.values(), len(robots)))
    return [held[robot] for robot in robots]


def counted(rollout: Rollout, robots: Sequence[RobotId]) -> tuple[RobotId, ...]:
    """Those of ``robots`` that are still this rollout's, and count for or against its model."""
    held = progress_of(rollout, robots)
    return tuple(compress(robots, counting(rollout, held, list(map(_PHASE, held)))))


def counting(
    rollout: Rollout, held: Sequence[RobotProgress], phases: Sequence[RobotPhase]
) -> list[bool]:
    """Of each robot of which this is held, whether it counts.

    Once a blue-green rollout switches, only those that hold green: the others counted at staging.
    """
    superseded, staged = RobotPhase.SUPERSEDED, RobotPhase.STAGED
    if rollout.strategy is Strategy.BLUE_GREEN and not rollout.staging:
        switching = list(map(_IS_TO_SWITCH, held))
        if all(switching) and superseded not in phases:
            return switching
        return [
            phase is staged or (to_switch and phase is not superseded)
            for phase, to_switch in zip(phases, switching, strict=True)
        ]
    return [phase is not superseded for phase in phases]


def due_phase(rollout: Rollout) -> RobotPhase:
    """Where a robot of the current wave stands that is to be given its next target."""
    is_to_switch = rollout.strategy is Strategy.BLUE_GREEN and not rollout.staging
    return RobotPhase.STAGED if is_to_switch else RobotPhase.WAITING


def goal_phase(rollout: Rollout) -> RobotPhase:
    """Where a robot of the current wave stands that did what it was given its target for."""
    return RobotPhase.STAGED if rollout.staging else RobotPhase.PROVED


def count(rollout: Rollout, robots: tuple[RobotId, ...], *phases: RobotPhase) -> int:
    """How many of ``robots`` are in one of ``phases``."""
    stands = list(map(_PHASE, progress_of(rollout, robots)))
    return sum(stands.count(phase) for phase in phases)


def waiting_reason(progress: RobotProgress, silent_after_s: float) -> str:
    """Why a robot is counted as unknown."""
    if progress.silent_at is not None:
        since = f"{progress.silent_at:%H:%M:%S} UTC"
        return f"it proved the model, and is silent for {silent_after_s:g} s since {since}"
    said = f" ({progress.reason})" if progress.reason else ""
    return (
        f"nothing proved within {silent_after_s:g} s of {progress.targeted_at:%H:%M:%S} UTC{said}"
    )
