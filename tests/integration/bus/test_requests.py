"""A question gets its answer, a refusal in words, or the news that nobody is there."""

from __future__ import annotations

import asyncio

import pytest
from nats.aio.msg import Msg

from fleetward.bus.errors import NoAnswerError, RefusedError
from fleetward.bus.last_values import last_value
from fleetward.bus.requests import REFUSED, answer, ask
from fleetward.contracts.catalog import request_row_of, row_of
from fleetward.contracts.codec import encode
from fleetward.contracts.errors import FleetwardError
from fleetward.contracts.event import Event
from fleetward.contracts.ids import AliasName, ModelName, RobotId, Version
from fleetward.contracts.registry import (
    AliasMoved,
    FetchGranted,
    GrantFetch,
    ModelPublished,
    MoveAlias,
    SignedManifest,
)
from fleetward.contracts.rows import Principal
from testkit.servers import NatsSystem
from testkit.telemetry import digest_of
from tests.integration.bus.speech import NOW


class AliasTakenError(FleetwardError):
    """The responder's own refusal."""


QUESTION = MoveAlias(name=ModelName("detector"), alias=AliasName("stable"), version=Version("2"))
ANSWER = AliasMoved(
    name=QUESTION.name, alias=QUESTION.alias, version=QUESTION.version, moved_at=NOW
)


async def test_question_is_answered(shared_nats_system: NatsSystem) -> None:
    heard: list[MoveAlias] = []

    async def moved(request: MoveAlias) -> Event:
        heard.append(request)
        return ANSWER

    await answer(await shared_nats_system.connect(Principal.REGISTRY), MoveAlias, moved)
    assert await ask(await shared_nats_system.connect(Principal.OPERATOR), QUESTION) == ANSWER
    assert heard == [QUESTION]


async def test_refusal_arrives_with_its_name_and_its_words(shared_nats_system: NatsSystem) -> None:
    async def refused(request: MoveAlias) -> Event:
        raise AliasTakenError("stable is at 3; read it again.")

    await answer(await shared_nats_system.connect(Principal.REGISTRY), MoveAlias, refused)
    with pytest.raises(RefusedError, match="stable is at 3; read it again") as caught:
        await ask(await shared_nats_system.connect(Principal.OPERATOR), QUESTION)
    assert caught.value.code == "AliasTakenError"


async def test_defect_of_the_responder_reaches_the_caller_too(
    shared_nats_system: NatsSystem,
) -> None:
    async def broken(request: MoveAlias) -> Event:
        raise ZeroDivisionError

    await answer(await shared_nats_system.connect(Principal.REGISTRY), MoveAlias, broken)
    with pytest.raises(RefusedError, match="See the log of model-registry") as caught:
        await ask(await shared_nats_system.connect(Principal.OPERATOR), QUESTION)
    assert caught.value.code == "InternalError"


async def test_nobody_there_is_told_at_once(shared_nats_system: NatsSystem) -> None:
    people = await shared_nats_system.connect(Principal.OPERATOR)
    with pytest.raises(NoAnswerError, match="did not answer MoveAlias: nobody listens"):
        await asyncio.wait_for(ask(people, QUESTION, timeout_s=60), 30)


async def test_slow_answer_is_no_answer(shared_nats_system: NatsSystem) -> None:
    async def never(request: MoveAlias) -> Event:
        await asyncio.Event().wait()
        return ANSWER

    await answer(await shared_nats_system.connect(Principal.REGISTRY), MoveAlias, never)
    with pytest.raises(NoAnswerError, match=r"within 0\.2 s"):
        await ask(await shared_nats_system.connect(Principal.OPERATOR), QUESTION, timeout_s=0.2)


async def test_answer_sent_elsewhere_is_neither_stored_nor_heard(
    shared_nats_system: NatsSystem,
) -> None:
    """Else a caller could have the registry announce a model for it."""
    calls: list[MoveAlias] = []

    async def moved(request: MoveAlias) -> Event:
        calls.append(request)
        return ANSWER

    people = await shared_nats_system.connect(Principal.OPERATOR)
    program = await shared_nats_system.connect(Principal.APPLICATION)
    announced: asyncio.Queue[Msg] = asyncio.Queue()
    await program.subscribe(row_of(ModelPublished).pattern, cb=announced.put)
    await program.flush()
    await answer(await shared_nats_system.connect(Principal.REGISTRY), MoveAlias, moved)
    elsewhere = row_of(ModelPublished).pattern.replace("*", "detector")
    await people.publish(request_row_of(MoveAlias).subject, encode(QUESTION), reply=elsewhere)
    assert await ask(people, QUESTION) == ANSWER
    assert calls == [QUESTION, QUESTION]
    assert await last_value(program, ModelPublished, name="detector") is None
    assert announced.empty()


async def test_robot_cannot_ask_in_another_robots_name(shared_nats_system: NatsSystem) -> None:
    asked: list[RobotId] = []

    async def granted(request: GrantFetch) -> Event:
        asked.append(request.robot_id)
        unsigned = SignedManifest(payload=b"", key_id="", signature=b"")
        return FetchGranted(chunks_url="http://127.0.0.1/", expires_at=NOW, signed=unsigned)

    await answer(await shared_nats_system.connect(Principal.REGISTRY), GrantFetch, granted)
    robot = await shared_nats_system.connect("robot-a")
    own, other = (
        GrantFetch(robot_id=RobotId(name), digest=digest_of("a")) for name in ("robot-a", "robot-b")
    )
    assert (await ask(robot, own)).chunks_url == "http://127.0.0.1/"
    row = request_row_of(GrantFetch)
    reply = await robot.request(row.subject_of(own), encode(other), timeout=5)
    assert reply.headers is not None
    assert reply.headers[REFUSED] == "UnreadableMessageError"
    assert asked == ["robot-a"]
