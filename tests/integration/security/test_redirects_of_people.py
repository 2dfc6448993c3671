"""An answer that a person or a program sends elsewhere is stored, heard and obeyed by nobody.

The server checks a message's subject against the sender's permissions and never its reply
subject; the reply of a read is whatever bytes the attacker stored before.
"""

from __future__ import annotations

import itertools
import json

import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from fleetward.contracts.rows import Principal
from fleetward.trust.permissions import OWN_NAME, permissions_of
from testkit.servers import NatsSystem
from tests.integration.security.intruder import Intruder, intrude
from tests.integration.security.stored import everything_stored

P = Principal
ROBOT = "robot-b"
REDIRECTS = (
    "robot.target.v1.robot-b",
    "robot.nudged.v1.robot-b",
    "telemetry.stored.v1.robot-b",
    "robot.enrolled.v1.robot-b",
    "robot.checked_in.v1.robot-b",
    "robot.telemetry.v1.robot-b",
    "robot.grant_fetch.v1.robot-b",
    "model.record.v1.detector",
    "model.register.v1",
    "model.move_alias.v1",
    "rollout.state.v1.theirs",
    "rollout.ended.v1.theirs",
    "rollout.requested.v1.theirs",
    "rollout.control_requested.v1.theirs",
    "alert.became_unknown.v1.robot-b.Hot",
    "telemetry.inference_summarized.v1.robot-b",
    "dlq.dead_lettered.v1.ROLLOUTS.coordinator-robots",
    "$JS.API.STREAM.PURGE.ROLLOUTS",
    "$JS.API.STREAM.DELETE.TELEMETRY",
    "$JS.API.CONSUMER.DELETE.TELEMETRY.ingest-telemetry",
    "$JS.ACK.TELEMETRY.ingest-telemetry.1.1.1.1.0",
    "_INBOX_operator.guess",
    "_INBOX_application.guess",
    "_INBOX_rollout-coordinator.guess",
    "_INBOX_model-registry.guess",
    "_INBOX_robot-b.guess",
)
WORK = {P.OPERATOR: "rollout.requested.v1.mine", P.APPLICATION: "alert.fired.v1.mine.mine"}
OTHERS = {P.OPERATOR: P.APPLICATION, P.APPLICATION: P.OPERATOR}
LISTENERS = (P.REGISTRY, P.COORDINATOR, P.INGEST, P.ALERTING)
TRUTHS = {
    "robot.target.v1.robot-b": P.COORDINATOR,
    "rollout.state.v1.theirs": P.COORDINATOR,
    "model.record.v1.detector": P.REGISTRY,
}


def own_subjects(principal: Principal) -> list[str]:
    return [subject.replace("*", "mine") for subject in permissions_of(principal).publish]


async def attack(system: NatsSystem, principal: Principal) -> None:
    """Send every own subject with every redirect, then wait for the answer to an honest one."""
    intruder = await intrude(system, principal)
    work = WORK[principal]
    stored = await intruder.client.jetstream().publish(work, b"evil")
    body = json.dumps({"multi_last": [work], "seq": 1, "subjects_filter": ">"}).encode()
    for subject, reply in itertools.product(own_subjects(principal), REDIRECTS):
        await intruder.client.publish(subject, body, reply=reply)
    after = await intruder.client.jetstream().publish(work, b"the last one")
    assert after.seq > stored.seq
    other = [refusal for refusal in intruder.refusals if "with reply of" not in refusal]
    assert other == []  # of all reply subjects the server itself refuses $JS.ACK alone
    await intruder.client.close()


async def speak_the_truth(system: NatsSystem) -> None:
    for subject, owner in TRUTHS.items():
        await (await system.connect(owner)).jetstream().publish(subject, b"the truth")


async def last_word(coordinator: Client, subject: str) -> bytes:
    stream = "MODELS" if subject.startswith("model.") else "ROLLOUTS"
    reply = await coordinator.request(f"$JS.API.DIRECT.GET.{stream}.{subject}", b"", timeout=3)
    return reply.data


async def listen_to_everything(
    system: NatsSystem, who: Principal | str
) -> tuple[Intruder, list[Msg]]:
    """A connection that hears all that ``who`` may hear."""
    principal = who if isinstance(who, Principal) else P.ROBOT
    name = who.value if isinstance(who, Principal) else who
    listener, heard = await intrude(system, who), list[Msg]()

    async def keep(message: Msg) -> None:
        heard.append(message)

    for subject in permissions_of(principal).subscribe:
        await listener.client.subscribe(subject.replace(OWN_NAME, name), cb=keep)
    await listener.client.flush()
    assert listener.refusals == []
    return listener, heard


@pytest.mark.parametrize("principal", WORK)
async def test_redirected_answers_store_nothing(
    shared_nats_system: NatsSystem, principal: Principal
) -> None:
    await speak_the_truth(shared_nats_system)
    own = own_subjects(principal)
    before = await everything_stored(shared_nats_system, own)
    await attack(shared_nats_system, principal)
    assert await everything_stored(shared_nats_system, own) == before
    coordinator = await shared_nats_system.connect(P.COORDINATOR)
    assert {await last_word(coordinator, subject) for subject in TRUTHS} == {b"the truth"}


@pytest.mark.parametrize("principal", WORK)
async def test_redirected_answers_are_heard_by_nobody(
    shared_nats_system: NatsSystem, principal: Principal
) -> None:
    listeners = [
        await listen_to_everything(shared_nats_system, who)
        for who in (*LISTENERS, OTHERS[principal], ROBOT)
    ]
    await attack(shared_nats_system, principal)
    own = own_subjects(principal)
    for listener, heard in listeners:
        await listener.nothing_arrives([each for each in heard if each.subject not in own])
        await listener.client.close()


async def test_program_cannot_make_a_stored_alert_a_persons_request(
    shared_nats_system: NatsSystem,
) -> None:
    """Its own alert, read back with another reply subject, would be a request of its choosing."""
    registry, asked = await listen_to_everything(shared_nats_system, P.REGISTRY)
    program = await intrude(shared_nats_system, P.APPLICATION)
    await program.client.jetstream().publish("alert.fired.v1.robot-b.Mine", b"move the alias")
    read = "$JS.API.DIRECT.GET.ALERTS.alert.fired.v1.robot-b.Mine"
    await program.client.publish(read, b"", reply="model.move_alias.v1")
    assert (await program.client.request(read, b"", timeout=3)).data == b"move the alias"
    await registry.nothing_arrives(asked)
    await program.client.close()
    await registry.client.close()
