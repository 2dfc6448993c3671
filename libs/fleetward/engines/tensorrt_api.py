"""The part of TensorRT's Python interface that is used here, as types.

Each class has TensorRT's own name and says only what is used of it, so that a type checker holds our
calls to it; ``tests/contracts/test_tensorrt_api.py`` holds it to the real bindings of 10.3, 11.4 and
RTX 1.7. Documentation: https://docs.nvidia.com/deeplearning/tensorrt/latest/_static/python-api
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Any, Protocol

from typing_extensions import Buffer


class INetworkTensor(Protocol):
    """``ITensor``: an input of a network. A free dimension is -1."""

    @property
    def name(self) -> str: ...
    @property
    def shape(self) -> Sequence[int]: ...


class INetworkDefinition(Protocol):
    @property
    def num_inputs(self) -> int: ...
    @property
    def num_layers(self) -> int: ...
    def get_input(self, index: int) -> INetworkTensor: ...
    def get_layer(self, index: int) -> object: ...


class OnnxParser(Protocol):
    @property
    def num_errors(self) -> int: ...
    def parse(self, model: bytes) -> bool: ...
    def get_error(self, index: int) -> object: ...


class IOptimizationProfile(Protocol):
    def set_shape(
        self,
        input: str,
        min: Sequence[int],
        opt: Sequence[int],
        max: Sequence[int],
    ) -> None: ...


class ITimingCache(Protocol):
    def serialize(self) -> Buffer: ...


class IBuilderConfig(Protocol):
    progress_monitor: Any  # a subclass of the module's own IProgressMonitor
    builder_optimization_level: int
    default_device_type: Enum
    DLA_core: int

    def set_memory_pool_limit(self, pool: Enum, pool_size: int) -> None: ...
    def set_flag(self, flag: Enum) -> None: ...
    def can_run_on_DLA(self, layer: object) -> bool: ...
    def add_optimization_profile(self, profile: IOptimizationProfile) -> int: ...
    def create_timing_cache(self, serialized_timing_cache: Buffer) -> ITimingCache | None: ...
    def set_timing_cache(self, cache: ITimingCache, ignore_mismatch: bool) -> bool: ...
    def get_timing_cache(self) -> ITimingCache | None: ...


class RtxBuilderConfig(IBuilderConfig, Protocol):
    """``IBuilderConfig`` of TensorRT for RTX, which builds for GPUs that are not here."""

    num_compute_capabilities: int

    def set_compute_capability(self, compute_capability: Enum, index: int) -> bool: ...


class Builder(Protocol):
    max_threads: int

    @property
    def num_DLA_cores(self) -> int: ...
    def create_network(self, flags: int) -> INetworkDefinition: ...
    def create_builder_config(self) -> IBuilderConfig: ...
    def create_optimization_profile(self) -> IOptimizationProfile: ...
    def build_serialized_network(
        self, network: INetworkDefinition, config: IBuilderConfig
    ) -> Buffer | None: ...


class IExecutionContext(Protocol):
    def set_input_shape(self, name: str, shape: Sequence[int]) -> bool: ...
    def infer_shapes(self) -> Sequence[str]: ...
    def get_tensor_shape(self, name: str) -> Sequence[int]: ...
    def set_tensor_address(self, name: str, memory: int) -> bool: ...
    def execute_async_v3(self, stream_handle: int) -> bool: ...


class ICudaEngine(Protocol):
    @property
    def num_io_tensors(self) -> int: ...
    def get_tensor_name(self, index: int) -> str: ...
    def get_tensor_mode(self, name: str) -> Enum: ...
    def get_tensor_location(self, name: str) -> Enum: ...
    def get_tensor_dtype(self, name: str) -> Enum: ...
    def create_execution_context(self) -> IExecutionContext | None: ...


class Runtime(Protocol):
    engine_host_code_allowed: bool
    DLA_core: int

    def deserialize_cuda_engine(self, serialized_engine: Buffer) -> ICudaEngine | None: ...


class NetworkDefinitionCreationFlag(Protocol):
    STRONGLY_TYPED: Enum


class MemoryPoolType(Protocol):
    WORKSPACE: Enum


class DeviceType(Protocol):
    DLA: Enum


class BuilderFlag(Protocol):
    GPU_FALLBACK: Enum


class TensorIOMode(Protocol):
    INPUT: Enum


class TensorLocation(Protocol):
    HOST: Enum


class DataType(Protocol):
    """The types of inputs and outputs that numpy has too."""

    FLOAT: Enum
    HALF: Enum
    INT8: Enum
    INT32: Enum
    INT64: Enum
    BOOL: Enum
    UINT8: Enum


class MakesBuilder(Protocol):
    def __call__(self, logger: object) -> Builder: ...


class MakesParser(Protocol):
    def __call__(self, network: INetworkDefinition, logger: object) -> OnnxParser: ...


class MakesRuntime(Protocol):
    def __call__(self, logger: object) -> Runtime: ...


class TensorRt(Protocol):
    """The module ``tensorrt``, or ``tensorrt_rtx_bindings``."""

    __name__: str
    __version__: str
    Builder: MakesBuilder
    OnnxParser: MakesParser
    Runtime: MakesRuntime
    ILogger: Any  # a base class, as is the next: Python cannot derive from a Protocol's attribute
    IProgressMonitor: Any
    ComputeCapability: Any  # of RTX alone; members by name: SM86 and so on
    NetworkDefinitionCreationFlag: NetworkDefinitionCreationFlag
    MemoryPoolType: MemoryPoolType
    DeviceType: DeviceType
    BuilderFlag: BuilderFlag
    TensorIOMode: TensorIOMode
    TensorLocation: TensorLocation
    DataType: DataType
