"""Many hosts side by side: each ends with a result, and one that fails stops no other."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from fleetward.contracts.errors import FleetwardError
from fleetward.enrolment.destination import Destination
from fleetward.enrolment.result import Outcome, Result, Told

_Ask = TypeVar("_Ask")


async def each(
    asks: Sequence[_Ask],
    work: Callable[[_Ask, Told], Awaitable[Result]],
    *,
    host_of: Callable[[_Ask], Destination],
    told: Callable[[Destination, int, int, str], None],
    at_once: int,
) -> list[Result]:
    """A result for each of ``asks``, in their order; at most ``at_once`` are worked on at a time."""
    places = asyncio.Semaphore(at_once)

    async def one(ask: _Ask) -> Result:
        host = host_of(ask)

        def tell(done: int, total: int, step: str) -> None:
            told(host, done, total, step)

        async with places:
            try:
                result = await work(ask, tell)
            except FleetwardError as error:
                result = Result(host=host, outcome=Outcome.FAILED, reason=str(error))
        tell(1, 1, result.outcome.value)
        return result

    return list(await asyncio.gather(*(one(ask) for ask in asks)))
