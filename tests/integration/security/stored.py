"""What the streams hold: an attack that changed nothing left it as it was."""

from __future__ import annotations

from collections.abc import Collection

from fleetward.contracts.rows import Principal
from testkit.servers import NatsSystem


async def everything_stored(system: NatsSystem, own: Collection[str]) -> dict[str, int]:
    """Subject -> number of messages, of every stream, except what the attacker may write."""
    provisioner = await system.connect(Principal.PROVISIONER)
    jetstream = provisioner.jetstream()
    stored: dict[str, int] = {}
    for stream in await jetstream.streams_info():
        assert stream.config.name is not None
        state = (await jetstream.stream_info(stream.config.name, subjects_filter=">")).state
        stored |= {subject: int(count) for subject, count in (state.subjects or {}).items()}
    return {subject: count for subject, count in stored.items() if subject not in own}
