"""A viewer as Foxglove is one: it speaks the protocol of Foxglove's websocket, subprotocol foxglove.sdk.v1.

https://github.com/foxglove/ws-protocol/blob/main/docs/spec.md
"""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from msgspec import Struct

SUBPROTOCOL = "foxglove.sdk.v1"
PATIENCE_S = 60.0
_MESSAGE = struct.Struct("<BIQ")
_MESSAGE_DATA = 1


class Seen(Struct, frozen=True):
    """One message. at_ns: the time under which it is logged."""

    topic: str
    at_ns: int
    content: bytes

    @property
    def json(self) -> dict[str, Any]:
        read: dict[str, Any] = json.loads(self.content)
        return read

    @property
    def fields(self) -> dict[int, bytes | int]:
        """The fields of a protobuf message by their number; each comes once here."""
        return dict(protobuf_fields(self.content))


class Viewer:
    """Connected and told of the channels."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self.channels: dict[str, dict[str, Any]] = {}
        self._topics: dict[int, str] = {}

    async def learn(self) -> None:
        while not self.channels:
            message = await self._socket.receive(PATIENCE_S)
            assert message.type is aiohttp.WSMsgType.TEXT, message
            told = json.loads(message.data)
            if told["op"] == "advertise":
                self.channels = {each["topic"]: each for each in told["channels"]}

    async def subscribe(self, *topics: str) -> None:
        asked = []
        for topic in topics:
            identifier = len(self._topics) + 1
            self._topics[identifier] = topic
            asked.append({"id": identifier, "channelId": self.channels[topic]["id"]})
        await self._socket.send_json({"op": "subscribe", "subscriptions": asked})

    async def unsubscribe(self, topic: str) -> None:
        gone = [identifier for identifier, each in self._topics.items() if each == topic]
        await self._socket.send_json({"op": "unsubscribe", "subscriptionIds": gone})

    async def sees(self) -> Seen:
        """The next message of a topic."""
        while True:
            message = await self._socket.receive(PATIENCE_S)
            if message.type is aiohttp.WSMsgType.TEXT:
                continue
            assert message.type is aiohttp.WSMsgType.BINARY, message
            kind, identifier, at_ns = _MESSAGE.unpack_from(message.data)
            if kind == _MESSAGE_DATA:
                return Seen(self._topics[identifier], at_ns, message.data[_MESSAGE.size :])

    async def sees_of(self, topic: str) -> Seen:
        while (seen := await self.sees()).topic != topic:
            pass
        return seen


@asynccontextmanager
async def viewer(port: int) -> AsyncIterator[Viewer]:
    """Once the bridge listens there."""
    async with aiohttp.ClientSession() as session:
        socket = await _connected(session, port)
        try:
            one = Viewer(socket)
            await one.learn()
            yield one
        finally:
            await socket.close()


async def _connected(session: aiohttp.ClientSession, port: int) -> aiohttp.ClientWebSocketResponse:
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                return await session.ws_connect(
                    f"ws://127.0.0.1:{port}", protocols=(SUBPROTOCOL,), max_msg_size=0
                )
            except aiohttp.ClientConnectorError:
                await asyncio.sleep(0.02)


def protobuf_fields(content: bytes) -> list[tuple[int, bytes | int]]:
    """Varints and length-delimited fields: what Foxglove's images and logs are made of."""
    fields: list[tuple[int, bytes | int]] = []
    at = 0
    while at < len(content):
        key, at = _varint(content, at)
        if key & 7 == 0:
            value, at = _varint(content, at)
            fields.append((key >> 3, value))
            continue
        assert key & 7 == 2, key
        size, at = _varint(content, at)
        fields.append((key >> 3, content[at : at + size]))
        at += size
    return fields


def _varint(content: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = content[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
