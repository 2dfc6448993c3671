"""Who holds no honest credentials does not get in, whatever the token claims."""

from __future__ import annotations

import base64
import json
import time

import nats
import pytest

from fleetward.bus.connection import inbox_prefix
from fleetward.contracts.accounts import Account
from fleetward.contracts.errors import InvalidIdError
from fleetward.trust import nats_jwt
from fleetward.trust.identities import RENEWER, SYSTEM
from fleetward.trust.nats_jwt import Claims, KeyPair
from testkit.servers import NatsSystem
from tests.integration.security.intruder import (
    intrude,
    intrude_with_token,
    must_not_enter,
)

HOUR_S = 3600
ROBOT_SIGNERS = ("robot", RENEWER)


def role_key(system: NatsSystem, role: str) -> KeyPair:
    """The signing key of a role, as somebody who stole the issuer's directory would have it."""
    return KeyPair((system.directory / "keys" / f"role-{role}.seed").read_bytes())


def robot_claims(system: NatsSystem, user: KeyPair, name: str = "robot-a") -> Claims:
    return nats_jwt.user_claims(user.public, name, system.identities.accounts[Account.EDGE].public)


def robot_token(system: NatsSystem, user: KeyPair, **extra: object) -> str:
    claims = {**robot_claims(system, user), **extra}
    return nats_jwt.signed(claims, role_key(system, "robot"), int(time.time()))


@pytest.fixture
async def user(shared_nats_system: NatsSystem) -> KeyPair:
    """A robot's key whose honest token gets in, so that what follows is refused for its defect."""
    user = KeyPair.create("user")
    token = robot_token(shared_nats_system, user)
    intruder = await intrude_with_token(shared_nats_system, token, user.seed, "robot-a")
    stored = await intruder.client.jetstream().publish("robot.telemetry.v1.robot-a", b"mine")
    assert stored.stream == "TELEMETRY"
    await intruder.client.close()
    return user


async def test_stolen_token_without_its_seed_is_refused(
    shared_nats_system: NatsSystem, user: KeyPair
) -> None:
    token = robot_token(shared_nats_system, user)
    await must_not_enter(shared_nats_system, token, KeyPair.create("user").seed)


async def test_tampered_name_is_refused(shared_nats_system: NatsSystem, user: KeyPair) -> None:
    header, body, signature = robot_token(shared_nats_system, user).split(".")
    forged = _encode({**_decode(body), "name": "robot-b"})
    await must_not_enter(shared_nats_system, f"{header}.{forged}.{signature}", user.seed)


async def test_unsigned_token_with_algorithm_none_is_refused(
    shared_nats_system: NatsSystem, user: KeyPair
) -> None:
    _, body, _ = robot_token(shared_nats_system, user).split(".")
    header = _encode({"typ": "JWT", "alg": "none"})
    await must_not_enter(shared_nats_system, f"{header}.{body}.", user.seed)


async def test_honest_header_without_a_signature_is_refused(
    shared_nats_system: NatsSystem, user: KeyPair
) -> None:
    header, body, _ = robot_token(shared_nats_system, user).split(".")
    await must_not_enter(shared_nats_system, f"{header}.{body}.", user.seed)


async def test_expired_token_is_refused(shared_nats_system: NatsSystem, user: KeyPair) -> None:
    token = robot_token(shared_nats_system, user, exp=int(time.time()) - 5)
    await must_not_enter(shared_nats_system, token, user.seed)


async def test_token_that_is_not_valid_yet_is_refused(
    shared_nats_system: NatsSystem, user: KeyPair
) -> None:
    token = robot_token(shared_nats_system, user, nbf=int(time.time()) + HOUR_S)
    await must_not_enter(shared_nats_system, token, user.seed)


async def test_token_signed_by_a_stranger_is_refused(
    shared_nats_system: NatsSystem, user: KeyPair
) -> None:
    claims = robot_claims(shared_nats_system, user)
    token = nats_jwt.signed(claims, KeyPair.create("account"), int(time.time()))
    await must_not_enter(shared_nats_system, token, user.seed)


async def test_token_signed_by_its_own_user_is_refused(
    shared_nats_system: NatsSystem, user: KeyPair
) -> None:
    token = nats_jwt.signed(robot_claims(shared_nats_system, user), user, int(time.time()))
    await must_not_enter(shared_nats_system, token, user.seed)


