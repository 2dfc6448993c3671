"""Counts what each model does and wakes whoever waits for a proof or for trouble."""

from __future__ import annotations

import asyncio
from collections.abc import Collection

from edge_bridge.converging.accusations import Accusations, AlertEvent
from edge_bridge.converging.health import HealthBounds, Outcomes, fall_back_reason
from fleetward.bus.waiting import happens
from fleetward.contracts.ids import Digest


class InferenceWatch:
    """The outcomes of the models in the slots. Everything runs on the event loop."""

    def __init__(self, bounds: HealthBounds) -> None:
        self._bounds = bounds
        self._outcomes: dict[Digest, Outcomes] = {}
        self._accusations = Accusations()
        self._counted = asyncio.Event()

    def count(self, digest: Digest, latency_s: float, error: str | None) -> None:
        """One more inference of the model ``digest``."""
        self.of(digest).count(latency_s, error)
        self._counted.set()

    def of(self, digest: Digest) -> Outcomes:
        """What is known of one model."""
        return self._outcomes.setdefault(digest, Outcomes(self._bounds))

    def begin(self, digest: Digest, keep: Collection[Digest]) -> None:
        """Count ``digest`` from zero, remember ``keep``, forget every other model."""
        kept = {one: outcomes for one, outcomes in self._outcomes.items() if one in keep}
        kept[digest] = Outcomes(self._bounds)
        self._outcomes = kept

    def begin_trial(self, digest: Digest, *, is_new: bool) -> None:
        """``digest`` serves and is to prove itself; rules may speak against it if it ``is_new`` here."""
        self._accusations.begin(digest, is_new=is_new)

    def alerted(self, event: AlertEvent) -> None:
        """A rule began to hold on this robot, or no longer does."""
        self._accusations.heard(event)
        self.wake()

    def reason_against(self, green: Digest, blue: Digest | None) -> str | None:
        """Why ``green`` should not serve, compared with ``blue`` where that is still known.

        Rules speak only where there is a ``blue`` to return to.
        """
        baseline = None
        if blue and blue != green:
            accused = self._accusations.against(green)
            if accused is not None:
                return accused
            baseline = self._outcomes.get(blue)
        return fall_back_reason(self.of(green), baseline, self._bounds)

    def wake(self) -> None:
        """Something besides an inference happened: look again."""
        self._counted.set()

    async def news(self, timeout_s: float) -> None:
        """Until the next inference or wake, for at most ``timeout_s``."""
        self._counted.clear()
        await happens(self._counted, timeout_s)
