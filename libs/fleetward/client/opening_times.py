"""When robots may be given a model: from when on, and in which windows of their sites. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from msgspec import Struct

from fleetward.contracts.sites import SitePolicy
from fleetward.contracts.windows import next_opening


class OpeningTimes(Struct, frozen=True, kw_only=True):
    """``begins_at``: when the rollout begins; a site without a policy is always open."""

    begins_at: datetime
    policies: Mapping[str, SitePolicy] = {}

    def opens_at(self, site: str, after_s: float) -> datetime | None:
        """When the site's window opens that is closed so long after the begin; None: it is open."""
        opening = self._opening(site, after_s)
        return opening[0] if opening is not None and opening[0] > self._at(after_s) else None

    def given_after_s(self, site: str, after_s: float, giving_s: float) -> float:
        """When all were given the model whose turn comes ``after_s`` after the begin.

        That takes ``giving_s``, and goes on in the next window where one is too short.
        """
        while True:
            opening = self._opening(site, after_s)
            if opening is None:
                return after_s + giving_s
            opens_at, closes_at = opening
            after_s = max(after_s, self._seconds(opens_at))
            open_s = self._seconds(closes_at) - after_s
            if giving_s <= open_s:
                return after_s + giving_s
            giving_s -= open_s
            after_s += open_s

    def _opening(self, site: str, after_s: float) -> tuple[datetime, datetime] | None:
        """The opening that this moment is in, or the next; None: always open, or never again."""
        policy = self.policies.get(site)
        if policy is None or not policy.windows:
            return None
        opening = next_opening(policy.windows, policy.blackouts, self._at(after_s))
        return None if opening is None else (opening.opens_at, opening.closes_at)

    def _at(self, after_s: float) -> datetime:
        return self.begins_at + timedelta(seconds=after_s)

    def _seconds(self, moment: datetime) -> float:
        return (moment - self.begins_at).total_seconds()
