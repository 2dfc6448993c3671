"""Serves an ONNX model on TensorRT: its engine, built for this GPU once, and its session."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import cast

from edge_bridge.backends.backend import Array, Inference
from edge_bridge.backends.engine_settings import EngineSettings
from edge_bridge.backends.gpu import GpuError, this_gpu
from edge_bridge.backends.model_feed import ModelFeed
from edge_bridge.backends.tensorrt_engine import EngineSource
from edge_bridge.backends.tensorrt_session import RUNS_BEFORE_RECORDING, TensorRtSession
from edge_bridge.backends.twin_file import Ask, ask_nobody
from edge_bridge.errors import LoadFailedError
from fleetward.contracts.ids import Digest
from fleetward.engines.errors import OnnxFaceError
from fleetward.engines.listening import Step
from fleetward.engines.onnx_face import OnnxFace, onnx_face
from fleetward.engines.recipe import EngineKey, Recipe
from fleetward.engines.tensorrt_api import TensorRt

MODULE = "tensorrt"
OLDEST_MAJOR = 10


class TensorRtBackend:
    """One engine over the bytes of one file. engine_key: which one; remarks: how it came."""

    def __init__(
        self,
        model: bytes,
        digest: Digest,
        settings: EngineSettings,
        report: Callable[[Step], None] = lambda step: None,
        ask: Ask = ask_nobody,
    ) -> None:
        """Load ``model``, whose digest is ``digest``, and build its engine if none is kept.

        Raises LoadFailedError.
        """
        try:
            self._load(model, digest, settings, report, ask)
        except GpuError as problem:
            raise LoadFailedError(
                f"{problem} TensorRT needs a GPU: set FLEETWARD_BACKEND=onnxruntime on this robot."
            ) from problem

    def _load(
        self,
        model: bytes,
        digest: Digest,
        settings: EngineSettings,
        report: Callable[[Step], None],
        ask: Ask,
    ) -> None:
        # The GPU first: without a driver TensorRT's runtime takes the whole process down.
        gpu = this_gpu()
        trt = load_tensorrt()
        face = _face(model)
        self._feed = ModelFeed(face.inputs, [port.name for port in face.outputs], face.metadata)
        recipe = Recipe(
            shapes=self._feed.ranges(),
            workspace_bytes=settings.workspace_bytes,
            optimization_level=settings.optimization_level,
            dla_core=settings.dla_core,
        )
        key = EngineKey(
            model=digest, recipe=recipe, platform=gpu.platform(f"{MODULE} {trt.__version__}")
        )
        self._source = EngineSource(trt, settings, report, ask)  # its runtime outlives the engine
        found = self._source.engine(key, model)
        self.engine_key = key.name
        self.remarks = found.remarks
        self._session = TensorRtSession(trt, gpu, found.engine)
        self._try()
        if self._session.unrecorded:
            self.remarks += (f"its work is enqueued plainly: {self._session.unrecorded}",)

    def _try(self) -> None:
        """Some engines show only when they run that they cannot be fed, read or recorded here."""
        try:
            for _ in range(RUNS_BEFORE_RECORDING + 1):
                self.infer(self.sample())
        except (ValueError, TypeError) as problem:
            raise LoadFailedError(f"TensorRT does not run the engine: {problem}.") from problem
        self.reset()

    def sample(self) -> Array:
        """Black pixels [height, width, 3], or silence [samples]."""
        return self._feed.sample()

    def infer(self, frame: Array) -> Inference:
        """Answer one frame; raises ValueError or GpuError."""
        return self._feed.inference(self._session.run(self._feed.fed(frame)))

    def reset(self) -> None:
        """State is zero again; constants are what they were."""
        self._feed.reset()


def load_tensorrt() -> TensorRt:
    """The robot's TensorRT; raises LoadFailedError."""
    try:
        trt = cast(TensorRt, importlib.import_module(MODULE))
    except (ImportError, OSError) as problem:  # OSError: a library that it needs
        raise LoadFailedError(
            f"TensorRT cannot be imported: {problem}. On a Jetson it comes with JetPack, as "
            "python3-libnvinfer, for environments that see the system's packages."
        ) from problem
    if int(trt.__version__.split(".")[0]) < OLDEST_MAJOR:
        raise LoadFailedError(
            f"TensorRT {trt.__version__} is too old: this needs {OLDEST_MAJOR} or later, which "
            "JetPack 6 has."
        )
    return trt


def _face(model: bytes) -> OnnxFace:
    try:
        return onnx_face(model)
    except OnnxFaceError as problem:
        raise LoadFailedError(f"{problem}. Push it again under a new version.") from problem
