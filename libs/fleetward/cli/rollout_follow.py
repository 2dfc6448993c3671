"""Follows a rollout to its end: live on a terminal, line by line in a log, and how it ended."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from fleetward.bus.waiting import within
from fleetward.cli.exits import Exit, exit_of_rollout
from fleetward.cli.session import show_json
from fleetward.client.robots import fetches
from fleetward.client.rollouts import timed_out
from fleetward.contracts.rollouts import RobotPhase

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from fleetward.client import Fleet
    from fleetward.contracts.ids import RobotId
    from fleetward.contracts.robots import Fetching
    from fleetward.contracts.rollouts import Rollout

FETCHES_EVERY_S = 2.0
MAX_FETCHES_SHOWN = 24
REFRESHES_PER_S = 2
"""So that bake times and deadlines are seen to pass, and a lost connection is seen at all."""


class LiveRollout:
    """The newest state, drawn with the time that passed; says when it may be old."""

    def __init__(self, fleet: Fleet, shown: Rollout) -> None:
        self.shown = shown
        self._fleet = fleet
        self._fetching: dict[RobotId, Fetching] = {}

    def __rich__(self) -> RenderableType:
        from rich.console import Group
        from rich.text import Text

        from fleetward.cli.rollout_view import view

        drawn = view(self.shown, datetime.now(timezone.utc), self._fetching)
        if self._fleet.connection.is_connected:
            return drawn
        lost = "  no connection to the system: this is the last that was heard; trying again"
        return Group(drawn, Text(lost, style="bold red"))

    async def follow_fetches(self) -> None:
        """For ever: what the robots that have their target say of its bytes."""
        while True:
            targeted = [
                robot
                for robot, held in self.shown.robots.items()
                if held.phase is RobotPhase.TARGETED
            ]
            self._fetching = await fetches(
                self._fleet.connection, self.shown.model, targeted[:MAX_FETCHES_SHOWN]
            )
            await asyncio.sleep(FETCHES_EVERY_S)


def show_rollout(rollout: Rollout, *, as_json: bool) -> None:
    """Print it once, as it stands."""
    from fleetward.cli import plain
    from fleetward.cli.rollout_view import view
    from fleetward.cli.tables import console_for_people

    if as_json:
        show_json(plain.rollout(rollout))
    else:
        console_for_people().print(view(rollout, datetime.now(timezone.utc)))


async def wait(fleet: Fleet, rollout: str, timeout_s: float | None, *, as_json: bool) -> Exit:
    """Follow it and show its end; JSON is silent until then. Raises RolloutTimeoutError."""
    from fleetward.cli.tables import console_for_people

    if as_json or not console_for_people().is_terminal:
        following = _lines(fleet, rollout) if not as_json else _last(fleet, rollout)
        ended = await _within(timeout_s, rollout, following)
        show_rollout(ended, as_json=as_json)
    else:
        ended = await _within(timeout_s, rollout, _live(fleet, rollout, console_for_people()))
    return exit_of_rollout(ended)


async def watch(fleet: Fleet, rollout: str, *, as_json: bool) -> Exit:
    """Follow it; a line, or a JSON document, for each change where no terminal is."""
    from fleetward.cli import plain
    from fleetward.cli.tables import console_for_people

    console = console_for_people()
    if as_json:
        shown = await fleet.rollout(rollout)
        async for shown in fleet.watch_rollout(rollout):
            show_json(plain.rollout(shown))
    elif console.is_terminal:
        shown = await _live(fleet, rollout, console)
    else:
        shown = await _lines(fleet, rollout)
    return exit_of_rollout(shown)


async def _live(fleet: Fleet, rollout: str, console: Console) -> Rollout:
    from rich.live import Live

    drawn = LiveRollout(fleet, await fleet.rollout(rollout))
    following = asyncio.ensure_future(drawn.follow_fetches())
    try:
        with Live(drawn, console=console, refresh_per_second=REFRESHES_PER_S):
            async for drawn.shown in fleet.watch_rollout(rollout):
                pass
    finally:
        following.cancel()
        await asyncio.wait({following})
    return drawn.shown


async def _lines(fleet: Fleet, rollout: str) -> Rollout:
    """A line whenever it would say something new."""
    from fleetward.cli.rollout_view import line

    shown, said = await fleet.rollout(rollout), ""
    async for shown in fleet.watch_rollout(rollout):
        if line(shown) != said:
            said = line(shown)
            print(said, flush=True)
    return shown


async def _last(fleet: Fleet, rollout: str) -> Rollout:
    return await fleet.wait_rollout(rollout)


async def _within(
    timeout_s: float | None,
    rollout: str,
    following: Coroutine[Any, Any, Rollout],  # Any: what a coroutine is sent and yields
) -> Rollout:
    try:
        return await within(following, timeout_s)
    except asyncio.TimeoutError:
        raise timed_out(rollout, timeout_s or 0.0) from None
