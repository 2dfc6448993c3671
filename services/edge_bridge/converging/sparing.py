"""One step of a preparation under the brake: it begins when all is calm, and is given up in the end."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from edge_bridge.converging.interrupting import unless
from edge_bridge.disturbance.brake import Brake
from edge_bridge.errors import DisturbedError
from fleetward.contracts.robots import ActivationStage, RobotTarget


async def sparing(
    brake: Brake,
    target: RobotTarget,
    stage: ActivationStage,
    step: Callable[[], Coroutine[Any, Any, None]],
) -> None:
    """Run ``step``, pausing while the robot's work suffers; raises DisturbedError, or what it raises."""

    async def when_calm() -> None:
        await brake.released()
        await step()

    with brake.applied(target.generation):
        if not await unless(brake.exhausted, when_calm()):
            raise DisturbedError(stage, str(target.model), brake.disturbed, brake.patience_s)
