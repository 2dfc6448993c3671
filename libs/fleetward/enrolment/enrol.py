"""Enrols one robot: proves whose host it is, looks, asks the gates, plans, does the steps, hears it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

from msgspec import Struct

from fleetward.contracts.ids import RobotId, robot_id
from fleetward.enrolment.carry_out import Doing, carry_out
from fleetward.enrolment.destination import Destination
from fleetward.enrolment.errors import (
    EnrolmentError,
    GateClosedError,
    IdentityTakenError,
    StepFailedError,
)
from fleetward.enrolment.found import Found
from fleetward.enrolment.gates import reasons_against
from fleetward.enrolment.host_keys import believed, fingerprint, pins_of, with_pin
from fleetward.enrolment.hub import Hub
from fleetward.enrolment.layout import ACCOUNT, Layout
from fleetward.enrolment.plan import Wanted, looked_at, plan
from fleetward.enrolment.published import Published, refuse_other_machine
from fleetward.enrolment.result import Outcome, Result, Told
from fleetward.enrolment.ssh import Session, SshSettings, connected, offered_keys
from fleetward.enrolment.steps import Step
from fleetward.enrolment.survey import found_in, is_whole, survey_script
from fleetward.enrolment.unit import robot_in
from fleetward.enrolment.wheelhouse import Wheelhouse
from fleetward.enrolment.wheels import Wheel, release_of, wheels_for
from fleetward.releases import launch
from fleetward.releases.extras import wanted_extras
from fleetward.trust.anchors import floors_file
from fleetward.trust.private_files import write_private

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
PINS_LIMIT_BYTES = 16 * 1024 * 1024


class Asked(Struct, frozen=True, kw_only=True):
    """What a person asked for one host. nats_url empty: as this machine reaches the hub."""

    host: Destination
    name: str = ""
    labels: Mapping[str, str] = {}
    vouched: str | None = None
    trust_first: bool = False
    replaces: bool = False
    dry: bool = False
    nats_url: str = ""
    account: str = ACCOUNT
    python: str = "python3"
    settings: Mapping[str, str] = {}
    extras: tuple[str, ...] | None = None
    """Of the bridge; None: those that the robot has. What its settings ask for is added."""
    layout: Layout = Layout()


class Enroller:
    """Enrols hosts against one hub; hosts may be enrolled side by side.

    published: the release whose wheels, and no others, ``wheelhouse`` holds; None: of those that it
    holds each robot gets what it needs.
    """

    def __init__(
        self,
        hub: Hub,
        wheelhouse: Wheelhouse,
        pins: Path,
        ssh: SshSettings,
        published: Published | None = None,
    ) -> None:
        self._hub = hub
        self._published = published
        self._wheelhouse = wheelhouse
        self._pins = pins
        self._ssh = ssh
        self._claims: dict[RobotId, Destination] = {}

    async def enrol(self, asked: Asked, told: Told = lambda _done, _all, _step: None) -> Result:
        """Make the host a robot of the fleet; raises FleetwardError."""
        told(0, 0, "connecting")
        async with trusted_session(asked, self._pins, self._ssh) as (session, key):
            owner = await take_rights(session, asked.host, asked.layout)
            found = await survey(session, asked)
            _refuse(asked.host, reasons_against(found, 0))
            robot = self._claimed(asked, _id_of(asked, found))
            wanted = await self._wanted(asked, robot, owner, found)
            known = await self._hub.known(robot)
            steps = plan(wanted, found, known)
            if steps and not asked.dry:
                before = await self._hub.last_boot(robot)
                doing = Doing(session, self._hub, self._wheelhouse, asked.host, robot, before)
                await carry_out(steps, doing, told)
                _check_done(
                    asked, plan(wanted, await survey(session, asked), await self._hub.known(robot))
                )
            elif not steps:
                await self._hub.await_sign_of_life(robot)
        return Result(
            host=asked.host,
            outcome=_outcome(steps, dry=asked.dry),
            robot=robot,
            changes=tuple(map(str, steps)),
            host_key=fingerprint(key),
            found=found,
        )

    def _claimed(self, asked: Asked, robot: RobotId) -> RobotId:
        """Two machines of one host name are not one robot."""
        other = self._claims.setdefault(robot, asked.host)
        if other != asked.host:
            raise IdentityTakenError(
                f"{asked.host} and {other} would both be {robot}. Enrol them one by one, each with a --name."
            )
        return robot

    async def _wanted(self, asked: Asked, robot: RobotId, owner: str, found: Found) -> Wanted:
        wheels, extras = self._wheels(asked, found)
        identity = self._published.identity if self._published else None
        digest = identity.digest if identity else ""
        release = release_of(wheels, found, system_packages=bool(found.l4t), digest=digest)
        if asked.layout.complete(release) not in found.entries:
            needed = sum(wheel.size_bytes + wheel.unpacked_bytes for wheel in wheels)
            _refuse(asked.host, reasons_against(found, needed))
        anchor = await self._hub.anchor()
        return Wanted(
            robot=robot,
            nats_url=_url_for(asked, self._hub.nats_url),
            labels=asked.labels,
            layout=asked.layout,
            account=asked.account,
            owner=owner,
            python=asked.python,
            wheels=wheels,
            root=anchor.root,
            floors=floors_file(anchor),
            launcher=Path(launch.__file__).read_bytes(),
            settings=asked.settings,
            extras=extras,
            identity=identity,
            replaces=asked.replaces,
        )

    def _wheels(self, asked: Asked, found: Found) -> tuple[tuple[Wheel, ...], tuple[str, ...]]:
        """What to install, and with which extras."""
        house, published = self._wheelhouse, self._published
        if published is not None:
            refuse_other_machine(published, found, asked.settings)
            return house.wheels, published.lock.extras
        extras = wanted_extras(asked.extras, found.extras, asked.settings)
        return wheels_for(house.wheels, found, str(house.directory), extras), extras


@asynccontextmanager
async def trusted_session(
    asked: Asked, pins_file: Path, ssh: SshSettings
) -> AsyncIterator[tuple[Session, str]]:
    """A session with the host that is meant, and its key; its pin is written once it let us in."""
    known = pins_file.read_text(encoding="ascii") if pins_file.exists() else ""
    pins = pins_of(known, asked.host)
    offered = await offered_keys(
        asked.host,
        ssh,
        lambda key: key in pins if pins else asked.vouched in {None, fingerprint(key)},
    )
    key = believed(
        asked.host,
        pins,
        offered,
        asked.vouched,
        trust_first=asked.trust_first,
        pins_file=str(pins_file),
    )
    async with connected(asked.host, key, ssh) as session:
        if not asked.dry:
            known = pins_file.read_text(encoding="ascii") if pins_file.exists() else ""
            write_private(pins_file, with_pin(known, asked.host, key).encode("ascii"))
        yield session, key


async def take_rights(session: Session, host: Destination, layout: Layout) -> str:
    """Let scripts run with the rights they need; who then owns what they write."""
    ran = await session.run("id -u; id -un; sudo -n true >/dev/null 2>&1 && echo sudo; true")
    user_id, login, *sudo = ran.said.split() or ("", "")
    if layout.prefix:
        return login
    if user_id != "0" and not sudo:
        raise GateClosedError(
            f"{host} may not become root without a password. Log in as root, or give {login} "
            "passwordless sudo for the enrolment: nothing was changed."
        )
    session.becomes = "" if user_id == "0" else "sudo -n "
    return "root"


async def survey(session: Session, asked: Asked) -> Found:
    """What is there now."""
    script = survey_script(asked.layout, asked.account, asked.python, looked_at(asked.layout))
    ran = await session.run(script)
    if ran.status != 0 or not is_whole(ran.said):
        raise StepFailedError(f"{asked.host} could not be looked at: {ran.reason}")
    return found_in(ran.said)


def _id_of(asked: Asked, found: Found) -> RobotId:
    """As asked; else as this machine is already called in the fleet; else its host name."""
    held = robot_in(found.settings)
    if asked.name or held:
        return robot_id(asked.name or held)
    return robot_id(re.sub(r"[^a-z0-9_-]+", "-", found.hostname.lower()).strip("-_")[:48])


def _url_for(asked: Asked, url: str) -> str:
    """Where the robot finds the bus; a loopback address is another machine to another machine."""
    url = asked.nats_url or url
    if urlsplit(url).hostname in LOOPBACK and asked.host.host not in LOOPBACK:
        raise GateClosedError(
            f"{asked.host} would be told {url}, which is the robot itself. Say how it reaches this hub "
            "with --nats-url."
        )
    return url


def _refuse(host: Destination, reasons: Sequence[str]) -> None:
    if reasons:
        raise GateClosedError(f"{host} was not enrolled: {' Also, '.join(reasons)}")


def _check_done(asked: Asked, left: Sequence[Step]) -> None:
    if left:
        raise EnrolmentError(
            f"{asked.host} was enrolled, and yet differs from what was wanted: it would still "
            f"{', '.join(map(str, left))}. Does something else change it?"
        )


def _outcome(steps: Sequence[Step], *, dry: bool) -> Outcome:
    if not steps:
        return Outcome.UNCHANGED
    return Outcome.PLANNED if dry else Outcome.DONE
