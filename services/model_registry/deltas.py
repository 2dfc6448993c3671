"""Prepares deltas in the background, one at a time, and offers those that save robots bytes.

What is missing follows from the records alone, so a preparation that was cut off is taken up again
by the next process; doing one twice gives the same object and the same offer.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from nats.aio.client import Client

from fleetward.bus.errors import BusError
from fleetward.bus.last_values import last_values
from fleetward.bus.logs import log
from fleetward.contracts.errors import FleetwardError
from fleetward.contracts.ids import ModelName
from fleetward.contracts.registry import (
    DeltaOffer,
    MergedAdapter,
    ModelRecord,
    ModelVersion,
    StoredObject,
)
from fleetward.delivery.adapters import LowRank, read_adapter
from fleetward.delivery.delta_file import WrittenDelta, check_delta, write_delta
from fleetward.delivery.delta_plan import Side, plain_bytes, side_of_manifest
from model_registry.changes import Changes
from model_registry.chunk_manifests import ChunkManifests
from model_registry.delta_pairs import Pair, wanted, with_offer
from model_registry.keys import delta_key
from model_registry.objects import ModelObjects
from model_registry.pack_reader import PackReader
from model_registry.records import Records

_logger = logging.getLogger(__name__)

LOOK_AGAIN_S = 900.0
"""After so long every record is looked at again: what failed, and what another process published."""


class DeltaPreparer:
    """Keeps the offers of every model up; made once, ``keep`` runs as long as the process.

    ``changes`` tells which records to look at; ``directory`` is its own, for scratch files and for
    what it found not to be worth an offer.
    """

    def __init__(
        self,
        *,
        connection: Client,
        records: Records,
        changes: Changes,
        objects: ModelObjects,
        directory: Path,
    ) -> None:
        self._connection = connection
        self._records = records
        self._changes = changes
        self._objects = objects
        self._manifests = ChunkManifests(objects)
        self._scratch_dir = directory / "scratch"
        self._useless_dir = directory / "useless"
        self._is_stopped = False

    async def keep(self) -> None:
        """Prepare what is missing, whenever something is, until cancelled."""
        shutil.rmtree(self._scratch_dir, ignore_errors=True)
        for directory in (self._scratch_dir, self._useless_dir):
            directory.mkdir(parents=True, exist_ok=True)
        while True:
            await self._note_all()
            while (name := await self._next_name()) is not None:
                await self._prepare_model(name)

    async def _next_name(self) -> ModelName | None:
        _end_if_cancelled()
        try:
            async with asyncio.timeout(LOOK_AGAIN_S):
                return await self._changes.next()
        except TimeoutError:
            return None

    async def _note_all(self) -> None:
        try:
            for value in await last_values(self._connection, ModelRecord):
                self._changes.note(value.event.name)
        except BusError as error:
            log(_logger, "deltas.records_unread", level=logging.WARNING, error=str(error))

    async def _prepare_model(self, name: ModelName) -> None:
        """Offer what is missing; what fails is logged and tried again with the next change."""
        try:
            record, _ = await self._records.load(name)
        except FleetwardError as error:
            log(_logger, "delta.failed", level=logging.WARNING, model=name, error=str(error))
            return
        for pair in wanted(record):
            if self._mark_of(pair).exists():
                continue
            try:
                await self._prepare(name, pair)
            except (FleetwardError, OSError) as error:
                log(
                    _logger,
                    "delta.failed",
                    level=logging.WARNING,
                    base=str(pair.base.manifest.model),
                    target=str(pair.target.manifest.model),
                    error=str(error),
                )

    async def _prepare(self, name: ModelName, pair: Pair) -> None:
        base, target = await self._side(pair.base), await self._side(pair.target)
        with TemporaryDirectory(dir=self._scratch_dir) as scratch:
            low_ranks = await self._adapter(pair.merged, Path(scratch) / "adapter")
            path = Path(scratch) / "delta"
            written = await self._written(base, target, path, low_ranks)
            if written.delta.fetch_bytes >= plain_bytes(base, target):
                self._mark_of(pair).touch()
                return
            stored = StoredObject(delta_key(written.digest), written.digest, written.size_bytes)
            await self._objects.keep_file(stored.key, path)
        offer = DeltaOffer(
            base=base.digest,
            stored=stored,
            header_bytes=written.delta.header_bytes,
            fetch_bytes=written.delta.fetch_bytes,
        )
        await self._records.change(name, lambda record: with_offer(record, pair, offer))
        log(
            _logger,
            "delta.offered",
            base=str(pair.base.manifest.model),
            target=str(pair.target.manifest.model),
            fetch_bytes=offer.fetch_bytes,
            plain_bytes=plain_bytes(base, target),
        )

    async def _side(self, version: ModelVersion) -> Side:
        assert version.manifest.chunks is not None, "wanted() pairs only versions with chunks"
        manifest = await self._manifests.read(version.manifest.chunks)
        reader = PackReader(self._objects, manifest, lambda: self._is_stopped)
        return side_of_manifest(manifest, reader.read)

    async def _adapter(self, merged: MergedAdapter | None, path: Path) -> Mapping[str, LowRank]:
        if merged is None:
            return {}
        content = await self._objects.read(await self._objects.look(merged.stored.key))
        await asyncio.to_thread(path.write_bytes, content)
        return await asyncio.to_thread(read_adapter, path, merged.scale)

    async def _written(
        self, base: Side, target: Side, path: Path, low_ranks: Mapping[str, LowRank]
    ) -> WrittenDelta:
        """Plan, write and check in a thread, which ends soon after this is cancelled."""
        working = asyncio.create_task(
            asyncio.to_thread(_write_and_check, base, target, path, low_ranks)
        )
        try:
            return await asyncio.shield(working)
        except asyncio.CancelledError:
            self._is_stopped = True
            await asyncio.wait([working])
            raise

    def _mark_of(self, pair: Pair) -> Path:
        """The file that says that this pair's delta is no smaller than its chunks."""
        return self._useless_dir / "-".join(digest[-64:] for digest in pair.digests)


def _end_if_cancelled() -> None:
    """Python 3.11's wait_for loses a cancellation that meets its result, and nats-py waits by it."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def _write_and_check(
    base: Side, target: Side, path: Path, low_ranks: Mapping[str, LowRank]
) -> WrittenDelta:
    written = write_delta(base, target, path, low_ranks)
    check_delta(written, path, base, target)
    return written
