"""READY=1 counts once, for the start it belongs to."""

from __future__ import annotations

import asyncio
import socket

import pytest

from fleetward.local.readiness import Notified


def send(address: str, message: bytes) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.connect("\0" + address[1:])
        sender.sendall(message)


async def test_ready_is_heard_among_other_states() -> None:
    readiness = Notified()
    address = readiness.environment()["NOTIFY_SOCKET"]
    waiting = asyncio.create_task(readiness.ready())
    send(address, b"STATUS=loading")
    await asyncio.sleep(0)
    assert not waiting.done()
    send(address, b"STATUS=serving\nREADY=1")
    await asyncio.wait_for(waiting, 1)


async def test_ready_of_an_earlier_start_does_not_count() -> None:
    readiness = Notified()
    earlier = readiness.environment()["NOTIFY_SOCKET"]
    send(earlier, b"READY=1")
    later = readiness.environment()["NOTIFY_SOCKET"]
    with pytest.raises(ConnectionRefusedError):
        send(earlier, b"READY=1")
    waiting = asyncio.create_task(readiness.ready())
    await asyncio.sleep(0)
    assert not waiting.done()
    send(later, b"READY=1")
    await asyncio.wait_for(waiting, 1)
