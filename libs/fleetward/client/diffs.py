"""What an update changes, tensor by tensor, and what moves for it: of files or of published versions."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

import aiohttp
from msgspec import Struct
from nats.aio.client import Client

from fleetward.bus.requests import ask
from fleetward.client.errors import FileRefusedError, UpdateUnreadableError
from fleetward.contracts.comparison import CompareVersions, VersionsCompared
from fleetward.contracts.ids import Digest, ModelRef
from fleetward.contracts.registry import DeltaGranted, ManifestLink
from fleetward.delivery.chunking import chunk_file
from fleetward.delivery.compare import TensorChange, compare
from fleetward.delivery.delta import Delta, FromChunks, Segment, decode_delta
from fleetward.delivery.delta_plan import (
    Planner,
    Side,
    plain_bytes,
    plan_chunks,
    side_of_file,
    side_of_manifest,
)
from fleetward.delivery.errors import DeltaError, LayoutError, ManifestError
from fleetward.delivery.frames import Content
from fleetward.delivery.manifest import ChunkManifest, decode_manifest, manifest_digest

DOWNLOAD_TIMEOUT_S = 60.0


class ModelDiff(Struct, frozen=True, kw_only=True):
    """An update. ``plain_bytes`` move by chunks alone, ``delta_bytes`` by the delta if there is one.

    ``changes`` are priced by the delta, or by chunks when there is none.
    """

    base: Digest
    target: Digest
    base_bytes: int
    target_bytes: int
    plain_bytes: int
    delta_bytes: int | None
    changes: tuple[TensorChange, ...]


def diff_files(base: Path, target: Path) -> ModelDiff:
    """Compare two files on this machine, as a delta between them would be made.

    Takes as long as hashing both and compressing what changed. Raises FileRefusedError.
    """
    with ExitStack() as stack:
        sides = [_opened(path, stack) for path in (base, target)]
        segments = [piece.segment for piece in Planner(sides[0], sides[1], {}).pieces()]
    moved_bytes = sum(
        segment.length if isinstance(segment, FromChunks) else segment.payload_bytes
        for segment in segments
    )
    return _diff(sides[0], sides[1], segments, moved_bytes)


async def diff_versions(connection: Client, base: ModelRef, target: ModelRef) -> ModelDiff:
    """Compare two published versions; only manifests and a delta's header are downloaded.

    Raises UpdateUnreadableError, RefusedError, NoAnswerError.
    """
    compared: VersionsCompared = await ask(connection, CompareVersions(base=base, target=target))
    timeout = aiohttp.ClientTimeout(total=DOWNLOAD_TIMEOUT_S)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        sides = [await _published(session, link) for link in (compared.base, compared.target)]
        delta = await _delta(session, compared.delta) if compared.delta is not None else None
    if delta is None:
        return _diff(sides[0], sides[1], list(plan_chunks(sides[0], sides[1])), None)
    return _diff(sides[0], sides[1], delta.header.segments, delta.fetch_bytes)


def _diff(
    base: Side, target: Side, segments: Sequence[Segment], delta_bytes: int | None
) -> ModelDiff:
    changes = compare(base.tensors, target.tensors, segments, target.size_bytes)
    return ModelDiff(
        base=base.digest,
        target=target.digest,
        base_bytes=base.size_bytes,
        target_bytes=target.size_bytes,
        plain_bytes=plain_bytes(base, target),
        delta_bytes=delta_bytes,
        changes=tuple(changes),
    )


def _opened(path: Path, stack: ExitStack) -> Side:
    try:
        file = stack.enter_context(path.open("rb"))
        return side_of_file(chunk_file(path), lambda start, length: _read(file, start, length))
    except OSError as error:
        raise FileRefusedError(
            f"{path} cannot be read: {error.strerror}. Name the file of a model."
        ) from error
    except LayoutError as error:
        raise FileRefusedError(f"{path} is no sound model: {error}") from error


def _read(file: BinaryIO, start: int, length: int) -> bytes:
    file.seek(start)
    return file.read(length)


async def _published(session: aiohttp.ClientSession, link: ManifestLink) -> Side:
    content = await _downloaded(session, link.url, link.stored.size_bytes)
    if manifest_digest(content) != link.stored.digest:
        raise UpdateUnreadableError(f"{link.stored.key} is not what the registry wrote.")
    return side_of_manifest(await asyncio.to_thread(_decoded, content), _unread)


async def _delta(session: aiohttp.ClientSession, granted: DeltaGranted) -> Delta:
    content = await _downloaded(session, granted.url, granted.offer.header_bytes)
    try:
        return decode_delta(content, granted.offer.stored.size_bytes)
    except DeltaError as error:
        raise UpdateUnreadableError(f"The delta cannot be read: {error}") from error


async def _downloaded(session: aiohttp.ClientSession, url: str, length: int) -> bytes:
    """The first ``length`` bytes at ``url``."""
    try:
        async with session.get(url, headers={"Range": f"bytes=0-{length - 1}"}) as answer:
            answer.raise_for_status()
            return await answer.content.readexactly(length)
    except (aiohttp.ClientError, asyncio.TimeoutError, asyncio.IncompleteReadError) as error:
        raise UpdateUnreadableError(
            f"The object store did not give what the registry wrote ({error}). Try again."
        ) from error


def _decoded(content: bytes) -> ChunkManifest:
    try:
        return decode_manifest(content)
    except ManifestError as error:
        raise UpdateUnreadableError(f"A chunk manifest cannot be read: {error}") from error


def _unread(start: int, length: int) -> Content:
    raise AssertionError("published versions are compared by their manifests alone")
