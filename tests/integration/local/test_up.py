"""The system on one machine: starts in order, resumes, restarts what dies, refuses a second start.

Servers are real; services and robots are stand-ins that only say READY.
"""

from __future__ import annotations

import json
import stat
import sys
from pathlib import Path

import pytest
from msgspec.structs import replace

from fleetward.bus.connection import BusSettings, close, connect
from fleetward.bus.last_values import last_values
from fleetward.client.access import read_access
from fleetward.contracts.catalog import STREAMS
from fleetward.contracts.robots import RobotEnrolled
from fleetward.contracts.rows import Principal
from fleetward.local import restarts
from fleetward.local.errors import HomeInUseError, MissingPartError, NotReadyError
from fleetward.local.happenings import ProcessExited, ProcessFailed, ProcessReady, SystemReady
from fleetward.local.programs import SERVICES, Settings
from fleetward.local.restarts import FIRST_START_LIVES
from fleetward.local.supervised import ProcessState
from fleetward.local.up import local_system
from fleetward.trust.anchors import read_anchor
from fleetward.trust.following import believed_keys
from fleetward.trust.online_keys import OnlineKeys
from fleetward.trust.robot_issuer import RobotIssuer
from fleetward.trust.roots import read_root
from fleetward.trust.signing import TARGET, SigningKey
from tests.integration.local.conftest import Heard, stand_in_settings

PROCESSES = [
    "nats-server",
    "seaweedfs",
    "model-registry",
    "rollout-coordinator",
    "telemetry-ingest",
    "alerting",
    "edge-bridge.robot-1",
    "edge-bridge.robot-2",
]


def told(home: Path, directory: str) -> dict[str, str]:
    """The environment that a stand-in was started with."""
    environment: dict[str, str] = json.loads((home / directory / "told.json").read_text())
    return environment


async def test_everything_is_ready_and_the_operator_is_told_where(
    tmp_path: Path, heard: Heard
) -> None:
    async with local_system(stand_in_settings(tmp_path), heard.append) as system:
        assert [process.name for process in system.processes()] == PROCESSES
        assert {process.state for process in system.processes()} == {ProcessState.READY}
        assert stat.S_IMODE((tmp_path / "connection.json").stat().st_mode) == 0o600
        access = read_access(tmp_path)
        operator = await connect(access.bus)
        robots = await last_values(operator, RobotEnrolled)
        await close(operator)
        assert {value.event.robot_id: value.event.labels for value in robots} == {
            "robot-1": {"site": "lab", "hw": "x86", "index": "1"},
            "robot-2": {"site": "lab", "hw": "x86", "index": "2"},
        }
        assert isinstance(heard[-1], SystemReady)
    assert not (tmp_path / "connection.json").exists()


async def test_each_process_is_told_what_it_needs_and_no_more(tmp_path: Path, heard: Heard) -> None:
    environment = {"alerting": {"FLEETWARD_WEBHOOK_URLS": "http://127.0.0.1:9/hook"}}
    settings = stand_in_settings(tmp_path, environment=environment)
    async with local_system(settings, heard.append):
        pass
    registry, robot = told(tmp_path, "model-registry"), told(tmp_path, "robots/robot-1")
    assert registry["FLEETWARD_S3_BUCKET"] == "fleetward-models"
    assert registry["FLEETWARD_CREDENTIALS"].endswith("credentials/model-registry.creds")
    assert robot["FLEETWARD_ROBOT_ID"] == "robot-1"
    assert robot["FLEETWARD_CREDENTIALS"].endswith("credentials/robots/robot-1.creds")
    assert robot["FLEETWARD_FACTS_FILE"] == f"{robot['FLEETWARD_STATE_DIR']}/facts.json"
    assert not [name for name in robot if "S3" in name or "SIGNING" in name]
    assert told(tmp_path, "alerting")["FLEETWARD_WEBHOOK_URLS"] == "http://127.0.0.1:9/hook"
    assert told(tmp_path, "telemetry")["FLEETWARD_STATE_DIR"] == str(tmp_path / "telemetry")
    coordinator = told(tmp_path, "rollout-coordinator")
    assert coordinator["FLEETWARD_TRUST_DIR"] == robot["FLEETWARD_TRUST_DIR"]
    root = read_anchor(Path(robot["FLEETWARD_TRUST_DIR"])).root
    key = SigningKey.load(Path(coordinator["FLEETWARD_SIGNING_KEY"]))
    assert believed_keys(root).knows(TARGET, key.key_id)
    assert registry["FLEETWARD_ROOT"] == str(tmp_path / "trust" / "root.json")
    OnlineKeys.load(Path(registry["FLEETWARD_ONLINE_KEYS"])).check(read_root(root).signed)
    RobotIssuer.load(Path(registry["FLEETWARD_ROBOT_SIGNER"]), registry["FLEETWARD_ROBOT_ACCOUNT"])
    for secret in ("FLEETWARD_ONLINE_KEYS", "FLEETWARD_ROBOT_SIGNER"):
        assert secret not in {**robot, **coordinator}


