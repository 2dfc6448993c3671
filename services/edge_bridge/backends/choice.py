"""Which runtime serves a model on this robot: the one that is set, or the best that is here.

Runtimes are imported here, in the worker, and only when they may be used: the bridge's own process
must stay small.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib.util import find_spec
from typing import TYPE_CHECKING

from msgspec import Struct, structs

from edge_bridge.backends.engine_settings import EngineSettings
from edge_bridge.backends.twin_file import Ask, ask_nobody
from edge_bridge.errors import LoadFailedError
from fleetward.contracts.ids import Digest
from fleetward.engines.listening import Step

if TYPE_CHECKING:
    from edge_bridge.backends.backend import Backend

AUTO = "auto"
TENSORRT = "tensorrt"
ONNXRUNTIME_CUDA = "onnxruntime-cuda"
ONNXRUNTIME = "onnxruntime"
CHOICES = (AUTO, TENSORRT, ONNXRUNTIME_CUDA, ONNXRUNTIME)


class Opened(Struct, frozen=True, kw_only=True):
    """A loaded model. backend: its runtime's name. engine_key: of TensorRT alone, else empty.

    remarks: what people should know, as why a better runtime was not taken.
    """

    model: Backend
    backend: str
    engine_key: str = ""
    remarks: tuple[str, ...] = ()


class Order(Struct, frozen=True, kw_only=True):
    """What is to be loaded. report: hears of each step of a build and must not raise. ask: of twins."""

    content: bytes
    digest: Digest
    engines: EngineSettings
    report: Callable[[Step], None]
    ask: Ask = ask_nobody


def open_backend(choice: str, order: Order) -> Opened:
    """Load the model with the runtime ``choice`` names; raises LoadFailedError.

    ``auto``: with TensorRT where it is installed and finds a GPU, else with ONNX Runtime on the GPU,
    else on the CPU. A model that one cannot load goes to the next, and that is remarked.
    """
    if choice not in CHOICES:
        raise LoadFailedError(
            f"there is no inference backend {choice!r}. Use one of {', '.join(CHOICES)}."
        )
    if choice != AUTO:
        return _OPEN[choice](order)
    remarks: list[str] = []
    for name in _better():
        try:
            return _remarked(_OPEN[name](order), remarks)
        except LoadFailedError as problem:
            remarks.append(f"{name} does not serve it: {problem}")
    return _remarked(_open_onnxruntime(order), remarks)


def start_gpu(choice: str) -> None:
    """Have CUDA start its threads now, at the priority that serving has; nothing where there is no GPU.

    A thread inherits the priority of the one that starts it, and nobody may raise it again.
    """
    if choice == ONNXRUNTIME or find_spec("cuda") is None:
        return
    from edge_bridge.backends.gpu import GpuError, this_gpu

    with suppress(GpuError):  # whoever needs it says so
        this_gpu()


def _better() -> Iterator[str]:
    """The runtimes beside ONNX Runtime on the CPU that are installed here, the best first."""
    if find_spec("tensorrt") is not None:
        yield TENSORRT
    from edge_bridge.backends.onnx_backend import has_cuda

    if has_cuda():
        yield ONNXRUNTIME_CUDA


def _remarked(opened: Opened, remarks: list[str]) -> Opened:
    return structs.replace(opened, remarks=(*remarks, *opened.remarks))


def _open_tensorrt(order: Order) -> Opened:
    from edge_bridge.backends.tensorrt_backend import TensorRtBackend

    model = TensorRtBackend(order.content, order.digest, order.engines, order.report, order.ask)
    return Opened(model=model, backend=TENSORRT, engine_key=model.engine_key, remarks=model.remarks)


def _open_onnxruntime_cuda(order: Order) -> Opened:
    from edge_bridge.backends.onnx_backend import CUDA, OnnxBackend

    return Opened(model=OnnxBackend(order.content, CUDA), backend=ONNXRUNTIME_CUDA)


def _open_onnxruntime(order: Order) -> Opened:
    from edge_bridge.backends.onnx_backend import OnnxBackend

    return Opened(model=OnnxBackend(order.content), backend=ONNXRUNTIME)


_OPEN: dict[str, Callable[[Order], Opened]] = {
    TENSORRT: _open_tensorrt,
    ONNXRUNTIME_CUDA: _open_onnxruntime_cuda,
    ONNXRUNTIME: _open_onnxruntime,
}
