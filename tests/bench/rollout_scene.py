"""A coordinator and a swarm on a fresh system, and people who ask for rollouts there."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from datetime import datetime, timezone
from pathlib import Path

import psutil
from msgspec import Struct
from nats.aio.client import Client

from fleetward.bus.last_values import last_value
from fleetward.bus.publish import publish
from fleetward.contracts.ids import BootId, Digest, RobotId, RolloutId, model_selector
from fleetward.contracts.rollouts import Rollout, RolloutPolicy, RolloutRequested, Strategy
from fleetward.contracts.rows import Principal
from fleetward.contracts.telemetry import InferenceSummarized
from fleetward.local.child import Child
from testkit.swarm import Swarm, names, running_swarm, swarm_system
from tests.integration.rollout_coordinator.coordinator_process import (
    CoordinatorProcess,
    signing_key,
)
from tests.integration.rollout_coordinator.detector import record

SUMMARIES_PER_S = 500
"""Telemetry of all robots together; five thousand robots that summarize each second are ten times it."""
LIMIT_S = 420.0
LOOK_S = 0.1


class Scene(Struct, frozen=True):
    """One system with a swarm; ``people`` ask, ``services`` looks."""

    swarm: Swarm
    people: Client
    coordinator: psutil.Process
    registry: Client
    services: Client


@contextlib.asynccontextmanager
async def running_scene(size: int) -> AsyncIterator[Scene]:
    """A fresh server and coordinator, and robots that serve version 1."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory)
        system = swarm_system(path / "system")
        await system.start()
        coordinator = CoordinatorProcess(
            system, path / "one", signing_key(path / "keys"), launch=Child.start
        )
        await coordinator.start()
        try:
            registry = await system.connect(Principal.REGISTRY)
            await publish(registry, record())
            people = await system.connect(Principal.OPERATOR)
            ingest = await system.connect(Principal.INGEST)
            services = await system.connect(Principal.COORDINATOR)
            enroller = await system.connect(Principal.ENROLLER)
            robots = names(size)
            async with running_swarm(system, path / "keys" / "trust", robots, enroller) as swarm:
                telling = asyncio.ensure_future(_summaries(ingest, swarm))
                assert coordinator.child is not None
                process = psutil.Process(coordinator.child.pid)
                scene = Scene(swarm, people, process, registry, services)
                yield scene
                telling.cancel()
        finally:
            await coordinator.stop()
            await system.close_connections()
            await system.stop()


_VERSIONS = itertools.cycle(("1", "2", "3"))
_NUMBERS = itertools.count(1)


async def ask(people: Client, strategy: Strategy, policy: RolloutPolicy) -> RolloutId:
    wanted = RolloutId(f"bench-{next(_NUMBERS)}")
    request = RolloutRequested(
        rollout_id=wanted,
        model=model_selector(f"detector:{next(_VERSIONS)}"),
        selector="all",
        strategy=strategy,
        policy=policy,
        requested_by="bench",
        requested_at=utc_now(),
    )
    await publish(people, request)
    return wanted


async def until(people: Client, wanted: RolloutId, holds: Callable[[Rollout], bool]) -> Rollout:
    async with asyncio.timeout(LIMIT_S):
        while True:
            row = await last_value(people, Rollout, rollout_id=wanted)
            if row is not None and holds(row.event):
                return row.event
            await asyncio.sleep(LOOK_S)


async def _summaries(ingest: Client, swarm: Swarm) -> None:
    """What telemetry-ingest would say of some of the robots at a time, in turn: all is well."""
    for window in itertools.count(1):
        began_s = time.monotonic()
        robots = list(swarm.robots.values())
        for start in range(0, len(robots), SUMMARIES_PER_S):
            some = robots[start : start + SUMMARIES_PER_S]
            said = [
                publish(ingest, _summary(each.robot_id, each.serves, window), timeout_s=60)
                for each in some
                if each.serves is not None
            ]
            await asyncio.gather(*said)
            began_s += 1.0
            await asyncio.sleep(max(0.0, began_s - time.monotonic()))


def _summary(robot: RobotId, serves: Digest, window: int) -> InferenceSummarized:
    return InferenceSummarized(
        robot_id=robot,
        boot_id=BootId("boot"),
        window=window,
        digest=serves,
        started_at=utc_now(),
        duration_s=1.0,
        inferences=10,
        latency_ms_sum=100.0,
        latency_ms_sum_of_squares=1010.0,
        confidence_count=10,
        confidence_sum=9.0,
        confidence_sum_of_squares=8.2,
    )


def utc_now() -> datetime:
    """The clock."""
    return datetime.now(timezone.utc)
