"""The bridge at rest beside Debian's mender-client at rest, and what measuring costs the processor."""

from __future__ import annotations

import asyncio
import json
import shutil
import tempfile
import time
from pathlib import Path

import psutil
from msgspec import Struct

from edge_bridge.telemetry.columns import FrameLimits, Recorder
from edge_bridge.telemetry.spool import Spool
from fleetward.contracts.ids import BootId, RobotId
from fleetward.local.programs import Settings, fleet
from fleetward.local.up import local_system
from tests.bench.measurement import Measurement

MIB = 1024 * 1024
SETTLE_S, REST_S = 10.0, 30.0
MAX_RESIDENT_MIB, MAX_REST_PERCENT = 60.0, 1.0
SAMPLES_PER_S, MEASURED_S, MAX_TELEMETRY_PERCENT = 2000, 10.0, 3.0
SPOOL_BYTES = 64 * MIB
SERIES = 40


class AtRest(Struct, frozen=True):
    """resident_mib: of the process and its children. percent: of one core."""

    resident_mib: float
    percent: float


async def measure() -> list[Measurement]:
    """Memory and processor, and telemetry."""
    with tempfile.TemporaryDirectory() as directory:
        # Side by side: both sleep, and what one measures lasts as long as what two would.
        ours, theirs = await asyncio.gather(
            _bridge(Path(directory) / "home"), _mender(Path(directory))
        )
    return [*_compared(ours, theirs), await _telemetry()]


def _compared(ours: AtRest, theirs: AtRest | None) -> list[Measurement]:
    missing = "mender-client is not here: apt install mender-client"
    return [
        Measurement(
            name="bridge at rest, connected, without a model: resident memory",
            value=ours.resident_mib,
            unit="MiB",
            ratio=ours.resident_mib / theirs.resident_mib if theirs else None,
            against=f"mender-client at rest: {theirs.resident_mib:.1f} MiB" if theirs else missing,
            goal=f"<= {MAX_RESIDENT_MIB:g} MiB",
            met=ours.resident_mib <= MAX_RESIDENT_MIB,
        ),
        Measurement(
            name="bridge at rest: processor",
            value=ours.percent,
            unit="% of a core",
            against=f"mender-client at rest: {theirs.percent:.2f} %" if theirs else missing,
            goal=f"<= {MAX_REST_PERCENT:g} %",
            met=ours.percent <= MAX_REST_PERCENT,
        ),
    ]


async def _bridge(home: Path) -> AtRest:
    """With its defaults: it measures itself, and probes how late a control loop would be."""
    settings = Settings(home=home, robots=fleet(1))
    async with local_system(settings, lambda happening: None) as system:
        (pid,) = [each.pid for each in system.processes() if each.name.startswith("edge-bridge")]
        return await _rest_of(psutil.Process(pid))


async def _mender(scratch: Path) -> AtRest | None:
    """The daemon, waiting for its next poll of a server that is not there; None: not installed."""
    program = shutil.which("mender")
    if program is None:
        return None
    configuration = scratch / "mender.conf"
    waits = {"UpdatePollIntervalSeconds": 1800, "InventoryPollIntervalSeconds": 28800}
    configuration.write_text(
        json.dumps({"ServerURL": "http://127.0.0.1:9", "DBus": {"Enabled": False}, **waits})
    )
    daemon = await asyncio.create_subprocess_exec(
        *(program, "--config", str(configuration), "--data", str(scratch), "--no-syslog", "daemon"),
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        return await _rest_of(psutil.Process(daemon.pid))
    finally:
        daemon.kill()
        await daemon.wait()


async def _rest_of(process: psutil.Process) -> AtRest:
    await asyncio.sleep(SETTLE_S)
    before_s, began_s = _used_s(process), time.monotonic()
    await asyncio.sleep(REST_S)
    percent = 100 * (_used_s(process) - before_s) / (time.monotonic() - began_s)
    family = [process, *process.children(recursive=True)]
    return AtRest(sum(each.memory_info().rss for each in family) / MIB, percent)


def _used_s(process: psutil.Process) -> float:
    used = process.cpu_times()
    return float(used.user + used.system)


async def _telemetry() -> Measurement:
    """Recorded one by one as a program does, cut into frames, and kept on disk until they are sent.

    In a process that does nothing else.
    """
    with tempfile.TemporaryDirectory() as directory:
        spool = Spool(Path(directory) / "spool.db", SPOOL_BYTES)
        try:
            percent = _recorded(spool)
        finally:
            spool.close()
    return Measurement(
        name=f"telemetry: {SAMPLES_PER_S} samples a second recorded, cut into frames and spooled",
        value=percent,
        unit="% of a core",
        goal=f"<= {MAX_TELEMETRY_PERCENT:g} %",
        met=percent <= MAX_TELEMETRY_PERCENT,
    )


def _recorded(spool: Spool) -> float:
    """The processor time of it, in percent of the time that such samples take to come."""
    limits = FrameLimits()
    recorder = Recorder(RobotId("r1"), BootId("boot"), limits)
    names = [f"bench.signal_{number}" for number in range(SERIES)]
    per_frame = int(SAMPLES_PER_S * limits.period_s)
    frames = int(MEASURED_S / limits.period_s)
    began_s = time.process_time()
    for _ in range(frames):
        for turn in range(per_frame):
            recorder.record(names[turn % SERIES], float(turn))
        frame = recorder.cut()
        assert frame is not None
        spool.append(frame)
    return 100 * (time.process_time() - began_s) / MEASURED_S
