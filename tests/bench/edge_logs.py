"""A robot whose programs log 10 MB/s: what collecting that takes, and whether every line is kept."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import msgspec
import psutil
from msgspec import Struct

from edge_bridge.logs.collecting import Collecting
from edge_bridge.logs.limits import LogSettings
from edge_bridge.logs.sealing import SealedSegment
from edge_bridge.logs.wire import Message, Sealed
from fleetward.logs.segment import SUFFIX, blocks_in
from tests.bench import edge_log_formats
from tests.bench.measurement import Measurement

MIB = 1024 * 1024
RATE_BYTES_PER_S = 10_000_000
WRITTEN_S = 12.0
TURNED_EVERY_S = 4.0
"""The file is renamed and begun anew, as logrotate does."""
MAX_RESIDENT_MIB = 128.0
SETTLE_S = 3.0
"""A collector is up by then, and has looked once: of what was there before it reads the end alone."""
PROGRESS_S = 0.1
PATIENCE_S = 120.0
SEGMENT_S = 5.0


class Told(Struct, frozen=True):
    """What the program wrote, and how fast it was."""

    lines: int
    size_bytes: int
    took_s: float


class Collected(Struct, frozen=True, kw_only=True):
    """cpu_s: of the collector while it was written and until all was kept. kept_after_s: since the last line."""

    lines_once: int
    lines_twice: int
    cpu_s: float
    resident_mib: float
    stored_bytes: int
    kept_after_s: float


async def measure() -> list[Measurement]:
    """JSON lines and plain ones, by turns."""
    with tempfile.TemporaryDirectory() as directory:
        told, collected = await _collect(Path(directory))
    rate = told.size_bytes / told.took_s
    lost = told.lines - collected.lines_once
    what = f"logs: {told.lines:,} lines at {rate / 1e6:.1f} MB/s for {told.took_s:.0f} s"
    return [
        Measurement(
            name=f"{what}: lost, or there twice",
            value=lost + collected.lines_twice,
            unit="lines",
            goal="0",
            met=lost == collected.lines_twice == 0 and rate > 0.95 * RATE_BYTES_PER_S,
        ),
        Measurement(
            name="the collector: processor",
            value=100 * collected.cpu_s / told.took_s,
            unit="% of a core",
        ),
        Measurement(
            name="the collector: resident memory at most",
            value=collected.resident_mib,
            unit="MiB",
            goal=f"<= {MAX_RESIDENT_MIB:g} MiB",
            met=collected.resident_mib <= MAX_RESIDENT_MIB,
        ),
        Measurement(
            name="the last line in a sealed segment, after it was written",
            value=collected.kept_after_s,
            unit="s",
            against=f"segments of {SEGMENT_S:g} s; whatever else runs goes first",
        ),
        Measurement(
            name="what leaves the robot, of what was logged",
            value=100 * collected.stored_bytes / told.size_bytes,
            unit="%",
        ),
        *await asyncio.to_thread(edge_log_formats.measure),
    ]


async def _collect(directory: Path) -> tuple[Told, Collected]:
    limits = LogSettings(
        enabled=True,
        files=(f"{directory}/*.log*",),
        segment_s=SEGMENT_S,
        sealed_bytes=1024 * MIB,
    )
    sealed: list[SealedSegment] = []

    def heard(message: Message) -> None:
        if isinstance(message, Sealed):
            sealed.append(message.segment)

    collecting = Collecting(directory / "segments", limits)
    running = asyncio.ensure_future(collecting.run(heard))
    try:
        return await _watched(directory, collecting, sealed)
    finally:
        running.cancel()
        await collecting.stop()


async def _watched(
    directory: Path, collecting: Collecting, sealed: list[SealedSegment]
) -> tuple[Told, Collected]:
    await asyncio.sleep(SETTLE_S)
    assert collecting.pid is not None
    collector, most_bytes = psutil.Process(collecting.pid), 0
    before_s = _used_s(collector)
    program = await asyncio.to_thread(_started, directory)
    told, ended_s, until_s = None, 0.0, time.monotonic() + PATIENCE_S
    while time.monotonic() < until_s:
        most_bytes = max(most_bytes, collector.memory_info().rss)
        if told is None and program.poll() is not None:
            assert program.stdout is not None
            told, ended_s = msgspec.json.decode(program.stdout.read(), type=Told), time.monotonic()
        if told is not None and sum(each.units.get("bench", 0) for each in sealed) >= told.lines:
            break
        await asyncio.sleep(PROGRESS_S)
    assert told is not None
    kept_after_s, cpu_s = time.monotonic() - ended_s, _used_s(collector) - before_s
    once, twice = await asyncio.to_thread(_counted, directory / "segments")
    return told, Collected(
        lines_once=once,
        lines_twice=twice,
        cpu_s=cpu_s,
        resident_mib=most_bytes / MIB,
        stored_bytes=sum(each.size_bytes for each in sealed),
        kept_after_s=kept_after_s,
    )


def _started(directory: Path) -> subprocess.Popen[bytes]:
    arguments = [sys.executable, "-c", PROGRAM, str(directory)]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE)


class _Numbered(Struct):
    attributes: dict[str, msgspec.Raw] = {}
    body: str = ""


def _counted(directory: Path) -> tuple[int, int]:
    """How many different lines there are, and how many more than once."""
    seen: set[int] = set()
    again = 0
    for path in sorted(directory.glob(f"*{SUFFIX}")):
        with path.open("rb") as file:
            for block in blocks_in(file):
                for line in block.lines():
                    number = _number(msgspec.json.decode(line, type=_Numbered))
                    again += number in seen
                    seen.add(number)
    seen.discard(-1)
    return len(seen), again


def _number(record: _Numbered) -> int:
    """-1: the record is none of the program's."""
    said = record.attributes.get("step")
    if said is not None:
        return int(bytes(said))
    return int(record.body.rpartition("#")[2]) if "#" in record.body else -1


def _used_s(process: psutil.Process) -> float:
    used = process.cpu_times()
    return float(used.user + used.system)


PROGRAM = f"""
import json, os, sys, time

path, turned, number, size = sys.argv[1] + "/bench.log", 0, 0, 0
began = time.monotonic()
stamp = lambda: time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime()) + ".%03dZ" % (time.time() % 1 * 1000)
while time.monotonic() - began < {WRITTEN_S}:
    at, lines = stamp(), []
    for _ in range(250):
        lines.append(
            '{{"at":"%s","level":"info","service":"bench","event":"plan.made","step":%d,"cost":%.3f,'
            '"pose":[%.2f,%.2f,0.0],"note":"a plan as a planner makes some hundred of a second"}}'
            % (at, number, number % 977 / 7, number % 313 / 3, number % 211 / 3)
        )
        lines.append(
            "%s INFO bench.controller: wheel %d at %.4f rad/s, wanted %.4f, current %.2f A, "
            "temperature %.1f C, within its limits #%d"
            % (at, number % 4, number % 97 / 9, number % 89 / 8, number % 53 / 7, 40 + number % 9, number + 1)
        )
        number += 2
    content = "\\n".join(lines) + "\\n"
    if time.monotonic() - began > (turned + 1) * {TURNED_EVERY_S}:
        turned += 1
        os.rename(path, path + "." + str(turned))
    with open(path, "a") as file:
        file.write(content)
    size += len(content)
    time.sleep(max(0.0, size / {RATE_BYTES_PER_S} - (time.monotonic() - began)))
print(json.dumps({{"lines": number, "size_bytes": size, "took_s": time.monotonic() - began}}))
"""
