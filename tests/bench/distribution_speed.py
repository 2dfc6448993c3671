"""How fast a file is cut and hashed for publishing, and what applying its delta takes."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import median

import msgspec

from fleetward.delivery.chunking import chunk_file
from tests.bench.distribution_apply import Applied
from tests.bench.distribution_bytes import delta_path
from tests.bench.distribution_models import Update
from tests.bench.measurement import Measurement

MEGABYTE = 1_000_000
ROUNDS = 5
PUBLISH_GOAL = 0.8
APPLY_GOAL = 2.0
MEMORY_GOAL = 1.25
BLOCK_BYTES = 4 * 1024 * 1024


def measure(updates: Sequence[Update], small: Sequence[Update]) -> list[Measurement]:
    """``updates`` were measured by bytes before, so that their deltas lie beside them.

    ``small`` are the same of a smaller model: memory must not grow with the model.
    """
    os.sync()  # gigabytes were just written, and their way to the disk takes a core
    return [
        _publishing(updates[0].target, "safetensors"),
        _publishing(updates[-1].target, "ONNX"),
        *_applying(updates, small),
    ]


def _publishing(path: Path, kind: str) -> Measurement:
    """Taken in turns, so that a neighbour on this machine disturbs both alike."""
    bare, ours = [], []
    for _ in range(ROUNDS):
        bare.append(_wall_s(lambda: _sha256(path)))
        ours.append(_wall_s(lambda: chunk_file(path)))
    size, ratio = path.stat().st_size / MEGABYTE, median(bare) / median(ours)
    return Measurement(
        name=f"publish: cut and hash ({kind}, {size:,.0f} MB)",
        value=size / median(ours),
        unit="MB/s",
        ratio=ratio,
        against=f"bare sha256, {size / median(bare):,.0f} MB/s",
        goal=f">= {PUBLISH_GOAL}x",
        met=ratio >= PUBLISH_GOAL,
    )


def _applying(updates: Sequence[Update], small: Sequence[Update]) -> Iterator[Measurement]:
    all_applied = [_applied(update) for update in updates]
    for update, applied in zip(updates, all_applied, strict=True):
        assert applied.verified, f"{update.name}: the delta does not give the target"
        ratio = applied.applying_s / applied.hashing_s
        yield Measurement(
            name=f"apply: {update.name}",
            value=applied.applying_s,
            unit="CPU s",
            ratio=ratio,
            against=f"hashing the result, {applied.hashing_s:.3f} CPU s",
            goal=f"<= {APPLY_GOAL:g}x",
            met=ratio <= APPLY_GOAL,
        )
    yield _memory(all_applied, [_applied(update) for update in small])


def _memory(applied: Sequence[Applied], of_small: Sequence[Applied]) -> Measurement:
    """The highest peak of all updates, against the same of the small model."""
    peak_bytes = max(one.peak_bytes for one in applied)
    small_bytes = max(one.peak_bytes for one in of_small)
    ratio = peak_bytes / small_bytes
    return Measurement(
        name="apply: resident memory, highest peak",
        value=peak_bytes / MEGABYTE,
        unit="MB",
        ratio=ratio,
        against=f"a sixth of the model, {small_bytes / MEGABYTE:.0f} MB (a process that only "
        f"imported takes {applied[0].idle_bytes / MEGABYTE:.0f} MB)",
        goal=f"<= {MEMORY_GOAL}x",
        met=ratio <= MEMORY_GOAL,
    )


def _applied(update: Update) -> Applied:
    output = subprocess.run(
        (
            *(sys.executable, "-m", "tests.bench.distribution_apply"),
            *(str(update.base), str(delta_path(update)), str(update.target)),
        ),
        check=True,
        stdout=subprocess.PIPE,
    ).stdout
    return msgspec.json.decode(output, type=Applied)


def _wall_s(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _sha256(path: Path) -> bytes:
    hashed = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        while block := file.read(BLOCK_BYTES):
            hashed.update(block)
    return hashed.digest()
