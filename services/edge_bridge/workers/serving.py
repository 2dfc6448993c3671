"""What a worker does once it exists: make a session of exactly the attested bytes, then answer."""

from __future__ import annotations

import ctypes
import hashlib
import mmap
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from msgspec.structs import replace

from edge_bridge.backends.backend import Array, Backend, Inference
from edge_bridge.backends.choice import Opened, Order, open_backend
from edge_bridge.backends.twin_file import Ask
from edge_bridge.errors import LoadFailedError, WarmUpFailedError
from edge_bridge.workers.protocol import (
    Inferred,
    Load,
    Output,
    Preparing,
    Ready,
    WorkerArguments,
)
from edge_bridge.workers.ticket import Ticket
from fleetward.contracts.ids import Digest
from fleetward.engines.listening import Step

MAX_REMARKS = 8
REMARK_LIMIT_CHARACTERS = 500
PREPARING_EVERY_S = 0.5
"""A build has thousands of steps; the bridge hears of it so often."""

_NO_INFERENCE = Inference({}, None)
SAMPLE_ELEMENTS = 1024
"""Of one output that is compared and too large to travel whole."""


class Served:
    """A warm model and the frames it reads."""

    def __init__(
        self, backend: Backend, frames: mmap.mmap, inline_limit_bytes: int, *, idle: bool
    ) -> None:
        self._backend = backend
        self._frames = frames
        self._inline_limit_bytes = inline_limit_bytes
        self._clock_ns = time.thread_time_ns if idle else time.monotonic_ns

    def answer(self, ticket: Ticket) -> Inferred:
        """Answer one frame; what the runtime raises becomes the answer's error."""
        picked_up_ns = time.monotonic_ns()
        frame: Array = np.ndarray(ticket.shape, ticket.dtype, self._frames, ticket.offset)
        inference, error = _NO_INFERENCE, None
        began_ns = self._clock_ns()
        try:
            inference = self._backend.infer(frame)
        except Exception as fault:  # noqa: BLE001  # a runtime's errors share no narrower root
            error = f"{type(fault).__name__}: {fault}"
        return Inferred(
            frame=ticket.frame,
            latency_s=(self._clock_ns() - began_ns) / 1e9,
            perception_s=(picked_up_ns - ticket.captured_monotonic_ns) / 1e9,
            confidence=inference.confidence,
            error=error,
            outputs=summarised(inference.outputs, self._inline_limit_bytes, ticket.compared),
        )


class Progress:
    """Passes on the progress of a build, at once and then ``PREPARING_EVERY_S``."""

    def __init__(self, tell: Callable[[Preparing], None]) -> None:
        self._tell = tell
        self._next_s = 0.0

    def step(self, step: Step) -> None:
        """Tell of this step, unless the last was told of a moment ago."""
        now_s = time.monotonic()
        if now_s >= self._next_s:
            self._next_s = now_s + PREPARING_EVERY_S
            self._tell(Preparing(phase=step.phase[:100], step=step.step, steps=step.steps))


def load(
    order: Load, arguments: WorkerArguments, tell: Callable[[Preparing], None], ask: Ask
) -> tuple[Served, Ready]:
    """Read the file once, attest those bytes, load them, warm up.

    ``tell`` hears of the progress of what takes long, from any thread, and must not raise. ``ask`` looks
    for an engine that a twin built. Raises LoadFailedError, WarmUpFailedError.
    """
    began = time.monotonic()
    opened, digest = _attested(order, arguments.backend, tell, ask)
    loaded = time.monotonic()
    backend = opened.model
    runs_ms = _warm_up(backend, order.path, arguments.warm_up_runs)
    ready = Ready(
        digest_mapped=digest,
        load_ms=(loaded - began) * 1e3,
        warm_up_ms=(time.monotonic() - loaded) * 1e3,
        warm_up_p99_ms=_p99(runs_ms),
        backend=opened.backend,
        engine_key=opened.engine_key,
        remarks=tuple(remark[:REMARK_LIMIT_CHARACTERS] for remark in opened.remarks[:MAX_REMARKS]),
    )
    frames = mmap.mmap(arguments.ring_fd, arguments.ring_bytes, prot=mmap.PROT_READ)
    ctypes.CDLL(None).malloc_trim(0)  # loading needed the file's bytes twice; serving does not
    return Served(backend, frames, arguments.inline_output_limit_bytes, idle=order.idle), ready


def summarised(
    outputs: dict[str, Array], inline_limit_bytes: int, sampled: bool = False
) -> dict[str, Output]:
    """Every output's shape and range; the first ones whole while they fit the limit together.

    ``sampled``: the others by a sample each, while those fit the same limit again.
    """
    room_bytes, sample_room_bytes = inline_limit_bytes, inline_limit_bytes
    summary = {}
    for name, values in outputs.items():
        fits = values.dtype.kind in "biuf" and values.nbytes <= room_bytes
        room_bytes -= values.nbytes if fits else 0
        summary[name] = _summary(values, whole=fits)
        if sampled and not fits and values.dtype.kind in "biuf":
            sample = _sample(values)
            if len(sample) <= sample_room_bytes:
                sample_room_bytes -= len(sample)
                summary[name] = replace(summary[name], sample=sample)
    return summary


def _sample(values: Array) -> bytes:
    flat = values.reshape(-1)
    step = -(-flat.size // SAMPLE_ELEMENTS) or 1
    return flat[::step].tobytes()


def _attested(
    order: Load, backend: str, tell: Callable[[Preparing], None], ask: Ask
) -> tuple[Opened, Digest]:
    try:
        model = Path(order.path).read_bytes()
    except OSError as error:
        raise LoadFailedError(f"the model {order.path} cannot be read: {error}.") from error
    digest = Digest("sha256:" + hashlib.sha256(model).hexdigest())
    if digest != order.digest:
        raise LoadFailedError(
            f"the file {order.path} is {digest}, the model is {order.digest}: it changed on this "
            "robot's disk. Remove the file, and the bridge fetches the model again."
        )
    try:
        wanted = Order(
            content=model,
            digest=digest,
            engines=order.engines,
            report=Progress(tell).step,
            ask=ask,
        )
        return open_backend(backend, wanted), digest
    except LoadFailedError as error:
        raise LoadFailedError(f"the model {order.path} cannot be loaded: {error}") from error


def _warm_up(backend: Backend, path: str, runs: int) -> list[float]:
    """How long each run took (ms)."""
    frame, runs_ms = backend.sample(), []
    for _ in range(runs):
        began_s = time.monotonic()
        try:
            backend.infer(frame)
        except Exception as error:  # a runtime's errors share no narrower root
            raise WarmUpFailedError(
                f"the model {path} loaded, and failed on an empty frame {frame.dtype}"
                f"{list(frame.shape)}: {type(error).__name__}: {error}. Run it once with such a "
                "frame where it was made, correct it, and push it under a new version."
            ) from error
        runs_ms.append((time.monotonic() - began_s) * 1e3)
    backend.reset()
    return runs_ms


def _p99(values: list[float]) -> float:
    """By nearest rank; 0 of none."""
    return sorted(values)[-(-99 * len(values) // 100) - 1] if values else 0.0


def _summary(values: Array, *, whole: bool) -> Output:
    shape, dtype = values.shape, str(values.dtype)
    if values.size == 0 or values.dtype.kind not in "biuf":
        return Output(shape=shape, dtype=dtype)
    return Output(
        shape=shape,
        dtype=dtype,
        minimum=float(values.min()),
        mean=float(values.mean()),
        maximum=float(values.max()),
        content=values.tobytes() if whole else None,
    )