@pytest.mark.parametrize("role", ROBOT_SIGNERS)
@pytest.mark.parametrize("account", [each for each in Account if each is not Account.EDGE])
async def test_robots_signing_keys_open_no_other_account(
    shared_nats_system: NatsSystem, user: KeyPair, role: str, account: Account
) -> None:
    foreign = shared_nats_system.identities.accounts[account].public
    claims = nats_jwt.user_claims(user.public, "robot-a", foreign)
    token = nats_jwt.signed(claims, role_key(shared_nats_system, role), int(time.time()))
    await must_not_enter(shared_nats_system, token, user.seed)


async def test_the_renewers_key_makes_a_robot_that_may_do_what_robots_may(
    shared_nats_system: NatsSystem, user: KeyPair
) -> None:
    claims = robot_claims(shared_nats_system, user)
    token = nats_jwt.signed(claims, role_key(shared_nats_system, RENEWER), int(time.time()))
    robot = await intrude_with_token(shared_nats_system, token, user.seed, "robot-a")
    stored = await robot.client.jetstream().publish("robot.telemetry.v1.robot-a", b"mine")
    assert stored.stream == "TELEMETRY"
    await robot.must_not_publish("robot.telemetry.v1.robot-b")
    await robot.must_not_publish("robot.enrolled.v1.robot-a")
    await robot.must_not_publish("robot.keys_changed.v1.robot-a")
    await robot.must_not_publish("$SYS.REQ.ACCOUNT.X.CLAIMS.UPDATE")
    await robot.must_not_subscribe(">")
    await robot.client.close()


async def test_the_renewers_key_signs_no_account(nats_system: NatsSystem) -> None:
    """Even one that is pushed by whoever may push: accounts are believed under the operator's key alone."""
    user, thief = KeyPair.create("user"), KeyPair.create("account")
    edge = nats_system.identities.accounts[Account.EDGE].public
    claims = nats_jwt.account_claims(edge, "EDGE", [])
    claims["nats"]["signing_keys"] = [thief.public]
    forged = nats_jwt.signed(claims, role_key(nats_system, RENEWER), int(time.time()) + HOUR_S)
    honest = await intrude(nats_system, "robot-b")
    system = await nats.connect(
        nats_system.url,
        user_credentials=str(nats_system.identities.issue_system()),
        inbox_prefix=inbox_prefix(SYSTEM),
    )
    update = f"$SYS.REQ.ACCOUNT.{edge}.CLAIMS.UPDATE"
    await system.request(update, forged.encode(), timeout=5)
    await system.close()
    token = nats_jwt.signed(robot_claims(nats_system, user), thief, int(time.time()))
    await must_not_enter(nats_system, token, user.seed)
    assert not honest.closed.is_set()
    await (await intrude(nats_system, "robot-b")).client.close()
    await honest.client.close()


@pytest.mark.parametrize("role", ROBOT_SIGNERS)
async def test_scoped_token_with_permissions_of_its_own_is_refused(
    shared_nats_system: NatsSystem, user: KeyPair, role: str
) -> None:
    claims = robot_claims(shared_nats_system, user)
    claims["nats"] |= {"pub": {"allow": [">"]}, "sub": {"allow": [">"]}, "subs": -1, "payload": -1}
    token = nats_jwt.signed(claims, role_key(shared_nats_system, role), int(time.time()))
    await must_not_enter(shared_nats_system, token, user.seed)


async def test_bearer_token_is_refused(shared_nats_system: NatsSystem, user: KeyPair) -> None:
    claims = robot_claims(shared_nats_system, user)
    claims["nats"] |= {"bearer_token": True}
    token = nats_jwt.signed(claims, role_key(shared_nats_system, "robot"), int(time.time()))
    await must_not_enter(shared_nats_system, token, KeyPair.create("user").seed)


async def test_account_made_by_the_intruder_is_refused(
    shared_nats_system: NatsSystem, user: KeyPair
) -> None:
    account = KeyPair.create("account")
    claims = nats_jwt.user_claims(user.public, "robot-a", account.public)
    await must_not_enter(
        shared_nats_system, nats_jwt.signed(claims, account, int(time.time())), user.seed
    )


@pytest.mark.parametrize(
    "name", ["*", ">", "a.b", "", "robot-a\n", "../robot-b", "Robot", "r b", "$x"]
)
async def test_robot_with_a_name_that_is_a_pattern_is_not_enrolled(
    shared_nats_system: NatsSystem, name: str
) -> None:
    assert shared_nats_system.identities.issue_robot("robot-honest").exists()
    with pytest.raises(InvalidIdError):
        shared_nats_system.identities.issue_robot(name)


def _decode(part: str) -> Claims:
    claims: Claims = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return claims


def _encode(claims: Claims) -> str:
    return base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
