"""What a robot replaced is void as soon as the issuer hears of it, also when the server could not be told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from fleetward.bus.publish import publish
from fleetward.bus.waiting import cancelled
from fleetward.contracts.ids import RobotId
from fleetward.contracts.robot_keys import RobotKey, RobotKeysChanged
from fleetward.contracts.rows import Principal
from fleetward.local.replaced_keys import keep_voiding, void_replaced
from fleetward.trust.identities import Identities
from fleetward.trust.nats_jwt import KeyPair
from testkit.servers import NatsSystem
from tests.integration.security.intruder import Intruder, intrude

ROBOT = RobotId("robot-a")
CUT_WITHIN_S = 30.0
NOW = datetime.now(timezone.utc)


def replaced(system: NatsSystem) -> RobotKeysChanged:
    """The robot confirmed another key than the one it was enrolled with."""
    old, new = system.identities.robot_public(ROBOT), KeyPair.create("user").public
    return RobotKeysChanged(
        robot_id=ROBOT,
        enrolled_key=old,
        keys=(
            RobotKey(public_key=old, issued_at=NOW, retired_at=NOW),
            RobotKey(public_key=new, issued_at=NOW, expires_at=NOW + timedelta(days=90)),
        ),
        current=new,
        changed_at=NOW,
    )


@pytest.fixture
async def robot(nats_system: NatsSystem) -> AsyncIterator[Intruder]:
    connected = await intrude(nats_system, ROBOT)
    yield connected
    await connected.client.close()


async def test_a_replaced_key_is_cut_off_as_soon_as_it_is_said(
    nats_system: NatsSystem, robot: Intruder
) -> None:
    enroller = await nats_system.connect(Principal.ENROLLER)
    keys = nats_system.directory / "keys"
    voiding = asyncio.ensure_future(
        keep_voiding(enroller, nats_system.url, keys, nats_system.identities)
    )
    await publish(enroller, replaced(nats_system))
    await asyncio.wait_for(robot.closed.wait(), CUT_WITHIN_S)
    await cancelled([voiding])


async def test_a_server_that_could_not_be_told_is_told_by_the_next_who_has_the_keys(
    nats_system: NatsSystem, robot: Intruder, tmp_path: Path
) -> None:
    enroller = await nats_system.connect(Principal.ENROLLER)
    await publish(enroller, replaced(nats_system))
    keys, nowhere = nats_system.directory / "keys", "nats://127.0.0.1:1"
    voiding = asyncio.ensure_future(void_replaced(enroller, nowhere, keys, nats_system.identities))
    await asyncio.wait_for(_written_down(nats_system), CUT_WITHIN_S)
    await cancelled([voiding])  # as if it were killed
    assert not robot.closed.is_set()
    again = Identities(keys, nats_system.directory / "credentials")
    assert await void_replaced(enroller, nats_system.url, keys, again)
    await asyncio.wait_for(robot.closed.wait(), CUT_WITHIN_S)
    assert not await void_replaced(enroller, nats_system.url, keys, again), "it is told once"


async def _written_down(system: NatsSystem) -> None:
    """Until the issuer's own file says that the key is void."""
    key, file = system.identities.robot_public(ROBOT), system.directory / "keys" / "replaced.json"
    while True:
        if file.exists() and key in file.read_text():
            return
        await asyncio.sleep(0.01)
