"""The way to an object: through the site's cache when there is one, past it when that went wrong."""

from __future__ import annotations

from yarl import URL

from edge_bridge.fetching.ranges import Place
from fleetward.contracts.ids import Digest


class Route:
    """Where one fetch GETs its objects. ``cache`` is a base URL, put in place of the store's.

    The store's own host stays in the Host header: presigned URLs are signed for it.
    """

    def __init__(self, cache: str | None, patience_s: float) -> None:
        self._patience_s = patience_s
        self._cache = URL(cache) if cache else None
        self._past: set[Digest] = set()

    def place(self, stored: Digest, url: str) -> Place:
        """Where to GET ``stored``, which lies at ``url`` in the object store."""
        if not self.is_cached(stored) or self._cache is None:
            return Place(url)
        origin = URL(url, encoded=True)
        path = self._cache.raw_path.rstrip("/") + origin.raw_path_qs
        return Place(
            f"{self._cache.origin()}{path}", {"Host": origin.raw_authority}, self._patience_s
        )

    def is_cached(self, stored: Digest) -> bool:
        """Whether ``stored`` comes through a cache."""
        return self._cache is not None and stored not in self._past

    def go_past(self, stored: Digest) -> None:
        """GET this object from the store itself from now on."""
        self._past.add(stored)
