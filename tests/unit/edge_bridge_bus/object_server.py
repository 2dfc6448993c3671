"""An object store for fetch tests: real HTTP with ranges, and faults that a test orders."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path

from aiohttp import web
from msgspec.structs import replace

from fleetward.contracts.codec import encode
from fleetward.contracts.ids import Digest, ModelName, ModelRef, RobotId, RolloutId, Version
from fleetward.contracts.registry import FetchGranted, ModelManifest, SignedManifest
from fleetward.contracts.robots import RobotTarget
from fleetward.trust.listing import Listed, listed
from fleetward.trust.signing import MANIFEST, SigningKey

Fault = Callable[[web.Request, bytes], Awaitable[web.StreamResponse]]
NOW = datetime(2026, 1, 1, tzinfo=timezone.utc)
MODEL = ModelRef(ModelName("det"), Version("1"))


def digest_of_bytes(content: bytes) -> Digest:
    return Digest(f"sha256:{hashlib.sha256(content).hexdigest()}")


def target_for(content: bytes) -> RobotTarget:
    return RobotTarget(
        robot_id=RobotId("r1"),
        generation=1,
        rollout_id=RolloutId("ro1"),
        model=MODEL,
        digest=digest_of_bytes(content),
        issued_at=NOW,
    )


class Registry:
    """Lists manifests and grants URLs; counts what was asked of it."""

    def __init__(self, directory: Path, content: bytes, base_url: str) -> None:
        self._key = SigningKey.create(directory / "manifest.seed")
        self._base_url = base_url
        self.grants = 0
        self.valid_for = timedelta(minutes=5)
        self.manifest = ModelManifest(
            model=MODEL,
            digest=digest_of_bytes(content),
            size_bytes=len(content),
            format="onnx",
            opset=17,
            inputs=(),
            outputs=(),
            release=1,
            object_key="blobs/x",
            published_at=NOW,
        )
        self.listed_manifest: ModelManifest | None = self.manifest

    def listed(self, model: ModelRef) -> Listed | None:
        """As a robot's own trust would say it."""
        manifest = self.listed_manifest
        if manifest is None or model != MODEL:
            return None
        return listed(encode(manifest), manifest.digest, manifest.release, fallback=False)

    async def grant(self, digest: Digest) -> FetchGranted:
        self.grants += 1
        payload = encode(self.manifest)
        signature = self._key.sign(MANIFEST, payload)
        return FetchGranted(
            url=f"{self._base_url}/object?grant={self.grants}",
            expires_at=datetime.now(timezone.utc) + self.valid_for,
            signed=SignedManifest(
                payload=payload, key_id=signature.key_id, signature=signature.signature
            ),
        )

    def describe(self, **changes: object) -> None:
        """List and hand out another manifest from now on."""
        self.listed_manifest = self.manifest = replace(self.manifest, **changes)


class Objects:
    """Serves ``content``; each fault in ``faults`` spoils one request."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.faults: list[Fault] = []
        self.begun = asyncio.Event()
        """Set once a stalled body has begun."""
        self.ranges: list[tuple[int, int]] = []

    async def answer(self, request: web.Request) -> web.StreamResponse:
        start, end = request.http_range.start or 0, request.http_range.stop
        part = self.content[start:end]
        self.ranges.append((start, start + len(part)))
        if self.faults:
            return await self.faults.pop(0)(request, part)
        return web.Response(status=206, body=part, headers=self.headers(start, part))

    def headers(self, start: int, part: bytes) -> dict[str, str]:
        return {"Content-Range": f"bytes {start}-{start + len(part) - 1}/{len(self.content)}"}

    def cut(self, after_bytes: int) -> Fault:
        """The connection ends in the middle of the body."""

        async def fault(request: web.Request, part: bytes) -> web.StreamResponse:
            response = await self._begin(request, part)
            await response.write(part[:after_bytes])
            assert request.transport
            request.transport.close()
            return response

        return fault

    def stall(self, after_bytes: int, released: asyncio.Event) -> Fault:
        """The body stops coming and the connection stays open."""

        async def fault(request: web.Request, part: bytes) -> web.StreamResponse:
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
            start = request.http_range.start or 0
            return web.Response(status=206, body=part, headers=self.headers(start, part))

        return fault

    def status(self, status: int) -> Fault:
        async def fault(request: web.Request, part: bytes) -> web.StreamResponse:
            return web.Response(status=status)

        return fault

    def spoiled(self) -> Fault:
        """As many bytes as asked for, and not the right ones."""

        async def fault(request: web.Request, part: bytes) -> web.StreamResponse:
            start = request.http_range.start or 0
            return web.Response(
                status=206, body=bytes(len(part)), headers=self.headers(start, part)
            )

        return fault

    def endless(self) -> Fault:
        """Far more bytes than asked for."""

        async def fault(request: web.Request, part: bytes) -> web.StreamResponse:
            start = request.http_range.start or 0
            return web.Response(
                status=206, body=part + bytes(10_000_000), headers=self.headers(start, part)
            )

        return fault

    def whole(self) -> Fault:
        """The range is ignored and everything is sent."""

        async def fault(request: web.Request, part: bytes) -> web.StreamResponse:
            return web.Response(status=200, body=self.content)

        return fault

    async def _begin(self, request: web.Request, part: bytes) -> web.StreamResponse:
        start = request.http_range.start or 0
        response = web.StreamResponse(status=206, headers=self.headers(start, part))
        response.content_length = len(part)
        await response.prepare(request)
        return response


@asynccontextmanager
async def serving(objects: Objects) -> AsyncIterator[str]:
    """The base URL of a server on a free port of this machine."""
    application = web.Application()
    application.router.add_get("/object", objects.answer)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()
