"""Canary and control robots whose windows go through the real evidence, one by one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from fleetward.contracts.evidence import Evidence
from fleetward.contracts.ids import Digest
from fleetward.contracts.rollouts import RobotPhase, Rollout, RolloutPolicy
from fleetward.contracts.telemetry import InferenceSummarized, SignalMoments
from fleetward.contracts.variants import wanted
from rollout_coordinator.evidence import with_summary
from rollout_coordinator.verdict import condemnation
from tests.unit.rollout_coordinator.scenes import OLD, at, planned, robot, summary

INFERENCES = 30
BEFORE = 5


class Like(Struct, frozen=True, kw_only=True):
    """How a robot does: its latency varies by a tenth from window to window, and by its number."""

    latency_ms: float = 20.0
    errors: int = 0
    """Of each window's inferences."""
    confidence: float = 0.9
    signals: dict[str, float] = {}
    site: str = ""
    hardware: str = ""


GOOD = Like()


class Trial(Struct, frozen=True):
    """A rollout whose first wave is the canary; what each robot does before and after the swap."""

    rollout: Rollout
    before: tuple[Like, ...]
    after: tuple[Like, ...]

    def windows(self, windows: int) -> Iterator[Evidence]:
        """The evidence after each window of each robot, from the swap on."""
        chance = np.random.default_rng(1)
        rollout = self.rollout
        canary = len(rollout.waves[0])
        for turn in range(-BEFORE, windows):
            for number, like in enumerate(self.after if turn >= 0 else self.before, 1):
                new = wanted(rollout, rollout.robots[robot(number)]).digest
                digest = new if number <= canary and turn >= 0 else OLD
                said = _window(number, turn, digest, like, chance)
                evidence = with_summary(rollout, said, at(100 + turn))
                rollout = replace(rollout, evidence=evidence)
                if turn >= 0:
                    yield evidence


def trial(
    canary: Sequence[Like],
    control: Sequence[Like],
    policy: RolloutPolicy,
    before: Sequence[Like] | None = None,
) -> Trial:
    """``before``: what the canary robots did on the old model; what the control does, if not given."""
    likes = (*canary, *control)
    rollout = planned(len(canary), len(control), policy=policy)
    robots = {
        robot(number): replace(
            rollout.robots[robot(number)],
            phase=RobotPhase.TARGETED if number <= len(canary) else RobotPhase.WAITING,
            site=like.site,
            hardware=like.hardware,
        )
        for number, like in enumerate(likes, 1)
    }
    usual = (*control, GOOD)[0]
    then = before if before is not None else [replace(usual, site=one.site) for one in canary]
    return Trial(replace(rollout, robots=robots), (*then, *control), likes)


def first_reason(trial: Trial, windows: int = 60) -> str:
    """The first condemnation by somebody who looks after every window."""
    policy, waves = trial.rollout.policy, len(trial.rollout.waves)
    reasons = (condemnation(seen, policy, waves) for seen in trial.windows(windows))
    return next(filter(None, reasons), "")


def _window(
    number: int, turn: int, digest: Digest, like: Like, chance: np.random.Generator
) -> InferenceSummarized:
    by_itself = 1 + 0.03 * (number % 5 - 2)
    latency_ms = like.latency_ms * by_itself * (1 + 0.1 * chance.standard_normal())
    said = summary(number, turn, digest, INFERENCES, latency_ms, like.errors)
    good = INFERENCES - like.errors
    signals = {
        name: SignalMoments(4, 4 * mean, 4 * (mean**2 + 1))
        for name, usual in like.signals.items()
        for mean in (usual + 0.5 * (number % 5 - 2),)
    }
    return replace(said, confidence_sum=good * like.confidence, signals=signals)
