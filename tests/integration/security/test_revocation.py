"""A robot whose credentials were taken away is out at once, and stays out."""

from __future__ import annotations

import asyncio

import pytest

from fleetward.contracts.accounts import Account
from fleetward.contracts.rows import Principal
from fleetward.trust import nats_jwt
from fleetward.trust.identities import RevokedError
from testkit.servers import NatsSystem
from tests.integration.security.intruder import intrude, must_not_enter

CUT_WITHIN_S = 30.0


def _token_and_seed(system: NatsSystem, robot: str) -> tuple[str, bytes]:
    text = system.credentials(robot).read_text()
    seed = next(line for line in text.splitlines() if line.startswith("SU"))
    return nats_jwt.token_in(text), seed.encode()


async def test_revoked_robot_is_cut_and_others_are_not(nats_system: NatsSystem) -> None:
    revoked, other = await intrude(nats_system, "robot-a"), await intrude(nats_system, "robot-b")
    await nats_system.revoke("robot-a")
    await asyncio.wait_for(revoked.closed.wait(), CUT_WITHIN_S)
    stored = await other.client.jetstream().publish("robot.telemetry.v1.robot-b", b"mine")
    assert stored.stream == "TELEMETRY"
    await other.client.close()


async def test_revoked_credentials_do_not_come_back_even_after_a_server_is_killed(
    nats_system: NatsSystem,
) -> None:
    token, seed = _token_and_seed(nats_system, "robot-a")
    await (await intrude(nats_system, "robot-a")).client.close()
    await nats_system.revoke("robot-a")
    await must_not_enter(nats_system, token, seed)
    await nats_system.kill()
    await nats_system.restart()
    await must_not_enter(nats_system, token, seed)


async def test_revoked_key_is_not_given_a_newer_token(nats_system: NatsSystem) -> None:
    token, _ = _token_and_seed(nats_system, "robot-a")
    key = nats_jwt.claims_of(token)["sub"]
    identities = nats_system.identities
    assert identities.user_token(key, "robot-a", "robot", identities.accounts[Account.EDGE])
    await nats_system.revoke("robot-a")
    with pytest.raises(RevokedError):
        identities.user_token(key, "robot-a", "robot", identities.accounts[Account.EDGE])


async def test_robot_enrolled_again_gets_in_with_a_key_of_its_own(nats_system: NatsSystem) -> None:
    old, _ = _token_and_seed(nats_system, "robot-a")
    await nats_system.revoke("robot-a")
    robot = await intrude(nats_system, "robot-a")
    new, _ = _token_and_seed(nats_system, "robot-a")
    assert nats_jwt.claims_of(new)["sub"] != nats_jwt.claims_of(old)["sub"]
    assert (await robot.client.jetstream().publish("robot.telemetry.v1.robot-a", b"x")).seq == 1
    await robot.client.close()


@pytest.mark.parametrize("who", ["robot-b", Principal.OPERATOR, Principal.PROVISIONER])
async def test_nobody_but_system_pushes_an_older_account_back(
    nats_system: NatsSystem, who: Principal | str
) -> None:
    account = nats_system.identities.accounts[Account.EDGE].public
    before = nats_system.identities.server_trust().accounts[account]
    token, seed = _token_and_seed(nats_system, "robot-a")
    await nats_system.revoke("robot-a")
    intruder = await intrude(nats_system, who)
    await intruder.must_not_publish(f"$SYS.REQ.ACCOUNT.{account}.CLAIMS.UPDATE", before.encode())
    await must_not_enter(nats_system, token, seed)
    await intruder.client.close()
