"""A whole system of real processes, for faults that only the whole can survive."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import MappingProxyType

import onnx
import pytest
import pytest_asyncio
from msgspec import Struct

from examples.demo import releases, wheels
from fleetward.client.fleet import Fleet
from fleetward.contracts.rollouts import Rollout, RolloutPolicy, Strategy
from fleetward.local.child import Launch
from fleetward.local.programs import Settings, fleet
from fleetward.local.system import LocalSystem
from fleetward.local.up import local_system
from testkit import forked

ROBOTS = 2
FRAME_RATE_HZ = 8
QUICK = RolloutPolicy(
    wave_percents=(34, 100),
    bake_s=1.0,
    silent_after_s=60.0,
    min_inferences=5,
    proof_inferences=5,
    latency_tolerance=1000.0,
    confidence_tolerance=1.0,
    health_window_s=1.5,
)
"""Quick, and blind to the noise of two busy cores: these tests are about faults, not verdicts."""


class Fleetward(Struct, frozen=True):
    """A running system and an operator's way into it."""

    system: LocalSystem
    fleet: Fleet
    models: Path

    async def publish_build(self, number: int) -> str:
        """Publish v2 once more with another build number: other bytes, the same behaviour."""
        model = onnx.load(str(self.models / "v2.onnx"))
        model.metadata_props.add(key="build", value=str(number))
        path = self.system.home.path / f"build-{number}.onnx"
        path.write_bytes(model.SerializeToString())
        await self.fleet.push_model(path, releases.MODEL_NAME, f"build-{number}")
        return f"build-{number}"

    async def start(self, version: str, strategy: Strategy = Strategy.CANARY) -> Rollout:
        """Start a rollout of ``version`` to every robot."""
        return await self.fleet.start_rollout(
            f"{releases.MODEL_NAME}:{version}", "all", strategy=strategy, policy=QUICK
        )


@asynccontextmanager
async def running(
    home: Path,
    models: Path,
    robots: int = ROBOTS,
    programs: Mapping[str, Sequence[str]] = MappingProxyType({}),
    launch: Launch = forked.launch,
    environment: Mapping[str, str] = MappingProxyType({}),
) -> AsyncIterator[Fleetward]:
    """A system in ``home`` whose robots look at the demo's frames.

    programs: process name -> what is run in its place. launch: what starts services and bridges.
    environment: added to the robots'.
    """
    of_robots = {
        "FLEETWARD_FRAMES_DIR": str(models / "frames"),
        "FLEETWARD_FRAME_RATE_HZ": str(FRAME_RATE_HZ),
        "FLEETWARD_FRAME_HEIGHT_PX": str(releases.FRAME_HEIGHT_PX),
        "FLEETWARD_FRAME_WIDTH_PX": str(releases.FRAME_WIDTH_PX),
        "FLEETWARD_CHECK_IN_S": "1",
        **environment,
    }
    settings = Settings(
        home=home, robots=fleet(robots, of_robots), programs=programs, launch=launch
    )
    async with local_system(settings, print) as system, Fleet.connect(home) as operator:
        yield Fleetward(system, operator, models)


@pytest.fixture(scope="session")
def models() -> Path:
    """The demo's releases, made on first use."""
    destination = wheels.REPOSITORY / releases.DESTINATION
    releases.materialise(destination)
    return destination


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def fleetward(
    models: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Fleetward]:
    """One system for a module's tests, which run in its event loop."""
    async with running(tmp_path_factory.mktemp("system"), models) as system:
        yield system
