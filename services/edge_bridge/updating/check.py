"""Tries a release before the robot runs it: ``python -m edge_bridge.updating.check``, of the new release.

It reads the robot's own settings, loads all that a bridge ever loads, and warms up each model that the
robot serves, one after the other, without competing for the processor. So what an engine needs is built
while the release before still serves. Standard input: JSON of ``Trying``.
"""

from __future__ import annotations

import asyncio
import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from edge_bridge.frames import FrameSink
from edge_bridge.settings import Settings, settings_from
from edge_bridge.state_dir import with_whole_paths
from edge_bridge.updating.lesser import settle
from edge_bridge.workers.slot_settings import SlotSettings
from edge_bridge.workers.slots import Slots, StagedModel
from fleetward.contracts.errors import FleetwardError
from fleetward.contracts.ids import Digest, ModelName, ModelRef
from fleetward.releases.extras import asked_for_by, modules_of

LOADED = (
    "edge_bridge.__main__",
    "edge_bridge.bridge",
    "edge_bridge.workers.worker",
    *("edge_bridge.backends.onnx_backend", "edge_bridge.workers.distance"),
    *("edge_bridge.workers.serving", "onnxruntime"),
    *("edge_bridge.fetching.arrival", "edge_bridge.fetching.transfer", "aiohttp"),
    *("edge_bridge.updating.install", "mcap.reader", "mcap.writer"),
)
"""With what a robot at rest does not hold, and loads when it fetches, serves or records."""


LOAD_S = 24 * 3600.0
"""Of one model. Whoever asked has a limit that leaves out pauses, which nobody sees from in here."""


class Tried(Struct, frozen=True, kw_only=True):
    """One model that serves. pipeline: the model's place, None: the robot's own."""

    model: ModelRef
    digest: Digest
    path: str
    pipeline: ModelName | None = None


class Trying(Struct, frozen=True, kw_only=True):
    """All of them. Fields may be added: who asks may be a release older or newer than who is asked."""

    models: tuple[Tried, ...] = ()


class _NoFrames:
    async def run(self, sink: FrameSink) -> None:
        """Nothing is ever captured here."""


def limits_of(settings: Settings, tried: Tried) -> SlotSettings:
    """Those that the robot has for this model's place, but as much time as it takes."""
    of_one = settings.pipelines.get(tried.pipeline, settings) if tried.pipeline else settings
    return replace(of_one.slots, load_timeout_s=LOAD_S)


async def _warm_up(settings: Settings, tried: Tried) -> None:
    """Raises LoadFailedError, WarmUpFailedError."""
    slots = Slots(
        limits_of(settings, tried),
        _NoFrames(),
        on_result=lambda done: None,
        on_fallback=lambda fall: None,
    )
    try:
        await slots.stage(
            StagedModel(model=tried.model, digest=tried.digest, path=Path(tried.path))
        )
    finally:
        await slots.close()


def own_parts(settings: Settings) -> tuple[str, ...]:
    """What of the bridge itself is loaded only where the robot's settings ask for it."""
    asked: tuple[tuple[str, object], ...] = (
        ("edge_bridge.recorder.continuous", settings.continuous.topics),
        ("edge_bridge.logs.__main__", settings.logs.enabled),
    )
    return tuple(name for name, setting in asked if setting)


def load_extra(extra: str, modules: Sequence[str]) -> None:
    """Import what an extra brings; raises ImportError, which names the extra.

    A release without it would come up, serve, and leave out what the robot was set up for.
    """
    try:
        for name in modules:
            importlib.import_module(name)
    except ImportError as problem:
        raise ImportError(
            f"the robot's settings need the extra {extra}, which this release lacks ({problem}). Publish it "
            f"with: fleetward bridge push --extra {extra}"
        ) from problem


async def _check(trying: Trying) -> None:
    settings = with_whole_paths(settings_from(os.environ))
    for name in (*LOADED, *own_parts(settings)):
        importlib.import_module(name)
    for extra in sorted(asked_for_by(os.environ)):
        load_extra(extra, modules_of([extra]))
    for tried in trying.models:
        await _warm_up(settings, tried)


def main() -> int:
    """The exit status; why the release is no good here is written to standard error."""
    settle()
    try:
        asyncio.run(_check(msgspec.json.decode(sys.stdin.buffer.read(), type=Trying)))
    except (FleetwardError, ImportError, msgspec.MsgspecError) as problem:
        sys.stderr.write(f"{type(problem).__name__}: {problem}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
