"""A store in memory, for points of a publish that are not in the store; it never fails."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timezone
from pathlib import Path

from aiohttp import web

from fleetward.client.uploads import Uploads
from fleetward.contracts.ids import Digest
from fleetward.contracts.registry import StoredObject
from model_registry.errors import ObjectMissingError
from model_registry.objects import ModelObjects, SeenObject
from model_registry.retention import StoredEntry


class MemoryStore:
    """``contents`` by key. Made by ``memory_store``."""

    def __init__(self) -> None:
        self.contents: dict[str, bytes] = {}
        self.modified: dict[str, datetime] = {}
        self.endpoint = ""

    def put(self, key: str, content: bytes) -> None:
        """Whatever lay there is gone."""
        self.contents[key] = content
        self.modified[key] = datetime.now(timezone.utc)

    def remove(self, key: str) -> None:
        """One that is gone already is fine."""
        self.contents.pop(key, None)

    async def answer(self, request: web.Request) -> web.Response:
        """A GET of a whole object, as links lead to it."""
        content = self.contents.get(request.match_info["key"])
        return web.Response(status=404) if content is None else web.Response(body=content)


class MemoryObjects(ModelObjects):
    """What a registry sees of a MemoryStore."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    async def look(self, key: str) -> SeenObject:
        if key not in self._store.contents:
            raise ObjectMissingError(f"There is no object at {key}.")
        return SeenObject(key=key, size_bytes=len(self._store.contents[key]), etag="")

    async def read(self, seen: SeenObject, start: int = 0, length: int | None = None) -> bytes:
        end = seen.size_bytes if length is None else start + length
        return self._store.contents[seen.key][start:end]

    async def adopt(self, seen: SeenObject, key: str) -> None:
        self._store.put(key, self._store.contents[seen.key])

    async def keep(self, key: str, content: bytes) -> None:
        self._store.put(key, content)

    async def link(self, key: str) -> str:
        return f"{self._store.endpoint}/{key}"

    async def remove(self, key: str) -> None:
        self._store.remove(key)

    async def remove_all(self, prefix: str) -> None:
        for key in [key for key in self._store.contents if key.startswith(prefix)]:
            self._store.remove(key)

    async def entries(self, prefix: str) -> list[StoredEntry]:
        return [
            StoredEntry(key=key, size_bytes=len(content), modified_at=self._store.modified[key])
            for key, content in self._store.contents.items()
            if key.startswith(prefix)
        ]

    async def remove_stale_uploads(self, now: datetime) -> int:
        """All of them: the test that asks says that days have gone by."""
        await self.remove_all("uploads/")
        return 0


class MemoryUploads(Uploads):
    """What a client sees of a MemoryStore; ``arrived``: the name of each upload."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self.arrived: list[str] = []

    async def put(
        self, key: str, content: bytes, digest: Digest, sent: Callable[[int], None]
    ) -> StoredObject:
        if key not in self._store.contents:
            self._store.put(key, content)
            self.arrived.append(Path(key).name)
        sent(len(content))
        return StoredObject(key, digest, len(content))


@asynccontextmanager
async def memory_store() -> AsyncIterator[MemoryStore]:
    """A MemoryStore whose links lead to this process."""
    store = MemoryStore()
    application = web.Application()
    application.router.add_get("/{key:.+}", store.answer)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    store.endpoint = f"http://{host}:{port}"
    try:
        yield store
    finally:
        await runner.cleanup()
