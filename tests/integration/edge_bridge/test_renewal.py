"""A robot comes to its next credentials while it serves: nothing is lost, and there is no time without any."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path

import pytest

from edge_bridge.bridge import Bridge
from edge_bridge.credentials.limits import RenewalLimits
from edge_bridge.frames import Frame, FrameSink
from fleetward.bus.last_values import last_value
from fleetward.bus.publish import publish
from fleetward.contracts.accounts import Account
from fleetward.contracts.codec import decode
from fleetward.contracts.receipts import SwapReceipt, SwapReceiptSigned
from fleetward.contracts.robot_keys import CREDENTIAL_DAYS, RobotKeysChanged
from fleetward.contracts.robots import ModelActivated, RobotCheckedIn, RobotEnrolled
from fleetward.contracts.rows import Principal
from fleetward.contracts.signals import LINK_RECONNECTS
from fleetward.local.replaced_keys import void_replaced
from fleetward.rules.samples import decode_samples
from fleetward.trust.identities import Identities
from fleetward.trust.nats_jwt import KeyPair, credentials, key_in, token_in
from fleetward.trust.private_files import write_private
from fleetward.trust.receipts import receipt_in
from model_registry.renewing import Renewals
from model_registry.settings import RenewalSettings
from testkit.servers import NatsSystem
from tests.integration.edge_bridge.camera import Camera
from tests.integration.edge_bridge.fleet import NOW, ROBOT, WAIT_S, Fleet, running_fleet
from tests.integration.edge_slots import tiny_models
from tests.integration.security.intruder import must_not_enter

OLD = timedelta(days=CREDENTIAL_DAYS * 0.6)
"""Of credentials that are due and have not ended."""
QUICK = RenewalLimits(look_s=0.1, retry_wait_s=0.1, retry_limit_s=0.5)


class PatientCamera(Camera):
    """Shows no frame before the one before was answered, so that no busy machine costs a frame."""

    bridge: Bridge | None = None

    async def run(self, sink: FrameSink) -> None:
        shape = (tiny_models.SIDE_PX, tiny_models.SIDE_PX, 3)
        while True:
            await asyncio.sleep(0.01)
            if self.bridge is not None and not self.bridge.ledger.open_frames:
                sink(Frame(bytes(shape[0] * shape[1] * shape[2]), shape))


class Renewable(Fleet):
    """The same surroundings, with a robot whose credentials are due and an operator who voids old ones."""

    async def begin(self) -> None:
        self.enroller = await self.system.connect(Principal.ENROLLER)
        self.operator = await self.system.connect(Principal.OPERATOR)
        issued_s = time.time() - OLD.total_seconds()
        directory = self.system.directory
        Identities(directory / "keys", directory / "credentials", lambda: issued_s).issue_robot(
            ROBOT
        )
        identities = self.system.identities
        enrolled = RobotEnrolled(
            robot_id=ROBOT,
            enrolled_at=NOW,
            public_key=identities.robot_public(ROBOT),
            key_expires_at=identities.robot_key_ends(ROBOT),
        )
        await publish(self.enroller, enrolled)

    async def renew_credentials(self) -> None:
        """From now on the registry renews them."""
        identities = self.system.identities
        settings = RenewalSettings(
            signer=identities.renewer_seed, account=identities.accounts[Account.EDGE].public
        )
        registry = await self.system.connect(Principal.REGISTRY)
        await Renewals(registry, settings, self.now).answer()

    def issue_ending_in(self, life_s: float) -> None:
        """Another key in the place of the one that the robot was enrolled with."""
        identities, user = self.system.identities, KeyPair.create("user")
        edge = identities.accounts[Account.EDGE]
        token = identities.user_token(user.public, ROBOT, "robot", edge, int(time.time() + life_s))
        write_private(identities.robot_path(ROBOT), credentials(token, user))

    async def void_replaced(self) -> None:
        """As ``fleetward up`` does."""
        directory = self.system.directory
        assert await void_replaced(
            self.enroller, self.system.url, directory / "keys", self.system.identities
        )

    async def signed_receipt(self, generation: int) -> SwapReceiptSigned:
        """As it is stored."""
        while True:  # it leaves the robot just after the activation
            value = await last_value(self.operator, SwapReceiptSigned, robot_id=ROBOT)
            if value and decode(value.event.payload, SwapReceipt).generation == generation:
                return value.event
            await asyncio.sleep(0.01)

    async def keys(self, holds: Callable[[RobotKeysChanged], bool]) -> RobotKeysChanged:
        """What is known of the robot's keys, once it holds."""

        async def known() -> RobotKeysChanged:
            while True:
                value = await last_value(self.enroller, RobotKeysChanged, robot_id=ROBOT)
                if value is not None and holds(value.event):
                    return value.event
                await asyncio.sleep(0.02)

        return await asyncio.wait_for(known(), WAIT_S)


