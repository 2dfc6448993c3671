"""What a robot asks its model registry, and which of its refusals another attempt does not change."""

from __future__ import annotations

from edge_bridge.errors import FetchRefusedError, TransientError
from edge_bridge.link import Link
from fleetward.bus.errors import BusError, RefusedError
from fleetward.bus.requests import ask
from fleetward.contracts.ids import Digest, RobotId
from fleetward.contracts.registry import FetchGranted, GrantFetch
from fleetward.contracts.trust import RefreshTrust, TrustRefreshed

_REFUSED_FOR_GOOD = frozenset({"UnknownModelError", "WithdrawnError"})


class Registry:
    """The registry as one robot sees it, once the hub can be reached."""

    def __init__(self, robot_id: RobotId, link: Link) -> None:
        self._robot_id = robot_id
        self._link = link

    async def grant(self, digest: Digest, held: tuple[Digest, ...]) -> FetchGranted:
        """Where the bytes lie, and deltas from what is held; raises TransientError, FetchRefusedError."""
        connection = await self._link.connected()
        try:
            granted: FetchGranted = await self._link.while_connected(
                ask(connection, GrantFetch(robot_id=self._robot_id, digest=digest, held=held))
            )
        except RefusedError as refusal:
            if refusal.code in _REFUSED_FOR_GOOD:
                raise FetchRefusedError(f"the registry refused: {refusal}") from refusal
            raise TransientError(f"the registry refused for now: {refusal}") from refusal
        except BusError as problem:
            raise TransientError(str(problem)) from problem
        return granted

    async def refresh_trust(self, asked: RefreshTrust) -> TrustRefreshed:
        """What may be trusted today; raises TransientError."""
        connection = await self._link.connected()
        try:
            answer: TrustRefreshed = await self._link.while_connected(ask(connection, asked))
        except BusError as problem:
            raise TransientError(str(problem)) from problem
        return answer
