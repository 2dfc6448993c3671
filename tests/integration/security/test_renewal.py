"""On a real server: who may have a robot's next credentials, and where a robot may die on the way to them."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from fleetward.bus.errors import ConflictError, RefusedError
from fleetward.bus.last_values import last_value
from fleetward.bus.publish import publish
from fleetward.bus.requests import ask
from fleetward.contracts.ids import RobotId
from fleetward.contracts.robot_keys import (
    CredentialsRenewed,
    RobotKeysChanged,
)
from fleetward.trust.nats_jwt import KeyPair
from fleetward.trust.renewals import confirmation, renewal_asked
from fleetward.trust.succession import begun
from testkit.servers import NatsSystem
from tests.integration.security.intruder import must_not_enter
from tests.integration.security.renewing_robot import (
    NOBODY_DIES,
    ROBOT,
    WAIT_S,
    DiesError,
    Hub,
    Life,
    patiently,
    told,
)


@pytest.fixture
async def hub(nats_system: NatsSystem) -> Hub:
    running = Hub(nats_system)
    await running.start()
    return running


@pytest.mark.parametrize(
    "moment",
    [
        NOBODY_DIES,
        *(
            f"{when} {what}"
            for what in ("renew", "move", "confirm")
            for when in ("before", "after")
        ),
    ],
)
async def test_a_robot_that_dies_on_the_way_comes_back_and_to_its_next_key(
    hub: Hub, tmp_path: Path, moment: str
) -> None:
    hub.now += timedelta(days=60)
    first = Life(hub, tmp_path, moment)
    try:
        await first.to_its_end()
        assert moment == NOBODY_DIES
    except DiesError:
        pass
    finally:
        await first.end()
    await hub.void_replaced()  # as soon as anything was confirmed
    second = Life(hub, tmp_path)
    try:
        await second.to_its_end()
    finally:
        await second.end()
    await hub.void_replaced()
    keys = await hub.keys()
    assert keys is not None
    assert keys.current == second.link.keyring.signing_key.public != hub.key.public
    assert len(keys.keys) == 2
    text = hub.system.credentials(ROBOT).read_text().splitlines()[1]
    await must_not_enter(hub.system, text, hub.key.seed, ROBOT)


async def test_of_two_renewals_at_once_one_counts_and_the_other_is_void(
    hub: Hub, tmp_path: Path
) -> None:
    """Two machines with a copy of one key, and two replicas of the registry that they ask."""
    hub.now += timedelta(days=60)
    lives = [Life(hub, tmp_path / name) for name in ("first", "second")]
    ended = await asyncio.gather(*(_ends(life) for life in lives))
    assert sorted(ended) == ["", "KeyNotCurrentError"]
    await hub.void_replaced()
    keys = await hub.keys()
    assert keys is not None
    counting = [key.public_key for key in keys.keys if key.retired_at is None]
    assert counting == [keys.current]
    (winner, loser) = sorted(lives, key=lambda life: life.link.keyring.held.renewed is None)
    assert winner.link.keyring.signing_key.public == keys.current
    for credential in loser.link.keyring.reload().shown:
        await must_not_enter(hub.system, credential.token, credential.seed, ROBOT)
    for life in lives:
        await life.end()


async def test_replaced_key_opens_nothing_though_it_was_issued_by_a_clock_that_is_ahead(
    hub: Hub, tmp_path: Path
) -> None:
    """The server takes a JWT away by when it was issued, and two machines issue and take away."""
    hub.now += timedelta(days=60)
    life = Life(hub, tmp_path / "robot")
    await life.to_its_end()
    replaced = life.link.keyring.held.renewed
    assert replaced is not None
    hub.now += timedelta(days=60)
    async with asyncio.timeout(WAIT_S):
        while life.link.keyring.held.renewed == replaced:
            await patiently(life.renewing.turn)
        await life.to_its_end()
    await hub.void_replaced()

    await must_not_enter(hub.system, replaced.token, replaced.seed, ROBOT)
    await life.end()


async def _ends(life: Life) -> str:
    """Why it did not come to the next key; empty: it did."""
    try:
        await asyncio.wait_for(life.to_its_end(), WAIT_S)
    except RefusedError as refusal:
        return refusal.code
    return ""


async def test_a_robot_that_was_voided_or_removed_gets_nothing_though_it_is_still_connected(
    hub: Hub,
) -> None:
    """The server closes its connections a moment later; a question may be on its way by then."""
    robot, coming = await hub.system.connect(ROBOT), KeyPair.create("user")
    question = renewal_asked(ROBOT, hub.key, coming)
    assert await told(robot, question) == ""
    keys = await hub.keys()
    assert keys is not None
    await publish(hub.enroller, replace(keys, closed_at=hub.now))
    assert await told(robot, question) == "KeyNotCurrentError"
    assert await told(robot, confirmation(ROBOT, coming)) == "KeyNotCurrentError"
    await publish(hub.enroller, replace(hub.enrolled, retired_at=hub.now))
    assert await told(robot, question) == "NotOfTheFleetError"
    assert await told(robot, renewal_asked(ROBOT, hub.key, KeyPair.create("user"))) == (
        "NotOfTheFleetError"
    )


async def test_only_who_holds_both_keys_is_given_credentials(hub: Hub) -> None:
    robot, coming = await hub.system.connect(ROBOT), KeyPair.create("user")
    thief = KeyPair.create("user")
    question = renewal_asked(ROBOT, hub.key, coming)
    for forged in (
        replace(question, signature=question.next_signature),
        replace(question, next_signature=question.signature),
        renewal_asked(RobotId("robot-b"), hub.key, coming),
    ):
        assert await told(robot, replace(forged, robot_id=ROBOT)) == "SignatureError"
    assert await told(robot, renewal_asked(ROBOT, thief, coming)) == "KeyNotCurrentError"
    assert await told(robot, confirmation(ROBOT, thief)) == "KeyNotCurrentError"
    assert await hub.keys() is None, "nothing was written down"
    other = await hub.system.connect("robot-b")
    assert await told(other, renewal_asked(RobotId("robot-b"), hub.key, coming)) == (
        "NotOfTheFleetError"
    )


async def test_a_robot_that_asks_without_end_is_refused_unheard(hub: Hub) -> None:
    robot, coming = await hub.system.connect(ROBOT), KeyPair.create("user")
    question = renewal_asked(ROBOT, hub.key, coming)
    answers = await asyncio.gather(
        *(ask(robot, question) for _ in range(50)), return_exceptions=True
    )
    refused = [each for each in answers if isinstance(each, RefusedError)]
    assert {each.code for each in refused} == {"RenewedTooSoonError"}
    assert len(answers) - len(refused) in {1, 2}, "one of each replica"


async def test_an_answer_that_was_lost_is_given_again_word_for_word(hub: Hub) -> None:
    robot = await hub.system.connect(ROBOT)
    question = renewal_asked(ROBOT, hub.key, KeyPair.create("user"))
    first: CredentialsRenewed = await ask(robot, question)
    hub.now += timedelta(hours=5)
    assert await patiently(lambda: ask(robot, question)) == first


async def test_no_key_follows_when_an_operator_voids_while_the_registry_decides(hub: Hub) -> None:
    """Both write down what they decided, and only on top of what they read."""
    robot, coming = await hub.system.connect(ROBOT), KeyPair.create("user")

    async def voids() -> None:
        while True:
            value = await last_value(hub.enroller, RobotKeysChanged, robot_id=ROBOT)
            keys = value.event if value else begun(hub.enrolled)
            with suppress(ConflictError):
                closed = replace(keys, closed_at=hub.now)
                await publish(hub.enroller, closed, after=value.sequence if value else 0)
                return

    refused, _ = await asyncio.gather(told(robot, renewal_asked(ROBOT, hub.key, coming)), voids())
    keys = await hub.keys()
    assert keys is not None
    assert keys.closed_at is not None
    is_known = keys.key(coming.public) is not None
    assert is_known == (refused == ""), "what was issued is known to whoever voids, and only that"
    assert await told(robot, renewal_asked(ROBOT, hub.key, KeyPair.create("user"))) == (
        "KeyNotCurrentError"
    )
