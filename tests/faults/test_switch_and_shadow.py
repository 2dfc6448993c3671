"""Blue-green and shadow over the whole real system: three bridges, real workers, real services."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import pytest
import pytest_asyncio
from msgspec import Struct
from msgspec.structs import replace
from nats.aio.msg import Msg

from fleetward.client.fleet import Fleet
from fleetward.contracts.catalog import row_of
from fleetward.contracts.codec import decode
from fleetward.contracts.event import Event
from fleetward.contracts.robots import ModelActivated, ModelShadowed, ModelStaged
from fleetward.contracts.rollouts import Rollout, RolloutPolicy, RolloutState, Strategy
from fleetward.local.programs import Settings, fleet
from fleetward.local.up import local_system
from testkit import forked
from tests.faults.conftest import QUICK
from tests.integration.edge_slots import tiny_models

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow]

ROBOTS = 3
NAME = "tiny"
SWITCHED = replace(QUICK, bake_s=0.5, switch_lead_s=3.0)
SHADOWED = replace(QUICK, hold_s=0.5, max_divergence=0.01)
_Fact = TypeVar("_Fact", bound=Event)


class Robots(Struct, frozen=True):
    """The running system as an operator sees it."""

    fleet: Fleet
    directory: Path

    async def publish(self, version: str, gain: float) -> str:
        """A model that answers the brightness of a frame, times ``gain``."""
        model = tiny_models.brightness(self.directory, version, gain=gain)
        await self.fleet.push_model(model.path, NAME, version)
        return version

    async def roll_out(
        self, version: str, strategy: Strategy, policy: RolloutPolicy = SWITCHED
    ) -> Rollout:
        """How a rollout to every robot ended."""
        started = await self.fleet.start_rollout(
            f"{NAME}:{version}", "all", strategy=strategy, policy=policy
        )
        return await self.fleet.wait_rollout(started.rollout_id, timeout_s=60)

    async def dropped(self) -> dict[str, int]:
        """Frames that no model answered, by robot."""
        statuses = await self.fleet.robots()
        return {each.enrolled.robot_id: each.last.frames_dropped for each in statuses if each.last}

    @asynccontextmanager
    async def heard(self, kind: type[_Fact]) -> AsyncIterator[list[_Fact]]:
        """What robots report inside the block."""
        facts: list[_Fact] = []

        async def keep(message: Msg) -> None:
            facts.append(decode(message.data, kind))

        subscription = await self.fleet.connection.subscribe(row_of(kind).pattern, cb=keep)
        await self.fleet.connection.flush()
        yield facts
        await self.fleet.connection.flush()
        await subscription.unsubscribe()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def robots(models: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Robots]:
    """Three robots that see the demo's frames, 8 pixels wide, five times a second."""
    home = tmp_path_factory.mktemp("system")
    environment = {
        "FLEETWARD_FRAMES_DIR": str(models / "frames"),
        "FLEETWARD_FRAME_RATE_HZ": "5",
        "FLEETWARD_FRAME_HEIGHT_PX": str(tiny_models.SIDE_PX),
        "FLEETWARD_FRAME_WIDTH_PX": str(tiny_models.SIDE_PX),
        "FLEETWARD_CHECK_IN_S": "0.5",
    }
    settings = Settings(home=home, robots=fleet(ROBOTS, environment), launch=forked.launch)
    async with local_system(settings, print), Fleet.connect(home) as operator:
        running = Robots(operator, tmp_path_factory.mktemp("models"))
        await running.publish("1", gain=1.0)
        served = await running.roll_out("1", Strategy.ALL_AT_ONCE)
        assert served.state is RolloutState.SUCCEEDED, served.reason
        yield running


async def test_a_fleet_switches_at_one_instant_and_back_without_a_byte_or_a_lost_frame(
    robots: Robots,
) -> None:
    await robots.publish("2", gain=0.9)
    before = await robots.dropped()
    async with robots.heard(ModelStaged) as staged, robots.heard(ModelActivated) as switched:
        there = await robots.roll_out("2", Strategy.BLUE_GREEN)
        assert there.state is RolloutState.SUCCEEDED, there.reason
        back = await robots.roll_out("1", Strategy.BLUE_GREEN)
        assert back.state is RolloutState.SUCCEEDED, back.reason
    assert [fact.bytes_fetched > 0 for fact in staged] == [True] * ROBOTS + [False] * ROBOTS
    assert [fact.bytes_fetched for fact in switched] == [0] * (2 * ROBOTS)
    assert [fact.model.version for fact in switched] == ["2"] * ROBOTS + ["1"] * ROBOTS
    for switch in (switched[:ROBOTS], switched[ROBOTS:]):
        late_s = [fact.switch_late_s for fact in switch if fact.switch_late_s is not None]
        assert len(late_s) == ROBOTS
        assert min(late_s) >= 0
        assert max(late_s) - min(late_s) < SWITCHED.switch_lead_s / 2
    await asyncio.sleep(1.0)  # every robot checks in twice more
    assert await robots.dropped() == before


async def test_a_shadow_with_the_same_weights_passes_and_one_that_differs_is_refused(
    robots: Robots,
) -> None:
    await robots.publish("same", gain=1.0)
    await robots.publish("other", gain=0.5)
    async with robots.heard(ModelShadowed) as shadowed, robots.heard(ModelActivated) as activated:
        passed = await robots.roll_out("same", Strategy.SHADOW, SHADOWED)
        refused = await robots.roll_out("other", Strategy.SHADOW, SHADOWED)
    assert passed.state is RolloutState.SUCCEEDED, passed.reason
    assert refused.state is RolloutState.REVERTED
    assert any("output y differs" in robot.reason for robot in refused.robots.values()) or (
        "output y differs" in refused.reason
    )
    same = [fact for fact in shadowed if fact.model.version == "same"]
    assert [fact.divergence for fact in same] == [{"y": 0.0}] * ROBOTS
    assert {fact.model.version for fact in activated} <= {"1"}, "no shadow ever served"