async def test_second_start_resumes_with_the_same_keys_addresses_and_streams(
    tmp_path: Path, heard: Heard
) -> None:
    async with local_system(stand_in_settings(tmp_path), heard.append) as system:
        first = system.nats_url
        credentials = (tmp_path / "credentials" / "operator.creds").read_bytes()
        before = await _enrolments(first, tmp_path)
    async with local_system(stand_in_settings(tmp_path), heard.append) as system:
        assert system.nats_url == first
        assert (tmp_path / "credentials" / "operator.creds").read_bytes() == credentials
        assert await _enrolments(first, tmp_path) == before


async def test_changed_labels_are_announced_and_others_kept(tmp_path: Path, heard: Heard) -> None:
    async with local_system(stand_in_settings(tmp_path, robots=1), heard.append):
        pass
    plain = stand_in_settings(tmp_path, robots=1)
    moved = [replace(robot, labels={"site": "berlin"}) for robot in plain.robots]
    async with local_system(replace(plain, robots=moved), heard.append) as system:
        assert [labels for _, labels in await _enrolments(system.nats_url, tmp_path)] == [
            {"site": "berlin", "hw": "x86", "index": "1"}
        ]


async def test_processes_killed_with_9_are_started_again_and_told(
    tmp_path: Path, heard: Heard
) -> None:
    names = ["nats-server", "seaweedfs", "model-registry", "edge-bridge.robot-2"]
    async with local_system(stand_in_settings(tmp_path), heard.append) as system:
        for name in names:
            killed = system.kill(name)
            after = await system.ready(name, after_pid=killed)
            assert (after.pid != killed, after.restarts) == (True, 1)
            (exited,) = heard.of(ProcessExited, name)
            assert f"{name} ended with signal SIGKILL (pid {killed}); restart 1" in str(exited)
            assert f"Its log: {tmp_path}/logs/{name}.log" in str(exited)
        restarts = {process.name: process.restarts for process in system.processes()}
    assert restarts == {name: int(name in names) for name in PROCESSES}
    assert [str(happening) for happening in heard[-2:]] == [
        "stopping 8 processes ...",
        f"fleetward has stopped; its state stays in {tmp_path}",
    ]


async def test_killed_nats_server_comes_back_on_its_port_with_its_streams(
    tmp_path: Path, heard: Heard
) -> None:
    async with local_system(stand_in_settings(tmp_path), heard.append) as system:
        await system.ready("nats-server", after_pid=system.kill("nats-server"))
        settings = BusSettings(
            url=system.nats_url,
            credentials=tmp_path / "credentials" / "provisioner.creds",
            name=Principal.PROVISIONER.value,
        )
        provisioner = await connect(settings)
        streams = {info.config.name for info in await provisioner.jetstream().streams_info()}
        await close(provisioner)
    assert streams == {stream.name.value for stream in STREAMS}


