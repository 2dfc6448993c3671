"""Takes a version out of one registry, and into another that verifies and signs it anew."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from nats.aio.client import Client

from fleetward.bus.requests import ask
from fleetward.client.descriptions import ORIGIN, Description
from fleetward.client.errors import DownloadError, FileRefusedError
from fleetward.contracts.ids import Digest, ModelRef
from fleetward.contracts.judgements import ExportGranted, ExportModel
from fleetward.contracts.registry import ModelRegistered
from fleetward.delivery.archive import (
    FORMAT_VERSION,
    MODEL,
    ArchivedVersion,
    ArchiveWriter,
    unpack,
)
from fleetward.delivery.errors import ArchiveError
from fleetward.delivery.manifest import (
    MAX_MANIFEST_BYTES,
    ChunkManifest,
    PackRun,
    decode_manifest,
    manifest_digest,
)

if TYPE_CHECKING:
    import aiohttp

    from fleetward.client.fleet import Fleet

STALL_S = 60.0
"""A body that gives nothing for so long is given up."""


async def export_version(connection: Client, model: ModelRef, path: Path) -> ArchivedVersion:
    """Write a published version with all that is said of it to ``path``; nothing half is left.

    Raises RefusedError (the registry's words), DownloadError, ArchiveError.
    """
    import aiohttp

    granted: ExportGranted = await ask(
        connection, ExportModel(name=model.name, version=model.version)
    )
    about = _about(granted)
    partial = path.with_name(f"{path.name}.partial")
    timeout = aiohttp.ClientTimeout(total=None, sock_read=STALL_S, sock_connect=STALL_S)
    try:
        async with aiohttp.ClientSession(timeout=timeout, auto_decompress=False) as session:
            with partial.open("wb") as file:
                writer = ArchiveWriter(file, about)
                await _write_model(session, granted, writer)
                writer.close()
        partial.replace(path)
    except (aiohttp.ClientError, asyncio.TimeoutError, EOFError, OSError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else repr(error)
        raise DownloadError(
            f"{model} was not exported to {path}: {why}. Check the path, or try again."
        ) from error
    finally:
        partial.unlink(missing_ok=True)
    return about


async def import_version(
    fleet: Fleet, archive: Path, *, name: str | None = None, version: str | None = None
) -> ModelRegistered:
    """Publish what is in ``archive`` as ``name:version`` (None: as it was there).

    The registry trusts nothing of it: it hashes, inspects and signs the bytes itself. Raises
    ArchiveError and what ``Fleet.push_model`` raises.
    """
    with TemporaryDirectory(prefix="fleetward-import-") as scratch:
        model = Path(scratch) / MODEL
        about = await asyncio.to_thread(_unpacked, archive, model)
        return await fleet.push_model(
            model,
            name or about.name,
            version or about.version,
            metadata=about.metadata,
            description=description_of(about),
            fits=about.fits,
        )


def description_of(about: ArchivedVersion) -> Description:
    """What the importing registry shall say of the version: lineage keeps where it was first."""
    origin = f"{about.name}:{about.version}, release {about.release}, signed by {about.signed_by}"
    return Description(
        lineage={ORIGIN: origin, **about.lineage}, licence=about.licence, card=about.card
    )


def _unpacked(archive: Path, model: Path) -> ArchivedVersion:
    try:
        return unpack(archive, model)
    except OSError as error:
        raise FileRefusedError(f"{archive} cannot be read: {error.strerror}.") from error
    except ArchiveError as error:
        raise ArchiveError(f"{archive}: {error}") from error


def _about(granted: ExportGranted) -> ArchivedVersion:
    manifest, curation, signed = granted.version.manifest, granted.curation, granted.version.signed
    return ArchivedVersion(
        format=FORMAT_VERSION,
        name=manifest.model.name,
        version=manifest.model.version,
        digest=manifest.digest,
        size_bytes=manifest.size_bytes,
        release=manifest.release,
        fits=manifest.fits,
        metadata=manifest.metadata,
        lineage=curation.lineage,
        licence=curation.licence,
        card=granted.card,
        signed_payload=signed.payload,
        signed_by=signed.key_id,
        signature=signed.signature,
    )


async def _write_model(
    session: aiohttp.ClientSession, granted: ExportGranted, writer: ArchiveWriter
) -> None:
    stored = granted.version.manifest.chunks
    assert stored is not None, "a registry grants no export without chunks"
    content = await _got(session, granted.chunks_url, 0, min(stored.size_bytes, MAX_MANIFEST_BYTES))
    if manifest_digest(content) != stored.digest:
        raise DownloadError(f"the chunk manifest is not {stored.digest}. Try again.")
    chunks = decode_manifest(content)
    for run in chunks.header.runs:
        await _write_run(session, granted.packs, chunks, run, writer)


async def _write_run(
    session: aiohttp.ClientSession,
    packs: Mapping[Digest, str],
    chunks: ChunkManifest,
    run: PackRun,
    writer: ArchiveWriter,
) -> None:
    """One range of a pack (at most 64 MiB), each chunk of it checked."""
    wanted = chunks.chunks[run.first : run.first + run.chunks]
    length = sum(chunk.length for chunk in wanted)
    content = memoryview(await _got(session, packs[run.pack], run.offset, length))
    at = 0
    for chunk in wanted:
        part = bytes(content[at : at + chunk.length])
        if hashlib.sha256(part).digest() != chunk.sha256:
            raise DownloadError(f"the pack {run.pack} is not what was published. Try again.")
        writer.write(part)
        at += chunk.length


async def _got(session: aiohttp.ClientSession, url: str, start: int, length: int) -> bytes:
    headers = {"Range": f"bytes={start}-{start + length - 1}"}
    async with session.get(url, headers=headers) as answer:
        answer.raise_for_status()
        return await answer.content.readexactly(length)
