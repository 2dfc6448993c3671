"""A program sees robots, frames and alerts as they are, and speaks only for itself."""

from __future__ import annotations

import asyncio
import struct
from datetime import datetime, timedelta, timezone
from pathlib import Path
from uuid import uuid4

import pytest
from msgspec import structs

from fleetward.bus.errors import PublishError
from fleetward.bus.last_values import last_value
from fleetward.bus.publish import publish
from fleetward.client import AlertState, Fleet, NoSystemError, samples_of
from fleetward.client.access import Access
from fleetward.contracts.alerts import AlertBecameUnknown, AlertFired, Severity
from fleetward.contracts.ids import (
    BootId,
    ModelRef,
    model_name,
    robot_id,
    rollout_id,
    version,
)
from fleetward.contracts.recordings import RecordingRequested, asked_by
from fleetward.contracts.robots import (
    ActivationFailed,
    ActivationStage,
    ModelActivated,
    ModelFellBack,
    RobotCheckedIn,
    RobotEnrolled,
)
from fleetward.contracts.rows import Principal
from fleetward.contracts.telemetry import Series, TelemetryFrame
from testkit.servers import NatsSystem
from testkit.telemetry import digest_of

NOW = datetime.now(timezone.utc)


@pytest.fixture
def robot() -> str:
    """A robot id that no other test uses."""
    return f"arm-{uuid4().hex[:8]}"


def checked_in(robot: str, at: datetime) -> RobotCheckedIn:
    return RobotCheckedIn(
        robot_id=robot_id(robot), boot_id=BootId("b1"), sequence=1, checked_in_at=at
    )


async def enrol(system: NatsSystem, robot: str) -> None:
    enroller = await system.connect(Principal.ENROLLER)
    enrolled = RobotEnrolled(robot_id=robot_id(robot), labels={"site": "berlin"}, enrolled_at=NOW)
    await publish(enroller, enrolled)


async def test_an_enrolled_robot_is_listed_with_its_last_word(
    fleet: Fleet, shared_nats_system: NatsSystem, robot: str
) -> None:
    await enrol(shared_nats_system, robot)
    await publish(await shared_nats_system.connect(robot), checked_in(robot, NOW))

    (status,) = [held for held in await fleet.robots() if held.enrolled.robot_id == robot]

    assert status.enrolled.labels == {"site": "berlin"}
    assert status.last is not None
    assert not status.is_silent(NOW + timedelta(seconds=5))
    assert status.is_silent(NOW + timedelta(seconds=60))


async def test_a_robot_that_never_came_is_silent(
    fleet: Fleet, shared_nats_system: NatsSystem, robot: str
) -> None:
    await enrol(shared_nats_system, robot)

    (status,) = [held for held in await fleet.robots() if held.enrolled.robot_id == robot]

    assert status.last is None
    assert status.is_silent(NOW)


def outcomes(robot: str) -> tuple[ModelActivated, ActivationFailed, ModelFellBack]:
    """A robot that took a first model, could not load the second, and left the third again."""
    name, rollout = robot_id(robot), rollout_id("r-1")
    first, second = (ModelRef(model_name("detector"), version(held)) for held in ("1.0", "2.0"))
    activated = ModelActivated(
        robot_id=name,
        rollout_id=rollout,
        generation=1,
        model=first,
        digest=digest_of("a"),
        inferences=20,
        swap_ms=1,
        warm_up_ms=1,
        bytes_fetched=1,
        activated_at=NOW,
    )
    failed = ActivationFailed(
        robot_id=name,
        rollout_id=rollout,
        generation=2,
        model=second,
        stage=ActivationStage.LOAD,
        reason="no such operator",
        failed_at=NOW,
    )
    fell_back = ModelFellBack(
        robot_id=name,
        rollout_id=rollout,
        generation=3,
        from_digest=digest_of("c"),
        to_digest=digest_of("a"),
        reason="its worker died",
        fell_back_at=NOW,
    )
    return activated, failed, fell_back


async def test_a_robots_last_failure_is_told_until_it_takes_a_model_again(
    fleet: Fleet, shared_nats_system: NatsSystem, robot: str
) -> None:
    await enrol(shared_nats_system, robot)
    own = await shared_nats_system.connect(robot)
    activated, failed, fell_back = outcomes(robot)

    told: list[str] = []
    for outcome in (activated, failed, fell_back, activated):
        await publish(own, outcome)
        (status,) = [held for held in await fleet.robots() if held.enrolled.robot_id == robot]
        told.append(status.failure)

    assert told == [
        "",
        "detector:2.0 failed at load: no such operator",
        "fell back: its worker died",
        "",
    ]


