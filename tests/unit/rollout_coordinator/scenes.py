"""Rollouts and facts for tests: three robots, two waves, and a word for everything they say."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any, Protocol

from fleetward.contracts.alerts import ROBOT_SILENT, AlertFired, Severity
from fleetward.contracts.control import AbortMode, ControlAction, RolloutControlRequested
from fleetward.contracts.ids import (
    AlertName,
    BootId,
    Digest,
    ModelName,
    ModelRef,
    RobotId,
    RolloutId,
    Version,
)
from fleetward.contracts.judgements import ModelWithdrawn
from fleetward.contracts.robots import (
    ActivationFailed,
    ActivationStage,
    ModelActivated,
    ModelFellBack,
    ModelShadowed,
    ModelStaged,
    RobotCheckedIn,
)
from fleetward.contracts.rollouts import (
    RobotPhase,
    RobotProgress,
    Rollout,
    RolloutPolicy,
    RolloutState,
    Strategy,
)
from fleetward.contracts.telemetry import InferenceSummarized
from rollout_coordinator.advance import Fact, advance, begun
from rollout_coordinator.step import Step
from testkit.telemetry import digest_of

START = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)
OLD, NEW = digest_of("a"), digest_of("b")
OLD_MODEL = ModelRef(ModelName("detector"), Version("1"))
NEW_MODEL = ModelRef(ModelName("detector"), Version("2"))
HERE, ELSEWHERE = RolloutId("here"), RolloutId("elsewhere")
UNUSED_STATE = RolloutState.REFUSED
"""A refused request never becomes a rollout: RolloutRefused says so instead."""
POLICY = RolloutPolicy(bake_s=10, silent_after_s=60, min_inferences=10)
RobotReport = ModelActivated | ActivationFailed | ModelFellBack


class Report(Protocol):
    """Makes what a robot says about one generation of one rollout."""

    def __call__(self, number: int, *, rollout: RolloutId) -> RobotReport: ...


class Shuffler(Protocol):
    """A source of chance that a failing example replays."""

    def shuffle(self, x: list[Any]) -> None: ...


def robot(number: int) -> RobotId:
    """``r1`` is the first of wave 0."""
    return RobotId(f"r{number}")


def planned(
    *wave_sizes: int,
    policy: RolloutPolicy = POLICY,
    fresh: frozenset[RobotId] = frozenset(),
    strategy: Strategy = Strategy.CANARY,
) -> Rollout:
    """A rollout before its first step; ``fresh`` robots were never given a model before."""
    names = iter(range(1, sum(wave_sizes) + 1))
    waves = tuple(tuple(robot(next(names)) for _ in range(size)) for size in wave_sizes)
    before = RobotProgress(generation=4, previous=OLD_MODEL, previous_digest=OLD)
    return Rollout(
        rollout_id=HERE,
        model=NEW_MODEL,
        digest=NEW,
        strategy=strategy,
        policy=policy,
        waves=waves,
        staging=strategy is Strategy.BLUE_GREEN,
        state=RolloutState.RUNNING,
        robots={
            name: RobotProgress() if name in fresh else before for wave in waves for name in wave
        },
        wave_started_at=START,
        started_at=START,
        requested_by="ann",
    )


def started(
    *wave_sizes: int, policy: RolloutPolicy = POLICY, strategy: Strategy = Strategy.CANARY
) -> Rollout:
    """A rollout whose first wave was just given the model."""
    return begun(planned(*wave_sizes, policy=policy, strategy=strategy), START).rollout


def at(seconds: float) -> datetime:
    """So many seconds after the start."""
    return START + timedelta(seconds=seconds)


def told(rollout: Rollout, fact: Fact, seconds: float) -> Step:
    """What a fact changes that is stored and decided ``seconds`` after the start."""
    return advance(rollout, fact, at(seconds), at(seconds))


def after(rollout: Rollout, *facts: tuple[Fact, float]) -> Rollout:
    """The state after several facts, each with its time in seconds."""
    for fact, seconds in facts:
        rollout = told(rollout, fact, seconds).rollout
    return rollout


def phase(rollout: Rollout, number: int) -> RobotPhase:
    """Where one robot stands."""
    return rollout.robots[robot(number)].phase


def activated(
    number: int, generation: int = 5, digest: Digest = NEW, rollout: RolloutId = HERE
) -> ModelActivated:
    """A proof."""
    return ModelActivated(
        robot_id=robot(number),
        rollout_id=rollout,
        generation=generation,
        model=NEW_MODEL,
        digest=digest,
        inferences=20,
        swap_ms=1.0,
        warm_up_ms=1.0,
        bytes_fetched=0,
        activated_at=START,
    )


def staged(number: int, generation: int = 5, digest: Digest = NEW) -> ModelStaged:
    """A robot holds the model warm and serves another."""
    return ModelStaged(
        robot_id=robot(number),
        rollout_id=HERE,
        generation=generation,
        model=NEW_MODEL,
        digest=digest,
        warm_up_ms=1.0,
        bytes_fetched=0,
        staged_at=START,
    )


def shadowed(
    number: int, generation: int = 5, digest: Digest = NEW, divergence: float = 0.0
) -> ModelShadowed:
    """The model saw frames on a robot that serves another."""
    return ModelShadowed(
        robot_id=robot(number),
        rollout_id=HERE,
        generation=generation,
        model=NEW_MODEL,
        digest=digest,
        frames=20,
        divergence={"boxes": divergence},
        shadowed_at=START,
    )


def failed(number: int, generation: int = 5, rollout: RolloutId = HERE) -> ActivationFailed:
    """A robot could not load the model."""
    return ActivationFailed(
        robot_id=robot(number),
        rollout_id=rollout,
        generation=generation,
        model=NEW_MODEL,
        stage=ActivationStage.LOAD,
        reason="no such operator",
        failed_at=START,
    )


def fell_back(number: int, generation: int = 5, rollout: RolloutId = HERE) -> ModelFellBack:
    """A robot returned by itself."""
    return ModelFellBack(
        robot_id=robot(number),
        rollout_id=rollout,
        generation=generation,
        from_digest=NEW,
        to_digest=OLD,
        reason="too slow",
        fell_back_at=START,
    )


def checked_in(
    number: int, generation: int = 5, digest: Digest | None = NEW, held_back: str = ""
) -> RobotCheckedIn:
    """A heartbeat; the generation is the one the robot accepted, before it swaps."""
    return RobotCheckedIn(
        robot_id=robot(number),
        boot_id=BootId("boot"),
        sequence=1,
        generation=generation,
        active_digest=digest,
        held_back=held_back,
        checked_in_at=START,
    )


def alert(
    number: int, severity: Severity = Severity.CRITICAL, digest: Digest | None = NEW
) -> AlertFired:
    """An alert about a robot."""
    return AlertFired(
        robot_id=robot(number),
        alert=AlertName("InferenceSlow"),
        incident=1,
        severity=severity,
        value=1.0,
        expression="slow > 0.1",
        digest=digest,
        pending_since=START,
        fired_at=START,
    )


def silent(number: int) -> AlertFired:
    """Alerting heard nothing of a robot for longer than its lease."""
    return AlertFired(
        robot_id=robot(number),
        alert=ROBOT_SILENT,
        incident=1,
        severity=Severity.WARNING,
        value=5.0,
        expression="nothing heard for 5 s",
        pending_since=START,
        fired_at=START,
    )


def summary(
    number: int,
    seconds: float,
    digest: Digest = NEW,
    inferences: int = 20,
    latency_ms: float = 10.0,
    errors: int = 0,
) -> InferenceSummarized:
    """A window of inferences whose latencies vary by a tenth, with a confidence near 0.9."""
    good = inferences - errors
    return InferenceSummarized(
        robot_id=robot(number),
        boot_id=BootId("boot"),
        window=1,
        digest=digest,
        started_at=at(seconds),
        duration_s=1.0,
        inferences=inferences,
        errors=errors,
        latency_ms_sum=good * latency_ms,
        latency_ms_sum_of_squares=good * latency_ms**2 * 1.01,
        latency_ms_max=2 * latency_ms,
        confidence_count=good,
        confidence_sum=good * 0.9,
        confidence_sum_of_squares=good * 0.82,
    )


def withdrawn(digest: Digest) -> ModelWithdrawn:
    """Some bytes must not be served any more."""
    return ModelWithdrawn(
        name=ModelName("detector"),
        version=Version("2"),
        digest=digest,
        reason="sees ghosts",
        withdrawn_at=START,
    )


def asked(
    action: ControlAction, abort: AbortMode = AbortMode.REVERT, *, to_all: bool = False
) -> RolloutControlRequested:
    """An operator's word."""
    return RolloutControlRequested(
        rollout_id=HERE,
        action=action,
        abort=abort,
        to_all=to_all,
        requested_by="ann",
        requested_at=START,
    )
