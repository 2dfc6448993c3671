"""A machine that renewed its credentials by itself is enrolled again, loses them, and is removed.

The tests of this file follow each other: each finds the machine as the one before left it.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from edge_bridge.credentials.keyring import Keyring
from edge_bridge.credentials.limits import RenewalLimits
from edge_bridge.credentials.renewing import BusHub, Renewing
from edge_bridge.link import Link
from fleetward.bus.connection import BusSettings, close
from fleetward.cli.exits import Exit
from fleetward.contracts.accounts import Account
from fleetward.contracts.ids import RobotId
from fleetward.contracts.robot_keys import CREDENTIAL_DAYS
from fleetward.contracts.rows import Principal
from fleetward.enrolment.layout import UNIT
from fleetward.trust.nats_jwt import credentials
from model_registry.renewing import Renewals
from model_registry.settings import RenewalSettings
from testkit import systemctl
from tests.integration.enrolment.machines import NAME, Machines, machines
from tests.integration.enrolment.robots_word import cannot_connect, connects

ROBOT = RobotId(NAME)
DUE = timedelta(days=CREDENTIAL_DAYS * 0.6)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    with machines(tmp_path_factory.mktemp("machines")) as running:
        code, result = running.enrol("--name", NAME, "--trust-first-use")
        assert code == Exit.OK, result["reason"]
        yield running


def renew(made: Machines) -> Path:
    """Have the machine renew its credentials, as its bridge does when they are due; a copy of the new ones."""
    machine = systemctl.Machine(made.root, UNIT)
    machine.stop()
    held = asyncio.run(_renewed(made))
    machine.start()
    copy = made.directory / f"{held.signing_key.public}.creds"
    assert held.held.renewed is not None
    copy.write_bytes(credentials(held.held.renewed.token, held.held.renewed.key))
    return copy


async def _renewed(made: Machines) -> Keyring:
    """With the code of the bridge, beside the one that stands still."""
    hub_now, identities = datetime.now(timezone.utc) + DUE, made.system.identities
    registry = await made.system.connect(Principal.REGISTRY)
    signer, account = identities.renewer_seed, identities.accounts[Account.EDGE].public
    settings = RenewalSettings(signer=signer, account=account)
    await Renewals(registry, settings, lambda: datetime.now(timezone.utc)).answer()
    bus = BusSettings(
        url=made.system.url, credentials=made.path("etc/fleetward/robot.creds"), name=NAME
    )
    link = Link(bus, made.path("var/lib/fleetward/credentials"), linger_s=0.0)
    await link.open()
    renewing = Renewing(ROBOT, link.keyring, BusHub(ROBOT, link), lambda: hub_now, RenewalLimits())
    while link.keyring.held.renewed is None or link.keyring.held.next is not None:
        await renewing.turn()
    await link.close(1.0)
    await close(registry)
    return link.keyring


def test_a_machine_that_renewed_is_as_wanted_and_its_old_key_is_void(made: Machines) -> None:
    enrolled = made.path("etc/fleetward/robot.creds")
    renewed = renew(made)

    code, again = made.enrol()

    assert (code, again["result"], again["changes"]) == (Exit.OK, "unchanged", [])
    cannot_connect(made, enrolled)
    assert asyncio.run(connects(made, renewed))
    shown: dict[str, Any] = made.run("show", NAME)[1]["credential"]
    assert shown["public_key"] == renewed.stem
    ends_at = datetime.fromisoformat(shown["expires_at"])
    assert timedelta(0) < ends_at - datetime.now(timezone.utc) <= timedelta(days=CREDENTIAL_DAYS)


def test_a_machine_that_lost_what_it_renewed_is_given_another_key(made: Machines) -> None:
    (lost,) = made.directory.glob("U*.creds")
    systemctl.Machine(made.root, UNIT).stop()
    shutil.rmtree(made.path("var/lib/fleetward/credentials"))

    code, again = made.enrol()

    assert (code, again["result"]) == (Exit.OK, "done"), again["reason"]
    assert again["changes"][:2] == [
        f"void the key that {NAME} had",
        f"issue credentials of {NAME}",
    ]
    cannot_connect(made, lost)
    assert made.enrol()[1]["result"] == "unchanged"


def test_removal_voids_what_the_machine_renewed(made: Machines) -> None:
    renewed = renew(made)
    assert asyncio.run(connects(made, renewed))

    code, (removed,), complaints = made.run("remove", made.server.destination, *made.reaching())

    assert (code, removed["result"]) == (Exit.OK, "done"), complaints
    cannot_connect(made, renewed)
