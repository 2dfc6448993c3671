"""A robot's recording on real servers: asked for, cut, sent in parts, interrupted, resumed, read back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from uuid import uuid4

import aiohttp
import pytest
from mcap.reader import make_reader
from msgspec.structs import replace

from edge_bridge.fetching.throttle import Throttle
from edge_bridge.recorder.file import METADATA, messages_in
from edge_bridge.recorder.incidents import Stage
from edge_bridge.shipping.asking import ArrivedWrongError, UploadRefusedError
from fleetward.bus.errors import NoAnswerError, RefusedError
from fleetward.bus.publish import publish
from fleetward.bus.requests import ask
from fleetward.client import Fleet, recordings
from fleetward.client.access import Access
from fleetward.client.errors import RecordingRefusedError as RefusedByRobotError
from fleetward.contracts.alerts import AlertFired, Severity
from fleetward.contracts.ids import AlertName, RobotId
from fleetward.contracts.recordings import (
    MAX_RECORDING_BYTES,
    PART_BYTES,
    GrantUpload,
    RecordingMade,
    UploadGranted,
    asked_by,
)
from fleetward.contracts.robots import RobotEnrolled
from fleetward.contracts.rows import Principal
from testkit import command_line
from testkit.servers import NatsSystem
from tests.integration.alerting.rig import rig_on
from tests.integration.model_registry.command_line import environment_of
from tests.integration.model_registry.recording_robots import (
    LIMITS,
    WAIT_S,
    BridgeProcess,
    Broken,
    CutOffError,
    Recording,
    Sender,
    asked,
)


@pytest.fixture
async def sender(shared_nats_system: NatsSystem, tmp_path: Path) -> AsyncIterator[Sender]:
    made = Sender(f"arm-{uuid4().hex[:6]}", shared_nats_system, tmp_path)
    await made.link.open()
    yield made
    await made.link.close(1.0)


async def fetched(fleet: Fleet, robot: RobotId, made: RecordingMade, path: Path) -> bytes:
    await recordings.fetch(fleet.connection, robot, made.recording_id, path)
    return path.read_bytes()


async def test_upload_that_was_cut_off_goes_on_with_the_part_it_stopped_in(
    fleet: Fleet, sender: Sender, tmp_path: Path
) -> None:
    made = sender.made(2 * PART_BYTES + 1000)
    with pytest.raises(CutOffError):
        await sender.send(made, Broken(PART_BYTES + 100_000))

    sent_bytes = await sender.send(made, upload_id=sender.upload_ids[0])

    assert sent_bytes == PART_BYTES + 1000
    assert len(sender.upload_ids) == 1
    assert await fetched(fleet, sender.id, made, tmp_path / "got") == sender.path.read_bytes()
    (stored,) = await recordings.stored(fleet.connection, sender.id)
    assert stored.recording == made


async def test_command_line_lists_and_fetches_what_is_stored(
    fleet: Fleet, sender: Sender, operator_access: Access, tmp_path: Path
) -> None:
    made, environment = sender.made(1000), environment_of(operator_access)
    await sender.send(made)

    listed = await command_line.run(environment, "robot", "recordings", sender.id)
    assert (listed.code, made.recording_id in listed.output) == (0, True)
    got, words = str(tmp_path / "got.mcap"), ("robot", "recordings", sender.id, "--get")
    fetched = await command_line.run(environment, *words, made.recording_id, "-o", got)
    assert fetched.code == 0, fetched.complaint
    assert Path(got).read_bytes() == sender.path.read_bytes()
    unknown = await command_line.run(environment, *words, "nothing")
    assert (unknown.code, "has no recording nothing" in unknown.complaint) == (1, True)
    refused = await command_line.run(environment, "robot", "record", sender.id)
    assert (refused.code, "FLEETWARD_RECORDER=on" in refused.complaint) == (1, True)


async def test_slow_rate_is_no_stall(fleet: Fleet, sender: Sender) -> None:
    made = sender.made(3000)
    sender.limits = replace(LIMITS, bytes_per_s=4000.0, part_stall_s=0.2)
    assert await sender.send(made) == 3000


async def test_upload_that_moves_no_byte_is_given_up(fleet: Fleet, sender: Sender) -> None:
    class Stuck(Throttle):
        async def take(self, length: int) -> None:
            await asyncio.Event().wait()

    sender.limits = replace(LIMITS, part_stall_s=0.2)
    with pytest.raises(CutOffError):
        await sender.send(sender.made(3000), Stuck(None))


async def test_recording_that_is_stored_already_is_not_sent_again(
    fleet: Fleet, sender: Sender
) -> None:
    made = sender.made(1000)
    assert await sender.send(made) == 1000
    assert await sender.send(made, upload_id=sender.upload_ids[0]) == 0
    assert len(await recordings.stored(fleet.connection, sender.id)) == 1


async def test_bytes_that_are_not_what_the_robot_told_are_not_kept(
    fleet: Fleet, sender: Sender, tmp_path: Path
) -> None:
    made = sender.made(1000)
    sender.path.write_bytes(b"x" * 1000)
    with pytest.raises(ArrivedWrongError, match="not sha256"):
        await sender.send(made)
    with pytest.raises(RefusedError, match="has no recording"):
        await fetched(fleet, sender.id, made, tmp_path / "got")

    sender.made(1000)
    assert await sender.send(made) == 1000


async def test_recording_that_is_too_large_is_refused_for_good(
    fleet: Fleet, sender: Sender
) -> None:
    made = replace(sender.made(10), size_bytes=MAX_RECORDING_BYTES + 1)
    with pytest.raises(UploadRefusedError, match="recordings have 1 to"):
        await sender.send(made)


async def test_robot_cannot_upload_or_go_on_as_another(
    fleet: Fleet, sender: Sender, shared_nats_system: NatsSystem
) -> None:
    made = sender.made(1000)
    other = await shared_nats_system.connect("intruder")
    with pytest.raises(NoAnswerError):
        await ask(other, GrantUpload(robot_id=sender.id, recording=made), timeout_s=0.5)
    granted: UploadGranted = await ask(
        await shared_nats_system.connect(sender.id), GrantUpload(robot_id=sender.id, recording=made)
    )
    own: UploadGranted = await ask(
        other,
        GrantUpload(robot_id=RobotId("intruder"), recording=made, upload_id=granted.upload_id),
    )
    assert own.upload_id != granted.upload_id
    assert f"recordings/{sender.id}/" not in own.urls[1]
    async with aiohttp.ClientSession() as session:
        moved = own.urls[1].replace("recordings/intruder/", f"recordings/{sender.id}/")
        assert (await session.put(moved, data=b"mine")).status == 403
        assert (await session.get(own.urls[1])).status == 403


@pytest.fixture
def robot(
    fleet: Fleet, shared_nats_system: NatsSystem, tmp_path: Path, registry_directory: Path
) -> Recording:
    assert fleet is not None
    return Recording(shared_nats_system, tmp_path, registry_directory)


async def test_person_gets_what_was_before_and_after_and_nothing_else(
    fleet: Fleet, robot: Recording, tmp_path: Path
) -> None:
    async with robot.bridge() as bridge:
        long_ago_ns = int((datetime.now(timezone.utc) - timedelta(seconds=90)).timestamp() * 1e9)
        bridge.black_box.log("/plan", {"step": "forgotten"}, at_ns=long_ago_ns)
        bridge.black_box.log("/plan", {"step": "before"})
        requested = await asked(fleet, robot, after_s=0.5)
        bridge.black_box.log("/plan", {"step": "after"})
        stored = await recordings.arrived(fleet.connection, requested, sending_s=WAIT_S)
        bridge.black_box.log("/plan", {"step": "too late"})

    path = tmp_path / "got.mcap"
    path.write_bytes(await fetched(fleet, robot.id, stored.recording, tmp_path / "got"))
    with path.open("rb") as file:
        reader = make_reader(file)
        messages = [(channel.topic, message) for _, channel, message in reader.iter_messages()]
        (about,) = [each.metadata for each in reader.iter_metadata() if each.name == METADATA]
    assert [each.data for topic, each in messages if topic == "/plan"] == [
        b'{"step":"before"}',
        b'{"step":"after"}',
    ]
    assert {"/plan", "/facts"} <= {topic for topic, _ in messages}
    assert (about["robot_id"], about["reason"]) == (robot.id, "a test")
    assert about["clock_offset_s"]
    assert stored.recording.messages == len(messages)


async def test_alert_about_the_robot_is_heard_after_a_restart_too(
    fleet: Fleet, robot: Recording, shared_nats_system: NatsSystem
) -> None:
    async with robot.bridge() as bridge:
        bridge.black_box.log("/plan", {"step": "before"})
    now = datetime.now(timezone.utc)
    fired = AlertFired(
        robot_id=robot.id,
        alert=AlertName("TooHot"),
        incident=3,
        severity=Severity.CRITICAL,
        value=1.0,
        expression="hot",
        pending_since=now,
        fired_at=now,
    )
    alerting = await shared_nats_system.connect(Principal.ALERTING)
    requested = replace(asked_by(fired), after_s=0.2)
    await publish(alerting, requested)

    async with robot.bridge():
        stored = await recordings.arrived(fleet.connection, requested, sending_s=WAIT_S)

    assert stored.recording.alert == "TooHot"
    assert stored.recording.recording_id == asked_by(fired).recording_id


async def test_sample_over_its_budget_becomes_an_alert_and_that_a_stored_recording(
    fleet: Fleet, robot: Recording, shared_nats_system: NatsSystem, tmp_path: Path
) -> None:
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "own.yml").write_text(
        "groups: [{name: own, rules: [{alert: LoopLate, annotations: {record_after_s: '0.3'},"
        " expr: 'robot_control_loop_duration_seconds > 0.05'}]}]"
    )
    enroller = await shared_nats_system.connect(Principal.ENROLLER)
    enrolled = RobotEnrolled(
        robot_id=robot.id, labels={}, lease_s=3600.0, enrolled_at=datetime.now(timezone.utc)
    )
    await publish(enroller, enrolled)
    async with rig_on(shared_nats_system, tmp_path) as rig:
        await rig.alerting(tmp_path / "rules")
        async with robot.bridge() as bridge:
            bridge.black_box.log("/plan", {"step": "before"})
            bridge.record("robot.control_loop.duration", 0.2)
            await rig.receiver.count(1)
            (fired,) = [each for each in await rig.told(AlertFired) if each.robot_id == robot.id]
            stored = await recordings.arrived(fleet.connection, asked_by(fired), sending_s=WAIT_S)

    assert (stored.recording.alert, stored.recording.reason) == ("LoopLate", "LoopLate warning")
    await recordings.fetch(
        fleet.connection, robot.id, stored.recording.recording_id, tmp_path / "got"
    )
    told = [each for each in messages_in(tmp_path / "got") if each.topic == "/plan"]
    assert [each.content for each in told] == [b'{"step":"before"}']


async def test_recording_that_the_robot_refuses_is_not_waited_for(
    fleet: Fleet, robot: Recording, operator_access: Access
) -> None:
    robot.settings = replace(robot.settings, recorder=replace(LIMITS, outbox=0))
    async with robot.bridge():
        refused = await asked(fleet, robot, after_s=0.1)
        with pytest.raises(RefusedByRobotError, match="0 recordings are not sent yet"):
            await recordings.arrived(fleet.connection, refused, sending_s=WAIT_S)
        words = ("robot", "record", robot.id, "--wait")
        said = await command_line.run(environment_of(operator_access), *words)
    assert (said.code, "not sent yet" in said.complaint) == (1, True)


async def test_kill_9_while_it_waits_and_while_it_sends_costs_no_recording(
    fleet: Fleet, robot: Recording, tmp_path: Path
) -> None:
    slow = BridgeProcess(robot, tmp_path / "process", bytes_per_s=500)
    await slow.start()
    requested = await asked(fleet, robot, after_s=1.0)
    await slow.reaches(lambda incident: incident.stage is Stage.WAITING)
    await slow.kill()
    await slow.start()
    await slow.reaches(lambda incident: bool(incident.upload_id))
    await slow.kill()
    assert not await recordings.stored(fleet.connection, robot.id)

    fast = BridgeProcess(robot, tmp_path / "process", bytes_per_s=10**8)
    await fast.start()
    try:
        stored = await recordings.arrived(fleet.connection, requested, sending_s=WAIT_S)
        await fast.reaches(lambda incident: incident.stage is Stage.DONE)
    finally:
        await fast.stop()

    got = tmp_path / "got.mcap"
    await recordings.fetch(fleet.connection, robot.id, stored.recording.recording_id, got)
    assert {"/frames", "/facts"} <= {each.topic for each in messages_in(got)}
    assert not list(slow.incidents.glob("*.mcap"))
