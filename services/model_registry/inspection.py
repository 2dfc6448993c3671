"""Asks a short-lived, limited process what a file is; a parser that dies takes nobody along."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from pathlib import Path

import msgspec
from msgspec import Struct

from model_registry.errors import InspectionFailedError, ModelRefusedError
from model_registry.verdicts import Inspection, Refusal

MAX_VERDICT_BYTES = 1024 * 1024
MAX_COMPLAINT_CHARS = 300


class InspectionLimits(Struct, frozen=True, kw_only=True):
    """What one inspection may use. ``wall_s`` also bounds a parser that waits and burns nothing."""

    memory_bytes: int = 6 * 1024**3
    cpu_s: int = 60
    wall_s: float = 120.0


async def inspect(path: Path, limits: InspectionLimits) -> Inspection:
    """What the model file at ``path`` is.

    Raises ModelRefusedError with the reason, InspectionFailedError when there was no verdict.
    """
    verdict = _verdict(await _output_of(path, limits))
    if isinstance(verdict, Refusal):
        raise ModelRefusedError(f"{verdict.reason}.")
    return verdict


async def _output_of(path: Path, limits: InspectionLimits) -> bytes:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-m", "model_registry.model_file", str(path)),
        *(str(limits.memory_bytes), str(limits.cpu_s)),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
        cwd="/",
    )
    try:
        async with asyncio.timeout(limits.wall_s):
            output, complaint = await process.communicate()
    except TimeoutError:
        raise InspectionFailedError(
            f"Inspecting the file took longer than {limits.wall_s:g} s. Export a simpler model."
        ) from None
    finally:
        await _end(process)
    if process.returncode != 0 or len(output) > MAX_VERDICT_BYTES:
        raise InspectionFailedError(_ended_badly(process.returncode, complaint, limits))
    return output


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def _verdict(output: bytes) -> Inspection | Refusal:
    try:
        return msgspec.msgpack.decode(output, type=Inspection | Refusal)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise InspectionFailedError(
            "The inspection gave no readable verdict. Check the file with onnx.checker."
        ) from error


def _ended_badly(returncode: int | None, complaint: bytes, limits: InspectionLimits) -> str:
    lines = complaint.decode(errors="replace").strip().splitlines() or ["it said nothing"]
    return (
        f"Inspecting the file ended with code {returncode} within its limits of "
        f"{limits.memory_bytes >> 20} MiB and {limits.cpu_s} s: "
        f"{lines[-1][:MAX_COMPLAINT_CHARS]}. Check the file with onnx.checker."
    )
