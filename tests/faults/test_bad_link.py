"""A robot at the end of a bad link: 64 kbit/s, 30 % loss, another address in the middle of a fetch.

Everything is real, the robot's network too (``testkit.bad_link``). Whatever the link does: a rollout's
target arrives and is served, no byte of a model comes twice, each event and sample is stored once, no
frame waits for the network, and check-ins are not held up by what is big.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path

import onnx
import pytest
import pytest_asyncio
from msgspec import Struct
from nats.aio.msg import Msg

from fleetward.bus.history import history
from fleetward.client.fleet import Fleet
from fleetward.contracts import signals
from fleetward.contracts.catalog import row_of
from fleetward.contracts.codec import decode
from fleetward.contracts.ids import RobotId
from fleetward.contracts.robots import ModelActivated, RobotCheckedIn
from fleetward.contracts.rollouts import RolloutState, Strategy
from fleetward.local.child import Child, Command
from fleetward.local.programs import Settings, fleet, process_of
from fleetward.local.up import local_system
from testkit import forked
from testkit.bad_link import BadLink, bad_link
from tests.faults.conftest import QUICK, Fleetward
from tests.faults.fleet_facts import eventually
from tests.integration.edge_slots import tiny_models

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow]

ROBOT = RobotId("robot-1")
NAME = "tiny"
PADDING_BYTES = 60_000
CHECK_IN_S = 1.0
LATEST_CHECK_IN_S = 6.0
"""Behind 2 s of a fetch down and 1 s of telemetry up, on two busy cores; without portions it were 10 s."""
LATEST_AFTER_A_MOVE_S = 20.0
"""12 s of silence are its limit, see Settings.link_silence_s."""
FRAME_RATE_HZ = 5
LONGEST_WITHOUT_A_RESULT_S = 1.5
KBIT_64_BYTES_PER_S = 8_000.0
WAY_S = 0.05
DARK_S = 8.0
SAMPLE_EVERY_S = 1.0
SECONDS = timedelta(seconds=1)


class Robot(Struct, frozen=True):
    """One robot, its link and an operator's way to its fleet."""

    system: Fleetward
    link: BadLink
    directory: Path

    async def publish(self, version: str, gain: float) -> None:
        """A model that takes its time at 64 kbit/s."""
        made = tiny_models.brightness(self.directory, version, gain=gain).path
        model = onnx.load(made)
        noise = random.Random(version).randbytes(PADDING_BYTES)
        padding = onnx.TensorProto.UINT8
        model.graph.initializer.append(
            onnx.helper.make_tensor("padding", padding, [PADDING_BYTES], noise, raw=True)
        )
        onnx.save(model, made)
        await self.system.fleet.push_model(made, NAME, version)

    async def is_taken_to(self, version: str) -> ModelActivated:
        """Roll out; what the robot says of it, once, and having fetched no byte twice."""
        started = await self.system.fleet.start_rollout(
            f"{NAME}:{version}", "all", strategy=Strategy.ALL_AT_ONCE, policy=QUICK
        )
        ended = await self.system.fleet.wait_rollout(started.rollout_id, timeout_s=120)
        assert ended.state is RolloutState.SUCCEEDED, ended.reason
        connection = self.system.fleet.connection
        told = [fact async for fact in history(connection, ModelActivated, robot_id=ROBOT)]
        (activated,) = (fact for fact in told if fact.model.version == version)
        assert activated.bytes_fetched == activated.bytes_planned > 0
        return activated

    async def stored(self, signal: signals.Signal, since: datetime) -> list[datetime]:
        """When the stored samples of a signal were taken."""
        end = datetime.now(timezone.utc) + SECONDS
        answer = await self.system.fleet.telemetry(signal.name, start=since, end=end, robot=ROBOT)
        return [datetime.fromtimestamp(each.at_ns / 1e9, timezone.utc) for each in answer.samples]

    async def assert_told_all_once(self, since: datetime) -> None:
        """Every sample since then is stored, once, and frames were answered all the time."""
        until = datetime.now(timezone.utc)

        async def caught_up() -> bool:
            taken = await self.stored(signals.PROCESS_UPTIME, since)
            return bool(taken) and taken[-1] >= until

        await eventually(caught_up)
        uptimes = await self.stored(signals.PROCESS_UPTIME, since)
        assert len(uptimes) == len(set(uptimes)), "no sample twice"
        assert longest_gap_s(uptimes) < 2 * SAMPLE_EVERY_S, "none is missing"
        results = await self.stored(signals.INFERENCE_DURATION, since)
        assert len(results) == len(set(results))
        assert longest_gap_s([since, *results]) < LONGEST_WITHOUT_A_RESULT_S


