"""Writes down what TensorRT's and CUDA's real Python bindings offer: tests/contracts/tensorrt_api.json.

    python -m tools.tensorrt_api

Only bindings are fetched, by name, from wherever this machine's pip takes packages. TensorRT's need a
library of hundreds of megabytes that they never call while they are looked at: a stub of nine symbols
made with ``cc`` stands in for it. Run it when ``fleetward/engines/*_api.py`` names another class, or
for another release (``BINDINGS``).
"""

from __future__ import annotations

import importlib
import json
import os
import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from types import ModuleType
from typing import Any

from fleetward.engines.cuda_api import CudaRuntime
from tools.sources import ROOT

TABLE = ROOT / "tests/contracts/tensorrt_api.json"
BINDINGS = {
    "tensorrt-cu12-bindings==10.3.0": "tensorrt_bindings",
    "tensorrt-cu13-bindings==11.4.0.106": "tensorrt_bindings",
    "tensorrt-rtx-cu13-bindings==1.7.1.116": "tensorrt_rtx_bindings",
    "cuda-bindings==12.9.4": "cuda.bindings.runtime",
    "cuda-bindings==13.5.0": "cuda.bindings.runtime",
}
ALSO_NEEDED = {"cuda.bindings.runtime": ["cuda-pathfinder"]}

Parameters = list[list[str]]
"""For each overload its parameters without ``self``; an optional one ends in a question mark."""

TENSORRT_CLASSES = (
    *("Builder", "BuilderFlag", "ComputeCapability", "DataType", "DeviceType", "IBuilderConfig"),
    *("ICudaEngine", "IExecutionContext", "ILogger", "INetworkDefinition", "IOptimizationProfile"),
    *("IProgressMonitor", "ITensor", "ITimingCache", "MemoryPoolType", "OnnxParser", "Runtime"),
    *("NetworkDefinitionCreationFlag", "TensorIOMode", "TensorLocation"),
)
CUDA_CLASSES = ("cudaDeviceProp", "cudaMemcpyKind", "cudaStreamCaptureMode")

_SYMBOLS = (
    *("createInferBuilder_INTERNAL", "createInferRefitter_INTERNAL", "createInferRuntime_INTERNAL"),
    *("createNvOnnxParserRefitter_INTERNAL", "createNvOnnxParser_INTERNAL"),
    *("getBuilderPluginRegistry", "getNvOnnxParserVersion", "getPluginRegistry"),
    "initLibNvInferPlugins",
)
_LIBRARIES = ("libnvinfer", "libnvonnxparser", "libnvinfer_plugin")
_SIGNATURE = re.compile(r"^(?:\d+\. )?\w+\((.*)\)(?: -> .*)?$")


def described(module: ModuleType) -> dict[str, Any]:
    """By class, its members: a method's parameters, None for all else; functions under ``""``."""
    if module.__name__.startswith("cuda"):
        found = {name: _members(getattr(module, name)) for name in CUDA_CLASSES}
        wanted = [*vars(CudaRuntime), *CudaRuntime.__annotations__]
        names = [name for name in wanted if name.startswith("cuda") and hasattr(module, name)]
        functions = {name: _parameters(getattr(module, name)) for name in names}
        return {**found, "": functions}
    return {
        name: _members(getattr(module, name)) for name in TENSORRT_CLASSES if hasattr(module, name)
    }


def _members(owner: type) -> dict[str, Parameters | None]:
    members = getattr(owner, "__members__", None)
    if members:
        return dict.fromkeys(sorted(members))
    names = [name for name in dir(owner) if name == "__init__" or not name.startswith("_")]
    return {name: _parameters(getattr(owner, name)) for name in names}


def _parameters(member: object) -> Parameters | None:
    """None for what is not called."""
    if not callable(member) or isinstance(member, type):
        return None
    matches = (_SIGNATURE.match(line.strip()) for line in (member.__doc__ or "").splitlines())
    told = [match.group(1) for match in matches if match]
    overloads = [_names(text) for text in told if text != "*args, **kwargs"]
    return overloads or None


def _names(text: str) -> list[str]:
    parts, depth, part = [], 0, ""
    for letter in text + ",":
        depth += (letter in "([{<") - (letter in ")]}>" and not part.endswith("-"))
        if letter == "," and depth == 0:
            parts.append(part.strip())
            part = ""
        else:
            part += letter
    names = []
    for each in filter(None, parts):
        declared, _, default = each.partition("=")
        name = declared.partition(":")[0].split()[-1]
        names.append(f"{name}?" if default else name)
    return [name for name in names if name != "self"]


def _record(requirement: str, module: str, scratch: Path) -> dict[str, Any]:
    """Fetch the bindings and describe them in a process of their own."""
    house, site = scratch / "wheels", scratch / "site"
    subprocess.run([sys.executable, "-m", "venv", scratch / "venv"], check=True)
    for one in (requirement, *ALSO_NEEDED.get(module, ())):
        fetch = ["-m", "pip", "download", "--quiet", "--no-deps", "--dest", house, one]
        subprocess.run([scratch / "venv/bin/python", *fetch], check=True)
    for wheel in house.glob("*.whl"):
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(site)
    _stub_libraries(scratch)
    answer = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tools.tensorrt_api", module],
        check=True,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(site), "LD_LIBRARY_PATH": str(scratch)},
    )
    found: dict[str, Any] = json.loads(answer.stdout)
    return found


def _stub_libraries(scratch: Path) -> None:
    source = scratch / "stub.c"
    source.write_text("".join(f"void *{name}(void) {{ return 0; }}\n" for name in _SYMBOLS))
    for library in _LIBRARIES:
        for major in (10, 11):
            name = f"{library}.so.{major}"
            options = ["-shared", "-fPIC", f"-Wl,-soname,{name}", "-o", str(scratch / name)]
            subprocess.run(["cc", *options, str(source)], check=True)


def main() -> None:
    """Describe the module that is named, on standard output; without a name, write the whole table."""
    if sys.argv[1:]:
        print(json.dumps(described(importlib.import_module(sys.argv[1]))))
        return
    table = {}
    for requirement, module in BINDINGS.items():
        with tempfile.TemporaryDirectory() as scratch:
            table[requirement] = _record(requirement, module, Path(scratch))
    TABLE.write_text(json.dumps(table, sort_keys=True, indent=1) + "\n")


if __name__ == "__main__":
    main()
