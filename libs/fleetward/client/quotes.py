"""What a rollout would cost before it starts: bytes and minutes, for each kind of robot."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct
from nats.aio.client import Client

from fleetward.bus.requests import ask
from fleetward.client import models, robots
from fleetward.client.errors import NothingSelectedError
from fleetward.client.robots import RobotStatus
from fleetward.contracts.ids import Digest, ModelRef, RobotId, model_selector
from fleetward.contracts.quotes import Quote, QuoteUpdate, UpdateQuoted
from fleetward.contracts.selectors import meant_robot

COHORT_LABELS = ("site", "hw")
"""Robots of one place and one kind share a link and a price, when they hold the same models."""
_BITS_PER_BYTE = 8


class Cohort(Struct, frozen=True, kw_only=True):
    """Robots of one site and hardware that hold the same models."""

    robots: tuple[RobotId, ...]
    labels: dict[str, str]
    held: tuple[Digest, ...]
    quote: Quote

    @property
    def total_bytes(self) -> int:
        """What all of its robots fetch together, without a site cache."""
        return self.quote.fetch_bytes * len(self.robots)

    def minutes(self, link_mbps: float) -> float:
        """How long one robot takes on a link of so many megabits a second."""
        return self.quote.fetch_bytes * _BITS_PER_BYTE / (link_mbps * 1e6) / 60


class RolloutQuote(Struct, frozen=True, kw_only=True):
    """What giving a model to the selected robots costs, the dearest cohort first."""

    model: ModelRef
    digest: Digest
    size_bytes: int
    cohorts: tuple[Cohort, ...]

    @property
    def total_bytes(self) -> int:
        """What the whole rollout moves, without site caches."""
        return sum(cohort.total_bytes for cohort in self.cohorts)

    @property
    def dearest_bytes(self) -> int:
        """What the robot that fetches the most needs: the least byte cap that all get by with."""
        return max(cohort.quote.fetch_bytes for cohort in self.cohorts)


async def quote(connection: Client, model: str, selector: str) -> RolloutQuote:
    """Ask the registry what ``model`` (name:version or name@alias) costs the selected robots.

    Nothing moves. Raises UnknownModelError, SelectorError, NothingSelectedError.
    """
    wanted = model_selector(model)
    version = models.version_of(await models.record(connection, wanted.name), wanted)
    selected = await robots.selected(connection, selector)
    if not selected:
        known = {robot.enrolled.robot_id for robot in await robots.statuses(connection)}
        raise NothingSelectedError(
            f"The selector {selector!r} matches no robot. `fleetward robot list` shows their labels."
            + meant_robot(selector, known)
        )
    held = sorted({held_by(robot) for robot in selected})
    named = version.manifest.model
    answer: UpdateQuoted = await ask(
        connection, QuoteUpdate(name=named.name, version=named.version, held=tuple(held))
    )
    return RolloutQuote(
        model=answer.model,
        digest=answer.digest,
        size_bytes=answer.size_bytes,
        cohorts=_cohorts(selected, dict(zip(held, answer.quotes, strict=True))),
    )


def _cohorts(
    selected: Sequence[RobotStatus], quotes: dict[tuple[Digest, ...], Quote]
) -> tuple[Cohort, ...]:
    members: dict[tuple[tuple[Digest, ...], tuple[tuple[str, str], ...]], list[RobotId]] = {}
    for robot in selected:
        labels = robot.enrolled.labels
        kind = tuple((name, labels[name]) for name in COHORT_LABELS if name in labels)
        members.setdefault((held_by(robot), kind), []).append(robot.enrolled.robot_id)
    cohorts = [
        Cohort(robots=tuple(sorted(ids)), labels=dict(kind), held=held, quote=quotes[held])
        for (held, kind), ids in members.items()
    ]
    return tuple(sorted(cohorts, key=lambda one: (-one.quote.fetch_bytes, one.robots)))


def held_by(robot: RobotStatus) -> tuple[Digest, ...]:
    """What it said last; a robot that never checked in holds nothing."""
    return tuple(sorted(robot.last.cached_digests)) if robot.last else ()
