"""A client that tries what it should not, and hears every refusal of the server."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nats
import nkeys  # type: ignore[import-untyped]  # ships no annotations
from nats.aio.client import Client
from nats.aio.msg import Msg

from fleetward.contracts.rows import Principal
from fleetward.trust import nats_jwt
from testkit.servers import NatsSystem

REFUSAL_TIMEOUT_S = 30.0


class NotRefusedError(AssertionError):
    """The server let an attack pass."""


class Intruder:
    """One connection under stolen or honest credentials; it never reconnects."""

    def __init__(self, client: Client, name: str) -> None:
        self.client = client
        self.name = name
        self.refusals: list[str] = []
        self.closed = asyncio.Event()
        self._heard = asyncio.Condition()

    async def hear(self, problem: Exception) -> None:
        async with self._heard:
            self.refusals.append(str(problem))
            self._heard.notify_all()

    async def must_not_publish(
        self, subject: str, payload: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> None:
        """Publish and wait for the server's refusal; raises NotRefusedError."""
        inbox = self.client.new_inbox()
        await self.client.publish(
            subject, payload, reply=inbox, headers=dict(headers or {}) or None
        )
        await self.must_hear(f'publish to "{subject}"')

    async def must_not_subscribe(self, subject: str, queue: str = "") -> None:
        """Subscribe and wait for the server's refusal; raises NotRefusedError."""
        await self.client.subscribe(subject, queue=queue)
        await self.must_hear(f'subscription to "{subject}"')

    async def must_hear(self, part: str) -> str:
        """The refusal that says ``part``; raises NotRefusedError."""

        def found() -> list[str]:
            return [refusal for refusal in self.refusals if part.lower() in refusal.lower()]

        await self.client.flush()
        async with self._heard:
            try:
                await asyncio.wait_for(self._heard.wait_for(found), REFUSAL_TIMEOUT_S)
            except TimeoutError:
                raise NotRefusedError(
                    f"{self.name}: no refusal of {part}; {self.refusals}"
                ) from None
        return found()[-1]

    async def collect(self, subject: str) -> list[Msg]:
        """Subscribe; the list fills while the test goes on."""
        messages: list[Msg] = []

        async def keep(message: Msg) -> None:
            messages.append(message)

        await self.client.subscribe(subject, cb=keep)
        await self.client.flush()
        return messages

    async def nothing_arrives(self, messages: list[Msg]) -> None:
        """Everything sent before has been delivered (a round trip), and nothing of it came here."""
        await self.client.flush()
        await asyncio.sleep(0.05)  # nothing to await: the absence of a message has no event
        assert messages == [], [message.subject for message in messages]


async def intrude(system: NatsSystem, who: Principal | str) -> Intruder:
    """Connect with the credentials that the real issuer gives ``who``."""
    name = who.value if isinstance(who, Principal) else who
    return await intrude_with(system, name, credentials=system.credentials(who))


async def intrude_with(system: NatsSystem, name: str, *, credentials: Path) -> Intruder:
    """Connect with a credentials file."""
    intruder = Intruder(Client(), name)
    await intruder.client.connect(
        system.url, user_credentials=str(credentials), **_options(intruder, name)
    )
    return intruder


async def intrude_with_token(system: NatsSystem, token: str, seed: bytes, name: str) -> Intruder:
    """Connect with any JWT, answering the server's challenge with any seed."""
    intruder = Intruder(Client(), name)
    pair = nkeys.from_seed(bytearray(seed))
    await intruder.client.connect(
        system.url,
        user_jwt_cb=lambda: bytearray(token.encode()),
        signature_cb=lambda nonce: base64.b64encode(pair.sign(nonce.encode())),
        **_options(intruder, name),
    )
    return intruder


async def must_not_enter(
    system: NatsSystem, token: str, seed: bytes, name: str = "robot-a"
) -> None:
    """Try to connect; raises NotRefusedError when the server lets it in."""
    try:
        intruder = await intrude_with_token(system, token, seed, name)
    except (TimeoutError, nats.errors.Error):
        return
    await intruder.client.close()
    raise NotRefusedError(f"{name} was let in with {nats_jwt.claims_of(token)}")


def _options(intruder: Intruder, name: str) -> dict[str, Any]:  # connect's own keywords
    async def closed() -> None:
        intruder.closed.set()

    return {
        "allow_reconnect": False,
        "connect_timeout": 3,
        "inbox_prefix": f"_INBOX_{name}",
        "error_cb": intruder.hear,
        "closed_cb": closed,
    }
