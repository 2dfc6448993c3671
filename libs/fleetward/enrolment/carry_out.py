"""Does steps in their order, and stops at the first that fails: what is done stays, and is not done again."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from fleetward.contracts.ids import BootId, RobotId
from fleetward.enrolment.destination import Destination
from fleetward.enrolment.errors import StepFailedError
from fleetward.enrolment.hub import Hub
from fleetward.enrolment.scripts import script_of
from fleetward.enrolment.ssh import Session
from fleetward.enrolment.steps import (
    Announce,
    AwaitCheckIn,
    IssueCredentials,
    PushWheel,
    PushWheels,
    PutFile,
    Revoke,
    RobotStep,
    Step,
    VoidKey,
)
from fleetward.enrolment.wheelhouse import Wheelhouse


class Doing:
    """With what steps are done. before: the run of the robot's bridge that does not count as new."""

    def __init__(
        self,
        session: Session,
        hub: Hub,
        wheelhouse: Wheelhouse | None,
        host: Destination,
        robot: RobotId,
        before: BootId | None,
    ) -> None:
        self._session = session
        self._hub = hub
        self._wheelhouse = wheelhouse
        self._host = host
        self._robot = robot
        self._before = before

    async def do(self, step: Step) -> None:
        """Raises FleetwardError."""
        match step:
            case VoidKey():
                await self._hub.void(self._robot)
            case IssueCredentials():
                self._hub.issue(self._robot)
            case Announce(labels=labels):
                await self._hub.announce(self._robot, labels)
            case AwaitCheckIn():
                await self._hub.await_check_in(self._robot, self._before)
            case Revoke():
                await self._hub.revoke(self._robot)
            case PushWheels(pushes=pushes):
                for push in pushes:
                    await self._on_robot(push)
            case _:
                await self._on_robot(step)

    async def _on_robot(self, step: RobotStep | PushWheel) -> None:
        ran = await self._session.run(script_of(step, await self._sent(step)))
        if ran.status != 0:
            raise StepFailedError(
                f"{self._host}: could not {step}: {ran.reason or f'exit status {ran.status}'}"
            )

    async def _sent(self, step: RobotStep | PushWheel) -> str:
        """Where on the robot lies what the step needs."""
        if isinstance(step, PutFile):
            content = step.content if step.content is not None else self._hub.issue(self._robot)
            return await self._session.send(content)
        if isinstance(step, PushWheel) and self._wheelhouse is not None:
            return await self._session.send(self._wheelhouse.path(step.wheel))
        return ""


async def carry_out(
    steps: Sequence[Step], doing: Doing, told: Callable[[int, int, str], None]
) -> None:
    """Every step; raises FleetwardError at the first that does not work."""
    for number, step in enumerate(steps):
        told(number, len(steps), str(step))
        await doing.do(step)
    told(len(steps), len(steps), "done")
