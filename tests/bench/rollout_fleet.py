"""Rollouts over 100 to 10,000 simulated robots: time, processor and memory of one coordinator.

The robots speak the real contracts over a real server (``testkit.swarm``), and telemetry of what they
serve arrives at a bounded rate. The coordinator is a process of its own, with one that signs,
and so is its figure. Everything is done ``TIMES`` times, and the median is told: one rollout of a
thousand robots takes a third of a second of processor, and the next a third of that more or less.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Sequence

import numpy as np
import psutil
from msgspec import Struct
from msgspec.structs import replace

from fleetward.bus.batch import Write, write_atomically
from fleetward.bus.last_values import last_values, last_values_of
from fleetward.bus.publish import publish
from fleetward.bus.stored_rollouts import read_rollout
from fleetward.contracts.control import ControlAction, RolloutControlRequested
from fleetward.contracts.ids import RobotId, RolloutId
from fleetward.contracts.robots import SignedTarget
from fleetward.contracts.rollout_events import RolloutHalted
from fleetward.contracts.rollouts import (
    FINAL_STATES,
    MAX_TARGETS_PER_STEP,
    RobotPhase,
    RolloutPolicy,
    RolloutState,
    Strategy,
)
from tests.bench.measurement import Measurement
from tests.bench.rollout_scene import LIMIT_S, LOOK_S, Scene, ask, running_scene, until, utc_now

SIZES = (100, 1_000, 10_000)
TIMES = {100: 5, 1_000: 5, 10_000: 3}
MIB = 1024 * 1024
MAX_MEMORY_MIB = 300
MAX_SKEW_MS = 100
MIN_RATE = 0.5
SWITCHING = 1_000
POLICY = RolloutPolicy(
    wave_percents=(1, 10, 100),
    bake_s=0.5,
    silent_after_s=300,
    min_inferences=5,
    min_success_percent=99,
)


class Ran(Struct, frozen=True):
    """A rollout: seconds from request to end, and the coordinator's processor seconds in them."""

    took_s: float
    cpu_s: float


class TakenBack(Struct, frozen=True):
    """An abort: seconds from the decision to the last target, and targets a second beside the raw rate."""

    took_s: float
    rate: float
    raw: float

    @property
    def ratio(self) -> float:
        """Of the raw rate."""
        return self.rate / self.raw


async def measure() -> list[Measurement]:
    """Every size in turn, each on a fresh system."""
    found: list[Measurement] = []
    cpu_per_robot: dict[tuple[int, Strategy], float] = {}
    for size in SIZES:
        async with running_scene(size) as scene:
            await _rolled_out(scene, Strategy.ALL_AT_ONCE, size)
            for strategy in (Strategy.CANARY, Strategy.ROLLING, Strategy.BLUE_GREEN):
                ran = _median(
                    [await _rolled_out(scene, strategy, size) for _ in range(TIMES[size])]
                )
                cpu_per_robot[size, strategy] = ran.cpu_s / size
                found += _cost(size, strategy, ran, cpu_per_robot)
                if strategy is Strategy.BLUE_GREEN and size == SWITCHING:
                    found.append(_skew(scene))
            found.append(_rate(size, [await _taken_back(scene, size) for _ in range(TIMES[size])]))
            if size == max(SIZES):
                found.append(_memory(scene, size))
    return found


async def _rolled_out(scene: Scene, strategy: Strategy, size: int) -> Ran:
    """One rollout of another version to everybody, from the request to its end."""
    policy = _policy(size)
    cpu_s, began_s = _cpu_s(scene.coordinator), time.monotonic()
    wanted = await ask(scene.people, strategy, policy)
    ended = await until(scene.people, wanted, lambda rollout: rollout.state in FINAL_STATES)
    assert ended.state is RolloutState.SUCCEEDED, ended.reason
    return Ran(time.monotonic() - began_s, _cpu_s(scene.coordinator) - cpu_s)


def _median(ran: Sequence[Ran]) -> Ran:
    """Of each figure by itself."""
    return Ran(
        statistics.median(each.took_s for each in ran),
        statistics.median(each.cpu_s for each in ran),
    )