class CheckIns(Struct):
    """What the robot said, and when that reached the hub."""

    arrived: list[tuple[datetime, RobotCheckedIn]]

    def assert_told_of_a_serving_model(self) -> None:
        for _, said in self.arrived:
            assert said.active_model is not None
            assert said.frames_dropped == said.frames_failed == 0

    def longest_wait_s(self) -> float:
        """Between two that arrived."""
        return longest_gap_s([at for at, _ in self.arrived])


def longest_gap_s(instants: list[datetime]) -> float:
    steps = (after - before for before, after in itertools.pairwise(sorted(instants)))
    return max(steps).total_seconds()


@asynccontextmanager
async def check_ins(robot: Robot) -> AsyncIterator[CheckIns]:
    """Those that arrive inside the block."""
    heard = CheckIns([])

    async def keep(message: Msg) -> None:
        heard.arrived.append((datetime.now(timezone.utc), decode(message.data, RobotCheckedIn)))

    connection = robot.system.fleet.connection
    subscription = await connection.subscribe(row_of(RobotCheckedIn).pattern, cb=keep)
    await connection.flush()
    yield heard
    await subscription.unsubscribe()


def behind(link: BadLink, home: Path, models: Path, **more: str) -> Settings:
    """A system of which the one robot alone is behind the link. more: further variables of its bridge."""
    environment = {
        "FLEETWARD_FRAMES_DIR": str(models / "frames"),
        "FLEETWARD_FRAME_RATE_HZ": str(FRAME_RATE_HZ),
        "FLEETWARD_FRAME_HEIGHT_PX": str(tiny_models.SIDE_PX),
        "FLEETWARD_FRAME_WIDTH_PX": str(tiny_models.SIDE_PX),
        "FLEETWARD_CHECK_IN_S": str(CHECK_IN_S),
        **more,
    }

    def launch(command: Command) -> Child:
        is_robot = command.name == process_of(ROBOT)
        return link.launch(command) if is_robot else forked.launch(command)

    return Settings(home=home, robots=fleet(1, environment), launch=launch)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def robot(models: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Robot]:
    """It serves its first model; its link is perfect so far."""
    home = tmp_path_factory.mktemp("system")
    with bad_link() as link:
        settings = behind(link, home, models)
        async with local_system(settings, print) as system, Fleet.connect(home) as operator:
            directory = tmp_path_factory.mktemp("models")
            running = Robot(Fleetward(system, operator, models), link, directory)
            for version, gain in (("first", 1.0), ("slow", 0.9), ("lost", 0.8), ("moved", 0.7)):
                await running.publish(version, gain)
            await running.is_taken_to("first")
            yield running
            link.mend()


async def test_at_64_kbit_a_fetch_and_a_replayed_spool_leave_room_for_what_is_small(
    robot: Robot,
) -> None:
    since = datetime.now(timezone.utc)
    robot.link.set(bytes_per_s=KBIT_64_BYTES_PER_S, delay_s=WAY_S, queue_bytes=64 * 1024)
    robot.link.set(loss=1.0)
    await asyncio.sleep(DARK_S)  # telemetry piles up
    robot.link.set(loss=0.0)
    async with check_ins(robot) as heard:
        await robot.is_taken_to("slow")
    heard.assert_told_of_a_serving_model()
    assert heard.longest_wait_s() < LATEST_CHECK_IN_S
    robot.link.mend()
    await robot.assert_told_all_once(since)


async def test_with_three_of_ten_packets_lost_a_rollout_arrives_and_is_told_of_once(
    robot: Robot,
) -> None:
    since = datetime.now(timezone.utc)
    robot.link.set(loss=0.3, delay_s=WAY_S / 2)
    async with check_ins(robot) as heard:
        await robot.is_taken_to("lost")
    heard.assert_told_of_a_serving_model()
    robot.link.mend()
    await robot.assert_told_all_once(since)


async def test_a_robot_whose_address_changes_in_a_fetch_is_back_soon_and_goes_on_with_it(
    robot: Robot,
) -> None:
    since = datetime.now(timezone.utc)
    robot.link.set(bytes_per_s=2 * KBIT_64_BYTES_PER_S)

    async def fetching() -> bool:
        return any(said.fetching and said.fetching.bytes_done for _, said in heard.arrived)

    async def move() -> datetime:
        await eventually(fetching)
        robot.link.move()  # nobody is told: both ends' connections are dead
        robot.link.mend()
        return datetime.now(timezone.utc)

    async with check_ins(robot) as heard:
        moving = asyncio.ensure_future(move())
        activated = await robot.is_taken_to("moved")
    moved_at = await moving
    assert activated.activated_at > moved_at
    heard.assert_told_of_a_serving_model()
    assert heard.longest_wait_s() < LATEST_AFTER_A_MOVE_S
    await robot.assert_told_all_once(since)
