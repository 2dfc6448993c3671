"""What enrolment needs of the hub: the issuer's keys of a home, and two connections to its bus."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime, timezone
from pathlib import Path

from msgspec.structs import replace
from nats.aio.client import Client

from fleetward.bus.enrolled import enrolled_robot
from fleetward.bus.errors import ConflictError
from fleetward.bus.last_values import last_value
from fleetward.bus.publish import publish
from fleetward.client import Fleet, robots
from fleetward.client.access import read_access
from fleetward.client.anchors import current_anchor
from fleetward.client.live import live_facts
from fleetward.client.owners import owners
from fleetward.contracts.ids import BootId, RobotId, RolloutId
from fleetward.contracts.robot_keys import RobotKeysChanged
from fleetward.contracts.robots import RobotCheckedIn, RobotEnrolled
from fleetward.contracts.rows import Principal
from fleetward.enrolment.errors import EnrolmentError, NoCheckInError
from fleetward.enrolment.plan import Known
from fleetward.local.alone import alone_at
from fleetward.local.authority import root_of
from fleetward.local.enrolment import enrol
from fleetward.local.home import Home
from fleetward.local.programs import Robot
from fleetward.local.replaced_keys import ISSUING_LOCK, tell_server, void_replaced
from fleetward.trust.floors import Anchor
from fleetward.trust.identities import Identities
from fleetward.trust.succession import begun

CHECK_IN_WAIT_S = 60.0
SIGN_OF_LIFE_WAIT_S = 15.0


class Hub:
    """Made by ``opened``."""

    def __init__(self, home: Home, enroller: Client, operator: Client, nats_url: str) -> None:
        self._home = home
        self._enroller = enroller
        self._operator = operator
        self._identities = Identities(home.keys, home.credentials)
        self.nats_url = nats_url

    async def known(self, robot: RobotId) -> Known:
        """What there is of this id."""
        enrolled = await enrolled_robot(self._operator, robot)
        held, keys = self._identities.held_public(robot), await self._keys(robot)
        is_good = bool(held) and not self._identities.is_void(held)
        is_good = is_good and not self._identities.has_ended(robot)
        announced = enrolled.event.public_key if enrolled else ""
        return Known(
            labels=enrolled.event.labels if enrolled else None,
            was_heard=await self.last_boot(robot) is not None,
            credentials=self._identities.robot_path(robot).read_bytes() if is_good else None,
            is_announced=is_good and announced == held,
            is_renewed=keys is not None and keys.enrolled_key == held != keys.current,
            has_stray_key=(bool(held) and not is_good)
            or (announced not in {"", held} and not self._identities.is_void(announced)),
        )

    def credentials_path(self, robot: RobotId) -> Path:
        """Where its credentials lie here, once they were issued."""
        return self._identities.robot_path(robot)

    def issue(self, robot: RobotId) -> bytes:
        """Credentials as they go to the robot; the same again once they were issued."""
        return self._identities.issue_robot(robot).read_bytes()

    async def announce(self, robot: RobotId, labels: Mapping[str, str]) -> None:
        """It belongs to the fleet under these labels."""
        told = [Robot(robot_id=robot, labels=labels)]
        await enrol(self._enroller, told, self._identities)

    async def anchor(self) -> Anchor:
        """What a robot begins to trust: what is newest, or the root a new system began with."""
        anchor = await current_anchor(self._enroller)
        if anchor is not None:
            return anchor
        root = root_of(self._home)
        if not root.exists():
            raise EnrolmentError(
                f"nothing says yet whom robots shall trust: the registry published no root, and there is "
                f"none at {root}. Start the system first."
            )
        return Anchor(root=root.read_bytes(), at=_now())

    async def last_boot(self, robot: RobotId) -> BootId | None:
        """Which run of its bridge was heard last."""
        heard = await last_value(self._operator, RobotCheckedIn, robot_id=robot)
        return heard.event.boot_id if heard else None

    async def await_sign_of_life(self, robot: RobotId) -> None:
        """It was heard lately, or is heard now; raises NoCheckInError."""
        for status in await robots.statuses(self._operator):
            if status.enrolled.robot_id == robot and not status.is_silent(_now()):
                return
        async with live_facts(self._operator, RobotCheckedIn, robot_id=robot) as heard:
            if await heard.next(SIGN_OF_LIFE_WAIT_S) is None:
                raise NoCheckInError(
                    f"{robot} is as wanted and its bridge runs, but it has fallen silent. Can it reach "
                    "the hub? See on the robot: journalctl -u fleetward-bridge"
                )

    async def await_check_in(
        self, robot: RobotId, before: BootId | None, timeout_s: float = CHECK_IN_WAIT_S
    ) -> RobotCheckedIn:
        """The first check-in of another run than ``before``; raises NoCheckInError."""
        async with live_facts(self._operator, RobotCheckedIn, robot_id=robot) as heard:
            value = await last_value(self._operator, RobotCheckedIn, robot_id=robot)
            fact = value.event if value else await heard.next(timeout_s)
            while fact is not None and fact.boot_id == before:
                fact = await heard.next(timeout_s)
        if fact is None:
            raise NoCheckInError(
                f"{robot} runs, but was not heard within {timeout_s:g} s. Can it reach {self.nats_url}? "
                "See on the robot: journalctl -u fleetward-bridge"
            )
        return fact

    async def owner(self, robot: RobotId) -> RolloutId | None:
        """An open rollout that counts on it."""
        held = (await owners(self._operator)).get(robot, {})
        return next((each.owner for each in held.values()), None)

    async def void(self, robot: RobotId) -> None:
        """No key of this id gets in any more, on the running server too; the next issued is another.

        First nothing more is issued after them, or one that is asked for just now would stay. What tells
        that there is something to void goes last, so one that was cut off is done again.
        """
        enrolled = await enrolled_robot(self._operator, robot)
        announced = enrolled.event.public_key if enrolled else ""
        renewed = await self._close(robot, enrolled.event) if enrolled and announced else set()
        async with alone_at(self._home.keys / ISSUING_LOCK):
            for key in {self._identities.held_public(robot), announced, *renewed} - {""}:
                self._identities.void(key)
            await tell_server(self.nats_url, self._identities)
            self._identities.forget_robot(robot)

    async def catch_up(self) -> None:
        """Void what robots replaced since the issuer's keys were used last."""
        await void_replaced(self._enroller, self.nats_url, self._home.keys, self._identities)

    async def _close(self, robot: RobotId, enrolled: RobotEnrolled) -> set[str]:
        """Have no key follow those that there are; returns them."""
        while True:
            known = await last_value(self._enroller, RobotKeysChanged, robot_id=robot)
            keys = known.event if known else None
            if keys is None or keys.enrolled_key != enrolled.public_key:
                keys = begun(enrolled)
            try:
                await publish(
                    self._enroller,
                    replace(keys, closed_at=keys.closed_at or _now(), changed_at=_now()),
                    after=known.sequence if known else 0,
                )
            except ConflictError:
                continue  # the robot renewed just now: that one too
            return {key.public_key for key in keys.keys}

    async def _keys(self, robot: RobotId) -> RobotKeysChanged | None:
        known = await last_value(self._enroller, RobotKeysChanged, robot_id=robot)
        return known.event if known else None

    async def revoke(self, robot: RobotId) -> None:
        """Void its credentials, and then take it out of the fleet."""
        await self.void(robot)
        held = await enrolled_robot(self._operator, robot)
        if held is not None:
            await publish(self._enroller, replace(held.event, retired_at=_now()))


@asynccontextmanager
async def opened(home: Path) -> AsyncIterator[Hub]:
    """The hub of ``home``; raises NoSystemError, EnrolmentError where the issuer's keys are not."""
    paths = Home(home)
    if not (paths.keys / "operator.seed").exists():
        raise EnrolmentError(
            f"the issuer's keys are not in {paths.keys}: enrol robots on the machine that holds them, and "
            "name its --home."
        )
    async with (
        Fleet.connect(home, principal=Principal.ENROLLER) as enroller,
        Fleet.connect(home) as operator,
    ):
        hub = Hub(paths, enroller.connection, operator.connection, read_access(home).bus.url)
        await hub.catch_up()
        yield hub


def _now() -> datetime:
    return datetime.now(timezone.utc)
