"""The directory where a robot keeps everything: whole, and one bridge's alone."""

from __future__ import annotations

import fcntl
from typing import IO

from msgspec.structs import replace

from edge_bridge.errors import BridgeError
from edge_bridge.settings import Settings
from edge_bridge.store import ModelStore


class AlreadyRunningError(BridgeError):
    """Another bridge of this robot uses the same state directory."""


def with_whole_paths(settings: Settings) -> Settings:
    """The worker runs in another directory, and the program around us may change its own.

    Engines are kept here too, unless another directory is set.
    """
    state_dir, slots = settings.state_dir.absolute(), settings.slots
    engines_dir = slots.engines.directory or str(state_dir / "engines")
    return replace(
        settings,
        state_dir=state_dir,
        slots=replace(slots, engines=replace(slots.engines, directory=engines_dir)),
        trust_dir=settings.trust_dir.absolute(),
        credentials=settings.credentials.absolute(),
        pipelines={name: with_whole_paths(each) for name, each in settings.pipelines.items()},
    )


def locked(settings: Settings) -> IO[str]:
    """Hold the state directory for this process; the kernel lets go of it on a kill -9."""
    lock = (settings.state_dir / "lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as problem:
        lock.close()
        raise AlreadyRunningError(
            f"another bridge runs in {settings.state_dir}. Stop it, or give this robot its own."
        ) from problem
    return lock


def model_store(settings: Settings) -> ModelStore:
    """The models that lie in it."""
    limits = settings.store
    return ModelStore(
        settings.state_dir / "models",
        limit_bytes=limits.models_bytes,
        reserve_bytes=limits.reserve_bytes,
    )
