"""Area edge: what a robot feels of us: frames handed over, swaps, deaths, and the bridge at rest."""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import Awaitable, Callable

from tests.bench import edge_frames, edge_logs, edge_outage, edge_recording, edge_rest, edge_swap
from tests.bench.measurement import Measurement

PARTS: dict[str, Callable[[], Awaitable[list[Measurement]]]] = {
    "frames": edge_frames.measure,
    "swap": edge_swap.measure,
    "rest": edge_rest.measure,
    "outage": edge_outage.measure,
    "logs": edge_logs.measure,
    "recording": edge_recording.measure,
}


async def measure() -> list[Measurement]:
    """Everything of the area, one after the other so that nothing disturbs a measurement.

    A part that breaks is a row that says so: what the others measured is told.
    """
    return [row for name, part in PARTS.items() for row in await _measured(name, part)]


async def _measured(
    name: str, part: Callable[[], Awaitable[list[Measurement]]]
) -> list[Measurement]:
    began_s = time.monotonic()
    try:
        rows = await part()
    except Exception as problem:  # noqa: BLE001 (whatever breaks a part, the rest is measured)
        traceback.print_exc()
        took_s = time.monotonic() - began_s
        against = f"{type(problem).__name__}: {problem}"
        rows = [
            Measurement(
                name=f"{name} broke",
                value=took_s,
                unit="s",
                against=against,
                goal="to be measured",
                met=False,
            )
        ]
    print(f"edge: {name} took {time.monotonic() - began_s:.0f} s", file=sys.stderr)
    return rows
