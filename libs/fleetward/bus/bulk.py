"""Hundreds of messages to the connection in one go.

nats-py's ``publish`` checks, formats and queues each message by itself, which costs more than all else
that is done for a small one. These are the same bytes, in one piece.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from msgspec import Struct
from nats.aio.client import Client

from fleetward.bus.errors import BusError

_SUBJECT = re.compile(r"[!-~]+")
"""As nats-py demands: nothing that would end the subject, or the line that it stands in."""


class Message(Struct, frozen=True):
    """What is published. headers: of ours, so they need no escaping."""

    subject: str
    headers: Mapping[str, str]
    payload: bytes


async def send_all(connection: Client, messages: Sequence[Message]) -> None:
    """Hand ``messages`` to the connection in their order.

    While it is away they wait there, as with ``publish``. Raises BusError for what is no subject, and then
    sends none.
    """
    if not messages:
        return
    command = b"".join([_command(message) for message in messages])
    connection.stats["out_msgs"] += len(messages)
    connection.stats["out_bytes"] += sum(len(message.payload) for message in messages)
    await connection._send_command(command)  # noqa: SLF001 (there is no other way to the socket)
    await connection._flush_pending()  # noqa: SLF001 (as publish does)


async def sent(connection: Client) -> None:
    """Until nearly all that was handed to the connection is with the operating system."""
    await connection._flush_pending(force_flush=True)  # noqa: SLF001 (its own flush asks the server)


def _command(message: Message) -> bytes:
    """In the client protocol: PUB with the payload's length, or HPUB with that of headers and of all."""
    subject, payload = message.subject, message.payload
    if not _SUBJECT.fullmatch(subject):
        raise BusError(f"{subject!r} is no subject to send to.")
    if not message.headers:
        return b"%b%b\r\n" % (f"PUB {subject}  {len(payload)}\r\n".encode(), payload)
    lines = "".join([f"{name}: {value}\r\n" for name, value in message.headers.items()])
    headers = f"NATS/1.0\r\n{lines}\r\n".encode()
    opening = f"HPUB {subject}  {len(headers)} {len(headers) + len(payload)}\r\n".encode()
    return b"%b%b%b\r\n" % (opening, headers, payload)
