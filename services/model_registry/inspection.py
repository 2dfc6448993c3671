"""Asks a short-lived, limited process what a file is; a parser that dies takes nobody along."""

from __future__ import annotations

from pathlib import Path

import msgspec

from model_registry.errors import InspectionFailedError, ModelRefusedError
from model_registry.sandbox import NoAnswer, SandboxLimits, answer_of
from model_registry.verdicts import Inspection, Refusal


class InspectionLimits(SandboxLimits, frozen=True, kw_only=True):
    """What one inspection may use."""

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
    answer = await answer_of("model_registry.model_file", path, limits)
    if isinstance(answer, NoAnswer):
        raise InspectionFailedError(
            f"Inspecting the file gave no verdict: {answer.reason}. Check the file with "
            "onnx.checker, or export a simpler model."
        )
    return answer


def _verdict(output: bytes) -> Inspection | Refusal:
    try:
        return msgspec.msgpack.decode(output, type=Inspection | Refusal)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise InspectionFailedError(
            "The inspection gave no readable verdict. Check the file with onnx.checker."
        ) from error
