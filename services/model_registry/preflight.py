"""Has a published version built and run, in a process of its own, and keeps what came of it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import msgspec

from fleetward.bus.logs import log
from fleetward.contracts.bridge_release import BRIDGE_FORMAT
from fleetward.contracts.curation import Preflight
from fleetward.contracts.judgements import ModelPreflighted, PreflightModel
from fleetward.contracts.registry import ModelManifest
from model_registry import judgement
from model_registry.chunk_manifests import ChunkManifests
from model_registry.curations import Curations
from model_registry.errors import DigestMismatchError, PreflightFailedError
from model_registry.objects import ModelObjects
from model_registry.preflight_run import Verdict
from model_registry.rebuilding import rebuild
from model_registry.sandbox import NoAnswer, SandboxLimits, answer_of
from model_registry.scratch import Scratch

_logger = logging.getLogger(__name__)

LIMITS = SandboxLimits(memory_bytes=12 * 1024**3, cpu_s=300, wall_s=600.0)
"""TensorRT maps some 4 GiB of libraries before it reads the file."""


class Preflighter:
    """Tries versions, one at a time: each takes a core and as much memory as the model needs."""

    def __init__(
        self,
        *,
        curations: Curations,
        objects: ModelObjects,
        scratch: Scratch,
        now: Callable[[], datetime],
        limits: SandboxLimits = LIMITS,
    ) -> None:
        self._curations = curations
        self._objects = objects
        self._manifests = ChunkManifests(objects)
        self._scratch = scratch
        self._now = now
        self._limits = limits
        self._turn = asyncio.Lock()

    async def preflight(self, request: PreflightModel) -> ModelPreflighted:
        """Build and run a version; raises UnknownModelError, PreflightFailedError."""
        held = await self._curations.load(request.name, request.version)
        async with self._turn:
            ran = _preflight(await self._tried(held.version.manifest), self._now())
        await self._curations.change(
            request.name, request.version, lambda known: judgement.preflighted(known, ran)
        )
        called = f"{request.name}:{request.version}"
        log(_logger, "model.preflighted", model=called, passed=ran.passed, reason=ran.reason)
        return ModelPreflighted(
            name=request.name,
            version=request.version,
            digest=held.version.manifest.digest,
            preflight=ran,
        )

    async def _tried(self, manifest: ModelManifest) -> Verdict:
        if manifest.format == BRIDGE_FORMAT:
            reason = "it is a release of the bridge: each robot tries it before it runs it"
            return Verdict(passed=False, reason=reason)
        if manifest.format != "onnx":
            reason = f"it is {manifest.format}: weights without a graph, which nothing can run"
            return Verdict(passed=False, reason=reason)
        with self._scratch.folder() as folder:
            path = folder / f"model.{manifest.format}"
            await self._write(manifest, path)
            answer = await answer_of("model_registry.preflight_run", path, self._limits)
        if isinstance(answer, NoAnswer):
            return Verdict(passed=False, reason=answer.reason)
        try:
            return msgspec.msgpack.decode(answer, type=Verdict)
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
            raise PreflightFailedError(
                f"The preflight of {manifest.model} gave no readable answer. Try again."
            ) from error

    async def _write(self, manifest: ModelManifest, path: Path) -> None:
        """The published bytes, rebuilt from packs and hashed again."""
        if manifest.chunks is None:
            raise PreflightFailedError(
                f"{manifest.model} was published before files were kept in chunks. Publish these "
                "bytes under a new version."
            )
        chunks = await self._manifests.read(manifest.chunks)
        digest = await rebuild(self._objects, chunks, {}, path, self._scratch)
        if digest != manifest.digest:
            raise DigestMismatchError(
                f"The packs of {manifest.model} give {digest}, {manifest.digest} was published. "
                "The bucket was damaged: restore it."
            )


def _preflight(verdict: Verdict, now: datetime) -> Preflight:
    return Preflight(
        passed=verdict.passed,
        reason=verdict.reason,
        tools=verdict.tools,
        skipped=verdict.skipped,
        inference_ms=verdict.inference_ms,
        at=now,
    )
