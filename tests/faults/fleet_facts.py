"""What a test asks of a running fleet, waited for and never slept for."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from fleetward.bus.last_values import last_value
from fleetward.contracts.codec import decode
from fleetward.contracts.ids import RobotId
from fleetward.contracts.robots import RobotCheckedIn, RobotTarget, SignedTarget
from fleetward.contracts.rollouts import Rollout
from tests.faults.conftest import Fleetward

POLL_S = 0.1
PATIENCE_S = 60.0
"""How long a test waits for what must come: generous, for it costs nothing when it comes."""
_Found = TypeVar("_Found")


async def eventually(
    look: Callable[[], Awaitable[_Found | None]], within_s: float = PATIENCE_S
) -> _Found:
    """The first answer of ``look`` that is neither None nor False."""
    async with asyncio.timeout(within_s):
        while True:
            found = await look()
            if found is not None and found is not False:
                return found
            await asyncio.sleep(POLL_S)


async def check_in(system: Fleetward, robot: str) -> RobotCheckedIn | None:
    """What a robot last said about itself."""
    value = await last_value(system.fleet.connection, RobotCheckedIn, robot_id=robot)
    return value.event if value else None


async def serves(
    system: Fleetward, robot: str, version: str, within_s: float = PATIENCE_S
) -> RobotCheckedIn:
    """Wait until a robot says that it serves ``version``."""

    async def look() -> RobotCheckedIn | None:
        said = await check_in(system, robot)
        serving = said is not None and said.active_model is not None
        return said if serving and said.active_model.version == version else None  # type: ignore[union-attr]  # serving says that both are there

    return await eventually(look, within_s)


async def serves_on(system: Fleetward, robot: str, frames: int = 5) -> None:
    """Wait until a robot answered ``frames`` more frames of the same boot."""
    before = await check_in(system, robot)
    assert before is not None

    async def look() -> bool:
        said = await check_in(system, robot)
        assert said is not None
        assert said.boot_id == before.boot_id, f"{robot}'s bridge did not live through it"
        return said.frames_served >= before.frames_served + frames

    await eventually(look)


async def target(system: Fleetward, robot: str) -> RobotTarget | None:
    """The newest target of a robot."""
    value = await last_value(system.fleet.connection, SignedTarget, robot_id=RobotId(robot))
    return decode(value.event.payload, RobotTarget) if value else None


async def rollout_that(
    system: Fleetward,
    rollout: Rollout,
    holds: Callable[[Rollout], bool],
    within_s: float = PATIENCE_S,
) -> Rollout:
    """The rollout as soon as ``holds`` is true of it."""

    async def look() -> Rollout | None:
        now = await system.fleet.rollout(rollout.rollout_id)
        return now if holds(now) else None

    return await eventually(look, within_s)
