"""A webhook that a team might run: takes alert notifications over HTTP and remembers them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

MAX_BODY_BYTES = 64 * 1024


class Webhook:
    """Every alert that was delivered, as Alertmanager's JSON describes it."""

    def __init__(self) -> None:
        self.url = ""
        self.delivered: list[dict[str, Any]] = []

    def names(self) -> set[tuple[str, str]]:
        """Each delivered alert as (name, robot)."""
        return {
            (alert["labels"].get("alertname", ""), alert["labels"].get("robot", ""))
            for alert in self.delivered
        }

    async def received(self, request: web.Request) -> web.Response:
        """POST: one notification with its alerts."""
        self.delivered.extend((await request.json())["alerts"])
        return web.Response(status=204)


@asynccontextmanager
async def webhook() -> AsyncIterator[Webhook]:
    """A webhook on a free port of this machine, for as long as the block runs."""
    hook = Webhook()
    application = web.Application(client_max_size=MAX_BODY_BYTES)
    application.router.add_post("/alerts", hook.received)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    hook.url = f"http://127.0.0.1:{port}/alerts"
    try:
        yield hook
    finally:
        await runner.cleanup()
