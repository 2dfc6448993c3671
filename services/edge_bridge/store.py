"""The models on a robot's disk, by digest: each is whole, signed and verified, or not there.

A model enters by one rename, after its bytes and its signed manifest are durable. What the robot
serves, wants or may return to is pinned; the rest goes when room is needed.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

from edge_bridge.errors import DigestMismatchError, DiskFullError
from edge_bridge.files import (
    digest_of_file,
    full_disk_named,
    move_whole,
    sync_directory,
    write_whole,
)
from edge_bridge.partial import PartialModel
from fleetward.contracts.codec import decode, encode
from fleetward.contracts.ids import Digest
from fleetward.contracts.registry import SignedManifest

_MODEL = ".model"
_MANIFEST = ".manifest"


class ModelStore:
    """A directory of ``<hex>.model`` and ``<hex>.manifest``; ``partial/`` holds what is arriving.

    limit_bytes bounds the models together; reserve_bytes stays free on the disk for the journal.
    """

    def __init__(self, directory: Path, *, limit_bytes: int, reserve_bytes: int) -> None:
        self._directory = directory
        self._arriving = directory / "partial"
        self._limit_bytes = limit_bytes
        self._reserve_bytes = reserve_bytes
        self._arriving.mkdir(parents=True, exist_ok=True)
        for leftover in directory.glob("*.partial"):
            leftover.unlink()

    def digests(self) -> frozenset[Digest]:
        """Every model that is whole, with its manifest."""
        return frozenset(
            Digest(f"sha256:{path.stem}")
            for path in self._directory.glob(f"*{_MODEL}")
            if path.with_suffix(_MANIFEST).exists()
        )

    def path(self, digest: Digest) -> Path:
        """Where this model's bytes are, or will be."""
        return self._directory / f"{_hex(digest)}{_MODEL}"

    def manifest(self, digest: Digest) -> SignedManifest:
        """The manifest a model came with; verify it before believing it."""
        content = self.path(digest).with_suffix(_MANIFEST).read_bytes()
        return decode(content, SignedManifest)

    def partial(self, digest: Digest, size_bytes: int) -> PartialModel:
        """The unfinished file of a model, with whatever an earlier attempt left in it."""
        return PartialModel(self._arriving / _hex(digest), size_bytes)

    def adopt(self, partial: PartialModel, digest: Digest, signed: SignedManifest) -> None:
        """Take a complete partial in: verify, manifest, rename. Blocks for a read and an fsync.

        Raises DigestMismatchError and forgets the partial when its bytes are not ``digest``.
        """
        found = partial.digest()
        if found != digest:
            partial.forget()
            raise DigestMismatchError(
                f"{partial.size_bytes} bytes arrived for {digest} and they are {found}. "
                "Publish the model again, or look for what changes bytes on the way."
            )
        with full_disk_named(f"the model {digest}"):
            write_whole(self.path(digest).with_suffix(_MANIFEST), encode(signed))
            move_whole(partial.path, self.path(digest))
            partial.forget()

    def verify(self, digest: Digest) -> None:
        """Read a stored model again; one that rotted on disk is removed. Raises DigestMismatchError."""
        found = digest_of_file(self.path(digest))
        if found != digest:
            self.remove(digest)
            raise DigestMismatchError(
                f"the stored model {digest} reads as {found}: the disk changed it. It was removed "
                "and is fetched again."
            )

    def remove(self, digest: Digest) -> None:
        """Forget a model: the bytes first, so that a manifest never stands for missing bytes."""
        self.path(digest).unlink(missing_ok=True)
        self.path(digest).with_suffix(_MANIFEST).unlink(missing_ok=True)
        sync_directory(self._directory)

    def make_room(self, digest: Digest, size_bytes: int, pinned: Iterable[Digest]) -> None:
        """Free what ``size_bytes`` more need, oldest unpinned models first; raises DiskFullError."""
        kept = {*pinned, digest}
        self._forget_partials(keep=digest)
        here_bytes = self._arriving_bytes(digest)
        removable = [old for old in self._oldest_first() if old not in kept]
        while not self._fits(size_bytes - here_bytes):
            if not removable:
                raise DiskFullError(
                    f"Free space on the robot's disk: the model has {size_bytes} bytes, "
                    f"{self._free_bytes()} are free, {self._reserve_bytes} of them stay free, "
                    f"and models may use {self._limit_bytes} in all."
                )
            self.remove(removable.pop(0))

    def collect(self, pinned: Iterable[Digest], keep_unpinned: int) -> None:
        """Remove all but the ``keep_unpinned`` newest of the models nothing needs."""
        kept = set(pinned)
        spare = [digest for digest in self._oldest_first() if digest not in kept]
        for digest in spare[: max(0, len(spare) - keep_unpinned)]:
            self.remove(digest)

    def _fits(self, more_bytes: int) -> bool:
        used_bytes = sum(self.path(digest).stat().st_size for digest in self.digests())
        within_limit = used_bytes + more_bytes <= self._limit_bytes
        return within_limit and self._free_bytes() - more_bytes >= self._reserve_bytes

    def _free_bytes(self) -> int:
        return shutil.disk_usage(self._directory).free

    def _arriving_bytes(self, digest: Digest) -> int:
        path = self._arriving / _hex(digest)
        return path.stat().st_size if path.exists() else 0

    def _oldest_first(self) -> list[Digest]:
        return sorted(self.digests(), key=lambda digest: self.path(digest).stat().st_mtime_ns)

    def _forget_partials(self, keep: Digest) -> None:
        for path in self._arriving.iterdir():
            if path.stem != _hex(keep):
                path.unlink()


def _hex(digest: Digest) -> str:
    return digest.partition(":")[2]