def _policy(size: int) -> RolloutPolicy:
    """A tenth of the robots at a time where that is asked, and a lead that covers writing to all."""
    places = max(1, size // 10)
    return replace(
        POLICY,
        switch_lead_s=4.0 + size / 200,
        max_unavailable=places,
        max_unavailable_per_site=places,
    )


def _cpu_s(process: psutil.Process) -> float:
    return sum(used.user + used.system for used in (each.cpu_times() for each in _all(process)))


def _all(process: psutil.Process) -> list[psutil.Process]:
    """With the process that signs, once there is one."""
    return [process, *process.children()]


def _cost(
    size: int, strategy: Strategy, ran: Ran, cpu_per_robot: dict[tuple[int, Strategy], float]
) -> list[Measurement]:
    before = cpu_per_robot.get((size // 10, strategy)) if size == max(SIZES) else None
    now = ran.cpu_s / size
    ratio = now / before if before else None
    return [
        Measurement(
            name=f"{strategy.value}, {size:,} robots: request to end", value=ran.took_s, unit="s"
        ),
        Measurement(
            name=f"{strategy.value}, {size:,} robots: coordinator's processor per robot",
            value=now * 1e3,
            unit="ms",
            ratio=ratio,
            against=f"the same at {size // 10:,} robots" if before else "",
            goal="growth no worse than linear" if before else "",
            met=ratio <= 1.0 if ratio is not None else None,
        ),
    ]


def _skew(scene: Scene) -> Measurement:
    """How far apart robots switched, each by a clock of its own that is off by up to 30 s."""
    at = np.array([robot.switched_at for robot in scene.swarm.robots.values()])
    skew_ms = float(np.percentile(np.abs(at - np.median(at)), 99) * 1e3)
    return Measurement(
        name=f"blue-green, {len(at):,} robots: switch skew p99",
        value=skew_ms,
        unit="ms",
        goal=f"< {MAX_SKEW_MS} ms",
        met=skew_ms < MAX_SKEW_MS,
    )


async def _taken_back(scene: Scene, size: int) -> TakenBack:
    """From the decision to abort to the last robot's target, by the server's own times.

    Something else is rolled out first, or the third of them would ask for what the robots serve.
    """
    await _rolled_out(scene, Strategy.ALL_AT_ONCE, size)
    policy = replace(POLICY, bake_s=3600)
    wanted = await ask(scene.people, Strategy.ALL_AT_ONCE, policy)
    await _all_proved(scene, wanted, size)
    abort = RolloutControlRequested(
        rollout_id=wanted, action=ControlAction.ABORT, requested_by="bench", requested_at=utc_now()
    )
    await publish(scene.people, abort)
    await until(scene.people, wanted, lambda rollout: rollout.state in FINAL_STATES)
    halted = await last_values(scene.services, RolloutHalted, rollout_id=wanted)
    robots = list(scene.swarm.robots)
    targets = await last_values_of(scene.services, SignedTarget, "robot_id", robots)
    last = max(value.stored_at for value in targets)
    took_s = (last - halted[0].stored_at).total_seconds()
    rate = size / took_s if took_s > 0 else float("inf")
    return TakenBack(took_s, rate, await _raw_rate(scene, list(robots)))


def _rate(size: int, aborts: Sequence[TakenBack]) -> Measurement:
    """The abort whose ratio is the median, as it was."""
    abort = sorted(aborts, key=lambda each: each.ratio)[len(aborts) // 2]
    lowest = min(each.ratio for each in aborts)
    return Measurement(
        name=f"abort, {size:,} robots: decision to last target written",
        value=abort.took_s,
        unit="s",
        ratio=abort.ratio,
        against=f"atomic batches of signed targets alone: {abort.raw:,.0f}/s; ours {abort.rate:,.0f}/s; "
        f"of {len(aborts)} the lowest {lowest:.2f}x",
        goal=f">= {MIN_RATE}x of that rate",
        met=abort.ratio >= MIN_RATE if size > MAX_TARGETS_PER_STEP else None,
    )


async def _all_proved(scene: Scene, wanted: RolloutId, size: int) -> None:
    async with asyncio.timeout(LIMIT_S):
        while True:
            kept = await read_rollout(scene.people, wanted)
            if kept is not None:
                phases = [held.phase for held in kept.event.robots.values()]
                if phases.count(RobotPhase.PROVED) == size:
                    return
            await asyncio.sleep(LOOK_S)


async def _raw_rate(scene: Scene, robots: Sequence[RobotId]) -> float:
    """Targets a second that the same server takes in the same batches when nothing is decided."""
    stored = await last_values_of(scene.services, SignedTarget, "robot_id", robots[:1])
    like = stored[0].event
    writes = [
        Write(replace(like, robot_id=RobotId(f"raw-{number}")))
        for number in range(max(len(robots), MAX_TARGETS_PER_STEP))
    ]
    began_s = time.monotonic()
    for start in range(0, len(writes), MAX_TARGETS_PER_STEP):
        await write_atomically(scene.services, writes[start : start + MAX_TARGETS_PER_STEP])
    return len(writes) / (time.monotonic() - began_s)


def _memory(scene: Scene, size: int) -> Measurement:
    used = sum(each.memory_info().rss for each in _all(scene.coordinator)) / MIB
    return Measurement(
        name=f"coordinator's resident memory after {size:,} robots",
        value=used,
        unit="MiB",
        goal=f"<= {MAX_MEMORY_MIB} MiB",
        met=used <= MAX_MEMORY_MIB,
    )
