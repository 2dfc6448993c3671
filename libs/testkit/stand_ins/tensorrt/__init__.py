"""TensorRT without a GPU: an engine is the ONNX model behind a mark, and ONNX Runtime computes it.

STAND_IN_JOURNAL=FILE    the SHA-256 of whatever is deserialised, and "built" for each build
STAND_IN_BUILD_STEPS=N   how many steps a build has, of 1 ms each
STAND_IN_REFUSES=TEXT    a model whose bytes hold it is not parsed
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import Any

from .known import (
    MARK,
    BuilderFlag,
    DataType,
    DeviceType,
    ILogger,
    MemoryPoolType,
    NetworkDefinitionCreationFlag,
    TensorIOMode,
    TensorLocation,
    journal,
    session_of,
)
from .running import Runtime

__all__ = [
    "Builder",
    "BuilderFlag",
    "DataType",
    "DeviceType",
    "ILogger",
    "IProgressMonitor",
    "MemoryPoolType",
    "NetworkDefinitionCreationFlag",
    "OnnxParser",
    "Runtime",
    "TensorIOMode",
    "TensorLocation",
]

__version__ = "10.3.0"


class IProgressMonitor:
    pass


class _Tensor:
    def __init__(self, one: Any) -> None:  # noqa: ANN401 (untyped)
        self.name: str = one.name
        self.shape = tuple(side if isinstance(side, int) else -1 for side in one.shape)


class _Network:
    def __init__(self, flags: int) -> None:
        assert flags == 1 << NetworkDefinitionCreationFlag.STRONGLY_TYPED
        self.model = b""
        self.inputs: list[_Tensor] = []

    num_layers = 2

    @property
    def num_inputs(self) -> int:
        return len(self.inputs)

    def get_input(self, index: int) -> _Tensor:
        return self.inputs[index]

    def get_layer(self, index: int) -> int:
        return index


class OnnxParser:
    def __init__(self, network: _Network, logger: ILogger) -> None:
        self._network = network
        self.num_errors = 0

    def parse(self, model: bytes) -> bool:
        refused = os.environ.get("STAND_IN_REFUSES", "").encode()
        if refused and refused in model:
            self.num_errors = 1
            return False
        self._network.model = model
        self._network.inputs = [_Tensor(one) for one in session_of(model).get_inputs()]
        return True

    def get_error(self, index: int) -> str:
        return "In node 0 with operator: Unfit (checkUnfit): UNSUPPORTED_NODE: false"


class _Profile:
    def __init__(self) -> None:
        self.shapes: dict[str, tuple[Sequence[int], Sequence[int], Sequence[int]]] = {}

    def set_shape(
        self, name: str, minimum: Sequence[int], optimum: Sequence[int], maximum: Sequence[int]
    ) -> None:
        assert all(a <= b <= c for a, b, c in zip(minimum, optimum, maximum, strict=True))
        self.shapes[name] = (minimum, optimum, maximum)


class _TimingCache:
    def __init__(self, content: bytes) -> None:
        self.content = content

    def serialize(self) -> bytes:
        return self.content


class _Config:
    progress_monitor: Any = None
    builder_optimization_level = 3
    default_device_type = DeviceType.GPU
    DLA_core = -1

    def __init__(self) -> None:
        self.profiles: list[_Profile] = []
        self.timing = _TimingCache(b"")

    def set_memory_pool_limit(self, pool: MemoryPoolType, pool_size: int) -> None: ...

    def set_flag(self, flag: BuilderFlag) -> None: ...

    def can_run_on_DLA(self, layer: int) -> bool:
        return layer == 0

    def add_optimization_profile(self, profile: _Profile) -> int:
        self.profiles.append(profile)
        return len(self.profiles) - 1

    def create_timing_cache(self, serialized_timing_cache: bytes) -> _TimingCache:
        return _TimingCache(bytes(serialized_timing_cache))

    def set_timing_cache(self, cache: _TimingCache, ignore_mismatch: bool) -> bool:
        self.timing = cache
        return True

    def get_timing_cache(self) -> _TimingCache:
        return self.timing


class Builder:
    max_threads = 8
    num_DLA_cores = 1

    def __init__(self, logger: ILogger) -> None:
        self._logger = logger

    def create_network(self, flags: int) -> _Network:
        return _Network(flags)

    def create_builder_config(self) -> _Config:
        return _Config()

    def create_optimization_profile(self) -> _Profile:
        return _Profile()

    def build_serialized_network(self, network: _Network, config: _Config) -> bytes | None:
        steps = int(os.environ.get("STAND_IN_BUILD_STEPS", "3"))
        config.progress_monitor.phase_start("Building engine", None, steps)
        for step in range(steps):
            time.sleep(0.001)
            config.timing.content += b"t"
            if not config.progress_monitor.step_complete("Building engine", step):
                self._logger.log(ILogger.Severity.ERROR, "Build canceled by user")
                return None
        config.progress_monitor.phase_finish("Building engine")
        journal("built")
        return MARK + network.model
