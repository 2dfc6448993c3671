"""Who served what, and what an alias named, at any moment: from facts alone, nothing is asked. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import pairwise

from msgspec import Struct, structs

from fleetward.contracts.ids import AliasName, Digest, ModelName, ModelRef, RolloutId, Version
from fleetward.contracts.places import Place, place_of
from fleetward.contracts.registry import AliasMoved
from fleetward.contracts.robots import ModelActivated, ModelFellBack


class Served(Struct, frozen=True, kw_only=True):
    """One model on one robot. Times are the robot's own clock, UTC; ``until`` None: still now.

    model: None when only the digest is known: the robot fell back to what it never reported.
    pipeline: which of the robot's served it; None: its own.
    """

    digest: Digest
    model: ModelRef | None
    rollout_id: RolloutId
    generation: int
    since: datetime
    until: datetime | None = None
    fell_back_because: str = ""
    pipeline: Place = None


class Happening(Struct, frozen=True, kw_only=True, order=True):
    """One line of a model's history."""

    at: datetime
    what: str
    by: str = ""


def served(
    activated: Iterable[ModelActivated],
    fell_back: Iterable[ModelFellBack],
    pipelines: Collection[ModelName] = (),
) -> tuple[Served, ...]:
    """What a robot with these pipelines served, in order; each lasts until the next in its pipeline."""
    proved = list(activated)
    names = {fact.digest: fact.model for fact in proved}
    began = [_by_activation(fact, pipelines) for fact in proved]
    began += [_by_fall(fact, names, pipelines) for fact in fell_back]
    began.sort(key=lambda each: (each.since, each.generation))
    beginnings: dict[Place, list[Served]] = {}
    for each in began:
        beginnings.setdefault(each.pipeline, []).append(each)
    history = [each for of in beginnings.values() for each in _each_until_the_next(of)]
    return tuple(sorted(history, key=lambda each: (each.since, each.generation)))


def _each_until_the_next(began: Sequence[Served]) -> list[Served]:
    ended = [structs.replace(each, until=then.since) for each, then in pairwise(began)]
    return [*ended, *began[-1:]]


def serving_at(history: Sequence[Served], at: datetime) -> tuple[Served, ...]:
    """What each pipeline served at ``at``, the robot's own first; empty before the first."""
    newest = {each.pipeline: each for each in history if each.since <= at}
    return tuple(sorted(newest.values(), key=lambda each: each.pipeline or ""))


def aliases_at(moves: Iterable[AliasMoved], at: datetime) -> dict[AliasName, Version]:
    """What each alias of one model named at ``at``."""
    standing: dict[AliasName, Version] = {}
    for move in sorted(moves, key=lambda move: move.moved_at):
        if move.moved_at <= at:
            standing[move.alias] = move.version
    return standing


def moment(text: str) -> datetime:
    """A moment with its zone: ISO 8601, in this machine's zone when it names none.

    Raises ValueError.
    """
    read = datetime.fromisoformat(text[:-1] + "+00:00" if text.endswith(("Z", "z")) else text)
    return read.astimezone() if read.tzinfo is None else read


def with_its_zone(at: datetime) -> str:
    """A moment as people write it, never without its offset from UTC."""
    offset = at.utcoffset() or timedelta()
    return f"{at:%Y-%m-%d %H:%M:%S} {'UTC' if not offset else at.strftime('%z')}"


def _by_activation(fact: ModelActivated, pipelines: Collection[ModelName]) -> Served:
    return Served(
        digest=fact.digest,
        model=fact.model,
        rollout_id=fact.rollout_id,
        generation=fact.generation,
        since=fact.activated_at,
        pipeline=place_of(fact.model.name, pipelines),
    )


def _by_fall(
    fact: ModelFellBack, names: Mapping[Digest, ModelRef], pipelines: Collection[ModelName]
) -> Served:
    model = names.get(fact.to_digest)
    left = model or names.get(fact.from_digest)
    return Served(
        digest=fact.to_digest,
        model=model,
        rollout_id=fact.rollout_id,
        generation=fact.generation,
        since=fact.fell_back_at,
        fell_back_because=fact.reason,
        pipeline=place_of(left.name, pipelines) if left is not None else None,
    )
