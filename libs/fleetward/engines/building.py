"""Builds a TensorRT engine from the bytes of an ONNX model: on robots, and in the registry's preflight.

Networks are strongly typed: precision is what the model says (FP16 by conversion, INT8 by Q/DQ), so
that one model gives the same numbers with TensorRT 10 and 11.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from msgspec import Struct

from fleetward.engines.errors import BuildCancelledError, EngineBuildError
from fleetward.engines.listening import Complaints, Step, log_of, progress_monitor
from fleetward.engines.recipe import Recipe
from fleetward.engines.tensorrt_api import (
    Builder,
    IBuilderConfig,
    INetworkDefinition,
    IOptimizationProfile,
    ITimingCache,
    OnnxParser,
    RtxBuilderConfig,
    TensorRt,
)


class Built(Struct, frozen=True, kw_only=True):
    """A serialized engine. timing: a timing cache for the next build, empty where there is none."""

    engine: bytes
    timing: bytes = b""
    remarks: tuple[str, ...] = ()


class Hooks(Struct, frozen=True, kw_only=True):
    """How somebody follows a build and ends it early; called on TensorRT's threads, must not raise."""

    report: Callable[[Step], None] = lambda step: None
    cancelled: Callable[[], bool] = lambda: False


def build_engine(
    trt: TensorRt, model: bytes, recipe: Recipe, *, timing: bytes = b"", hooks: Hooks | None = None
) -> Built:
    """Build ``model`` by ``recipe``; raises EngineBuildError, BuildCancelledError.

    timing: what an earlier build on the same hardware left. TensorRT takes it or measures anew.
    """
    log = log_of(trt)
    hooks = hooks or Hooks()
    log.complaints.take()
    builder = trt.Builder(log.logger)
    builder.max_threads = 1
    flags = 1 << int(cast(int, trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    network = builder.create_network(flags)
    parser = trt.OnnxParser(network, log.logger)  # owns the weights until the engine is built
    _parse(parser, model, log.complaints)
    config = builder.create_builder_config()
    _configure(trt, config, recipe)
    remarks = _use_dla(trt, builder, network, config, recipe.dla_core)
    cache = _attached_timing(config, timing)
    config.add_optimization_profile(_profile(builder, network, recipe))
    config.progress_monitor = progress_monitor(trt, hooks.report, hooks.cancelled)
    engine = builder.build_serialized_network(network, config)
    if engine is None and hooks.cancelled():
        raise BuildCancelledError("the build of the engine was given up", _timing(config, cache))
    if engine is None:
        raise EngineBuildError(
            f"TensorRT {trt.__version__} parses it and builds no engine: {_last(log.complaints.take())}"
        )
    return Built(engine=bytes(memoryview(engine)), timing=_timing(config, cache), remarks=remarks)


def _parse(parser: OnnxParser, model: bytes, complaints: Complaints) -> None:
    if parser.parse(model):
        return
    # An error's own text names node, operator and kind; its desc() may be as bare as "false".
    errors = [str(parser.get_error(index)) for index in range(parser.num_errors)]
    first = _first_line((errors or [_last(complaints.take())])[0])
    raise EngineBuildError(f"TensorRT does not parse it: {first}")


def _configure(trt: TensorRt, config: IBuilderConfig, recipe: Recipe) -> None:
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, recipe.workspace_bytes)
    config.builder_optimization_level = recipe.optimization_level
    if recipe.compute_capability:
        target = getattr(trt.ComputeCapability, recipe.compute_capability)
        for_rtx = cast(RtxBuilderConfig, config)
        for_rtx.num_compute_capabilities = 1
        for_rtx.set_compute_capability(target, 0)


def _use_dla(
    trt: TensorRt,
    builder: Builder,
    network: INetworkDefinition,
    config: IBuilderConfig,
    core: int | None,
) -> tuple[str, ...]:
    """Prefer a DLA core. TensorRT falls back to the GPU in silence, so the layers are counted."""
    if core is None:
        return ()
    if not 0 <= core < builder.num_DLA_cores:
        raise EngineBuildError(
            f"DLA core {core} was asked for, and TensorRT {trt.__version__} offers "
            f"{builder.num_DLA_cores} here. Unset FLEETWARD_TENSORRT_DLA_CORE."
        )
    config.default_device_type = trt.DeviceType.DLA
    config.DLA_core = core
    config.set_flag(trt.BuilderFlag.GPU_FALLBACK)
    layers = [network.get_layer(index) for index in range(network.num_layers)]
    fit = sum(config.can_run_on_DLA(layer) for layer in layers)
    return (f"DLA core {core} can run {fit} of {len(layers)} layers, the GPU runs the others",)


def _attached_timing(config: IBuilderConfig, timing: bytes) -> ITimingCache | None:
    """What the build will use, and must outlive. None: TensorRT for RTX, which tunes where it runs.

    TensorRT itself refuses, and measures anew, what was timed on another device.
    """
    if hasattr(config, "set_compute_capability"):
        return None
    cache = config.create_timing_cache(timing) or config.create_timing_cache(b"")
    if cache is not None:
        config.set_timing_cache(cache, False)
    return cache


def _timing(config: IBuilderConfig, attached: ITimingCache | None) -> bytes:
    cache = config.get_timing_cache() if attached is not None else None
    return b"" if cache is None else bytes(memoryview(cache.serialize()))


def _profile(builder: Builder, network: INetworkDefinition, recipe: Recipe) -> IOptimizationProfile:
    profile = builder.create_optimization_profile()
    for index in range(network.num_inputs):
        tensor = network.get_input(index)
        if -1 not in tuple(tensor.shape):
            continue
        if tensor.name not in recipe.shapes:
            raise EngineBuildError(
                f"input {tensor.name!r} has free dimensions {list(tensor.shape)}, and the recipe says "
                "nothing of their range"
            )
        span = recipe.shapes[tensor.name]
        profile.set_shape(tensor.name, span.minimum, span.optimum, span.maximum)
    return profile


def _last(complaints: list[str]) -> str:
    return complaints[-1] if complaints else "it gave no reason"


def _first_line(text: str) -> str:
    return (text.strip().splitlines() or ["no reason given"])[0]
