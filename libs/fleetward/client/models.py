"""Reads what is published, and moves its aliases."""

from __future__ import annotations

from nats.aio.client import Client

from fleetward.bus.last_values import last_value, last_values
from fleetward.bus.requests import ask
from fleetward.client.errors import UnknownModelError
from fleetward.contracts.ids import (
    AliasName,
    ModelName,
    ModelSelector,
    Version,
)
from fleetward.contracts.registry import (
    AliasMoved,
    ModelRecord,
    ModelVersion,
    MoveAlias,
)


async def records(connection: Client) -> list[ModelRecord]:
    """Every model's record, by name."""
    values = await last_values(connection, ModelRecord)
    return sorted((value.event for value in values), key=lambda record: record.name)


async def record(connection: Client, name: ModelName) -> ModelRecord:
    """One model's record; raises UnknownModelError."""
    value = await last_value(connection, ModelRecord, name=name)
    if value is None:
        raise UnknownModelError(
            f"No model is named {name}. `fleetward model list` shows what is published."
        )
    return value.event


def version_of(record: ModelRecord, selector: ModelSelector) -> ModelVersion:
    """The version a selector names in its model's record; raises UnknownModelError."""
    wanted = selector.version if selector.alias is None else record.aliases.get(selector.alias)
    for version in record.versions:
        if version.manifest.model.version == wanted:
            return version
    held = ", ".join(held.manifest.model.version for held in record.versions[-5:]) or "none"
    aliases = ", ".join(f"@{alias}" for alias in sorted(record.aliases)) or "none"
    raise UnknownModelError(
        f"{selector} is not published. {record.name} has versions {held} and aliases {aliases}."
    )


async def move_alias(
    connection: Client,
    name: ModelName,
    alias: AliasName,
    version: Version,
    expected: Version | None,
    by: str = "",
) -> AliasMoved:
    """Move an alias from ``expected`` (None: it is new) to ``version``; raises RefusedError."""
    request = MoveAlias(name=name, alias=alias, version=version, expected=expected, by=by)
    moved: AliasMoved = await ask(connection, request)
    return moved
