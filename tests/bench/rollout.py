"""Area rollout: what a rollout costs by the size of the fleet, and how soon a regression is found."""

from __future__ import annotations

import asyncio

from tests.bench import rollout_fleet, rollout_power
from tests.bench.measurement import Measurement


async def measure() -> list[Measurement]:
    """Everything of the area, one after the other so that nothing disturbs a measurement."""
    found = await rollout_fleet.measure()
    return [*found, *await asyncio.to_thread(rollout_power.measure)]
