"""What enrolment needs of the hub: the issuer's keys of a home, and two connections to its bus."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime, timezone
from pathlib import Path

import nats
from msgspec.structs import replace
from nats.aio.client import Client

from fleetward.bus.connection import inbox_prefix
from fleetward.bus.enrolled import enrolled_robot
from fleetward.bus.last_values import last_value
from fleetward.bus.publish import publish
from fleetward.client import Fleet, robots
from fleetward.client.access import read_access
from fleetward.client.anchors import current_anchor
from fleetward.client.live import live_facts
from fleetward.client.owners import owners
from fleetward.contracts.ids import BootId, RobotId, RolloutId
from fleetward.contracts.robots import RobotCheckedIn
from fleetward.contracts.rows import Principal
from fleetward.enrolment.alone import alone_at
from fleetward.enrolment.errors import EnrolmentError, NoCheckInError
from fleetward.enrolment.plan import Known
from fleetward.local.authority import root_of
from fleetward.local.enrolment import enrol
from fleetward.local.home import Home
from fleetward.local.programs import Robot
from fleetward.trust.floors import Anchor
from fleetward.trust.identities import SYSTEM, Identities
from fleetward.trust.resolver import push_accounts

ISSUING_LOCK = "issuing.lock"
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
        held = self._identities.held_public(robot)
        is_good = bool(held) and not self._identities.is_void(held)
        announced = enrolled.event.public_key if enrolled else ""
        return Known(
            labels=enrolled.event.labels if enrolled else None,
            was_heard=await self.last_boot(robot) is not None,
            credentials=self._identities.robot_path(robot).read_bytes() if is_good else None,
            is_announced=is_good and announced == held,
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
        await enrol(self._enroller, told, self._identities.robot_public)

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

        What tells that there is something to void goes last, so one that was cut off is done again.
        """
        enrolled = await enrolled_robot(self._operator, robot)
        announced = enrolled.event.public_key if enrolled else ""
        async with alone_at(self._home.keys / ISSUING_LOCK):
            for key in {self._identities.held_public(robot), announced} - {""}:
                self._identities.void(key)
            await self._tell_server()
            self._identities.forget_robot(robot)

    async def revoke(self, robot: RobotId) -> None:
        """Void its credentials, and then take it out of the fleet."""
        await self.void(robot)
        held = await enrolled_robot(self._operator, robot)
        if held is not None:
            await publish(self._enroller, replace(held.event, retired_at=_now()))

    async def _tell_server(self) -> None:
        system = await nats.connect(
            self.nats_url,
            user_credentials=str(self._identities.issue_system()),
            inbox_prefix=inbox_prefix(SYSTEM),
        )
        try:
            await push_accounts(system, self._identities.server_trust())
        finally:
            await system.close()


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
        yield Hub(paths, enroller.connection, operator.connection, read_access(home).bus.url)


def _now() -> datetime:
    return datetime.now(timezone.utc)
