"""Listens to the fleet while the story runs, and remembers what the view and the report need."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from msgspec import Struct

from fleetward.client.fleet import Fleet
from fleetward.client.live import live_facts
from fleetward.contracts.alerts import AlertFired, AlertResolved
from fleetward.contracts.event import Event
from fleetward.contracts.ids import BootId, Digest, RobotId
from fleetward.contracts.robots import ModelActivated, RobotCheckedIn
from fleetward.contracts.rollouts import Rollout
from fleetward.contracts.telemetry import InferenceSummarized

MAX_LINES = 200


class Happening(Struct, frozen=True):
    """Something to tell, and when: seconds since the demo began."""

    at_s: float
    text: str
    mood: str = "plain"


class Observer:
    """What was heard so far. Counters are kept per boot: a killed bridge begins again at zero."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.versions: dict[Digest, str] = {}
        self.check_ins: dict[RobotId, dict[BootId, RobotCheckedIn]] = {}
        self.newest: dict[RobotId, RobotCheckedIn] = {}
        self.summaries: dict[RobotId, InferenceSummarized] = {}
        self.causes_s: dict[tuple[RobotId, str], list[float]] = {}
        self.alerts: list[tuple[float, AlertFired]] = []
        self.firing: set[tuple[RobotId, str]] = set()
        self.activations: list[ModelActivated] = []
        self.rollout: Rollout | None = None
        self.fetched_at_revert = 0
        """Bytes that all robots had fetched when the newest revert was decided."""
        self.lines: list[Happening] = []

    def elapsed_s(self) -> float:
        """Seconds since the demo began."""
        return time.monotonic() - self.began

    def tell(self, text: str, mood: str = "plain") -> None:
        """Add a line to the story."""
        self.lines = [*self.lines, Happening(self.elapsed_s(), text, mood)][-MAX_LINES:]

    def cause(self, robot: RobotId, alert: str) -> None:
        """Something was just done that this alert is there to notice."""
        self.causes_s.setdefault((robot, alert), []).append(self.elapsed_s())

    def since_cause_s(self, robot: RobotId, alert: str, at_s: float) -> float | None:
        """Seconds from the newest cause before ``at_s``; None when the story caused nothing."""
        before = [cause for cause in self.causes_s.get((robot, alert), []) if cause <= at_s]
        return round(at_s - before[-1], 2) if before else None

    def version_of(self, digest: Digest | None) -> str:
        """The version that a digest is, as people know it."""
        return self.versions.get(digest, digest[:15]) if digest else "none"

    def total(self, robot: RobotId, counter: str) -> int:
        """A counter of a robot, over every boot of its bridge."""
        return sum(getattr(last, counter) for last in self.check_ins.get(robot, {}).values())

    def heard(self, fact: Event) -> None:
        """Remember one fact; an older copy never replaces a newer one."""
        match fact:
            case RobotCheckedIn():
                boots = self.check_ins.setdefault(fact.robot_id, {})
                known = boots.get(fact.boot_id)
                if known is None or fact.sequence > known.sequence:
                    boots[fact.boot_id] = fact
                    self.newest[fact.robot_id] = fact
            case InferenceSummarized():
                self.summaries[fact.robot_id] = fact
            case AlertFired():
                self.alerts.append((self.elapsed_s(), fact))
                self.firing.add((fact.robot_id, fact.alert))
                self.tell(f"alert {fact.alert} on {fact.robot_id}: {fact.summary}", "bad")
            case AlertResolved():
                self.firing.discard((fact.robot_id, fact.alert))
                self.tell(f"alert {fact.alert} on {fact.robot_id} resolved", "good")
            case ModelActivated():
                self.activations.append(fact)
                self.tell(
                    f"{fact.robot_id} serves {fact.model} "
                    f"({fact.bytes_fetched / 1e6:.1f} MB fetched, swap {fact.swap_ms:.3f} ms, "
                    f"{fact.inferences} inferences proved)"
                )
            case _:
                pass


@asynccontextmanager
async def observing(fleet: Fleet, observer: Observer) -> AsyncIterator[None]:
    """Feed the observer for as long as the block runs."""
    facts = (RobotCheckedIn, InferenceSummarized, AlertFired, AlertResolved, ModelActivated)
    tasks = [asyncio.create_task(_listen(fleet, fact, observer)) for fact in facts]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _listen(fleet: Fleet, fact: type[Event], observer: Observer) -> None:
    async with live_facts(fleet.connection, fact) as facts:
        async for heard in facts:
            observer.heard(heard)
