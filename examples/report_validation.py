"""From a bench or a simulator: try a published model, and attach what came of it as a report.

    fleetward model gates detector@production --require report:bench
    python examples/report_validation.py model.onnx detector:1.2.0 --limit-ms 50

The alias then moves only to versions whose newest such report passed. Exit code 0: it passed.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import timeit
from datetime import datetime, timezone
from functools import partial
from hashlib import sha256
from pathlib import Path

import msgspec
import numpy as np
import onnxruntime as ort  # type: ignore[import-untyped]  # ships no types

from fleetward.client import Fleet
from fleetward.contracts import ids
from fleetward.contracts.validation import ValidationReport


def slowest_ms(file: Path) -> float:
    """The slowest of fifty inferences on noise."""
    session = ort.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    given = session.get_inputs()[0]
    shape = [n if isinstance(n, int) else (1, 1, 224, 224)[at] for at, n in enumerate(given.shape)]
    noise = np.random.default_rng().random(shape, dtype="float32")
    once = partial(session.run, None, {given.name: noise})
    return 1e3 * max(timeit.repeat(once, number=1, repeat=50))


async def attach(job: argparse.Namespace) -> bool:
    """Try the file and report; whether it passed."""
    started_at, latency_ms = datetime.now(timezone.utc), slowest_ms(job.file)
    async with Fleet.connect(job.home) as fleet:
        model = (await fleet.model(job.model)).manifest.model
        report = ValidationReport(
            kind="bench",
            name=model.name,
            version=model.version,
            digest=ids.digest("sha256:" + sha256(job.file.read_bytes()).hexdigest()),
            passed=latency_ms <= job.limit_ms,
            reported_by="examples/report_validation.py",
            started_at=started_at,
            ended_at=datetime.now(timezone.utc),
            metrics={"latency_ms_max": latency_ms},
        )
        await fleet.curation.report(job.model, msgspec.json.encode(report))
    return report.passed


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("file", type=Path)
    parser.add_argument("model")
    parser.add_argument("--limit-ms", type=float, default=50.0)
    parser.add_argument("--home", default=".fleetward")
    sys.exit(0 if asyncio.run(attach(parser.parse_args())) else 1)
