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
from fleetward.contracts.variants import digest_of_all, fitting, plain_version, variant_of

COHORT_LABELS = ("site", "hw")
"""Robots of one place and one kind share a link and a price, when they hold the same models."""
_BITS_PER_BYTE = 8


class Cohort(Struct, frozen=True, kw_only=True):
    """Robots of one site and hardware that hold the same models."""

    robots: tuple[RobotId, ...]
    labels: dict[str, str]
    held: tuple[Digest, ...]
    quote: Quote
    model: ModelRef | None = None
    """The artifact that they are given."""

    @property
    def total_bytes(self) -> int:
        """What all of its robots fetch together, without a site cache."""
        return self.quote.fetch_bytes * len(self.robots)

    def minutes(self, link_mbps: float) -> float:
        """How long one robot takes on a link of so many megabits a second."""
        return self.quote.fetch_bytes * _BITS_PER_BYTE / (link_mbps * 1e6) / 60


class RolloutQuote(Struct, frozen=True, kw_only=True):
    """What giving a model to the selected robots costs, the dearest cohort first.

    size_bytes: of the largest variant that one of them is given. misfits: why others are given none.
    """

    model: ModelRef
    digest: Digest
    size_bytes: int
    cohorts: tuple[Cohort, ...]
    misfits: dict[RobotId, str] = {}

    @property
    def total_bytes(self) -> int:
        """What the whole rollout moves, without site caches."""
        return sum(cohort.total_bytes for cohort in self.cohorts)

    @property
    def dearest_bytes(self) -> int:
        """What the robot that fetches the most needs: the least byte cap that all get by with."""
        return max((cohort.quote.fetch_bytes for cohort in self.cohorts), default=0)


async def quote(connection: Client, model: str, selector: str) -> RolloutQuote:
    """Ask the registry what ``model`` (name:version or name@alias) costs the selected robots.

    Nothing moves. Raises UnknownModelError, SelectorError, NothingSelectedError.
    """
    wanted = model_selector(model)
    found = models.versions_of(await models.record(connection, wanted.name), wanted)
    selected = await robots.selected(connection, selector)
    if not selected:
        known = {robot.enrolled.robot_id for robot in await robots.statuses(connection)}
        raise NothingSelectedError(
            f"The selector {selector!r} matches no robot. `fleetward robot list` shows their labels."
            + meant_robot(selector, known)
        )
    artifacts = [variant_of(each.manifest) for each in found]
    fits, misfits = fitting(artifacts), dict[RobotId, str]()
    given: dict[int, list[RobotStatus]] = {}
    for robot in selected:
        number = fits(robot.enrolled.labels)
        if isinstance(number, str):
            misfits[robot.enrolled.robot_id] = number
        else:
            given.setdefault(number, []).append(robot)
    answers = [
        await priced(connection, artifacts[number].model, of) for number, of in given.items()
    ]
    cohorts = [
        each
        for answer, of in zip(answers, given.values(), strict=True)
        for each in _cohorts(of, answer)
    ]
    return RolloutQuote(
        model=ModelRef(wanted.name, plain_version(found[0].manifest))
        if len(found) > 1
        else artifacts[0].model,
        digest=digest_of_all(artifacts) if len(found) > 1 else artifacts[0].digest,
        size_bytes=max((answer.size_bytes for answer in answers), default=0),
        cohorts=tuple(sorted(cohorts, key=lambda one: (-one.quote.fetch_bytes, one.robots))),
        misfits=misfits,
    )


async def priced(connection: Client, model: ModelRef, of: Sequence[RobotStatus]) -> UpdateQuoted:
    """What one artifact costs robots, a quote for each of ``held_sets(of)``."""
    question = QuoteUpdate(name=model.name, version=model.version, held=tuple(held_sets(of)))
    answer: UpdateQuoted = await ask(connection, question)
    return answer


def held_sets(of: Sequence[RobotStatus]) -> list[tuple[Digest, ...]]:
    """What robots hold, each set once, in an order of its own."""
    return sorted({held_by(robot) for robot in of})


def _cohorts(selected: Sequence[RobotStatus], answer: UpdateQuoted) -> list[Cohort]:
    quotes = dict(zip(held_sets(selected), answer.quotes, strict=True))
    members: dict[tuple[tuple[Digest, ...], tuple[tuple[str, str], ...]], list[RobotId]] = {}
    for robot in selected:
        labels = robot.enrolled.labels
        kind = tuple((name, labels[name]) for name in COHORT_LABELS if name in labels)
        members.setdefault((held_by(robot), kind), []).append(robot.enrolled.robot_id)
    return [
        Cohort(
            robots=tuple(sorted(ids)),
            labels=dict(kind),
            held=held,
            quote=quotes[held],
            model=answer.model,
        )
        for (held, kind), ids in members.items()
    ]


def held_by(robot: RobotStatus) -> tuple[Digest, ...]:
    """What it said last; a robot that never checked in holds nothing."""
    return tuple(sorted(robot.last.cached_digests)) if robot.last else ()
