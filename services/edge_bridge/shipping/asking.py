"""Asks the registry on behalf of an upload, and tells apart what to do about a refusal."""

from __future__ import annotations

from typing import Any

from edge_bridge.errors import BridgeError, TransientError
from edge_bridge.link import Link
from fleetward.bus.errors import BusError, RefusedError
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


async def asked(link: Link, request: Event) -> Any:  # noqa: ANN401 (the Struct that the catalog pairs with this request)
    """The answer, once the hub is reached; raises UploadRefusedError, ArrivedWrongError, TransientError."""
    connection = await link.connected()
    try:
        return await ask(connection, request)
    except RefusedError as refusal:
        if refusal.code in _REFUSED_FOR_GOOD:
            raise UploadRefusedError(f"the registry refused: {refusal}") from refusal
        if refusal.code in _ARRIVED_WRONG:
            raise ArrivedWrongError(f"the registry refused: {refusal}") from refusal
        raise TransientError(f"the registry refused for now: {refusal}") from refusal
    except (BusError, UnreadableMessageError) as problem:
        raise TransientError(str(problem)) from problem
