"""What the log of decisions costs: bytes and processor time beside writing the state itself.

.venv/bin/python -m tests.bench.decision_log
"""

from __future__ import annotations

import random
import time

from msgspec.structs import replace

from fleetward.contracts.codec import encode
from fleetward.contracts.rollout_rows import split
from fleetward.contracts.surroundings import NOTHING_AROUND
from rollout_coordinator.decision_log import given, logged, within_limit
from rollout_coordinator.fold import Told, decided
from rollout_coordinator.state_digest import digest_after, digest_of
from tests.unit.rollout_coordinator import scenes

CASES = ((10_000, 500, 40), (100, 100, 100), (5, 5, 200))
"""Robots of the rollout, windows in a decision, decisions."""
SEED = 1


def main() -> None:
    """Print a line for each case."""
    for robots, windows, decisions in CASES:
        print(_case(robots, windows, decisions))


def _case(robots: int, windows: int, decisions: int) -> str:
    chance = random.Random(SEED)
    rollout = split(
        replace(scenes.started(robots // 5, robots - robots // 5), revision=1), None
    ).whole
    digest = digest_of(rollout)
    log_s, log_bytes, state_bytes = 0.0, 0, 0
    for number in range(decisions):
        told = _told(chance, robots, windows, number)
        now = scenes.at(number)
        made = decided(rollout, told, now)
        stored = split(replace(made.step.rollout, revision=rollout.revision + 1), rollout)
        state_bytes += sum(len(encode(part)) for part in (stored.row, *stored.shards))
        began_s = time.process_time()
        within_limit(told)
        following = digest_after(stored, digest)
        inputs = given(made.mattered, NOTHING_AROUND)
        decision = logged(rollout, inputs, now, made.step, (digest, following))
        log_bytes += len(encode(decision))
        log_s += time.process_time() - began_s
        rollout, digest = stored.whole, following
    return (
        f"{robots} robots, {windows} windows: log {log_bytes / decisions / 1e3:.1f} kB and "
        f"{log_s / decisions * 1e3:.2f} ms a decision, state {state_bytes / decisions / 1e3:.1f} kB"
    )


def _told(chance: random.Random, robots: int, windows: int, number: int) -> list[Told]:
    """Windows of the next robots in turn, with numbers that do not repeat."""
    told: list[Told] = []
    for position in range(number * windows, (number + 1) * windows):
        window = scenes.summary(position % robots + 1, 2 + position // robots, scenes.OLD)
        noisy = replace(
            window, latency_ms_sum=chance.uniform(190, 210), confidence_sum=chance.uniform(17, 19)
        )
        told.append((noisy, scenes.at(number)))
    return told


if __name__ == "__main__":
    main()
