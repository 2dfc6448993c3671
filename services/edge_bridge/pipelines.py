"""All that one robot serves at once: its own pipeline, and those of the models that have one each."""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine, Iterator, Mapping
from datetime import datetime, timezone
from typing import Any

from msgspec.structs import replace

from edge_bridge.converging.accusations import AlertEvent
from edge_bridge.converging.converge import Memory
from edge_bridge.converging.routing import routed
from edge_bridge.converging.targets import Distrusted, Offered
from edge_bridge.converging.wholeness import mended
from edge_bridge.errors import NoPipelineError
from edge_bridge.journal import Journal, JournalError
from edge_bridge.pipeline import Heard, Pipeline, Shared
from edge_bridge.settings import Settings
from edge_bridge.sources.shared import SharedSource
from edge_bridge.sources.source import Source
from edge_bridge.updating.made import made_updater
from edge_bridge.workers.inference_done import InferenceDone
from fleetward.bus.logs import log
from fleetward.contracts.bridge_release import BRIDGE_MODEL
from fleetward.contracts.ids import ModelName
from fleetward.contracts.robots import PipelineStanding

_logger = logging.getLogger(__name__)

NOT_HERE = (
    "self-update is not available here: this bridge was not started by the launcher that enrolment over SSH "
    "puts on a robot. Update it as it was installed, or enrol the robot: fleetward robot enroll user@host"
)


def _whole_memories(
    settings: Settings, journal: Journal, shared: Shared
) -> dict[ModelName | None, Memory]:
    """Blocks for an fsync where a set was not whole."""
    memories = {name: journal.memory(name) for name in (None, *settings.pipelines)}
    usable = shared.store.digests() - shared.withdrawn.digests
    now = datetime.now(timezone.utc)
    whole = mended(memories, usable, shared.trust.release_of, now)
    if not whole.memories:
        return memories
    try:
        journal.write(whole.memories, whole.facts)
    except JournalError as problem:  # the robot serves what it can; the next start tries again
        log(_logger, "bridge.set_unmended", level=logging.ERROR, reason=str(problem))
        return memories
    log(_logger, "bridge.set_mended", level=logging.WARNING, pipelines=[*map(str, whole.memories)])
    return {**memories, **whole.memories}


class Pipelines:
    """``own`` takes every model that has no pipeline of its own.

    ``sources``: where those get their frames from whose frames are not the own one's.
    """

    def __init__(
        self,
        settings: Settings,
        source: Source,
        sources: Mapping[ModelName, Source],
        journal: Journal,
        shared: Shared,
        heard: Heard,
    ) -> None:
        """Raises NoPipelineError for a source of no pipeline."""
        for name in sources:
            if name not in settings.pipelines:
                raise NoPipelineError(name, settings.pipelines)

        memories = _whole_memories(settings, journal, shared)

        def made(name: ModelName | None, settings: Settings, source: Source) -> Pipeline:
            return Pipeline(name, settings, source, memories[name], shared, heard)

        heard = replace(heard, on_result=self._heard(heard.on_result))
        frames = SharedSource(source)
        self.beside = {
            name: made(name, each, sources.get(name) or frames.tap())
            for name, each in settings.pipelines.items()
        }
        self.own = made(None, settings, frames if self.beside else source)
        self.updater = (
            made_updater(
                *(settings, shared.launched, shared, journal.memory(BRIDGE_MODEL)),
                *([*self], heard.on_change),
            )
            if shared.launched is not None
            else None
        )

    def __iter__(self) -> Iterator[Pipeline]:
        """The own one first."""
        yield self.own
        yield from self.beside.values()

    def __getitem__(self, name: ModelName) -> Pipeline:
        """That of a model; raises NoPipelineError."""
        if name not in self.beside:
            raise NoPipelineError(name, self.beside)
        return self.beside[name]

    def offer(self, offered: Offered) -> None:
        """Hand each model of a target to its pipeline; one without a place is reported."""
        found = routed(offered.target, {*self.beside, BRIDGE_MODEL})
        for name, target in found.targets.items():
            if name == BRIDGE_MODEL:
                self._offer_release(replace(offered, target=target))
            else:
                pipeline = self.own if name is None else self.beside[name]
                pipeline.converger.offer(replace(offered, target=target))
        for target, reason in found.refused:
            self.distrust(Distrusted(target, reason))

    def _offer_release(self, offered: Offered) -> None:
        if self.updater is not None:
            self.updater.offer(offered)
        else:
            self.distrust(Distrusted(offered.target, NOT_HERE))

    def standings(self) -> tuple[PipelineStanding, ...]:
        """What all but the own one do; of a bridge that can update itself, it too."""
        of_bridge = () if self.updater is None else (self.updater.standing(),)
        return (*(pipeline.standing() for pipeline in self.beside.values()), *of_bridge)

    def distrust(self, distrusted: Distrusted) -> None:
        """Report a target that nothing is done about."""
        self.own.converger.distrust(distrusted)

    def alerted(self, event: AlertEvent) -> None:
        """A rule began to hold on this robot, or no longer does."""
        for pipeline in self:
            pipeline.alerted(event)

    def withdrawn(self) -> None:
        """A newer list of withdrawn digests was read."""
        for pipeline in self:
            pipeline.converger.interrupt()
        if self.updater is not None:
            self.updater.interrupt()

    def parts(self) -> dict[str, Coroutine[Any, Any, None]]:
        """What runs beside the rest of the bridge, by name."""
        parts = {name: part for pipeline in self for name, part in pipeline.parts().items()}
        return parts if self.updater is None else {**parts, **self.updater.parts()}

    def _heard(self, tell: Callable[[InferenceDone], None]) -> Callable[[InferenceDone], None]:
        """Who hears of results; the updater of the first."""

        def heard(done: InferenceDone) -> None:
            if self.updater is not None:
                self.updater.steps.first_result()
            tell(done)

        return heard

    async def close(self) -> None:
        """End every worker."""
        for pipeline in self:
            await pipeline.close()
