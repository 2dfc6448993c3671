"""Who holds no honest credentials does not get in, whatever the token claims."""

from __future__ import annotations

import base64
import json
import time

import pytest

from fleetward.contracts.accounts import Account
from fleetward.contracts.errors import InvalidIdError
from fleetward.contracts.rows import Principal
from fleetward.trust import nats_jwt
from fleetward.trust.nats_jwt import Claims, KeyPair
from testkit.servers import NatsSystem
from tests.integration.security.intruder import (
    intrude_with_token,
    must_not_enter,
)

HOUR_S = 3600


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


async def test_robots_signing_key_does_not_open_the_services_account(
    shared_nats_system: NatsSystem, user: KeyPair
) -> None:
    core = shared_nats_system.identities.accounts[Account.CORE].public
    claims = nats_jwt.user_claims(user.public, "robot-a", core)
    token = nats_jwt.signed(claims, role_key(shared_nats_system, "robot"), int(time.time()))
    await must_not_enter(shared_nats_system, token, user.seed)


async def test_services_signing_key_does_not_open_the_robots_account(
    shared_nats_system: NatsSystem, user: KeyPair
) -> None:
    claims = robot_claims(shared_nats_system, user)
    key = role_key(shared_nats_system, Principal.COORDINATOR.value)
    await must_not_enter(
        shared_nats_system, nats_jwt.signed(claims, key, int(time.time())), user.seed
    )


async def test_scoped_token_with_permissions_of_its_own_is_refused(
    shared_nats_system: NatsSystem, user: KeyPair
) -> None:
    claims = robot_claims(shared_nats_system, user)
    claims["nats"] |= {"pub": {"allow": [">"]}, "sub": {"allow": [">"]}, "subs": -1, "payload": -1}
    token = nats_jwt.signed(claims, role_key(shared_nats_system, "robot"), int(time.time()))
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
