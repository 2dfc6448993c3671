"""What was verified once is believed again as long as it is the same, and nothing else is."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace
from nacl.signing import VerifyKey
from nats.aio.client import Client

from fleetward.bus.batch import Write, write_atomically
from fleetward.contracts.ids import RobotId
from fleetward.contracts.robots import SignedTarget
from fleetward.contracts.rows import Principal
from fleetward.trust.signing import TARGET, SigningKey, TrustedKeys
from rollout_coordinator.advance import begun
from rollout_coordinator.signed_targets import Signatory, Signed
from rollout_coordinator.stored_targets import Known, StoredTargets
from rollout_coordinator.target_of import target_of
from testkit.servers import NatsSystem
from tests.unit.rollout_coordinator.scenes import START, planned, robot

ROBOTS = [robot(number) for number in (1, 2, 3)]
FIRST = ROBOTS[0]


class Counting(TrustedKeys):
    """How many signatures were verified."""

    def __init__(self, key: SigningKey) -> None:
        super().__init__({TARGET: {key.key_id: VerifyKey(key.public_bytes)}})
        self.verified = 0

    def verify(self, purpose: str, payload: bytes, key_id: str, signature: bytes) -> None:
        self.verified += 1
        super().verify(purpose, payload, key_id, signature)


@pytest.fixture
def key(tmp_path: Path) -> SigningKey:
    return SigningKey.create(tmp_path / "target.seed")


@pytest.fixture
def trusted(key: SigningKey) -> Counting:
    return Counting(key)


@pytest.fixture
async def connection(nats_system: NatsSystem) -> Client:
    return await nats_system.connect(Principal.COORDINATOR)


async def signed_by(key: SigningKey) -> tuple[Signed, ...]:
    step = begun(planned(len(ROBOTS)), START)
    targets = [target_of(step.rollout, order, START) for order in step.targets]
    return await Signatory(key).signed(targets, "")


async def store(connection: Client, *targets: SignedTarget) -> int:
    """The sequence of the first."""
    last = await write_atomically(connection, [Write(target) for target in targets])
    return last - len(targets) + 1


async def test_target_is_verified_when_it_is_read_first_and_not_while_it_stays_the_same(
    connection: Client, key: SigningKey, trusted: Counting
) -> None:
    made = await signed_by(key)
    first = await store(connection, *(each.signed for each in made))
    targets = StoredTargets(connection, trusted)
    expected = {
        each.target.robot_id: Known(each.target, first + at) for at, each in enumerate(made)
    }
    for _ in range(2):
        assert await targets.newest(ROBOTS) == expected
        assert trusted.verified == len(ROBOTS)
    assert await targets.known([*ROBOTS, RobotId("nobody")]) == expected


async def test_own_target_is_not_verified_and_what_replaces_it_is(
    connection: Client, key: SigningKey, trusted: Counting
) -> None:
    made = await signed_by(key)
    targets = StoredTargets(connection, trusted)
    first = await store(connection, *(each.signed for each in made))
    targets.wrote(made, first)
    assert (await targets.newest(ROBOTS))[FIRST] == Known(made[0].target, first)
    assert trusted.verified == 0

    forged = replace(made[0].signed, payload=made[1].signed.payload)  # the signature as it was
    at = await store(connection, forged)
    assert (await targets.newest(ROBOTS))[FIRST] == Known(made[0].target, at)
    assert trusted.verified > 0
