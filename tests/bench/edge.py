"""Area edge: what a robot feels of us: frames handed over, swaps, deaths, and the bridge at rest."""

from __future__ import annotations

from tests.bench import edge_frames, edge_logs, edge_outage, edge_recording, edge_rest, edge_swap
from tests.bench.measurement import Measurement


async def measure() -> list[Measurement]:
    """Everything of the area, one after the other so that nothing disturbs a measurement."""
    return [
        *await edge_frames.measure(),
        *await edge_swap.measure(),
        *await edge_rest.measure(),
        *await edge_outage.measure(),
        *await edge_logs.measure(),
        *await edge_recording.measure(),
    ]
