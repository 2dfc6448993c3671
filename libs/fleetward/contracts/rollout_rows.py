"""How a rollout lies in the stream: a small one in its row, the robots of a large one in shards.

A decision writes the row and those shards alone that it changed. Only the row is compared and set;
it names the revision that last wrote each shard, so a reader sees whether all are of one moment.
What telemetry changes with every batch, which windows were counted, lies apart from the progress
of robots, which is larger and changes rarely.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from itertools import chain, compress, islice
from operator import is_, is_not
from typing import TypeVar

from msgspec import Struct
from msgspec.structs import replace

from fleetward.contracts.errors import FleetwardError
from fleetward.contracts.event import Event, UtcTime
from fleetward.contracts.evidence import Evidence, Observed
from fleetward.contracts.ids import RobotId, RolloutId
from fleetward.contracts.rollouts import RobotProgress, Rollout
from fleetward.contracts.sharding import Sharding

ROBOTS_PER_SHARD = 250
"""A rollout of at most so many robots has no shards: one row says it all."""


class TornRolloutError(FleetwardError):
    """A rollout's row and its shards were not read at the same moment: read them again."""


class RolloutProgress(Event, frozen=True, kw_only=True):
    """Where the robots of one shard stand, in the order of the rollout's waves."""

    rollout_id: RolloutId
    shard: int
    revision: int
    robots: dict[RobotId, RobotProgress]


class RolloutCounted(Event, frozen=True, kw_only=True):
    """When the last counted window of each robot of one shard began, and what they said so far.

    In the same order; ``observed`` is empty when an older coordinator wrote it.
    """

    rollout_id: RolloutId
    shard: int
    revision: int
    counted_until: tuple[UtcTime | None, ...]
    observed: tuple[Observed | None, ...] = ()


Shard = RolloutProgress | RolloutCounted
_Shard = TypeVar("_Shard", RolloutProgress, RolloutCounted)


class Stored(Struct, frozen=True):
    """A rollout with the sharding it has once ``row`` and ``shards`` are written together."""

    whole: Rollout
    row: Rollout
    shards: tuple[Shard, ...]


def split(rollout: Rollout, before: Rollout | None) -> Stored:
    """What to write so that ``rollout`` is stored, where ``before`` (None: nothing) is."""
    if len(rollout.robots) <= ROBOTS_PER_SHARD:
        return Stored(rollout, rollout, ())
    parts = _parts(list(chain.from_iterable(rollout.waves)))
    known = before if before is not None and before.sharding is not None else None
    grown = _grown(parts, known)
    moved = sorted({*grown, *_changed(parts, rollout.robots, known.robots if known else None)})
    heard = _heard(parts, rollout.evidence, known.evidence if known else None)
    heard = sorted({*grown, *heard})
    sharding = _sharding(rollout, known.sharding if known else None, moved, heard)
    row = replace(
        rollout,
        waves=(),
        robots={},
        evidence=replace(rollout.evidence, counted_until={}, observed={}),
        sharding=sharding,
    )
    shards: tuple[Shard, ...] = (
        *(_progress(rollout, number, parts[number]) for number in moved),
        *(_counted(rollout, number, parts[number]) for number in heard),
    )
    return Stored(replace(rollout, sharding=sharding), row, shards)


def whole_of(row: Rollout, shards: Iterable[Shard]) -> Rollout:
    """The whole rollout; raises TornRolloutError when they are not of one moment."""
    if row.sharding is None:
        return row
    progress: dict[int, RolloutProgress] = {}
    counted: dict[int, RolloutCounted] = {}
    for shard in shards:
        if isinstance(shard, RolloutProgress):
            progress[shard.shard] = shard
        else:
            counted[shard.shard] = shard
    robots = _merged(row.rollout_id, row.sharding.progress, progress)
    windows = _merged(row.rollout_id, row.sharding.counted, counted)
    every = {robot: held for shard in robots for robot, held in shard.robots.items()}
    moments = (moment for shard in windows for moment in shard.counted_until)
    known = {robot: moment for robot, moment in zip(every, moments, strict=True) if moment}
    said = (one for shard in windows for one in shard.observed or (None,) * _length(shard))
    observed = {robot: one for robot, one in zip(every, said, strict=True) if one}
    return replace(
        row,
        waves=_waves(list(every), row.sharding.wave_sizes),
        robots=every,
        evidence=replace(row.evidence, counted_until=known, observed=observed),
    )