@pytest.fixture
async def fleet(nats_system: NatsSystem, tmp_path: Path) -> AsyncIterator[Renewable]:
    async with running_fleet(nats_system, tmp_path, Renewable) as running:
        assert isinstance(running, Renewable)
        await running.begin()
        yield running


def is_renewed(keys: RobotKeysChanged) -> bool:
    return keys.current != keys.enrolled_key


async def test_credentials_are_renewed_under_load_and_nothing_is_lost(fleet: Renewable) -> None:
    first, second = (tiny_models.brightness(fleet.directory, name) for name in ("v1", "v2"))
    fleet.publish_model(first)
    fleet.publish_model(second)
    old = fleet.system.credentials(ROBOT)
    camera = PatientCamera()
    # A poll would find the second target too; only a nudge over the new connection finds it at once.
    settings = fleet.settings(renewal=QUICK, poll_s=600.0)
    async with Bridge(settings, source=camera) as bridge:
        camera.bridge = bridge
        await fleet.aim(first, 1)
        await fleet.hears(ModelActivated)
        fed = bridge.ledger.frames_captured
        await fleet.renew_credentials()
        keys = await fleet.keys(is_renewed)
        await fleet.void_replaced()
        assert bridge.ledger.frames_captured > fed
        await fleet.aim(second, 2)
        await fleet.hears(ModelActivated, lambda fact: fact.generation == 2)
        ledger = bridge.ledger
        assert (ledger.frames_dropped, ledger.frames_failed) == (0, 0)
        assert receipt_in(await fleet.signed_receipt(2), keys.current).generation == 2
        sent = max(number for _, number in fleet.frames)
        await fleet.stored(lambda frames: max(number for _, number in frames) > sent)
        said = await fleet.hears(RobotCheckedIn, lambda fact: fact.generation == 2)
        assert said.credential_trouble == ""

    assert [number for _, number in sorted(fleet.frames)] == list(range(1, len(fleet.frames) + 1))
    assert fleet.renumbered == []
    told = [fact.sequence for fact in fleet.heard if isinstance(fact, RobotCheckedIn)]
    assert told == sorted(set(told)), "of check-ins the newest counts, and none came twice"
    assert last_reconnects(fleet) == {0.0}, "no connection was ever cut"
    text = old.read_text(encoding="ascii")
    await must_not_enter(fleet.system, token_in(text), key_in(text).seed, ROBOT)
    (kept,) = (settings.state_dir / "credentials").iterdir()
    assert (kept.name, kept.stat().st_mode & 0o777) == ("renewed", 0o600)


async def test_credentials_that_end_stop_nothing_and_new_ones_are_taken_when_they_come(
    fleet: Renewable,
) -> None:
    model = tiny_models.brightness(fleet.directory, "v1")
    fleet.publish_model(model)
    camera = Camera()
    async with Bridge(fleet.settings(), source=camera):
        await fleet.aim(model, 1)
        await fleet.hears(ModelActivated)
    fleet.issue_ending_in(3.0)
    async with Bridge(fleet.settings(renewal=QUICK), source=camera) as bridge:
        await bridge.ready()
        while bridge.connected:
            await camera.shows(1)
        served = bridge.ledger.frames_served
        await camera.shows(50)
        assert bridge.ledger.frames_served > served
        assert not bridge.connected
        fleet.issue_ending_in(3600.0)  # as enrolling it again does, by the issuer's own hand
        await asyncio.wait_for(bridge.ready(), WAIT_S)
        stored = len(fleet.frames)
        await fleet.stored(lambda frames: len(frames) > stored)
    for boot in {boot for boot, _ in fleet.frames}:
        numbers = sorted(number for other, number in fleet.frames if other == boot)
        assert numbers == list(range(1, len(numbers) + 1))


def last_reconnects(fleet: Fleet) -> set[float]:
    """What telemetry said of reconnects."""
    return {
        sample.value
        for frame in fleet.frames.values()
        for sample in decode_samples(frame).samples
        if sample.series.signal == LINK_RECONNECTS.name
    }
