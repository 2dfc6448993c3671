"""What we call of TensorRT and CUDA is there in every release we say we support, with as many arguments.

The type checker holds our code to ``fleetward.engines.tensorrt_api`` and ``cuda_api``; this holds those
to a record of the real bindings, and the record to the bindings where they are installed.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import json
from collections.abc import Iterator
from typing import Any

import pytest

from fleetward.engines import cuda_api, tensorrt_api
from tools.tensorrt_api import BINDINGS, TABLE, described

RECORD: dict[str, dict[str, Any]] = json.loads(TABLE.read_text())
TENSORRT = [each for each in BINDINGS if each.startswith("tensorrt")]
ROBOTS = [each for each in TENSORRT if "rtx" not in each]
RTX = [each for each in TENSORRT if "rtx" in each]
CUDA = [each for each in BINDINGS if each.startswith("cuda")]
INSTALLED = [
    each
    for each, module in BINDINGS.items()
    if module == "tensorrt_rtx_bindings" and importlib.util.find_spec(module)
]

REAL_NAMES = {"INetworkTensor": "ITensor", "RtxBuilderConfig": "IBuilderConfig"}
MODULES = {"TensorRt", "CudaRuntime"}
MAKERS = {"MakesBuilder": "Builder", "MakesParser": "OnnxParser", "MakesRuntime": "Runtime"}
OF_RTX_ALONE = {"RtxBuilderConfig", "ComputeCapability"}


def classes(module: Any) -> Iterator[tuple[str, type]]:  # noqa: ANN401 (a module)
    for name, member in vars(module).items():
        if inspect.isclass(member) and member.__module__ == module.__name__:
            yield name, member


def members(owner: type) -> Iterator[tuple[str, int | None]]:
    """Each member that is declared, and how many arguments we give it; None: it is not called."""
    yield from (
        (name, None) for name in inspect.get_annotations(owner) if not name.startswith("__")
    )
    for name, member in vars(owner).items():
        if inspect.isfunction(member) and (name == "__call__" or not name.startswith("_")):
            yield name, len(inspect.signature(member).parameters) - 1
        elif isinstance(member, property):
            yield name, None


def takes(overloads: list[list[str]] | None, given: int) -> bool:
    return any(
        sum(not name.endswith("?") for name in overload) <= given <= len(overload)
        for overload in overloads or []
    )


def faults(bindings: str, module: Any) -> list[str]:  # noqa: ANN401 (a module)
    """What we use and these bindings do not have."""
    record, found = RECORD[bindings], []
    for name, owner in classes(module):
        if name in MODULES or (name in OF_RTX_ALONE and bindings not in RTX):
            continue
        real = MAKERS.get(name) or REAL_NAMES.get(name, name)
        for member, given in members(owner):
            told = "__init__" if name in MAKERS else member
            if told not in record.get(real, {}):
                found.append(f"{real}.{told} is missing")
            elif given is not None and not takes(record[real][told], given):
                found.append(f"{real}.{told} takes {record[real][told]}, we give {given}")
    return found


@pytest.mark.parametrize("bindings", TENSORRT)
def test_every_call_to_tensorrt_exists_in_the_bindings(bindings: str) -> None:
    assert faults(bindings, tensorrt_api) == []


@pytest.mark.parametrize("bindings", CUDA)
def test_every_call_to_cuda_exists_in_the_bindings(bindings: str) -> None:
    functions = RECORD[bindings][""]
    wrong = [
        name
        for name, given in members(cuda_api.CudaRuntime)
        if name not in CUDA_CLASSES
        and (name not in functions or (given is not None and not takes(functions[name], given)))
    ]
    assert wrong == []
    assert faults(bindings, cuda_api) == []


CUDA_CLASSES = {name for name, _ in classes(cuda_api)}


@pytest.mark.parametrize("bindings", TENSORRT)
def test_what_tensorrt_calls_of_us_has_the_arguments_it_gives(bindings: str) -> None:
    record = RECORD[bindings]
    assert record["ILogger"]["log"] == [["severity", "msg"]]
    monitor = record["IProgressMonitor"]
    assert [len(monitor[name][0]) for name in ("phase_start", "step_complete", "phase_finish")] == [
        3,
        2,
        1,
    ]


@pytest.mark.parametrize("bindings", ROBOTS)
def test_tensorrt_of_robots_has_a_timing_cache_and_builds_for_no_other_gpu(bindings: str) -> None:
    """``building`` tells TensorRT for RTX from it by this."""
    assert "set_compute_capability" not in RECORD[bindings]["IBuilderConfig"]
    assert "set_compute_capability" in RECORD[RTX[0]]["IBuilderConfig"]


def test_a_call_that_a_release_lacks_would_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    ten = ROBOTS[0]
    monkeypatch.delitem(RECORD[ten]["Builder"], "create_network")
    monkeypatch.setitem(RECORD[ten]["Runtime"], "deserialize_cuda_engine", [["a", "b"]])
    assert faults(ten, tensorrt_api) == [
        "Builder.create_network is missing",
        "Runtime.deserialize_cuda_engine takes [['a', 'b']], we give 1",
    ]


@pytest.mark.skipif(not INSTALLED, reason="no bindings are installed here")
@pytest.mark.parametrize("bindings", INSTALLED)
def test_the_record_is_what_the_installed_bindings_offer(bindings: str) -> None:
    module = importlib.import_module(BINDINGS[bindings])
    assert described(module) == RECORD[bindings]
