"""The engine of a model on this robot: the sealed one from the disk, or built now from the ONNX model."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import nullcontext
from hashlib import sha256
from pathlib import Path

from msgspec import Struct

from edge_bridge.backends.engine_cache import EngineCache, Held
from edge_bridge.backends.engine_settings import EngineSettings
from edge_bridge.backends.twin_engines import TwinEngineError, TwinEngines
from edge_bridge.backends.twin_file import Ask
from edge_bridge.errors import LoadFailedError
from fleetward.engines.building import Built, Hooks, build_engine
from fleetward.engines.errors import BuildCancelledError, EngineBuildError
from fleetward.engines.listening import Step, log_of
from fleetward.engines.recipe import EngineKey, timing_content
from fleetward.engines.tensorrt_api import ICudaEngine, TensorRt


class Found(Struct, frozen=True, kw_only=True):
    """An engine, ready to make a context of, and what people should know of how it came."""

    engine: ICudaEngine
    remarks: tuple[str, ...]


class EngineSource:
    """Where engines come from."""

    def __init__(
        self, trt: TensorRt, settings: EngineSettings, report: Callable[[Step], None], ask: Ask
    ) -> None:
        """``report`` is called for every step of a build, on TensorRT's threads; it must not raise.
        ``ask`` looks for an engine that a twin built.

        Raises LoadFailedError when the directory for engines cannot be used.
        """
        self._trt = trt
        self._settings = settings
        self._report = report
        self._cache = _cache(settings)
        self._twins = TwinEngines(settings.twins, ask) if settings.twins else None
        self._runtime = trt.Runtime(log_of(trt).logger)
        self._runtime.engine_host_code_allowed = False
        if settings.dla_core is not None:
            self._runtime.DLA_core = settings.dla_core
        self._remarks: list[str] = []

    def engine(self, key: EngineKey, model: bytes) -> Found:
        """The engine with this key; raises LoadFailedError. One worker of the robot at a time."""
        self._remarks = []
        cache = self._cache
        with cache.locked() if cache else nullcontext():
            engine = self._kept(key)
            if engine is None:
                engine = self._taken(key)
            if engine is None:
                engine = self._built(key, model)
        return Found(engine=engine, remarks=tuple(self._remarks))

    def _kept(self, key: EngineKey) -> ICudaEngine | None:
        """The one from the disk. Only what was opened with the robot's own seal is deserialised."""
        if self._cache is None:
            return None
        if self._cache.key_remade:
            self._remark(f"the key that seals engines was made anew: {self._cache.key_remade}")
        held = self._cache.engine(key)
        self._remark_refusal("the engine on the disk", held)
        if held.content is None:
            return None
        engine = self._runtime.deserialize_cuda_engine(held.content)
        if engine is None:
            self._cache.forget_engine(key)
            self._remark(f"TensorRT did not take the engine on the disk: {self._said()}")
        return engine

    def _taken(self, key: EngineKey) -> ICudaEngine | None:
        """One that a twin built; from now on it is kept under this robot's own seal."""
        if self._twins is None:
            return None
        try:
            found = self._twins.taken(key)
        except TwinEngineError as problem:
            self._remark(str(problem))
            return None
        if found is None:
            return None
        content, builder = found
        engine = self._runtime.deserialize_cuda_engine(content)
        if engine is None:
            self._remark(f"TensorRT did not take the engine that {builder} built: {self._said()}")
            return None
        self._remark(f"the engine is one that {builder} built")
        if self._cache is not None:
            self._remark_unkept(self._cache.keep_engine(key, bytes(content)))
        return engine

    def _offer(self, key: EngineKey, engine: bytes) -> None:
        """Leave what was built where the bridge finds it, to send it to twins."""
        if self._twins is None or self._cache is None:
            return
        try:
            self._remark_unkept(self._cache.keep_offer(key, self._twins.offered(key, engine)))
        except TwinEngineError as problem:
            self._remark(str(problem))

    def _built(self, key: EngineKey, model: bytes) -> ICudaEngine:
        began_s = time.monotonic()
        built = self._build(key, model)
        self._remark(f"the engine was built in {time.monotonic() - began_s:.1f} s")
        self._remarks += built.remarks
        engine = self._runtime.deserialize_cuda_engine(built.engine)
        if engine is None:
            raise LoadFailedError(f"TensorRT does not take what it built: {self._said()}.")
        if self._cache is not None:
            self._remark_unkept(self._cache.keep_engine(key, built.engine))
        self._offer(key, built.engine)
        return engine

    def _build(self, key: EngineKey, model: bytes) -> Built:
        """Within the limit; what was measured of this hardware is kept in any case."""
        until_s = time.monotonic() + self._settings.build_limit_s
        hooks = Hooks(report=self._report, cancelled=lambda: time.monotonic() > until_s)
        try:
            built = build_engine(
                self._trt, model, key.recipe, timing=self._timing(key), hooks=hooks
            )
        except BuildCancelledError as problem:
            self._keep_timing(key, problem.timing)
            raise LoadFailedError(
                f"no engine was built within {self._settings.build_limit_s:g} s. The next attempt "
                "goes on with what was measured; give it idle time, or raise build_limit_s."
            ) from problem
        except EngineBuildError as problem:
            raise LoadFailedError(
                f"{problem}. Run the preflight in the registry, or set "
                "FLEETWARD_BACKEND=onnxruntime on this robot."
            ) from problem
        self._keep_timing(key, built.timing)
        return built

    def _timing(self, key: EngineKey) -> bytes:
        if self._cache is None:
            return b""
        held = self._cache.timing(*_timing_place(key))
        self._remark_refusal("the timing cache on the disk", held)
        return bytes(held.content or b"")

    def _keep_timing(self, key: EngineKey, timing: bytes) -> None:
        if self._cache is not None and timing:
            self._remark_unkept(self._cache.keep_timing(*_timing_place(key), timing))

    def _remark(self, what: str) -> None:
        self._remarks.append(what)

    def _remark_refusal(self, what: str, held: Held) -> None:
        if held.refused:
            self._remark(f"{what} was refused and removed: {held.refused}")

    def _remark_unkept(self, reason: str) -> None:
        if reason:
            self._remark(f"it is not kept: {reason}")

    def _said(self) -> str:
        return (log_of(self._trt).complaints.take() or ["it gave no reason"])[-1]


def _timing_place(key: EngineKey) -> tuple[bytes, str]:
    """Label and name."""
    label = timing_content(key.recipe, key.platform)
    return label, sha256(label).hexdigest()


def _cache(settings: EngineSettings) -> EngineCache | None:
    if not settings.directory:
        return None
    try:
        return EngineCache(Path(settings.directory), settings.reserve_bytes)
    except OSError as problem:
        raise LoadFailedError(
            f"the directory {settings.directory} for engines cannot be used: {problem}. Give it to "
            "the bridge's user, or remove it."
        ) from problem
