"""Asks a short-lived, limited process of our own about a file; a library that dies takes nobody along."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from pathlib import Path

from msgspec import Struct

MAX_ANSWER_BYTES = 1024 * 1024
MAX_COMPLAINT_CHARS = 300


class SandboxLimits(Struct, frozen=True, kw_only=True):
    """What one process may use. ``wall_s`` also bounds one that waits and burns nothing."""

    memory_bytes: int
    cpu_s: int
    wall_s: float


class NoAnswer(Struct, frozen=True):
    """The process ended without an answer: out of time, out of memory, or killed."""

    reason: str


async def answer_of(module: str, path: Path, limits: SandboxLimits) -> bytes | NoAnswer:
    """What ``python -m module path memory_bytes cpu_s`` writes to standard output.

    The process has no environment of ours, no input, its own process group, and limits itself
    before it reads the file; none of it is left when this returns.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-m", module, str(path)),
        *(str(limits.memory_bytes), str(limits.cpu_s)),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "ORT_DISABLE_TELEMETRY": "1"},
        cwd="/",
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(limits.wall_s):
            answer, complaint = await process.communicate()
    except TimeoutError:
        return NoAnswer(f"it took longer than {limits.wall_s:g} s")
    finally:
        await _end(process)
    if process.returncode != 0 or len(answer) > MAX_ANSWER_BYTES:
        return NoAnswer(_ended_badly(process.returncode, complaint, limits))
    return answer


async def _end(process: asyncio.subprocess.Process) -> None:
    """End the whole group: a library may have started processes of its own."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()


def _ended_badly(returncode: int | None, complaint: bytes, limits: SandboxLimits) -> str:
    lines = complaint.decode(errors="replace").strip().splitlines() or ["it said nothing"]
    return (
        f"it ended with code {returncode} within its limits of {limits.memory_bytes >> 20} MiB "
        f"and {limits.cpu_s} s: {lines[-1][:MAX_COMPLAINT_CHARS]}"
    )
