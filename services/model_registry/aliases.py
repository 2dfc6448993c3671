"""Moves an alias by compare-and-set, and keeps who it named before."""

from __future__ import annotations

from datetime import datetime

from msgspec import structs

from fleetward.contracts.ids import AliasName, Version
from fleetward.contracts.registry import (
    MAX_ALIAS_MOVES_KEPT,
    AliasMove,
    AliasMoved,
    ModelRecord,
    MoveAlias,
)
from fleetward.contracts.variants import named
from model_registry.errors import AliasConflictError, UnknownModelError
from model_registry.publication import RecordStep

MAX_ALIASES_PER_MODEL = 64


def move(record: ModelRecord, request: MoveAlias, now: datetime) -> RecordStep:
    """The record with the alias moved, and the fact of it; no facts when ``now`` moved it already.

    Raises UnknownModelError when the version does not exist, AliasConflictError when the alias
    does not name ``request.expected`` any more.
    """
    step = AliasMove(alias=request.alias, version=request.version, moved_at=now)
    if record.alias_history[-1:] == (step,):
        return RecordStep(record=record)
    _refuse_unknown(record, request)
    current = record.aliases.get(request.alias)
    if current != request.expected:
        raise AliasConflictError(_conflict(request, current))
    if current is None and len(record.aliases) >= MAX_ALIASES_PER_MODEL:
        raise AliasConflictError(
            f"{record.name} has {len(record.aliases)} aliases, the most one model may have. "
            "Move one that exists."
        )
    return RecordStep(record=_moved(record, step), facts=(moved(request, now),))


def moved(request: MoveAlias, now: datetime) -> AliasMoved:
    """The fact that ``request`` was granted: what was expected is what stood there before."""
    return AliasMoved(
        name=request.name,
        alias=request.alias,
        version=request.version,
        previous_version=request.expected,
        moved_at=now,
        by=request.by,
    )


def _refuse_unknown(record: ModelRecord, request: MoveAlias) -> None:
    if named(record, request.version):
        return
    raise UnknownModelError(
        f"{request.name}:{request.version} is not published, so @{request.alias} cannot name it. "
        f"`fleetward model show {request.name}` lists what is."
    )


def _conflict(request: MoveAlias, current: Version | None) -> str:
    expected = f"to name {request.expected}" if request.expected else "not to exist"
    stands = f"it names {current}" if current else "it does not exist"
    return (
        f"{request.name}@{request.alias} was expected {expected}, but {stands}. "
        "Look at what it names now and ask again from there."
    )


def _moved(record: ModelRecord, step: AliasMove) -> ModelRecord:
    aliases: dict[AliasName, Version] = {**record.aliases, step.alias: step.version}
    history = (*record.alias_history, step)[-MAX_ALIAS_MOVES_KEPT:]
    return structs.replace(record, aliases=aliases, alias_history=history)
