"""Area core: handler throughput, time to activate, time to take back, memory at rest."""

from __future__ import annotations

from tests.bench import fleet, handlers
from tests.bench.measurement import Measurement


async def measure() -> list[Measurement]:
    """Everything of the area, one after the other so that nothing disturbs a measurement."""
    return [*await handlers.measure(), *await fleet.measure()]
