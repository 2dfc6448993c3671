"""Asks the registry on behalf of an upload, and tells apart what to do about a refusal."""

from __future__ import annotations

import asyncio
from typing import Any

from edge_bridge.errors import BridgeError, TransientError
from edge_bridge.link import Link
from fleetward.bus.errors import BusError, NoAnswerError, RefusedError
from fleetward.bus.requests import ask
from fleetward.contracts.codec import UnreadableMessageError
from fleetward.contracts.event import Event

_REFUSED_FOR_GOOD = frozenset(
    {"RecordingRefusedError", "SegmentRefusedError", "EngineRefusedError"}
)
_ARRIVED_WRONG = frozenset({"DigestMismatchError", "UploadIncompleteError"})


class UploadRefusedError(BridgeError):
    """The registry takes no such file, now or ever."""


class ArrivedWrongError(BridgeError):
    """What the store has is not what the robot has: everything is sent anew."""


class UnansweredError(TransientError):
    """Somebody took the question and said nothing in time: dead, or not done yet."""


class Patience:
    """How long an answer is waited for: briefly, since whoever took the question may be dead, then longer.

    A replica that is alive and slow is so asked again with more time, until it has as much as the question
    may take; what is asked must be harmless to ask twice.
    """

    def __init__(self, first_s: float, limit_s: float) -> None:
        self._first_s = first_s
        self._limit_s = limit_s
        self.seconds = first_s

    def ran_out(self) -> None:
        """Nobody answered in time."""
        self.seconds = min(2 * self.seconds, self._limit_s)

    def answered(self) -> None:
        """Whoever answers is alive."""
        self.seconds = self._first_s


async def asked(link: Link, request: Event, *, patience_s: float | None = None) -> Any:  # noqa: ANN401 (the Struct that the catalog pairs with this request)
    """The answer, once the hub is reached; within ``patience_s``, else within the question's own time.

    Raises UploadRefusedError, ArrivedWrongError, TransientError: at once when the hub was reached anew, since
    no answer comes any more, and UnansweredError when the time ran out.
    """
    connection = await link.connected()
    try:
        return await link.while_connected(ask(connection, request, timeout_s=patience_s))
    except RefusedError as refusal:
        if refusal.code in _REFUSED_FOR_GOOD:
            raise UploadRefusedError(f"the registry refused: {refusal}") from refusal
        if refusal.code in _ARRIVED_WRONG:
            raise ArrivedWrongError(f"the registry refused: {refusal}") from refusal
        raise TransientError(f"the registry refused for now: {refusal}") from refusal
    except NoAnswerError as problem:
        ran_out = isinstance(problem.__cause__, asyncio.TimeoutError)
        raise (UnansweredError if ran_out else TransientError)(str(problem)) from problem
    except (BusError, UnreadableMessageError) as problem:
        raise TransientError(str(problem)) from problem
