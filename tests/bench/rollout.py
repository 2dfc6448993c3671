"""Area rollout: how soon a comparison finds a regression, and how seldom it errs."""

from __future__ import annotations

import asyncio

from tests.bench import rollout_power
from tests.bench.measurement import Measurement


async def measure() -> list[Measurement]:
    """Everything of the area, one after the other so that nothing disturbs a measurement."""
    return [*await asyncio.to_thread(rollout_power.measure)]
