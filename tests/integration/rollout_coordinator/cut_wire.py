"""A way to the server that ends at the message a test names: nothing passes it any more."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

from msgspec import Struct

from fleetward.contracts.errors import UnknownEventError
from tests.integration.rollout_coordinator.write_points import Phase, Point, Sent, write_of

LINE_LIMIT_BYTES = 1024 * 1024
READ_BYTES = 64 * 1024
CUT_TIMEOUT_S = 30.0
_BREAKS = (asyncio.IncompleteReadError, ConnectionError)


class _Frame(Struct, frozen=True):
    """What a client sent, byte for byte, and the message that it is, if it is one."""

    raw: bytes
    sent: Sent | None = None


class CutWire:
    """Carries one process's connection to a server on loopback; ``kill`` ends that process."""

    def __init__(self, server_port: int, kill: Callable[[], None]) -> None:
        self._server_port = server_port
        self._kill = kill
        self._point: Point | None = None
        self._cut = asyncio.Event()
        self._carrying: set[asyncio.Task[None]] = set()
        self.seen: set[str] = set()
        """Every write that came by."""
        self.strange: list[Exception] = []
        """What was wrong with messages that nobody knows."""

    async def start(self) -> int:
        """Listen on a port of loopback, which is returned."""
        self._listener = await asyncio.start_server(
            self._connected, "127.0.0.1", 0, limit=LINE_LIMIT_BYTES
        )
        port: int = self._listener.sockets[0].getsockname()[1]
        return port

    async def stop(self) -> None:
        """Take no connection any more, and wait for the end of those that the process had."""
        self._listener.close()
        if self._carrying:
            await asyncio.wait(self._carrying)

    @contextlib.asynccontextmanager
    async def cut_at(self, point: Point) -> AsyncIterator[None]:
        """Kill the process at ``point``; what is done here has it come there, or TimeoutError is raised."""
        self._cut.clear()
        self._point = point
        yield
        try:
            await asyncio.wait_for(self._cut.wait(), CUT_TIMEOUT_S)
        except TimeoutError as error:
            raise TimeoutError(f"{point} was never reached; there were {self.seen}") from error

    def _connected(self, said: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._carry(said, client))
        self._carrying.add(task)
        task.add_done_callback(self._carrying.discard)

    async def _carry(self, said: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        answers, server = await asyncio.open_connection("127.0.0.1", self._server_port)
        answering = asyncio.create_task(_pass_on(answers, client))
        phase = None
        with contextlib.suppress(*_BREAKS):
            async for frame in _frames(said):
                phase = self._phase(frame)
                if phase is not None:
                    await _cancelled(answering)
                if phase is not Phase.BEFORE:
                    server.write(frame.raw)
                    await server.drain()
                if phase is not None:
                    self._kill()
                    await _end(said)  # until it is dead it must not notice: it would connect anew
                    break
            server.write_eof()
        await _cancelled(answering)
        await _end(answers)  # the server ends once it has handled what it was sent
        server.close()
        client.close()
        if phase is not None:
            self._point = None
            self._cut.set()

    def _phase(self, frame: _Frame) -> Phase | None:
        """The side of the frame to die on, if it is the one to die of."""
        if frame.sent is None:
            return None
        try:
            write = write_of(frame.sent)
        except UnknownEventError as error:  # told by the test: here nobody would hear of it
            self.strange.append(error)
            return None
        if write is None:
            return None
        self.seen.add(write)
        point = self._point
        return point.phase if point is not None and point.write == write else None


async def _frames(said: asyncio.StreamReader) -> AsyncIterator[_Frame]:
    """What a NATS client says, https://docs.nats.io/reference/reference-protocols/nats-protocol."""
    while line := await said.readline():
        words = line.split()
        if not words or words[0] not in {b"PUB", b"HPUB"}:
            yield _Frame(line)
            continue
        body = await said.readexactly(int(words[-1]) + len(b"\r\n"))
        head_size = int(words[-2]) if words[0] == b"HPUB" else 0
        head = [each.partition(": ") for each in body[:head_size].decode().splitlines()]
        headers = {name: value for name, colon, value in head if colon}
        sent = Sent(words[1].decode(), headers, body[head_size : -len(b"\r\n")])
        yield _Frame(line + body, sent)


async def _pass_on(answers: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
    with contextlib.suppress(*_BREAKS):
        while said := await answers.read(READ_BYTES):
            client.write(said)
            await client.drain()
    client.close()


async def _end(of: asyncio.StreamReader) -> None:
    with contextlib.suppress(*_BREAKS):
        while await of.read(READ_BYTES):
            pass


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])
