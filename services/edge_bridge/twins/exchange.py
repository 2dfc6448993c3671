"""What a robot that shares engines does beside serving: it finds those of twins, and offers its own."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_bridge.fetching.throttle import Throttle
from edge_bridge.link import Link
from edge_bridge.settings import Settings
from edge_bridge.shipping.limits import ShippingLimits
from edge_bridge.shipping.parts import PartSender
from edge_bridge.shipping.upstream import Upstream
from edge_bridge.twins.finding import EngineFinder
from edge_bridge.twins.offering import EngineOffers, offer_signer
from edge_bridge.workers.protocol import Offered

if TYPE_CHECKING:
    import aiohttp


def exchange_of(
    settings: Settings,
    link: Link,
    session: Callable[[], aiohttp.ClientSession],
    upstream: Upstream,
) -> EngineExchange | None:
    """None: this robot shares engines with nobody."""
    engines, bytes_per_s = settings.slots.engines, settings.fetch.bytes_per_s
    if engines.twins is None:
        return None
    limits = ShippingLimits(bytes_per_s=bytes_per_s)
    parts = PartSender(session, Throttle(bytes_per_s), upstream, stall_s=limits.part_stall_s)
    directory, sign = Path(engines.directory), offer_signer(link.keyring)
    return EngineExchange(
        EngineFinder(engines, engines.twins, link, session, Throttle(bytes_per_s)),
        EngineOffers(engines.twins, directory, link, parts, sign, limits),
    )


class EngineExchange:
    """Both directions; what the workers of all pipelines ask (``workers.twins.Twins``)."""

    def __init__(self, finder: EngineFinder, offers: EngineOffers) -> None:
        self._finder = finder
        self._offers = offers

    def parts(self) -> dict[str, Coroutine[Any, Any, None]]:
        """What runs beside the rest of the bridge, by name."""
        return {"engine-offers": self._offers.run()}

    async def find(self, engine: str) -> Offered:
        """The file with this engine in it, once it is here; an empty answer when nobody offers it."""
        return await self._finder.find(engine)

    def loaded(self) -> None:
        """There may be an engine to send."""
        self._offers.loaded()
