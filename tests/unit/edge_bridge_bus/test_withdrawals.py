"""What was withdrawn is served no more, whatever else is said, and a robot never forgets it."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from edge_bridge.converging.actions import Fetch, Prove, Refuse, RetireWarm, Stage, Swap, SwapBack
from edge_bridge.converging.converge import Memory, Placed, Slotted, next_action
from edge_bridge.converging.withdrawals import WithdrawnDigests
from edge_bridge.errors import WithdrawnError
from fleetward.contracts.codec import encode
from fleetward.contracts.curation import SignedWithdrawals, Withdrawals, withdrawals_message
from fleetward.contracts.ids import Digest
from fleetward.trust.signing import MANIFEST, SigningKey, TrustedKeys
from testkit.telemetry import digest_of
from tests.unit.edge_bridge_bus.object_server import digest_of_bytes, target_for

A, B = digest_of("a"), digest_of("b")
BYTES = b"a bad model"


class Hub:
    """Signs lists as the registry does."""

    def __init__(self, directory: Path) -> None:
        (directory / "trust").mkdir()
        self._key = SigningKey.create(directory / "manifest.key")
        self._key.publish(directory / "trust", MANIFEST)
        self._trusted = TrustedKeys.load(directory / "trust")
        self.path = directory / "withdrawn.msgpack"

    def robot(self) -> WithdrawnDigests:
        """A robot that starts, or starts again."""
        return WithdrawnDigests(self.path, self._trusted)

    def signed(
        self, counter: int, *digests: Digest, key: SigningKey | None = None
    ) -> SignedWithdrawals:
        listed = Withdrawals(counter=counter, reasons=dict.fromkeys(digests, "sees ghosts"))
        payload = encode(listed)
        signature = (key or self._key).sign(MANIFEST, withdrawals_message(payload))
        return SignedWithdrawals(
            payload=payload, key_id=signature.key_id, signature=signature.signature
        )


@pytest.fixture
def hub(tmp_path: Path) -> Hub:
    return Hub(tmp_path)


def test_a_target_on_withdrawn_bytes_is_refused_with_the_reason(hub: Hub) -> None:
    robot = hub.robot()
    assert robot.take(hub.signed(1, digest_of_bytes(BYTES)))

    with pytest.raises(WithdrawnError, match="sees ghosts"):
        robot.refuse(target_for(BYTES))
    robot.refuse(target_for(b"a good model"))


def test_a_robot_that_boots_without_its_hub_still_knows(hub: Hub) -> None:
    hub.robot().take(hub.signed(3, A))
    assert hub.robot().digests == {A}


def test_an_older_list_gives_nothing_back(hub: Hub) -> None:
    robot = hub.robot()
    robot.take(hub.signed(2, A, B))

    assert not robot.take(hub.signed(1, A))
    assert not robot.take(hub.signed(2))
    assert robot.digests == hub.robot().digests == {A, B}


def test_a_forged_list_neither_withdraws_nor_gives_back(hub: Hub, tmp_path: Path) -> None:
    robot = hub.robot()
    robot.take(hub.signed(1, A))
    thief = SigningKey.create(tmp_path / "thief.key")
    good = hub.signed(2, B)

    assert not robot.take(hub.signed(2, B, key=thief))
    assert not robot.take(replace(good, payload=good.payload + b" "))
    assert not robot.take(replace(good, payload=b""))
    assert robot.digests == {A}


def test_a_tampered_file_is_asked_for_again(hub: Hub) -> None:
    hub.robot().take(hub.signed(5, A))
    hub.path.write_bytes(hub.path.read_bytes()[:-3])

    robot = hub.robot()
    assert robot.digests == frozenset()
    assert robot.take(hub.signed(5, A))
    assert hub.robot().digests == {A}


def memory(wanted: str, settled: int = 1) -> Memory:
    target = replace(target_for(wanted.encode()), generation=2)
    own = Placed(target.model, digest_of_bytes(b"own"))
    return Memory(target=target, settled_generation=settled, active=own)


WANTED, OWN = digest_of_bytes(b"wanted"), digest_of_bytes(b"own")
GONE = frozenset({WANTED})


@pytest.mark.parametrize(
    "slotted",
    [
        Slotted(active=OWN, withdrawn=GONE),
        Slotted(active=OWN, stored=GONE, withdrawn=GONE),
        Slotted(active=OWN, staged=WANTED, withdrawn=GONE),
        Slotted(active=OWN, warm=WANTED, withdrawn=GONE),
        Slotted(active=WANTED, warm=OWN, withdrawn=GONE),
    ],
    ids=["to fetch", "stored", "staged", "warm", "swapped in, not proved"],
)
def test_withdrawn_bytes_are_refused_wherever_they_have_got_to(slotted: Slotted) -> None:
    assert next_action(memory("wanted"), slotted) == Refuse()
    after = next_action(memory("wanted", settled=2), slotted)
    assert not isinstance(after, Fetch | Stage | Swap | Prove)


def test_an_unproved_withdrawn_model_gives_way_to_the_robots_own() -> None:
    swapped = Slotted(active=WANTED, warm=OWN, withdrawn=GONE)
    assert next_action(memory("wanted", settled=2), swapped) == SwapBack()


def test_nothing_stays_warm_that_must_not_be_fallen_back_to() -> None:
    slotted = Slotted(active=WANTED, warm=OWN, withdrawn=frozenset({OWN}))
    assert next_action(memory("wanted"), slotted) == RetireWarm()
    assert next_action(memory("wanted", settled=2), slotted) == RetireWarm()
    assert next_action(memory("wanted"), replace(slotted, warm=None)) == Prove()
