"""The subject rule sees what it should see, and this repository keeps it."""

from __future__ import annotations

from pathlib import Path

import pytest

from fleetward.contracts.catalog import EVENTS, REQUESTS
from fleetward.contracts.rows import EventRow, RequestRow
from tools import subject_rule

SERVICE = Path("services/alerting/handlers.py")


def complaints(path: Path, source: str) -> list[str]:
    return [str(finding) for finding in subject_rule.findings(path, source)]


@pytest.mark.parametrize("row", [*EVENTS, *REQUESTS], ids=lambda row: row.subject)
def test_every_subject_of_the_catalog_is_refused_elsewhere(row: EventRow | RequestRow) -> None:
    assert complaints(SERVICE, f"SUBJECT = {row.subject!r}")
    assert complaints(SERVICE, f"SUBJECT = {row.pattern!r}")


@pytest.mark.parametrize(
    "source",
    [
        'subject = "robot.target.v1.r1"',
        'subject = f"robot.target.v1.{robot_id}"',
        'subject = f"rollout.{kind}.v1.{rollout_id}"',
        'subscribe("telemetry.*.v1.>")',
        'subject = "model.register.v1"',
        'if subject.startswith("alert.fired.v1"): pass',
        'rows = {"dlq.dead_lettered.v1.S.c": 1}',
    ],
)
def test_a_subject_outside_the_catalog_is_refused(source: str) -> None:
    (complaint,) = complaints(SERVICE, source)
    assert "catalog_pages" in complaint
    assert not complaints(subject_rule.CATALOG / "alerts.py", source)
    assert complaints(subject_rule.CATALOG.parent / "alerts.py", source)


@pytest.mark.parametrize(
    "source",
    [
        '"""Publishes robot.target.v1.<robot_id>."""',
        'def f():\n    """rollout.started.v1.x moves it."""',
        'log(logger, "rollout.halted", rollout_id=rollout_id)',
        'span("robot.swap")',
        'message = "the model.v1 of 2024"',
    ],
)
def test_prose_log_names_and_file_names_are_not_subjects(source: str) -> None:
    assert complaints(SERVICE, source) == []


def test_only_the_bus_speaks_the_servers_own_api() -> None:
    source = 'await connection.request("$JS.API.INFO")'
    assert complaints(SERVICE, source)
    assert not complaints(Path("libs/fleetward/bus/batch.py"), source)


def test_an_attack_test_may_write_subjects_and_other_tests_may_not() -> None:
    source = 'await robot_a.publish("robot.telemetry.v1.robot-b", b"")'
    assert not complaints(Path("tests/integration/security/test_publish.py"), source)
    assert not complaints(Path("tests/faults/test_redelivery.py"), source)
    assert complaints(Path("tests/integration/test_bus.py"), source)


def test_this_repository_keeps_the_rule(capsys: pytest.CaptureFixture[str]) -> None:
    assert subject_rule.main() == 0, capsys.readouterr().err
