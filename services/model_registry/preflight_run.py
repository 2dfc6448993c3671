"""Builds and runs one ONNX file inside its own limited process, and says whether that worked.

Run as ``python -m model_registry.preflight_run PATH MEMORY_BYTES CPU_S``. ONNX Runtime answers
one sample input; TensorRT for RTX, where it is installed, builds an engine without a GPU. The
answer is msgpack of Verdict on standard output. What the libraries print goes to standard error.
"""

from __future__ import annotations

import os
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from fleetward.engines.building import build_engine
from fleetward.engines.errors import EngineBuildError
from fleetward.engines.recipe import Recipe, ShapeRange

if TYPE_CHECKING:
    import numpy as np

FREE_SIZES = (1, 32, 64, 224, 640)
"""Tried in turn for the dimensions that a model leaves free; the first axis is 1."""
MAX_REASON_CHARS = 300
INSTALL = "pip install tensorrt-rtx-cu13-bindings==1.7.1.116 tensorrt-rtx-cu13-libs==1.7.1.116"
"""What the extra ``model-registry[tensorrt]`` names."""
COMPUTE_CAPABILITY = "SM86"
"""A build needs one to build for; no GPU has to be there."""

_ELEMENTS = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(double)": "float64",
    "tensor(int8)": "int8",
    "tensor(int16)": "int16",
    "tensor(int32)": "int32",
    "tensor(int64)": "int64",
    "tensor(uint8)": "uint8",
    "tensor(uint16)": "uint16",
    "tensor(uint32)": "uint32",
    "tensor(uint64)": "uint64",
    "tensor(bool)": "bool",
}


class Verdict(Struct, frozen=True, kw_only=True):
    """What came of it; see ``fleetward.contracts.curation.Preflight``."""

    passed: bool
    reason: str = ""
    tools: dict[str, str] = {}
    skipped: dict[str, str] = {}
    inference_ms: float = 0.0


class _Failed(Exception):  # noqa: N818 - it never leaves this module
    """Carries a reason from a leaf to ``preflight``."""


def preflight(path: Path) -> Verdict:
    """Run and build the file at ``path``."""
    tools: dict[str, str] = {}
    skipped: dict[str, str] = {}
    inference_ms = 0.0
    try:
        shapes, inference_ms = _run(path, tools)
        _build(path, shapes, tools, skipped)
    except _Failed as failed:
        reason = str(failed)[:MAX_REASON_CHARS]
        return Verdict(passed=False, reason=reason, tools=tools, skipped=skipped)
    return Verdict(passed=True, tools=tools, skipped=skipped, inference_ms=inference_ms)


def _run(path: Path, tools: dict[str, str]) -> tuple[dict[str, tuple[int, ...]], float]:
    """The input shapes that worked, and how long one inference took (ms)."""
    import onnxruntime as ort  # type: ignore[import-untyped]  # ships no types

    tools["onnxruntime"] = ort.__version__
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    try:
        session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise _Failed(f"ONNX Runtime does not load it: {_first_line(error)}") from error
    problem: Exception | None = None
    for inputs in _samples(session):
        began_s = time.perf_counter()
        try:
            outputs = session.run(None, inputs)
        except Exception as error:  # noqa: BLE001 (the same)
            problem = error
            continue
        inference_ms = (time.perf_counter() - began_s) * 1e3
        _refuse_nan(session, outputs)
        return {name: array.shape for name, array in inputs.items()}, inference_ms
    raise _Failed(f"ONNX Runtime does not run it on any sample: {_first_line(problem)}")


def _samples(session: Any) -> Iterator[dict[str, np.ndarray[Any, Any]]]:  # noqa: ANN401 (untyped)
    """Sample inputs, one for each size that free dimensions may have."""
    import numpy as np

    chance = np.random.default_rng(7)
    free = any(not isinstance(size, int) for each in session.get_inputs() for size in each.shape)
    for size in FREE_SIZES if free else FREE_SIZES[:1]:
        sample = {}
        for each in session.get_inputs():
            element = _ELEMENTS.get(each.type)
            if element is None:
                raise _Failed(
                    f"its input {each.name} is a {each.type}, for which there is no sample"
                )
            shape = _shape(each.shape, size)
            values = chance.random(shape) if element.startswith("float") else np.zeros(shape)
            sample[each.name] = values.astype(element)
        yield sample


def _shape(declared: list[int | str | None], size: int) -> tuple[int, ...]:
    return tuple(
        each if isinstance(each, int) else 1 if axis == 0 else size
        for axis, each in enumerate(declared)
    )


def _refuse_nan(session: Any, outputs: list[Any]) -> None:  # noqa: ANN401 (untyped)
    import numpy as np

    for each, values in zip(session.get_outputs(), outputs, strict=True):
        array = np.asarray(values)
        if array.dtype.kind == "f" and bool(np.isnan(array).any()):
            raise _Failed(f"its output {each.name} is not a number for a sample input in [0, 1)")


def _build(
    path: Path,
    shapes: dict[str, tuple[int, ...]],
    tools: dict[str, str],
    skipped: dict[str, str],
) -> None:
    """Build an engine as a robot would; what builds here is never shipped."""
    try:
        import tensorrt_rtx_bindings as trt  # an optional extra
    except ImportError:
        skipped["tensorrt_rtx"] = f"it is not installed ({INSTALL})"
        return
    tools["tensorrt_rtx"] = trt.__version__
    spans = {
        name: ShapeRange(minimum=shape, optimum=shape, maximum=shape)
        for name, shape in shapes.items()
    }
    recipe = Recipe(shapes=spans, compute_capability=COMPUTE_CAPABILITY)
    try:
        build_engine(trt, path.read_bytes(), recipe)
    except EngineBuildError as problem:
        raise _Failed(str(problem)) from problem


def _first_line(problem: object) -> str:
    lines = str(problem).strip().splitlines() or ["no reason given"]
    return lines[0]


def _limit_this_process(memory_bytes: int, cpu_s: int) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def main() -> None:
    """Limit this process, try the file named by the first argument, print the verdict."""
    path, memory_bytes, cpu_s = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    answer = os.dup(1)
    os.dup2(2, 1)  # TensorRT prints; the verdict must stand alone
    _limit_this_process(memory_bytes, cpu_s)
    os.write(answer, msgspec.msgpack.encode(preflight(path)))


if __name__ == "__main__":
    main()
