"""Notices wait on disk in order, once each, and look like Alertmanager's."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from alerting.outbox import Outbox
from alerting.settings import settings_from
from alerting.webhook import fingerprint, webhook_body
from fleetward.bus.environment import SettingsError
from fleetward.contracts.ids import RobotId
from tests.unit.alerting.fleets import at, feed, fleet, slow_frame

URL, OTHER = "http://one/", "http://two/"


def outbox(path: Path, *, max_waiting: int = 100, kept_failures: int = 10) -> Outbox:
    return Outbox(path / "outbox.sqlite", max_waiting=max_waiting, kept_failures=kept_failures)


def test_a_notice_is_kept_once_per_receiver_and_survives_a_restart(tmp_path: Path) -> None:
    first = outbox(tmp_path)
    for url in (URL, URL, OTHER):
        first.add("a:1", url, b"body")
    again = outbox(tmp_path)
    waiting = again.next_for(URL)
    assert waiting is not None
    assert (waiting.id, waiting.body, waiting.attempts) == ("a:1", b"body", 0)
    again.delivered(waiting)
    assert again.next_for(URL) is None
    assert again.next_for(OTHER) is not None


def test_notices_leave_in_the_order_they_came(tmp_path: Path) -> None:
    kept = outbox(tmp_path)
    for number in range(3):
        kept.add(f"a:{number}", URL, b"")
    left = []
    while (notification := kept.next_for(URL)) is not None:
        kept.tried(notification)
        left.append(notification.id)
        kept.given_up(notification, "status 400")
    assert left == ["a:0", "a:1", "a:2"]


def test_a_dead_receiver_loses_its_oldest_notices_and_nobody_elses(tmp_path: Path) -> None:
    kept = outbox(tmp_path, max_waiting=2)
    kept.add("a:0", OTHER, b"")
    assert [kept.add(f"a:{number}", URL, b"") for number in range(4)] == [0, 0, 1, 1]
    oldest, others = kept.next_for(URL), kept.next_for(OTHER)
    assert oldest is not None
    assert oldest.id == "a:2"
    assert others is not None


def test_the_webhook_is_alertmanagers() -> None:
    one = fleet()
    (fired,) = feed(one, [slow_frame(number, 0.3) for number in range(1, 12)])
    (resolved,) = feed(one, [slow_frame(number, 0.02) for number in range(12, 40)])
    firing = json.loads(webhook_body(fired) or b"")
    ended = json.loads(webhook_body(resolved) or b"")
    assert (firing["version"], firing["status"], ended["status"]) == ("4", "firing", "resolved")
    alert = firing["alerts"][0]
    assert alert["labels"] == {"alertname": "Slow", "robot": "r1", "severity": "critical"}
    assert alert["annotations"] == {"summary": "r1 at 0.3"}
    assert alert["startsAt"] == "2026-01-01T00:00:01.200Z"
    assert alert["endsAt"] == "0001-01-01T00:00:00Z"
    assert ended["alerts"][0]["fingerprint"] == alert["fingerprint"]
    assert ended["alerts"][0]["endsAt"] > alert["startsAt"]


def test_unknown_is_not_told_to_receivers_as_firing_or_resolved() -> None:
    one = fleet()
    feed(one, [slow_frame(number, 0.3) for number in range(1, 12)])
    unknown, silent = one.fall_silent(RobotId("r1"), at(60), 60.0)
    assert webhook_body(unknown) is None
    assert webhook_body(silent) is not None


def test_fingerprints_differ_by_label_and_not_by_order() -> None:
    assert fingerprint({"a": "1", "b": "2"}) == fingerprint({"b": "2", "a": "1"})
    assert fingerprint({"a": "1"}) != fingerprint({"a": "2"})
    assert fingerprint({}) == "cbf29ce484222325"


def test_wrong_settings_are_named() -> None:
    good = {
        "FLEETWARD_NATS_URL": "nats://127.0.0.1:1",
        "FLEETWARD_CREDENTIALS": "c",
        "FLEETWARD_STATE_DIR": "s",
        "FLEETWARD_RULES_DIR": "r",
    }
    assert settings_from({**good, "FLEETWARD_WEBHOOK_URLS": f"{URL}, {OTHER}"}).webhook_urls == (
        URL,
        OTHER,
    )
    bad = [{**good, name: ""} for name in good]
    bad.append({**good, "FLEETWARD_WEBHOOK_URLS": "ftp://x"})
    for environment in bad:
        with pytest.raises(SettingsError, match="FLEETWARD_"):
            settings_from(environment)
