"""How models come to a robot and serve there: what is asked for, fetched, kept, and the pipelines."""

from __future__ import annotations

from collections.abc import Coroutine, Mapping
from typing import Any

from edge_bridge.converging.needs import Needs
from edge_bridge.converging.receipts import Receipts
from edge_bridge.converging.targets import TargetWatch
from edge_bridge.converging.together import Together
from edge_bridge.converging.withdrawals import WithdrawnDigests
from edge_bridge.disturbance.work import Work
from edge_bridge.facts import Facts
from edge_bridge.fetching.web import Web
from edge_bridge.hub import Hub
from edge_bridge.pipeline import Heard, Shared
from edge_bridge.pipelines import Pipelines
from edge_bridge.settings import Settings
from edge_bridge.shipping.upstream import Upstream
from edge_bridge.sources.source import Source
from edge_bridge.state_dir import model_store
from edge_bridge.telemetry.surroundings import Surroundings
from edge_bridge.twins.exchange import exchange_of
from edge_bridge.updating.launched import Launched
from fleetward.contracts.ids import BootId, ModelName


class Serving:
    """From a signed target to results. On the event loop."""

    def __init__(
        self,
        settings: Settings,
        boot_id: BootId,
        hub: Hub,
        *,
        source: Source,
        sources: Mapping[ModelName, Source],
        facts: Facts,
        work: Work,
        launched: Launched | None,
        heard: Heard,
    ) -> None:
        """Raises NoPipelineError for a source of no pipeline."""
        self._hub = hub
        self.store = model_store(settings)
        self.web = Web()
        self.upstream = Upstream(settings.upstream)
        self.upstream.first.append(lambda: hub.sender.is_behind)
        self._twins = exchange_of(settings, hub.link, self.web.session, self.upstream)
        self._withdrawn = WithdrawnDigests(settings.state_dir / "withdrawn.msgpack", hub.trust)
        shared = self._shared(settings, boot_id, facts, work, launched)
        self.pipelines = Pipelines(settings, source, sources, hub.journal, shared, heard)
        self._targets = self._made_targets(settings)

    def parts(self) -> dict[str, Coroutine[Any, Any, None]]:
        """What runs beside the rest of the bridge, by name."""
        return {
            **self.pipelines.parts(),
            "targets": self._targets.run(),
            **(self._twins.parts() if self._twins else {}),
        }

    def _shared(
        self,
        settings: Settings,
        boot_id: BootId,
        facts: Facts,
        work: Work,
        launched: Launched | None,
    ) -> Shared:
        hub = self._hub
        return Shared(
            boot_id=boot_id,
            facts=facts,
            launched=launched,
            link=hub.link,
            needs=Needs(),
            receipts=Receipts(hub.link.keyring, boot_id, Surroundings(settings.host_root)),
            registry=hub.registry,
            reporter=hub.reporter,
            store=self.store,
            together=Together(),
            trust=hub.trust,
            twins=self._twins,
            upstream=self.upstream,
            web=self.web,
            withdrawn=self._withdrawn,
            work=work,
        )

    def _made_targets(self, settings: Settings) -> TargetWatch:
        return TargetWatch(
            settings.robot_id,
            self._hub.link,
            self._hub.trust,
            poll_s=settings.poll_s,
            look_spacing_s=settings.look_spacing_s,
            look_patience_s=settings.look_patience_s,
            withdrawn=self._withdrawn,
            on_withdrawn=self.pipelines.withdrawn,
            on_offered=self.pipelines.offer,
            on_distrusted=self.pipelines.distrust,
        )
