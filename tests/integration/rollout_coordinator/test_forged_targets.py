"""What the coordinator's credentials can write and its key did not sign is not planned from."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from fleetward.bus.last_values import last_value
from fleetward.contracts.catalog import row_of
from fleetward.contracts.codec import encode
from fleetward.contracts.ids import ModelRef, RobotId, RolloutId, Version
from fleetward.contracts.robots import RobotTarget, SignedTarget
from fleetward.contracts.rollouts import RolloutState
from fleetward.contracts.rows import Principal
from fleetward.trust.signing import TARGET, SigningKey
from tests.integration.rollout_coordinator.coordinator_process import CoordinatorProcess
from tests.integration.rollout_coordinator.detector import DIGESTS, MODEL
from tests.integration.rollout_coordinator.fleet import Fleet
from tests.integration.rollout_coordinator.robot import now

VICTIM = RobotId("berlin-1")
Forge = Callable[[Fleet, Path], Awaitable[bytes]]
"""What an intruder writes as the robot's newest target."""


async def forged_by_another_key(fleet: Fleet, directory: Path) -> bytes:
    """It claims that the robot already has the model that is about to be rolled out."""
    claimed = RobotTarget(
        robot_id=VICTIM,
        generation=40,
        rollout_id=RolloutId("forged"),
        model=ModelRef(MODEL, Version("2")),
        digest=DIGESTS["2"],
        issued_at=now(),
    )
    payload = encode(claimed)
    signed = SigningKey.create(directory / "intruder.key").sign(TARGET, payload)
    return encode(
        SignedTarget(
            robot_id=VICTIM, payload=payload, key_id=signed.key_id, signature=signed.signature
        )
    )


async def taken_from_another_robot(fleet: Fleet, directory: Path) -> bytes:
    """Truly signed, for another robot, which already has the model."""
    await fleet.ended(await fleet.ask("others", "2", "site=paris"))
    value = await last_value(fleet.people, SignedTarget, robot_id="paris-1")
    assert value is not None
    return encode(value.event)


async def noise(fleet: Fleet, directory: Path) -> bytes:
    """Not even a message."""
    return b"\xc1 not msgpack"


@pytest.mark.parametrize(
    "forge",
    [forged_by_another_key, taken_from_another_robot, noise],
    ids=lambda forge: forge.__name__,
)
async def test_rollout_is_planned_from_the_newest_target_that_is_truly_signed(
    fleet: Fleet, coordinator: CoordinatorProcess, tmp_path: Path, forge: Forge
) -> None:
    subject = row_of(SignedTarget).subject.format(robot_id=VICTIM)
    forged = await forge(fleet, tmp_path)
    intruder = await fleet.system.connect(Principal.COORDINATOR)
    for _ in range(2):
        await intruder.jetstream().publish(subject, forged)

    ended = await fleet.ended(await fleet.ask("next", "2", f"robot={VICTIM}"))

    assert ended.state is RolloutState.SUCCEEDED
    assert ended.robots[VICTIM].previous_digest == DIGESTS["1"]
    assert fleet.robot(VICTIM).generations == [1, 2]
    told = await coordinator.logged("target.forged")
    assert told["robot"] == VICTIM
