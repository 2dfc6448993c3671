"""A robot hears its own inbox, its own nudge and its own watermark, and nothing else."""

from __future__ import annotations

import pytest

from tests.integration.security.intruder import Intruder

FORBIDDEN = {
    "everything": ">",
    "every_subject_of_two_tokens": "*.*",
    "every_robot": "robot.>",
    "the_old_shared_inbox": "_INBOX.>",
    "another_robots_inbox": "_INBOX_robot-b.>",
    "a_services_inbox": "_INBOX_model-registry.>",
    "another_robots_nudge": "robot.nudged.v1.robot-b",
    "all_nudges": "robot.nudged.v1.*",
    "another_robots_watermark": "telemetry.stored.v1.robot-b",
    "all_watermarks": "telemetry.stored.v1.*",
    "another_robots_telemetry": "robot.telemetry.v1.robot-b",
    "another_robots_requests": "robot.grant_fetch.v1.robot-b",
    "requests_to_the_registry": "robot.grant_fetch.v1.*",
    "targets": "robot.target.v1.*",
    "alerts": "alert.fired.v1.*.*",
    "acknowledgements": "$JS.ACK.>",
    "requests_to_storage": "$JS.API.>",
    "storage_events": "$JS.EVENT.>",
    "system_events": "$SYS.>",
    "reply_mappings": "_R_.>",
}


@pytest.mark.parametrize("subject", FORBIDDEN.values(), ids=FORBIDDEN.keys())
async def test_robot_must_not_hear(robot_a: Intruder, subject: str) -> None:
    await robot_a.must_not_subscribe(subject)


async def test_robot_must_not_share_another_robots_nudge_by_a_queue_group(
    robot_a: Intruder,
) -> None:
    await robot_a.must_not_subscribe("robot.nudged.v1.robot-b", queue="mine")


async def test_robot_must_not_share_requests_to_the_registry_by_its_queue_group(
    robot_a: Intruder,
) -> None:
    await robot_a.must_not_subscribe("robot.grant_fetch.v1.*", queue="model-registry")
