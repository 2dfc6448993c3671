"""An object store for fetch tests: real HTTP with ranges, and faults that a test orders."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta, timezone

from aiohttp import web
from msgspec.structs import replace

from edge_bridge.errors import FetchRefusedError
from fleetward.contracts.codec import encode
from fleetward.contracts.ids import Digest, ModelName, ModelRef, RobotId, RolloutId, Version
from fleetward.contracts.registry import (
    DeltaGranted,
    DeltaOffer,
    FetchGranted,
    ModelManifest,
    SignedManifest,
    StoredObject,
)
from fleetward.contracts.robots import RobotTarget
from fleetward.delivery.manifest import ChunkManifest, encode_manifest
from fleetward.trust.listing import Listed, listed
from fleetward.trust.signing import MANIFEST, SigningKey
from tests.unit.delivery.chunked_files import Packs, digest_of

Fault = Callable[[web.Request, bytes], Awaitable[web.StreamResponse]]
NOW = datetime(2026, 1, 1, tzinfo=timezone.utc)
MODEL = ModelRef(ModelName("det"), Version("1"))
CHUNK_BYTES = 16 * 1024


def digest_of_bytes(content: bytes) -> Digest:
    return digest_of(content)


def target_for(content: bytes, generation: int = 1, byte_cap: int | None = None) -> RobotTarget:
    return RobotTarget(
        robot_id=RobotId("r1"),
        generation=generation,
        rollout_id=RolloutId("ro1"),
        model=MODEL,
        digest=digest_of(content),
        byte_cap=byte_cap,
        issued_at=NOW,
    )


def cut_evenly(content: bytes, chunk_bytes: int = CHUNK_BYTES) -> list[bytes]:
    return [content[start : start + chunk_bytes] for start in range(0, len(content), chunk_bytes)]


class Objects:
    """Serves ``contents`` by digest; each fault in ``faults`` spoils one request."""

    def __init__(self) -> None:
        self.contents: dict[Digest, bytes] = {}
        self.faults: list[Fault] = []
        self.begun = asyncio.Event()
        """Set once a stalled body has begun."""
        self.ranges: list[tuple[Digest, int, int]] = []
        self.sent_bytes = 0
        self.hosts: set[str] = set()

    def put(self, content: bytes) -> StoredObject:
        digest = digest_of(content)
        self.contents[digest] = content
        return StoredObject(key=f"objects/{digest[7:]}", digest=digest, size_bytes=len(content))

    def asked_of(self, stored: Digest) -> list[tuple[int, int]]:
        """The ranges of one object, in the order they were asked for."""
        return [(start, end) for digest, start, end in self.ranges if digest == stored]

    async def answer(self, request: web.Request) -> web.StreamResponse:
        digest = Digest(f"sha256:{request.match_info['hex']}")
        self.hosts.add(request.headers["Host"])
        if digest not in self.contents:
            return web.Response(status=404)
        start, end = request.http_range.start or 0, request.http_range.stop
        part = self._content(request)[start:end]
        self.ranges.append((digest, start, start + len(part)))
        self.sent_bytes += len(part)
        if self.faults:
            return await self.faults.pop(0)(request, part)
        return web.Response(status=206, body=part, headers=self.headers(request, part))

    def headers(self, request: web.Request, part: bytes) -> dict[str, str]:
        start = request.http_range.start or 0
        whole = len(self._content(request))
        return {"Content-Range": f"bytes {start}-{start + len(part) - 1}/{whole}"}

    def _content(self, request: web.Request) -> bytes:
        return self.contents[Digest(f"sha256:{request.match_info['hex']}")]

    def cut(self, after_bytes: int) -> Fault:
        """The connection ends in the middle of the body."""

        async def fault(request: web.Request, part: bytes) -> web.StreamResponse:
            self.sent_bytes -= len(part[after_bytes:])
            response = await self._begin(request, part)
            await response.write(part[:after_bytes])
            assert request.transport
            request.transport.close()
            return response

        return fault

    def stall(self, after_bytes: int, released: asyncio.Event) -> Fault:
        """The body stops coming and the connection stays open."""

        async def fault(request: web.Request, part: bytes) -> web.StreamResponse:
            self.sent_bytes -= len(part[after_bytes:])
            response = await self._begin(request, part)
            await response.write(part[:after_bytes])
            self.begun.set()
            await released.wait()
            return response

        return fault

    def drip(self, period_s: float) -> Fault:
        """A byte now and then: never a stall, never an end."""

        async def fault(request: web.Request, part: bytes) -> web.StreamResponse:
            response = await self._begin(request, part)
            for byte in part:
                await response.write(bytes([byte]))
                await asyncio.sleep(period_s)
            return response

        return fault

    def well(self) -> Fault:
        """No fault: for tests that order one later in the row."""

        async def fault(request: web.Request, part: bytes) -> web.StreamResponse:
            return web.Response(status=206, body=part, headers=self.headers(request, part))

        return fault

    def status(self, status: int) -> Fault:
        async def fault(request: web.Request, part: bytes) -> web.StreamResponse:
            self.sent_bytes -= len(part)
            return web.Response(status=status)

        return fault

    def spoiled(self) -> Fault:
        """As many bytes as asked for, and not the right ones."""

        async def fault(request: web.Request, part: bytes) -> web.StreamResponse:
            return web.Response(
                status=206, body=bytes(len(part)), headers=self.headers(request, part)
            )

        return fault

    def endless(self) -> Fault:
        """Far more bytes than asked for."""

        async def fault(request: web.Request, part: bytes) -> web.StreamResponse:
            return web.Response(
                status=206, body=part + bytes(10_000_000), headers=self.headers(request, part)
            )

        return fault

    def whole(self) -> Fault:
        """The range is ignored and everything is sent."""

        async def fault(request: web.Request, part: bytes) -> web.StreamResponse:
            return web.Response(status=200, body=self._content(request))

        return fault

    async def _begin(self, request: web.Request, part: bytes) -> web.StreamResponse:
        response = web.StreamResponse(status=206, headers=self.headers(request, part))
        response.content_length = len(part)
        await response.prepare(request)
        return response


class Registry:
    """Publishes models in chunks, lists their manifests, grants URLs; counts what was asked of it."""

    def __init__(self, objects: Objects, base_url: str, key: SigningKey) -> None:
        self._key = key
        self.base_url = base_url
        self.packs = Packs()
        self.chunks: dict[Digest, ChunkManifest] = {}
        self.manifests: dict[Digest, ModelManifest] = {}
        self.offers: dict[Digest, list[DeltaOffer]] = {}
        self.asked: list[tuple[Digest, ...]] = []
        """What was held, at each grant."""
        self.valid_for = timedelta(minutes=5)
        self.listed_manifests: dict[ModelRef, ModelManifest] = {}
        self._objects = objects

    def listed(self, model: ModelRef) -> Listed | None:
        """As a robot's own trust would say it."""
        manifest = self.listed_manifests.get(model)
        if manifest is None:
            return None
        return listed(encode(manifest), manifest.digest, manifest.release, fallback=False)

    def publish(
        self, pieces: Sequence[bytes], model: ModelRef = MODEL, release: int = 1
    ) -> ModelManifest:
        """The file that ``pieces`` make, each of them a chunk, becomes a version."""
        chunks = self.packs.publish(pieces)
        self._objects.contents.update(self.packs.objects)
        manifest = ModelManifest(
            model=model,
            digest=chunks.header.digest,
            size_bytes=chunks.header.size_bytes,
            format="onnx",
            opset=17,
            inputs=(),
            outputs=(),
            release=release,
            published_at=NOW,
            chunks=self._objects.put(encode_manifest(chunks)),
        )
        self.chunks[manifest.digest] = chunks
        self.manifests[manifest.digest] = self.listed_manifests[model] = manifest
        return manifest

    def describe(self, published: Digest, /, **changes: object) -> None:
        """List and hand out another manifest from now on."""
        manifest = replace(self.manifests[published], **changes)
        self.manifests[published] = self.listed_manifests[MODEL] = manifest

    async def grant(self, digest: Digest, held: tuple[Digest, ...] = ()) -> FetchGranted:
        self.asked.append(held)
        if digest not in self.manifests:
            raise FetchRefusedError(f"{digest} is not published")
        manifest = self.manifests[digest]
        payload = encode(manifest)
        signature = self._key.sign(MANIFEST, payload)
        offers = [one for one in self.offers.get(digest, ()) if one.base in held]
        return FetchGranted(
            expires_at=datetime.now(timezone.utc) + self.valid_for,
            signed=SignedManifest(
                payload=payload, key_id=signature.key_id, signature=signature.signature
            ),
            chunks_url=self._url(manifest.chunks.digest) if manifest.chunks else "",
            packs={run.pack: self._url(run.pack) for run in self.chunks[digest].header.runs},
            deltas=tuple(
                DeltaGranted(offer=one, url=self._url(one.stored.digest)) for one in offers
            ),
        )

    def _url(self, stored: Digest) -> str:
        return f"{self.base_url}/models/packs/sha256/{stored[7:]}?grant={len(self.asked)}"


@asynccontextmanager
async def serving(objects: Objects) -> AsyncIterator[str]:
    """The base URL of a server on a free port of this machine."""
    application = web.Application()
    application.router.add_get("/models/packs/sha256/{hex}", objects.answer)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()
