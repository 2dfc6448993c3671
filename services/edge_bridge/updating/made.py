"""Puts a bridge's updater together out of what the bridge has."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from edge_bridge.converging.converge import Memory
from edge_bridge.converging.swap_gate import SwapGate
from edge_bridge.disturbance.brake import Brake
from edge_bridge.fetching.fetch import Fetcher
from edge_bridge.pipeline import Pipeline, Shared
from edge_bridge.settings import Settings
from edge_bridge.updating.check import Tried
from edge_bridge.updating.launched import Launched
from edge_bridge.updating.stepping import ReleaseSteps
from edge_bridge.updating.trial import Seen, SeenPipeline
from edge_bridge.updating.updater import Updater
from fleetward.contracts.ids import ModelName


def made_updater(
    settings: Settings,
    launched: Launched,
    shared: Shared,
    memory: Memory,
    pipelines: Sequence[Pipeline],
    on_change: Callable[[], None],
) -> Updater:
    """Before any of the pipelines begins: what each served before is what it has to serve again."""
    seeing = Seeing(pipelines, shared)
    brake = Brake(settings.disturbance, shared.work)
    fetcher = Fetcher(
        shared.web.session,
        shared.registry.grant,
        shared.store,
        shared.trust,
        settings.fetch,
        brake.released,
        shared.upstream.others_first,
    )
    steps = ReleaseSteps(
        settings,
        launched,
        shared,
        brake=brake,
        fetcher=fetcher,
        gate=SwapGate(lambda: shared.trust.clock, shared.facts),
        serving=lambda: [*_served(pipelines)],
        seen=seeing.seen,
    )
    updater = Updater(settings, memory, steps, brake, shared.reporter, on_change)
    shared.needs.add(lambda: updater.memory)
    return updater


class Seeing:
    """Looks at what all pipelines did."""

    def __init__(self, pipelines: Sequence[Pipeline], shared: Shared) -> None:
        self._pipelines = pipelines
        self._shared = shared
        self._had: dict[ModelName | None, str] = {
            pipeline.name: str(pipeline.converger.memory.active.model)
            for pipeline in pipelines
            if pipeline.converger.memory.active is not None
        }

    def seen(self) -> Seen:
        """As of now."""
        return Seen(
            hub_is_up=self._shared.link.is_up,
            was_heard=self._shared.reporter.heard == self._shared.boot_id,
            pipelines=tuple(map(self._of_one, self._pipelines)),
        )

    def _of_one(self, pipeline: Pipeline) -> SeenPipeline:
        return SeenPipeline(
            model=self._had.get(pipeline.name, ""),
            serves=pipeline.slots.serving,
            captured=pipeline.ledger.frames_captured,
            served=pipeline.ledger.frames_served,
            failed=pipeline.ledger.frames_failed,
        )


def _served(pipelines: Iterable[Pipeline]) -> Iterable[Tried]:
    for pipeline in pipelines:
        active = pipeline.active
        if active is not None:
            yield Tried(
                model=active.model,
                digest=active.digest,
                path=str(active.path),
                pipeline=pipeline.name,
            )
