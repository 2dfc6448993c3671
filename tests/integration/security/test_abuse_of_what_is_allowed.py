"""What a robot may publish cannot be turned against others by replies, headers, sizes or numbers."""

from __future__ import annotations

import asyncio
import itertools

import pytest
from nats.js.errors import APIError

from fleetward.contracts.rows import Principal
from fleetward.trust.permissions import ROBOT_SUBSCRIPTIONS, permissions_of
from testkit.servers import NatsSystem
from tests.integration.security.intruder import Intruder, intrude
from tests.integration.security.stored import everything_stored

TELEMETRY = "robot.telemetry.v1.robot-a"
OWN_SUBJECTS = (
    TELEMETRY,
    "robot.checked_in.v1.robot-a",
    "robot.grant_fetch.v1.robot-a",
    "$JS.API.DIRECT.GET.ROLLOUTS.robot.target.v1.robot-a",
)
REDIRECTS = (
    "robot.target.v1.robot-b",
    "robot.telemetry.v1.robot-b",
    "robot.checked_in.v1.robot-b",
    "robot.enrolled.v1.robot-b",
    "rollout.state.v1.theirs",
    "rollout.requested.v1.mine",
    "model.record.v1.detector",
    "alert.fired.v1.robot-b.Hot",
    "telemetry.inference_summarized.v1.robot-b",
    "$JS.API.STREAM.DELETE.TELEMETRY",
    "$JS.API.STREAM.PURGE.ROLLOUTS",
    "$JS.ACK.TELEMETRY.ingest-telemetry.1.1.1.1.0",
)


async def test_answers_redirected_to_other_subjects_change_nothing(
    robot_a: Intruder, shared_nats_system: NatsSystem
) -> None:
    coordinator = await intrude(shared_nats_system, Principal.COORDINATOR)
    nudged = await coordinator.collect("_INBOX_rollout-coordinator.>")
    before = await everything_stored(shared_nats_system, OWN_SUBJECTS)
    for subject, reply in itertools.product(OWN_SUBJECTS, REDIRECTS):
        await robot_a.client.publish(subject, b"evil", reply=reply)
    await robot_a.client.jetstream().publish("robot.checked_in.v1.robot-a", b"the last one")
    assert await everything_stored(shared_nats_system, OWN_SUBJECTS) == before
    await coordinator.nothing_arrives(nudged)
    await coordinator.client.close()


async def test_answers_redirected_to_a_services_inbox_do_not_arrive(
    robot_a: Intruder, shared_nats_system: NatsSystem
) -> None:
    operator = await intrude(shared_nats_system, Principal.OPERATOR)
    heard = await operator.collect("_INBOX_operator.>")
    for subject in OWN_SUBJECTS:
        await robot_a.client.publish(subject, b"evil", reply="_INBOX_operator.guess")
    await robot_a.client.jetstream().publish("robot.checked_in.v1.robot-a", b"the last one")
    await operator.nothing_arrives(heard)
    await operator.client.close()


@pytest.mark.parametrize(
    "headers",
    [
        {"Nats-Rollup": "all"},
        {"Nats-Rollup": "sub"},
        {"Nats-TTL": "1s"},
        {"Nats-Incr": "+1"},
        {"Nats-Schedule": "@at 2099-01-01T00:00:00Z", "Nats-Schedule-Target": "robot.x"},
        {"Nats-Batch-Id": "b", "Nats-Batch-Sequence": "1", "Nats-Batch-Commit": "1"},
        {"Nats-Expected-Stream": "ROLLOUTS"},
    ],
    ids=lambda headers: next(iter(headers)).lower() + "_" + next(iter(headers.values()))[:3],
)
async def test_header_that_would_rewrite_a_stream_is_refused(
    robot_a: Intruder, headers: dict[str, str]
) -> None:
    jetstream = robot_a.client.jetstream()
    first = await jetstream.publish("robot.checked_in.v1.robot-a", b"kept")
    with pytest.raises(APIError):
        await jetstream.publish("robot.checked_in.v1.robot-a", b"evil", headers=headers)
    after = await jetstream.publish("robot.checked_in.v1.robot-a", b"next")
    assert after.seq == first.seq + 1


async def test_trace_of_a_message_does_not_go_to_another_robot(
    robot_a: Intruder, shared_nats_system: NatsSystem
) -> None:
    robot_b = await intrude(shared_nats_system, "robot-b")
    nudged = await robot_b.collect("robot.nudged.v1.robot-b")
    headers = {"Nats-Trace-Dest": "robot.nudged.v1.robot-b"}
    await robot_a.client.publish("robot.telemetry.v1.robot-a", b"x", headers=headers)
    await robot_a.client.flush()
    await robot_b.nothing_arrives(nudged)
    await robot_b.client.close()


async def test_payload_above_the_robots_limit_ends_the_connection_and_stores_nothing(
    robot_a: Intruder, shared_nats_system: NatsSystem
) -> None:
    limit = permissions_of(Principal.ROBOT).payload_bytes
    stored = await robot_a.client.jetstream().publish(TELEMETRY, b"x" * (limit - 512))
    robot_a.client._max_payload = 64 * 1024 * 1024  # the client's own check is no defence
    await robot_a.client.publish(TELEMETRY, b"x" * (limit + 1))
    await asyncio.wait_for(robot_a.closed.wait(), 30)
    again = await intrude(shared_nats_system, "robot-a")
    assert (await again.client.jetstream().publish(TELEMETRY, b"x")).seq == stored.seq + 1
    await again.client.close()


async def test_more_subscriptions_than_a_robot_needs_end_the_connection(
    shared_nats_system: NatsSystem,
) -> None:
    robot = await intrude(shared_nats_system, "robot-a")
    for index in range(ROBOT_SUBSCRIPTIONS):
        await robot.client.subscribe(f"_INBOX_robot-a.{index}")
    await robot.client.flush()
    assert not robot.closed.is_set()
    await robot.client.subscribe("_INBOX_robot-a.one-too-many")
    await asyncio.wait_for(robot.closed.wait(), 30)
    log = (shared_nats_system.directory / "nats-server.log").read_text()
    assert "maximum subscriptions exceeded" in log
