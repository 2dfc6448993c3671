"""What a robot is to be enrolled with now: the newest root, and the versions that are newest today."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from nats.aio.client import Client
from tuf.api.metadata import Metadata

from fleetward.bus.last_values import last_values
from fleetward.contracts.trust import RoleSigned, RootPublished
from fleetward.trust.floors import Anchor
from fleetward.trust.roles import TIMESTAMP, VALID_S
from fleetward.trust.roots import check_chain


async def published_roots(connection: Client) -> list[bytes]:
    """Every root, oldest first; raises RootRefusedError when one does not follow the one before."""
    published = await last_values(connection, RootPublished)
    roots = [value.event.metadata for value in sorted(published, key=lambda one: one.event.version)]
    check_chain(roots)
    return roots


async def current_anchor(connection: Client) -> Anchor | None:
    """For a robot that is enrolled now; None while nothing was ever published.

    Needs the rights of ENROLLER or OPERATOR. Time is the registry's own, not this machine's.
    """
    roots = await published_roots(connection)
    signed = {value.event.role: value.event for value in await last_values(connection, RoleSigned)}
    if not roots or TIMESTAMP not in signed:
        return None
    timestamp: Metadata[Any] = Metadata.from_bytes(signed[TIMESTAMP].metadata)
    return Anchor(
        root=roots[-1],
        floors={role: event.version for role, event in signed.items()},
        at=timestamp.signed.expires - timedelta(seconds=VALID_S[TIMESTAMP]),
    )