def _parts(robots: Sequence[RobotId]) -> list[Sequence[RobotId]]:
    return [
        robots[start : start + ROBOTS_PER_SHARD]
        for start in range(0, len(robots), ROBOTS_PER_SHARD)
    ]


def _grown(parts: Sequence[Sequence[RobotId]], before: Rollout | None) -> set[int]:
    """The parts with robots that joined: robots join at the end alone, so no other part moves."""
    if before is None:
        return set()
    size = sum(len(part) for part in parts)
    first = len(before.robots) // ROBOTS_PER_SHARD
    return set(range(first, len(parts))) if size > len(before.robots) else set()


def _changed(
    parts: Sequence[Sequence[RobotId]],
    now: Mapping[RobotId, object],
    before: Mapping[RobotId, object] | None,
) -> list[int]:
    """The parts with a robot of which something else is held."""
    return list(range(len(parts))) if before is None else _with_any(parts, _moved(now, before))


def _heard(parts: Sequence[Sequence[RobotId]], now: Evidence, before: Evidence | None) -> list[int]:
    if before is None:
        return list(range(len(parts)))
    counted = _moved(now.counted_until, before.counted_until)
    return _with_any(parts, counted | _moved(now.observed, before.observed))


def _with_any(parts: Sequence[Sequence[RobotId]], robots: Set[RobotId]) -> list[int]:
    if not robots:
        return []
    return [number for number, part in enumerate(parts) if not robots.isdisjoint(part)]


def _moved(now: Mapping[RobotId, object], before: Mapping[RobotId, object]) -> Set[RobotId]:
    """Of whom something else is held: decisions replace, never change.

    Nearly always ``now`` is a copy of ``before`` with some replaced and others behind: then nothing but
    the two lists of values is read, and neither robots nor what is held of them.
    """
    if now is before:
        return frozenset()
    if len(before) <= len(now) and all(map(is_, before, now)):
        replaced = compress(now, map(is_not, now.values(), before.values()))
        return {*replaced, *islice(now, len(before), None)}
    return {robot for robot in {**before, **now} if now.get(robot) is not before.get(robot)}


def _sharding(
    rollout: Rollout, before: Sharding | None, moved: Sequence[int], heard: Sequence[int]
) -> Sharding:
    sizes = tuple(len(wave) for wave in rollout.waves)
    if before is None:
        written = (rollout.revision,) * len(moved)
        return Sharding(wave_sizes=sizes, progress=written, counted=written)
    return replace(
        before,
        wave_sizes=sizes,
        progress=_with(before.progress, moved, rollout.revision),
        counted=_with(before.counted, heard, rollout.revision),
    )


def _with(revisions: Sequence[int], written: Sequence[int], revision: int) -> tuple[int, ...]:
    held = dict(enumerate(revisions)) | dict.fromkeys(written, revision)
    return tuple(held[number] for number in sorted(held))


def _progress(rollout: Rollout, number: int, robots: Sequence[RobotId]) -> RolloutProgress:
    return RolloutProgress(
        rollout_id=rollout.rollout_id,
        shard=number,
        revision=rollout.revision,
        robots={robot: rollout.robots[robot] for robot in robots},
    )


def _counted(rollout: Rollout, number: int, robots: Sequence[RobotId]) -> RolloutCounted:
    evidence = rollout.evidence
    return RolloutCounted(
        rollout_id=rollout.rollout_id,
        shard=number,
        revision=rollout.revision,
        counted_until=tuple(map(evidence.counted_until.get, robots)),
        observed=tuple(map(evidence.observed.get, robots)),
    )


def _length(shard: RolloutCounted) -> int:
    return len(shard.counted_until)


def _merged(
    rollout_id: RolloutId, revisions: Sequence[int], shards: Mapping[int, _Shard]
) -> list[_Shard]:
    """The shards in order, each of the revision that the row names."""
    found: list[_Shard] = []
    for number, revision in enumerate(revisions):
        shard = shards.get(number)
        if shard is None or shard.revision != revision:
            raise TornRolloutError(
                f"shard {number} of rollout {rollout_id} is not of revision {revision}, which its "
                "row names. Read both again."
            )
        found.append(shard)
    return found


def _waves(robots: Sequence[RobotId], sizes: Sequence[int]) -> tuple[tuple[RobotId, ...], ...]:
    waves: list[tuple[RobotId, ...]] = []
    for size in sizes:
        waves.append(tuple(robots[:size]))
        robots = robots[size:]
    return tuple(waves)
