"""A service may do its own work and no other's: what one loses, the others do not.

``WORK`` is what each may do, tried before every attack.
"""

from __future__ import annotations

import nats
import pytest

from fleetward.contracts.rows import Principal
from testkit.servers import NatsSystem
from tests.integration.security.intruder import Intruder, intrude

P = Principal
WORK = {
    P.REGISTRY: "model.record.v1.detector",
    P.COORDINATOR: "rollout.state.v1.r1",
    P.ALERTING: "alert.fired.v1.robot-a.Hot",
    P.INGEST: "telemetry.inference_summarized.v1.robot-a",
    P.OPERATOR: "rollout.requested.v1.r1",
    P.APPLICATION: "alert.fired.v1.robot-a.Mine",
    P.ENROLLER: "robot.enrolled.v1.robot-a",
}
FORBIDDEN = {
    P.REGISTRY: (
        "robot.target.v1.robot-a",
        "rollout.state.v1.r1",
        "rollout.requested.v1.r1",
        "robot.checked_in.v1.robot-a",
        "site.policy_set.v1.berlin",
        "_INBOX_operator.guess",
    ),
    P.COORDINATOR: (
        "model.record.v1.detector",
        "model.published.v1.detector",
        "robot.checked_in.v1.robot-a",
        "robot.enrolled.v1.robot-a",
        "alert.fired.v1.robot-a.Hot",
        "site.policy_set.v1.berlin",
        "$JS.API.CONSUMER.MSG.NEXT.TELEMETRY.ingest-telemetry",
        "$JS.ACK.TELEMETRY.ingest-telemetry.1.1.1.1.0",
    ),
    P.ALERTING: (
        "robot.target.v1.robot-a",
        "telemetry.stored.v1.robot-a",
        "robot.nudged.v1.robot-a",
        "$JS.API.CONSUMER.MSG.NEXT.ROLLOUTS.coordinator-requests",
    ),
    P.INGEST: (
        "robot.target.v1.robot-a",
        "robot.telemetry.v1.robot-a",
        "alert.resolved.v1.robot-a.Hot",
        "$JS.API.DIRECT.GET.ROLLOUTS",
    ),
    P.OPERATOR: (
        "robot.target.v1.robot-a",
        "rollout.state.v1.r1",
        "model.record.v1.detector",
        "robot.enrolled.v1.robot-a",
        "robot.nudged.v1.robot-a",
        "site.occupancy.v1.berlin",
        "robot.grant_fetch.v1.robot-a",
    ),
    P.APPLICATION: (
        "rollout.control_requested.v1.r1",
        "site.policy_set.v1.berlin",
        "site.occupancy.v1.berlin",
        "model.register.v1",
        "model.move_alias.v1",
        "robot.target.v1.robot-a",
        "robot.telemetry.v1.robot-a",
        "alert.became_unknown.v1.robot-a.Hot",
    ),
    P.ENROLLER: (
        "robot.target.v1.robot-a",
        "robot.telemetry.v1.robot-a",
        "model.register.v1",
        "site.policy_set.v1.berlin",
    ),
}
STORAGE = (
    "$JS.API.STREAM.CREATE.MINE",
    "$JS.API.STREAM.UPDATE.ROLLOUTS",
    "$JS.API.STREAM.DELETE.ROLLOUTS",
    "$JS.API.STREAM.PURGE.ROLLOUTS",
    "$JS.API.STREAM.MSG.DELETE.ROLLOUTS",
    "$JS.API.STREAM.SNAPSHOT.ROLLOUTS",
    "$JS.API.CONSUMER.CREATE.ROLLOUTS.mine",
    "$JS.API.CONSUMER.DELETE.ROLLOUTS.coordinator-requests",
)
RESPONDERS = {
    "registry": "robot.grant_fetch.v1.*",
    "registration": "model.register.v1",
    "telemetry": "telemetry.query.v1",
}


async def at_work(system: NatsSystem, principal: Principal) -> Intruder:
    """The principal's connection after it did its own work."""
    intruder = await intrude(system, principal)
    stored = await intruder.client.jetstream().publish(WORK[principal], b"mine")
    assert stored.seq > 0
    assert intruder.refusals == []
    return intruder


@pytest.mark.parametrize(
    ("principal", "subject"),
    [(principal, subject) for principal, subjects in FORBIDDEN.items() for subject in subjects],
    ids=lambda part: part.value if isinstance(part, Principal) else part,
)
async def test_service_must_not_do_anothers_work(
    shared_nats_system: NatsSystem, principal: Principal, subject: str
) -> None:
    intruder = await at_work(shared_nats_system, principal)
    await intruder.must_not_publish(subject, b"{}")
    await intruder.client.close()


@pytest.mark.parametrize("principal", WORK, ids=lambda principal: principal.value)
async def test_nobody_but_the_provisioner_changes_streams_and_consumers(
    shared_nats_system: NatsSystem, principal: Principal
) -> None:
    intruder = await at_work(shared_nats_system, principal)
    for subject in STORAGE:
        await intruder.must_not_publish(subject, b"{}")
    provisioner = await intrude(shared_nats_system, Principal.PROVISIONER)
    streams = await provisioner.client.jetstream().streams_info()
    assert "ROLLOUTS" in {stream.config.name for stream in streams}
    await intruder.client.close()
    await provisioner.client.close()


@pytest.mark.parametrize("principal", WORK, ids=lambda principal: principal.value)
async def test_no_service_hears_the_answers_to_another(
    shared_nats_system: NatsSystem, principal: Principal
) -> None:
    other = Principal.OPERATOR if principal is not Principal.OPERATOR else Principal.REGISTRY
    intruder = await at_work(shared_nats_system, principal)
    await intruder.must_not_subscribe(f"_INBOX_{other.value}.>")
    await intruder.must_not_subscribe("_INBOX.>")
    await intruder.must_not_subscribe(">")
    await intruder.client.close()


@pytest.mark.parametrize("subject", RESPONDERS.values(), ids=RESPONDERS.keys())
@pytest.mark.parametrize("principal", [P.OPERATOR, P.APPLICATION, P.ALERTING, P.COORDINATOR])
async def test_nobody_answers_in_a_services_place(
    shared_nats_system: NatsSystem, principal: Principal, subject: str
) -> None:
    intruder = await at_work(shared_nats_system, principal)
    await intruder.must_not_subscribe(subject)
    await intruder.client.close()


async def test_responder_answers_a_request_once_and_no_other_inbox(
    shared_nats_system: NatsSystem,
) -> None:
    registry = await intrude(shared_nats_system, Principal.REGISTRY)
    operator = await intrude(shared_nats_system, Principal.OPERATOR)
    requests = await registry.client.subscribe("model.move_alias.v1")
    await registry.client.flush()
    asked = await operator.client.subscribe("_INBOX_operator.answer")
    await operator.client.publish("model.move_alias.v1", b"?", reply="_INBOX_operator.answer")
    request = await requests.next_msg(timeout=3)
    await registry.client.publish(request.reply, b"yes")
    assert (await asked.next_msg(timeout=3)).data == b"yes"
    await registry.client.publish(request.reply, b"and again")
    await registry.must_hear(request.reply)
    with pytest.raises(nats.errors.TimeoutError):
        await asked.next_msg(timeout=0.1)
    await registry.client.close()
    await operator.client.close()
