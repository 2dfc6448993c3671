"""Reads what ever happened to a model, and what a robot ever served."""

from __future__ import annotations

from nats.aio.client import Client

from fleetward.bus.history import history
from fleetward.bus.last_values import last_value
from fleetward.client.errors import UnknownModelError
from fleetward.client.models import record
from fleetward.client.robots import enrolled
from fleetward.client.timeline import Happening, Served, served
from fleetward.contracts.event import Event
from fleetward.contracts.ids import AliasName, ModelName, RobotId
from fleetward.contracts.judgements import (
    GatesRequired,
    ModelApproved,
    ModelDeprecated,
    ModelPreflighted,
    ModelsRetired,
    ModelWithdrawn,
    ValidationReported,
)
from fleetward.contracts.registry import AliasMoved, ModelPublished
from fleetward.contracts.robots import ModelActivated, ModelFellBack, RobotCheckedIn

TOLD: tuple[type[Event], ...] = (
    ModelPublished,
    AliasMoved,
    ModelDeprecated,
    ModelWithdrawn,
    ModelPreflighted,
    ValidationReported,
    ModelApproved,
    GatesRequired,
    ModelsRetired,
)
"""Every kind of fact in a model's history."""


async def alias_moves(
    connection: Client, name: ModelName, alias: AliasName | None = None
) -> tuple[AliasMoved, ...]:
    """Every move of a model's aliases, or of one, since the first."""
    moves = [move async for move in history(connection, AliasMoved, name=name)]
    return tuple(move for move in moves if alias in (None, move.alias))


async def of_alias(connection: Client, name: ModelName, alias: AliasName) -> tuple[AliasMoved, ...]:
    """Every move of one alias; raises UnknownModelError for one that never named a version."""
    moves = await alias_moves(connection, name)
    found = tuple(move for move in moves if move.alias == alias)
    if not moves:
        await record(connection, name)
    if not found:
        known = ", ".join(sorted({f"@{move.alias}" for move in moves})) or "no alias"
        raise UnknownModelError(f"{name}@{alias} never named a version; {name} has had {known}.")
    return found


async def of_model(connection: Client, name: ModelName) -> tuple[Happening, ...]:
    """Everything that ever happened to a model, in order; raises UnknownModelError."""
    lines = []
    for kind in TOLD:
        lines += [happening(fact) async for fact in history(connection, kind, name=name)]
    if not lines:
        await record(connection, name)
    return tuple(sorted(lines))


async def of_robot(connection: Client, robot: RobotId) -> tuple[Served, ...]:
    """Everything a robot ever reported to serve, in order; raises UnknownRobotError."""
    activated = [fact async for fact in history(connection, ModelActivated, robot_id=robot)]
    fallen = [fact async for fact in history(connection, ModelFellBack, robot_id=robot)]
    if not activated and not fallen:
        await enrolled(connection, robot)
    said = await last_value(connection, RobotCheckedIn, robot_id=robot)
    pipelines = [each.name for each in said.event.pipelines] if said else []
    return served(activated, fallen, pipelines)


def happening(fact: Event) -> Happening:
    """One fact of TOLD in words."""
    if isinstance(fact, ModelPublished):
        what = f"{fact.version} published as release {fact.release} ({fact.digest[:19]})"
        return Happening(at=fact.published_at, what=what)
    if isinstance(fact, AliasMoved):
        before = f"from {fact.previous_version}" if fact.previous_version else "new"
        what = f"@{fact.alias} names {fact.version} ({before})"
        return Happening(at=fact.moved_at, what=what, by=fact.by)
    if isinstance(fact, (ModelDeprecated, ModelWithdrawn)):
        return _standing(fact)
    if isinstance(fact, ModelPreflighted):
        outcome = "passed" if fact.preflight.passed else f"failed: {fact.preflight.reason}"
        return Happening(at=fact.preflight.at, what=f"{fact.version} preflight {outcome}")
    if isinstance(fact, ValidationReported):
        outcome = "passed" if fact.passed else "failed"
        what = f"{fact.version} {fact.kind} report: {outcome}"
        return Happening(at=fact.reported_at, what=what)
    return _decision(fact)


def _standing(fact: ModelDeprecated | ModelWithdrawn) -> Happening:
    if isinstance(fact, ModelDeprecated):
        what = f"{fact.version} deprecated: {fact.reason}"
        return Happening(at=fact.deprecated_at, what=what, by=fact.by)
    what = f"{fact.version} WITHDRAWN: {fact.reason}"
    return Happening(at=fact.withdrawn_at, what=what, by=fact.by)


def _decision(fact: Event) -> Happening:
    if isinstance(fact, ModelApproved):
        note = f": {fact.note}" if fact.note else ""
        return Happening(at=fact.approved_at, what=f"{fact.version} approved{note}", by=fact.by)
    if isinstance(fact, GatesRequired):
        what = f"@{fact.alias} demands {', '.join(fact.gates) or 'nothing'}"
        return Happening(at=fact.required_at, what=what, by=fact.by)
    assert isinstance(fact, ModelsRetired), "TOLD has no other kinds"
    what = f"{', '.join(fact.versions)} retired by the retention policy"
    return Happening(at=fact.retired_at, what=what)