def failing_while(marker: Path, home: Path) -> Settings:
    """A system whose alerting fails at once while ``marker`` is there."""
    program = [
        sys.executable,
        "-c",
        "import os,signal,sys;from fleetward.bus.readiness import notify_ready\n"
        f"if os.path.exists({str(marker)!r}): sys.exit(3)\n"
        "notify_ready();signal.pause()",
    ]
    plain = stand_in_settings(home)
    return replace(plain, programs={**plain.programs, "alerting": program})


async def test_process_that_served_is_tried_again_for_as_long_as_it_takes_and_told(
    tmp_path: Path, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(restarts, "FIRST_DELAY_S", 0.001)
    marker = tmp_path / "fail"
    async with local_system(failing_while(marker, tmp_path / "home"), heard.append) as system:
        marker.touch()
        killed = system.kill("alerting")
        await heard.until(lambda: len(heard.of(ProcessExited, "alerting")) > FIRST_START_LIVES)
        marker.unlink()
        after = await system.ready("alerting", after_pid=killed)
    assert after.restarts > FIRST_START_LIVES
    assert "as it ended soon 7 times in a row" in str(heard.of(ProcessExited, "alerting")[6])
    assert heard.of(ProcessFailed) == []


async def test_process_that_served_and_is_hopeless_is_given_up_and_the_rest_goes_on(
    tmp_path: Path, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(restarts, "HOPELESS_AFTER_S", 0.5)
    marker = tmp_path / "fail"
    async with local_system(failing_while(marker, tmp_path / "home"), heard.append) as system:
        marker.touch()
        killed = system.kill("alerting")
        with pytest.raises(NotReadyError, match="alerting failed, at last with exit status 3"):
            await system.ready("alerting", after_pid=killed)
        states = {process.name: process.state for process in system.processes()}
    assert states.pop("alerting") is ProcessState.FAILED
    assert set(states.values()) == {ProcessState.READY}
    (failed,) = heard.of(ProcessFailed)
    assert "times in a row before it was ready" in str(failed)


async def test_service_that_cannot_start_ends_the_start_with_its_log(
    tmp_path: Path, heard: Heard
) -> None:
    settings = stand_in_settings(tmp_path, environment={"alerting": {"STAND_IN_EXIT": "4"}})
    with pytest.raises(NotReadyError, match="the stand-in was told to fail"):
        async with local_system(settings, heard.append):
            pytest.fail("it started")
    assert not (tmp_path / "connection.json").exists()


async def test_missing_service_is_named_before_anything_starts(
    tmp_path: Path, heard: Heard
) -> None:
    services = {**SERVICES, Principal.ALERTING: "no_such_service"}
    plain = stand_in_settings(tmp_path)
    settings = replace(plain, services=services)
    with pytest.raises(MissingPartError, match="no_such_service cannot be run"):
        async with local_system(settings, heard.append):
            pytest.fail("it started")
    assert heard.of(ProcessReady) == []


async def test_second_supervisor_on_the_same_home_is_refused(tmp_path: Path, heard: Heard) -> None:
    async with local_system(stand_in_settings(tmp_path), heard.append):
        with pytest.raises(HomeInUseError, match="is in use by process"):
            async with local_system(stand_in_settings(tmp_path), heard.append):
                pytest.fail("it started")
        assert (tmp_path / "connection.json").exists()


async def _enrolments(nats_url: str, home: Path) -> list[tuple[int, dict[str, str]]]:
    """Sequence and labels of every enrolment, as the operator sees them."""
    settings = BusSettings(
        url=nats_url, credentials=home / "credentials" / "operator.creds", name="operator"
    )
    operator = await connect(settings)
    try:
        values = await last_values(operator, RobotEnrolled)
        return [(value.sequence, value.event.labels) for value in values]
    finally:
        await close(operator)
