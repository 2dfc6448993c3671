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
from fleetward.contracts.variants import named


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
    """The one artifact a selector names in its model's record; raises UnknownModelError."""
    found = versions_of(record, selector)
    wanted = _wanted(record, selector)
    for version in found:
        if version.manifest.model.version == wanted:
            return version
    variants = ", ".join(str(version.manifest.model) for version in found)
    raise UnknownModelError(f"{selector} has variants alone. Name one of them: {variants}.")


def versions_of(record: ModelRecord, selector: ModelSelector) -> tuple[ModelVersion, ...]:
    """The version a selector names and all its variants; raises UnknownModelError."""
    found = named(record, _wanted(record, selector))
    if found:
        return found
    held = ", ".join(held.manifest.model.version for held in record.versions[-5:]) or "none"
    aliases = ", ".join(f"@{alias}" for alias in sorted(record.aliases)) or "none"
    raise UnknownModelError(
        f"{selector} is not published. {record.name} has versions {held} and aliases {aliases}."
    )


def _wanted(record: ModelRecord, selector: ModelSelector) -> Version | None:
    return selector.version if selector.alias is None else record.aliases.get(selector.alias)


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
