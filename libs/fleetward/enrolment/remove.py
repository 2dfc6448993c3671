"""Takes a robot out of the fleet: what enrolment brought goes from the machine, and its key is void."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct

from fleetward.contracts.errors import FleetwardError
from fleetward.contracts.ids import RobotId, robot_id
from fleetward.enrolment.carry_out import Doing, carry_out
from fleetward.enrolment.enrol import Asked, survey, take_rights, trusted_session
from fleetward.enrolment.errors import IdentityTakenError, RobotInUseError
from fleetward.enrolment.found import Found
from fleetward.enrolment.host_keys import fingerprint
from fleetward.enrolment.hub import Hub
from fleetward.enrolment.plan import Known
from fleetward.enrolment.removal import removal
from fleetward.enrolment.result import Outcome, Result, Told
from fleetward.enrolment.ssh import SshSettings
from fleetward.enrolment.steps import Revoke, Step
from fleetward.enrolment.unit import robot_in


class Unseen(Struct, frozen=True, kw_only=True):
    """How the removal of one robot ended whose machine was not asked. reason: why it failed."""

    robot: RobotId
    outcome: Outcome
    reason: str = ""


class Remover:
    """Removes hosts from the fleet of one hub."""

    def __init__(self, hub: Hub, pins: Path, ssh: SshSettings, *, keeps_state: bool) -> None:
        self._hub = hub
        self._pins = pins
        self._ssh = ssh
        self._keeps_state = keeps_state

    async def remove(self, asked: Asked, told: Told = lambda _done, _all, _step: None) -> Result:
        """Undo an enrolment; of what is gone already nothing is done. Raises FleetwardError."""
        told(0, 0, "connecting")
        async with trusted_session(asked, self._pins, self._ssh) as (session, key):
            await take_rights(session, asked.host, asked.layout)
            found = await survey(session, asked)
            robot = _robot_of(asked, found)
            await check_free(self._hub, robot)
            steps = await self._steps(asked, robot, found)
            if steps and not asked.dry:
                doing = Doing(session, self._hub, None, asked.host, robot or RobotId(""), None)
                await carry_out(steps, doing, told)
        outcome = Outcome.PLANNED if asked.dry else Outcome.DONE
        return Result(
            host=asked.host,
            outcome=outcome if steps else Outcome.UNCHANGED,
            robot=robot or "",
            changes=tuple(map(str, steps)),
            host_key=fingerprint(key),
            found=found,
        )

    async def _steps(self, asked: Asked, robot: RobotId | None, found: Found) -> list[Step]:
        """The key is void first: whatever then goes wrong, and the machine still says who it is."""
        steps: list[Step] = []
        if robot is not None and _is_known(await self._hub.known(robot)):
            steps.append(Revoke(robot=robot))
        return [*steps, *removal(asked.layout, found, keeps_state=self._keeps_state)]


async def remove_unseen(hub: Hub, robot: RobotId) -> bool:
    """Void its key and take it out of the fleet without a word to its machine; False: it was out already.

    Raises RobotInUseError.
    """
    await check_free(hub, robot)
    is_known = _is_known(await hub.known(robot))
    if is_known:
        await hub.revoke(robot)
    return is_known


async def remove_each_unseen(hub: Hub, robots: Sequence[RobotId]) -> list[Unseen]:
    """How it went with each, in this order: one that cannot go now keeps none of the others."""
    return [await _unseen(hub, robot) for robot in robots]


async def _unseen(hub: Hub, robot: RobotId) -> Unseen:
    try:
        was_known = await remove_unseen(hub, robot)
    except FleetwardError as problem:
        return Unseen(robot=robot, outcome=Outcome.FAILED, reason=str(problem))
    return Unseen(robot=robot, outcome=Outcome.DONE if was_known else Outcome.UNCHANGED)


async def check_free(hub: Hub, robot: RobotId | None) -> None:
    """No open rollout counts on it; raises RobotInUseError."""
    owner = await hub.owner(robot) if robot is not None else None
    if owner is not None:
        raise RobotInUseError(
            f"{robot} belongs to rollout {owner}, which counts on it. Wait for its end, or end it: "
            f"fleetward rollout abort {owner}. To void its key at once and keep it in the fleet: "
            f"fleetward robot enrol {robot} --replace"
        )


def _robot_of(asked: Asked, found: Found) -> RobotId | None:
    """Who the machine is, by itself; by --name only where it no longer says so."""
    held = robot_in(found.settings)
    if held and asked.name and held != asked.name:
        raise IdentityTakenError(f"{asked.host} is {held}, not {asked.name}. Nothing was changed.")
    return robot_id(held or asked.name) if held or asked.name else None


def _is_known(known: Known) -> bool:
    return known.credentials is not None or known.labels is not None or known.has_stray_key
