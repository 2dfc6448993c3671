"""The facts a robot reports about a target, from what it knows when they happen."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from edge_bridge.converging.converge import Memory
from edge_bridge.workers.comparison import Comparison
from edge_bridge.workers.protocol import Ready
from edge_bridge.workers.slots import FellBack
from fleetward.contracts.robots import (
    ActivationFailed,
    ActivationStage,
    ModelActivated,
    ModelFellBack,
    ModelShadowed,
    ModelStaged,
    RobotTarget,
)
from fleetward.contracts.wording import shortened


class Proof(Struct, frozen=True, kw_only=True):
    """What a model showed before it counted as the robot's own. warm_up: None, it was warm already."""

    inferences: int
    swap_ms: float
    warm_up: Ready | None
    switch_late_s: float | None = None


def activated(target: RobotTarget, proof: Proof, memory: Memory, now: datetime) -> ModelActivated:
    """The target is reached and proved."""
    return ModelActivated(
        robot_id=target.robot_id,
        rollout_id=target.rollout_id,
        generation=target.generation,
        model=target.model,
        digest=target.digest,
        inferences=proof.inferences,
        swap_ms=proof.swap_ms,
        warm_up_ms=proof.warm_up.warm_up_ms if proof.warm_up else 0.0,
        bytes_fetched=memory.bytes_fetched,
        bytes_planned=memory.bytes_planned,
        fetch_remarks=memory.fetch_remarks,
        backend=proof.warm_up.backend if proof.warm_up else "",
        engine_key=proof.warm_up.engine_key if proof.warm_up else "",
        load_remarks=proof.warm_up.remarks if proof.warm_up else (),
        switch_late_s=proof.switch_late_s,
        activated_at=now,
    )


def staged(
    target: RobotTarget,
    warm_up_ms: float,
    memory: Memory,
    clock_offset_s: float | None,
    now: datetime,
) -> ModelStaged:
    """The target's model is warm and serves nobody yet."""
    return ModelStaged(
        robot_id=target.robot_id,
        rollout_id=target.rollout_id,
        generation=target.generation,
        model=target.model,
        digest=target.digest,
        warm_up_ms=warm_up_ms,
        bytes_fetched=memory.bytes_fetched,
        bytes_planned=memory.bytes_planned,
        clock_offset_s=clock_offset_s,
        staged_at=now,
    )


def shadowed(target: RobotTarget, seen: Comparison, now: datetime) -> ModelShadowed:
    """The target's model saw enough frames beside the one that serves."""
    return ModelShadowed(
        robot_id=target.robot_id,
        rollout_id=target.rollout_id,
        generation=target.generation,
        model=target.model,
        digest=target.digest,
        frames=seen.frames,
        errors=seen.errors,
        divergence=seen.divergence(),
        incomparable=seen.incomparable(),
        latency_ms_mean=seen.latency_ms_mean,
        serving_latency_ms_mean=seen.serving_latency_ms_mean,
        shadowed_at=now,
    )


def failed(
    target: RobotTarget, stage: ActivationStage, reason: str, now: datetime
) -> ActivationFailed:
    """The target cannot be reached."""
    return ActivationFailed(
        robot_id=target.robot_id,
        rollout_id=target.rollout_id,
        generation=target.generation,
        model=target.model,
        stage=stage,
        reason=shortened(reason, REASON_LIMIT_CHARACTERS),
        failed_at=now,
    )


def fell_back(target: RobotTarget, fall: FellBack, now: datetime) -> ModelFellBack:
    """The model that ``target`` had brought was left again."""
    return ModelFellBack(
        robot_id=target.robot_id,
        rollout_id=target.rollout_id,
        generation=target.generation,
        from_digest=fall.from_digest,
        to_digest=fall.to_digest,
        reason=shortened(fall.reason, REASON_LIMIT_CHARACTERS),
        fell_back_at=now,
    )


REASON_LIMIT_CHARACTERS = 2_000
"""A runtime's error may be as long as a graph; the catalog's size limit is 16 KiB."""