def frame(robot: str, sequence: int) -> TelemetryFrame:
    return TelemetryFrame(
        robot_id=robot_id(robot),
        boot_id=BootId("b1"),
        sequence=sequence,
        started_at_ns=1,
        series=(Series(signal="link.rtt"),),
        series_index=struct.pack("<H", 0),
        offsets_us=struct.pack("<I", 5),
        values=struct.pack("<d", 0.25),
    )


async def test_a_stream_of_one_robots_telemetry_has_no_other_robots(
    fleet: Fleet, shared_nats_system: NatsSystem, robot: str
) -> None:
    own, other = [await shared_nats_system.connect(name) for name in (robot, "arm-other")]
    frames = fleet.telemetry_stream(robot)
    first = asyncio.ensure_future(anext(frames))
    while not first.done():  # a subscription is deaf for its first milliseconds
        await publish(own, frame(robot, 1))
        await asyncio.wait([first], timeout=0.1)
    await publish(other, frame("arm-other", 1))
    await publish(own, frame(robot, 2))

    heard = [await first]
    while heard[-1].sequence != 2:
        heard.append(await asyncio.wait_for(anext(frames), 60.0))

    assert {held.robot_id for held in heard} == {robot}
    (sample,) = samples_of(heard[0])
    assert (sample.signal, sample.at_ns, sample.value) == ("link.rtt", 5001, 0.25)


@pytest.fixture
def application(shared_nats_system: NatsSystem) -> Access:
    return Access(bus=shared_nats_system.settings(Principal.APPLICATION))


async def test_an_own_alert_counts_its_incidents_and_resolves(
    application: Access, robot: str
) -> None:
    async with Fleet.connect(access=application) as program:
        first = await raise_hot(program, robot)
        await program.resolve_alert(first)
        assert await state_of(program, robot) is AlertState.RESOLVED
        second = await raise_hot(program, robot)
        assert await state_of(program, robot) is AlertState.FIRING

        asked = await last_value(program.connection, RecordingRequested, robot_id=second.robot_id)

    assert (first.incident, second.incident) == (1, 2)
    assert asked is not None
    assert asked.event == asked_by(second)
    assert second.severity is Severity.CRITICAL


async def test_an_alert_of_a_silent_robot_is_unknown(
    application: Access, shared_nats_system: NatsSystem, robot: str
) -> None:
    alerting = await shared_nats_system.connect(Principal.ALERTING)
    async with Fleet.connect(access=application) as program:
        fired = await raise_hot(program, robot)
        unknown = AlertBecameUnknown(
            robot_id=fired.robot_id, alert=fired.alert, incident=1, unknown_since=NOW
        )
        await publish(alerting, unknown)

        assert await state_of(program, robot) is AlertState.UNKNOWN


async def test_an_operator_may_not_raise_alerts(fleet: Fleet, robot: str) -> None:
    with pytest.raises(PublishError):
        await raise_hot(fleet, robot)


async def test_a_system_that_is_gone_is_said_to_be_gone(
    shared_nats_system: NatsSystem, tmp_path: Path
) -> None:
    settings = shared_nats_system.settings(Principal.OPERATOR)
    gone = Access(bus=structs.replace(settings, url="nats://127.0.0.1:9"))
    with pytest.raises(NoSystemError, match=r"No system answers at nats://127\.0\.0\.1:9"):
        async with Fleet.connect(access=gone, timeout_s=0.5):
            pass
    nobody = Access(bus=structs.replace(settings, credentials=tmp_path / "none.creds"))
    with pytest.raises(NoSystemError, match="There are no credentials"):
        async with Fleet.connect(access=nobody):
            pass


async def raise_hot(fleet: Fleet, robot: str) -> AlertFired:
    return await fleet.raise_alert(
        robot_id(robot),
        "GripperTooHot",
        value=91.0,
        expression="gripper_temperature > 80",
        severity=Severity.CRITICAL,
    )


async def state_of(fleet: Fleet, robot: str) -> AlertState:
    (status,) = [held for held in await fleet.alerts() if held.fired.robot_id == robot]
    return status.state
