"""A web service that answers webhook gates: on a free port of loopback, with what a test tells it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

import msgspec
from aiohttp import web


class WebService:
    """Answers every POST with ``status`` and ``text``, and keeps what it was asked."""

    def __init__(self) -> None:
        self.status, self.text = 200, "the twin drove 40 km"
        self.asked: list[dict[str, object]] = []
        self.keys: list[str] = []
        self.url = ""

    async def _answer(self, request: web.Request) -> web.Response:
        self.asked.append(msgspec.json.decode(await request.read(), type=dict[str, object]))
        self.keys.append(request.headers["Idempotency-Key"])
        return web.Response(status=self.status, text=self.text)


@contextlib.asynccontextmanager
async def web_service() -> AsyncIterator[WebService]:
    """One that listens."""
    service = WebService()
    application = web.Application()
    application.router.add_post("/gate", service._answer)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    service.url = f"http://{host}:{port}/gate"
    yield service
    await runner.cleanup()
