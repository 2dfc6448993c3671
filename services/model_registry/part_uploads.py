"""Uploads of robots in parts: links to what has not arrived, and the whole put together when all has.

All that is known of an upload lies in the store, so any replica may go on with it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

from msgspec import Struct

from fleetward.contracts.ids import Digest
from fleetward.contracts.recordings import PART_BYTES, UploadGranted
from model_registry.errors import DigestMismatchError, UploadIncompleteError
from model_registry.recording_objects import ArrivedPart, RecordingObjects, name_of_parts


class Whole(Struct, frozen=True, kw_only=True):
    """What an upload shall become. ``told``: what is kept with it, for whoever finds it."""

    key: str
    digest: Digest
    size_bytes: int
    told: Mapping[str, str] = {}


class PartUploads:
    """One upload at a time under each prefix: what a robot gave up takes no room."""

    def __init__(
        self, objects: RecordingObjects, grant_s: float, now: Callable[[], datetime]
    ) -> None:
        self._objects = objects
        self._grant_s = grant_s
        self._now = now

    def expiry(self) -> datetime:
        """When links that are given now end."""
        return self._now() + timedelta(seconds=self._grant_s)

    async def grant(self, prefix: str, whole: Whole, upload_id: str) -> UploadGranted:
        """Links to what has not arrived of ``upload_id``, or of a new upload when there is none such."""
        key = whole.key
        arrived = await self._objects.arrived(key, upload_id) if upload_id else None
        stands = arrived is None and await self._stands(whole)
        if arrived is None and not stands:
            await self._objects.abandon(prefix)
            upload_id, arrived = await self._objects.begin(key, whole.told), []
        missing = [] if stands else missing_parts(whole.size_bytes, arrived or [])
        return UploadGranted(
            upload_id=upload_id,
            part_bytes=PART_BYTES,
            urls={
                number: await self._objects.link_to_part(key, upload_id, number)
                for number in missing
            },
            expires_at=self.expiry(),
        )

    async def keep(self, whole: Whole, upload_id: str, part_md5s: Sequence[str] = ()) -> None:
        """Make it one object whose bytes are as told; asked again, it only looks.

        Where the store names each part by the MD5 that was told, and the whole by those (S3 does, unless it
        encrypts with keys of its own), nothing is read again: a fleet's recordings would all have to pass
        through here, and once more for each that asks again. Raises UploadIncompleteError, DigestMismatchError.
        """
        key = whole.key
        arrived = await self._objects.arrived(key, upload_id) if upload_id else None
        if arrived is not None and await self._put_together(whole, upload_id, arrived):
            if part_md5s and [part.md5 for part in arrived] == list(part_md5s):
                return
        elif part_md5s and await self._is_of(whole, part_md5s):
            return
        digest = await self._objects.digest(key)
        if digest is None:
            raise UploadIncompleteError(f"Nothing of {key} has arrived. Send it again.")
        if digest != whole.digest:
            await self._objects.remove(key)
            raise DigestMismatchError(
                f"What arrived as {key} is {digest}, not {whole.digest}. Send it again."
            )

    async def _stands(self, whole: Whole) -> bool:
        """Whether something of that size lies there; what it is, ``keep`` looks at, with more time for it."""
        seen = await self._objects.seen(whole.key)
        return seen is not None and seen.size_bytes == whole.size_bytes

    async def _is_of(self, whole: Whole, part_md5s: Sequence[str]) -> bool:
        seen = await self._objects.seen(whole.key)
        return seen is not None and seen.etag.strip('"') == name_of_parts(part_md5s)

    async def _put_together(self, whole: Whole, upload_id: str, arrived: list[ArrivedPart]) -> bool:
        """False: the upload is gone, made whole or given up by another."""
        size_bytes = sum(part.size_bytes for part in arrived)
        if missing_parts(whole.size_bytes, arrived) or size_bytes != whole.size_bytes:
            await self._objects.abort(whole.key, upload_id)
            raise UploadIncompleteError(
                f"{size_bytes} bytes of {whole.key} arrived, of {whole.size_bytes}. Send it again."
            )
        return await self._objects.complete(whole.key, upload_id, arrived)


def missing_parts(size_bytes: int, arrived: list[ArrivedPart]) -> list[int]:
    """The numbers of the parts that are not there, or not as long as they must be."""
    sizes = {part.number: part.size_bytes for part in arrived}
    starts = range(0, size_bytes, PART_BYTES)
    wanted = {
        number: min(PART_BYTES, size_bytes - start) for number, start in enumerate(starts, start=1)
    }
    return [number for number, size in wanted.items() if sizes.get(number) != size]
