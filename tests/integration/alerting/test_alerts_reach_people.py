"""From frames on the real bus to AlertFired and a real webhook, through crashes of each part."""

from __future__ import annotations

import asyncio
from datetime import datetime
from pathlib import Path

import msgspec

from fleetward.bus.publish import publish
from fleetward.contracts.alerts import AlertFired, AlertResolved, Severity
from fleetward.contracts.dead_letter import DeadLettered
from fleetward.contracts.ids import BootId
from fleetward.contracts.recordings import RecordingRequested, asked_by
from testkit.telemetry import digest_of
from tests.integration.alerting.rig import Rig

SLOW = digest_of("a")


async def test_a_slow_model_is_announced_once_with_its_digest(rig: Rig) -> None:
    await rig.alerting()
    robot = await rig.robot("r1", site="berlin")
    robot.latency_s, robot.attributes = 0.15, {"digest": SLOW, "model": "m:3"}
    started = asyncio.get_running_loop().time()
    robot.unmute()
    await rig.receiver.count(1)
    assert asyncio.get_running_loop().time() - started < 8
    (fired,) = await rig.told(AlertFired)
    assert (fired.alert, fired.incident, fired.severity) == (
        "InferenceOverBudget",
        1,
        Severity.CRITICAL,
    )
    assert fired.digest == SLOW
    assert fired.labels["site"] == "berlin"
    (body,) = rig.receiver.bodies
    assert body["version"] == "4"
    assert body["alerts"][0]["labels"]["alertname"] == "InferenceOverBudget"
    assert rig.receiver.keys == ["r1:InferenceOverBudget:1:fired"]

    robot.latency_s = 0.02
    await rig.receiver.count(2)
    assert rig.receiver.bodies[1]["status"] == "resolved"
    (resolved,) = await rig.told(AlertResolved)
    assert resolved.incident == 1
    (asked,) = await rig.told(RecordingRequested)
    assert asked == asked_by(fired)


async def test_a_healthy_robot_raises_nothing(rig: Rig) -> None:
    service = await rig.alerting()
    good, bad = await rig.robot("good"), await rig.robot("bad")
    bad.latency_s = 0.2
    good.unmute()
    bad.unmute()
    await rig.receiver.count(1)
    assert [fired.robot_id for fired in await rig.told(AlertFired)] == ["bad"]
    assert await service.stop() == 0


async def test_alerting_killed_while_an_alert_fires_does_not_fire_it_again(rig: Rig) -> None:
    first = await rig.alerting()
    robot = await rig.robot("r1")
    robot.latency_s = 0.2
    robot.unmute()
    await rig.receiver.count(1)
    await first.kill()
    await rig.alerting()
    robot.latency_s = 0.02
    await rig.receiver.count(2)
    assert rig.receiver.keys == [
        "r1:InferenceOverBudget:1:fired",
        "r1:InferenceOverBudget:1:resolved",
    ]


async def test_a_breach_during_a_crash_is_not_forgotten(rig: Rig) -> None:
    first = await rig.alerting()
    robot = await rig.robot("r1")
    await first.kill()
    robot.latency_s = 0.2
    for _ in range(16):
        await robot.send()
        await asyncio.sleep(0.25)
    assert rig.receiver.bodies == []
    await rig.alerting()
    await rig.receiver.count(1)
    assert rig.receiver.keys == ["r1:InferenceOverBudget:1:fired"]


async def test_a_receiver_that_was_down_gets_the_notice_after_a_restart(rig: Rig) -> None:
    port = int(rig.receiver.url.rsplit(":", 1)[1].split("/")[0])
    service = await rig.alerting()
    await rig.receiver.stop()
    robot = await rig.robot("r1")
    robot.latency_s = 0.2
    robot.unmute()
    await service.logged("notification.postponed")
    await robot.mute()
    await service.kill()
    await rig.receiver.start(port)
    await rig.alerting()
    await rig.receiver.count(1)
    assert rig.receiver.keys == ["r1:InferenceOverBudget:1:fired"]


async def test_a_receiver_that_fails_is_tried_again(rig: Rig) -> None:
    rig.receiver.statuses = [503, 429]
    await rig.alerting()
    robot = await rig.robot("r1")
    robot.latency_s = 0.2
    robot.unmute()
    await rig.receiver.count(1)
    assert rig.receiver.keys == ["r1:InferenceOverBudget:1:fired"]


async def test_poison_is_dead_lettered_and_the_next_frame_judged(rig: Rig) -> None:
    service = await rig.alerting()
    robot = await rig.robot("r1")
    connection = await rig.system.connect("r1")
    poison = msgspec.structs.replace(robot.next_frame(), boot_id=BootId("b0"), values=b"1234567")
    await publish(connection, poison)
    await service.logged("message.dead_lettered")
    (letter,) = await rig.told(DeadLettered)
    assert letter.consumer == "alerting-telemetry"
    robot.latency_s = 0.2
    robot.unmute()
    await rig.receiver.count(1)


async def test_bad_rules_leave_the_old_ones_in_force_and_good_ones_replace_them(
    rig: Rig, tmp_path: Path
) -> None:
    rules = tmp_path / "rules"
    rules.mkdir()
    file = rules / "own.yml"
    file.write_text(_rule("model_inference_duration_seconds > 1000"))
    service = await rig.alerting(rules)
    file.write_text(_rule("topk(3, model_inference_duration_seconds) > 0"))
    service.reload()
    refused = await service.logged("rules.refused")
    assert "topk()" in refused["error"]
    assert "own.yml, group 'own', rule 1 (Own)" in refused["error"]
    file.write_text(_rule("model_inference_duration_seconds > 0.01"))
    service.reload()
    await service.logged("rules.loaded")
    robot = await rig.robot("r1")
    robot.unmute()
    await rig.receiver.count(1)
    assert rig.receiver.keys == ["r1:Own:1:fired"]


async def test_a_sample_reaches_the_webhook_in_a_fraction_of_a_second(
    rig: Rig, tmp_path: Path
) -> None:
    """Prometheus with 1 s evaluation takes 0.76 s at the median: its polling period."""
    rules = tmp_path / "rules"
    rules.mkdir()
    (rules / "own.yml").write_text(_rule("model_inference_duration_seconds > 0.1"))
    await rig.alerting(rules)
    robot = await rig.robot("r1")
    delays_s = []
    for turn in range(1, 41):
        robot.latency_s = 0.2 if turn % 2 else 0.02
        sent = datetime.now().astimezone()
        await robot.send()
        await rig.receiver.count(turn)
        delays_s.append((rig.receiver.received_at[-1] - sent).total_seconds())
    delays_s.sort()
    assert delays_s[20] < 0.5


def _rule(expression: str) -> str:
    return f"groups: [{{name: own, rules: [{{alert: Own, expr: '{expression}'}}]}}]"
