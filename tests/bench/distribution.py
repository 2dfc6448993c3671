"""Area distribution: bytes moved against peers, speed of publishing, applying and fetching, sites."""

from __future__ import annotations

import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.bench import (
    distribution_bytes,
    distribution_fetch,
    distribution_publish,
    distribution_speed,
)
from tests.bench.distribution_models import FULL_LAYERS, build_updates
from tests.bench.measurement import RESULTS, Measurement

SMALL_LAYERS = 2


async def measure(layers: int = FULL_LAYERS) -> list[Measurement]:
    """Everything of the area, one after the other so that nothing disturbs a measurement."""
    rows = await asyncio.to_thread(_of_files, layers)
    return [*rows, *await distribution_publish.measure(), *await distribution_fetch.measure()]


def _of_files(layers: int) -> list[Measurement]:
    """What needs files only; they are built anew and take some 4 GB meanwhile."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=RESULTS, prefix="distribution-") as folder:
        small_folder = Path(folder) / "small"
        small_folder.mkdir()
        small = build_updates(small_folder, SMALL_LAYERS)
        distribution_bytes.write_deltas(small)
        updates = build_updates(Path(folder), layers)
        rows = distribution_bytes.measure(updates)
        return [*rows, *distribution_speed.measure(updates, small)]
