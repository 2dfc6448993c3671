"""A robot's logs on real servers: collected by its bridge, stored once each, read by a person."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from msgspec.structs import replace

from fleetward.client import Fleet
from fleetward.client.access import Access
from fleetward.client.logs import LogReader, Shown
from fleetward.logs.choosing import Wanted
from testkit.servers import NatsSystem
from tests.integration.model_registry.command_line import environment_of
from tests.integration.model_registry.logging_robots import SEGMENT_S, WAIT_S, LoggingRobot, Wire

SEVERAL_KILLS = 4
UNIT = ("--unit", "navigation")


def wire_to(system: NatsSystem) -> Wire:
    port = urlsplit(system.url).port
    assert port is not None
    return Wire(port)


@pytest.fixture
async def wire(shared_nats_system: NatsSystem) -> AsyncIterator[Wire]:
    made = wire_to(shared_nats_system)
    yield made
    await made.stop()


@pytest.fixture
async def robot(
    fleet: Fleet,
    shared_nats_system: NatsSystem,
    wire: Wire,
    operator_access: Access,
    tmp_path: Path,
    registry_directory: Path,
) -> AsyncIterator[LoggingRobot]:
    assert fleet is not None
    made = LoggingRobot(
        shared_nats_system,
        tmp_path,
        registry_directory,
        environment_of(operator_access),
        nats_url=await wire.start(),
    )
    await made.enrol(shared_nats_system)
    await made.start()
    yield made
    await made.stop()


async def test_lines_of_another_program_are_read_by_a_person_each_once(robot: LoggingRobot) -> None:
    told = [f"step {number}" for number in range(500)]
    robot.write(*told[:250])
    await robot.shows(lambda bodies: told[249] in bodies, *UNIT)
    robot.navigation.rename(robot.navigation.with_suffix(".log.1"))
    robot.write(*told[250:])
    assert await robot.shows(lambda bodies: told[-1] in bodies, *UNIT) == told


async def test_person_chooses_by_severity_unit_and_time(robot: LoggingRobot) -> None:
    robot.write(
        '{"level":"info","message":"calm"}',
        '{"level":"error","message":"alarm","nats_token":"s3cr3t"}',
    )
    with socket.socket(socket.AF_UNIX) as program:
        program.connect(str(robot.socket))
        program.sendall(b"WARN low battery\n")
    await robot.shows(lambda bodies: {"alarm", "WARN low battery"} <= set(bodies))

    severe = await robot.bodies("--severity", "warning")
    assert {"alarm", "WARN low battery"} <= set(severe)
    assert "calm" not in severe
    assert await robot.bodies(*UNIT) == ["calm", "alarm"]
    assert await robot.bodies("--until", "1h") == []
    assert "bridge.started" in await robot.bodies("--unit", "edge-bridge")
    shown = await robot.logs(*UNIT)
    assert "ERROR navigation: alarm nats_token=[redacted]" in shown.output
    assert "s3cr3t" not in shown.output
    wrong = await robot.logs("--severity", "loud")
    assert (wrong.code, "use trace, debug" in wrong.complaint) == (2, True)


async def test_kill_9_of_bridge_and_collector_loses_and_doubles_no_line(
    robot: LoggingRobot,
) -> None:
    told: list[str] = []
    for kill in range(SEVERAL_KILLS):
        told += [f"step {kill} {number}" for number in range(200)]
        robot.write(*told[-200:-100])
        await robot.kill_collector()
        robot.write(*told[-100:])
        await robot.kill()
        await robot.start()
    robot.write("the end")
    shown = await robot.shows(lambda bodies: "the end" in bodies, *UNIT)
    assert shown == [*told, "the end"]


async def test_what_was_logged_while_the_hub_was_away_arrives_in_order(
    robot: LoggingRobot, wire: Wire
) -> None:
    robot.write("before")
    await robot.shows(lambda bodies: "before" in bodies, *UNIT)
    wire.cut()
    for number in range(3):
        robot.write(f"meanwhile {number}")
        await robot.holds_segments(number + 1)
    await robot.kill()
    await robot.start()
    robot.write("after")
    wire.mend()
    shown = await robot.shows(lambda bodies: "after" in bodies, *UNIT)
    assert shown == ["before", "meanwhile 0", "meanwhile 1", "meanwhile 2", "after"]


async def test_person_who_lost_the_hub_for_a_while_sees_what_came_meanwhile(
    robot: LoggingRobot, shared_nats_system: NatsSystem, operator_access: Access
) -> None:
    robot.write("before")
    await robot.shows(lambda bodies: "before" in bodies, *UNIT)
    wire = wire_to(shared_nats_system)
    far = replace(operator_access, bus=replace(operator_access.bus, url=await wire.start()))
    wanted, seen = Wanted(units=frozenset({"navigation"})), list[str]()
    async with asyncio.timeout(WAIT_S), Fleet.connect(access=far) as fleet:
        async for each in LogReader(fleet.connection, robot.id, wanted).follow():
            assert isinstance(each, Shown)
            seen.append(each.found.record.body)
            if seen == ["before"]:
                wire.cut()
                robot.write("meanwhile")
                await robot.shows(lambda bodies: "meanwhile" in bodies, *UNIT)
                wire.mend()
                robot.write("after")
            if "after" in seen:
                break
    await wire.stop()
    assert seen == ["before", "meanwhile", "after"]


async def test_outbox_that_is_full_loses_the_oldest_and_the_log_says_so(
    robot: LoggingRobot, wire: Wire
) -> None:
    robot.write("before")
    await robot.shows(lambda bodies: "before" in bodies, *UNIT)
    await robot.stop()
    wire.cut()
    robot.environment["FLEETWARD_LOG_OUTBOX_MIB"] = "0.002"
    await robot.start()
    told = ["before"]
    while "outbox.gave_up" not in robot.log():
        told.append(f"meanwhile {len(told)}")
        robot.write(told[-1])
        await asyncio.sleep(SEGMENT_S / 2)  # as a program does that goes on
    wire.mend()
    robot.write("after")
    shown = await robot.shows(lambda bodies: "after" in bodies, *UNIT)
    assert shown == [line for line in (*told, "after") if line in shown]
    assert shown[0] == "before"
    assert len(shown) < len(told) + 1
    assert "outbox.gave_up" in await robot.bodies("--unit", "edge-bridge")
    assert "missing here: the robot dropped them" in (await robot.logs()).complaint


async def test_warnings_are_seen_before_their_segment_and_once(
    fleet: Fleet, robot: LoggingRobot
) -> None:
    robot.write("first")
    await robot.shows(lambda bodies: "first" in bodies, *UNIT)
    wanted = Wanted(units=frozenset({"navigation"}))
    seen: list[str] = []
    async with asyncio.timeout(WAIT_S):
        async for each in LogReader(fleet.connection, robot.id, wanted).follow():
            assert isinstance(each, Shown)
            seen.append(each.found.record.body)
            if seen == ["first"]:
                robot.write("all is well", "WARN obstacle")
            if "all is well" in seen and "last" not in seen:
                robot.write("last")
            if "last" in seen:
                break
    assert seen == ["first", "WARN obstacle", "all is well", "last"]
