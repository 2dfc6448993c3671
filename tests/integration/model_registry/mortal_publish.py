"""What a publish touches - the store, the bus, its disk - when it may be killed -9 at any point."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, BinaryIO

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from fleetward.contracts.ids import Digest
from fleetward.contracts.registry import StoredObject
from model_registry.objects import SeenObject
from model_registry.retention import StoredEntry
from model_registry.scratch import Scratch
from tests.integration.model_registry.failing_scratch import NEVER
from tests.integration.model_registry.memory_store import (
    MemoryObjects,
    MemoryStore,
    MemoryUploads,
)


class Died(BaseException):
    """Raised where a life ends: what still runs to catch it or to clean up can do nothing more."""


class Life:
    """One process's, until the point that a test names; ``points``: what was reached, in order."""

    def __init__(self) -> None:
        self.is_dead = False
        self.die_at(NEVER)

    def die_at(self, point: int) -> None:
        """Count anew from 0, and die at ``point``."""
        self.points: list[str] = []
        self._fatal = point

    @property
    def is_last(self) -> bool:
        """Whether the next point is where it ends."""
        return len(self.points) == self._fatal

    def reach(self, point: str) -> None:
        """Live on, or not: once dead, for ever."""
        if self.is_dead:
            raise Died(point)
        self.is_dead = self.is_last
        self.points.append(point)
        if self.is_dead:
            raise Died(point)

    @contextmanager
    def around(self, effect: str) -> Iterator[None]:
        """Two points: the effect is still to come, and it is there but nobody heard of it."""
        self.reach(f"before {effect}")
        yield
        self.reach(f"after {effect}")


class MortalObjects(MemoryObjects):
    """A registry's way to the store."""

    def __init__(self, store: MemoryStore, life: Life) -> None:
        super().__init__(store)
        self._life = life

    async def look(self, key: str) -> SeenObject:
        self._life.reach(f"look {key}")
        return await super().look(key)

    async def read(self, seen: SeenObject, start: int = 0, length: int | None = None) -> bytes:
        self._life.reach(f"read {seen.key}")
        return await super().read(seen, start, length)

    async def adopt(self, seen: SeenObject, key: str) -> None:
        with self._life.around(f"adopt {key}"):
            await super().adopt(seen, key)

    async def keep(self, key: str, content: bytes) -> None:
        with self._life.around(f"keep {key}"):
            await super().keep(key, content)

    async def remove(self, key: str) -> None:
        with self._life.around(f"remove {key}"):
            await super().remove(key)

    async def remove_all(self, prefix: str) -> None:
        for entry in await self.entries(prefix):
            await self.remove(entry.key)

    async def entries(self, prefix: str) -> list[StoredEntry]:
        self._life.reach(f"list {prefix}")
        return await super().entries(prefix)


class MortalUploads(MemoryUploads):
    """A publisher's way to the store, in one life after the other."""

    def __init__(self, store: MemoryStore) -> None:
        super().__init__(store)
        self.life = Life()

    async def put(
        self, key: str, content: bytes, digest: Digest, sent: Callable[[int], None]
    ) -> StoredObject:
        with self.life.around(f"upload {key}"):
            return await super().put(key, content, digest, sent)


class MortalBus(Client):
    """A registry's way to the bus, over a connection that outlives it."""

    def __init__(self, connection: Client, life: Life) -> None:
        super().__init__()
        self._connection = connection
        self._life = life

    async def request(self, subject: str, *given: Any, **more: Any) -> Msg:  # noqa: ANN401 (the client's own parameters)
        with self._life.around(f"request {subject}"):
            return await self._connection.request(subject, *given, **more)

    async def publish(self, subject: str, *given: Any, **more: Any) -> None:  # noqa: ANN401 (the client's own parameters)
        with self._life.around(f"publish {subject}"):
            await self._connection.publish(subject, *given, **more)

    async def _send_command(self, command: bytes, priority: bool = False) -> None:
        """A batch in one piece; a server that got part of one forgets it."""
        with self._life.around("send batch"):
            await self._connection._send_command(command, priority)

    async def _flush_pending(self, force_flush: bool = False) -> Any:  # noqa: ANN401 (the client's own result)
        return await self._connection._flush_pending(force_flush)

    async def subscribe(self, subject: str, *given: Any, **more: Any) -> Subscription:  # noqa: ANN401 (the client's own parameters)
        self._life.reach(f"subscribe {subject}")
        return await self._connection.subscribe(subject, *given, **more)

    def new_inbox(self) -> str:
        return self._connection.new_inbox()


class MortalScratch(Scratch):
    """A registry's own disk, where what a dead one left stays."""

    def __init__(self, directory: Path, life: Life) -> None:
        super().__init__(directory)
        self._life = life

    @contextmanager
    def folder(self) -> Iterator[Path]:
        with self._life.around("make folder"):
            folder = Path(mkdtemp(dir=self._directory))
        yield folder
        with self._life.around("remove folder"):
            shutil.rmtree(folder)

    def create(self, path: Path) -> BinaryIO:
        self._life.reach(f"create {path.name}")
        return super().create(path)

    def write_at(self, file: BinaryIO, content: memoryview, start: int) -> None:
        if self._life.is_last:
            super().write_at(file, content[: len(content) // 2], start)
        with self._life.around(f"write at {start}"):
            super().write_at(file, content, start)

    def read(self, file: BinaryIO, size_bytes: int) -> bytes:
        self._life.reach("read")
        return super().read(file, size_bytes)
