"""Publishes models and reads what is published."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from secrets import token_hex

from nats.aio.client import Client

from fleetward.bus.last_values import last_value, last_values
from fleetward.bus.requests import ask
from fleetward.client.access import StoreAccess
from fleetward.client.descriptions import NOTHING_SAID, Description
from fleetward.client.errors import FileRefusedError, UnknownModelError, UploadError
from fleetward.client.uploads import open_uploads
from fleetward.contracts.ids import (
    AliasName,
    Digest,
    ModelName,
    ModelRef,
    ModelSelector,
    Version,
)
from fleetward.contracts.registry import (
    UPLOADS_PREFIX,
    AliasMoved,
    ModelRecord,
    ModelRegistered,
    ModelVersion,
    MoveAlias,
    RegisterModel,
)

READ_BYTES = 4 * 1024**2

Progress = Callable[[int, int], None]
"""Called with bytes sent so far and bytes in all."""


async def push(
    connection: Client,
    store: StoreAccess,
    path: Path,
    model: ModelRef,
    metadata: Mapping[str, str],
    progress: Progress,
    description: Description = NOTHING_SAID,
) -> ModelRegistered:
    """Upload a file and have the registry verify, sign and announce it.

    Raises FileRefusedError, UploadError, RefusedError (the registry's words), NoAnswerError.
    """
    digest, size_bytes = await asyncio.to_thread(_digest_of, path)
    upload_key = UPLOADS_PREFIX + token_hex(16)
    request = RegisterModel(
        name=model.name,
        version=model.version,
        digest=digest,
        size_bytes=size_bytes,
        upload_key=upload_key,
        metadata=dict(metadata),
        lineage=dict(description.lineage),
        licence=description.licence,
        card=description.card,
    )
    async with open_uploads(store) as uploads:
        try:
            await uploads.put(path, upload_key, size_bytes, progress)
            registered: ModelRegistered = await ask(connection, request)
        except BaseException:
            with suppress(UploadError):
                await uploads.remove(upload_key)
            raise
    return registered


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


def _digest_of(path: Path) -> tuple[Digest, int]:
    """SHA-256 and size in bytes of a readable, non-empty file; raises FileRefusedError."""
    hashed, size_bytes = hashlib.sha256(), 0
    try:
        with path.open("rb") as file:
            while chunk := file.read(READ_BYTES):
                hashed.update(chunk)
                size_bytes += len(chunk)
    except OSError as error:
        raise FileRefusedError(
            f"{path} cannot be read: {error.strerror}. Name the file of an ONNX model."
        ) from error
    if size_bytes == 0:
        raise FileRefusedError(f"{path} is empty. Name the file of an ONNX model.")
    return Digest(f"sha256:{hashed.hexdigest()}"), size_bytes
