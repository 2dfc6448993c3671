"""The models on a robot's disk, by digest: each is whole, signed and verified, or not there.

A model enters by one rename, after its bytes and its signed manifest are durable. What the robot
serves, wants or may return to is pinned; the rest goes when room is needed.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Set
from pathlib import Path

from edge_bridge.errors import DigestMismatchError, DiskFailedError, DiskFullError
from edge_bridge.fetching.partial import PartialModel
from edge_bridge.fetching.spending import Spending
from edge_bridge.files import Disk, Files, full_disk_named
from fleetward.contracts.codec import decode, encode
from fleetward.contracts.ids import Digest
from fleetward.contracts.registry import SignedManifest
from fleetward.delivery.errors import ManifestError
from fleetward.delivery.manifest import ChunkManifest, decode_manifest

_MODEL = ".model"
_MANIFEST = ".manifest"
_CHUNKS = ".chunks"
_SPENDING = ".spending"
_DELTA = ".delta"


class ModelStore:
    """A directory of ``<hex>.model``, ``.manifest`` and ``.chunks``; ``partial/`` is what arrives.

    limit_bytes bounds the models together; reserve_bytes stays free on the disk for the journal.
    """

    def __init__(
        self, directory: Path, *, limit_bytes: int, reserve_bytes: int, disk: Disk | None = None
    ) -> None:
        self.files = Files(disk or Disk())
        self._directory = directory
        self._arriving = directory / "partial"
        self._limit_bytes = limit_bytes
        self._reserve_bytes = reserve_bytes
        self._partial: PartialModel | None = None
        """The last one: what it proved of its bytes need not be read again at every attempt."""
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

    def held(self) -> dict[Digest, ChunkManifest]:
        """The models that an update can copy from. Blocks for a read of their chunk manifests.

        One whose chunk manifest cannot be read is left out: it costs bytes, never correctness.
        """
        held: dict[Digest, ChunkManifest] = {}
        for digest in self.digests():
            try:
                content = self.files.read(self.path(digest).with_suffix(_CHUNKS))
                held[digest] = decode_manifest(content or b"")
            except (DiskFailedError, ManifestError):
                continue
        return held

    def partial(self, manifest: ChunkManifest) -> PartialModel:
        """The unfinished file of a model, with whatever an earlier attempt left in it."""
        path = self._arriving / _hex(manifest.header.digest)
        if self._partial is None or self._partial.path != path:
            self._partial = PartialModel(path, manifest, self.files)
        return self._partial

    def spending(self, digest: Digest, generation: int) -> Spending:
        """What fetching this model cost so far."""
        return Spending(self._beside_partial(digest, _SPENDING), generation, self.files)

    def keep_chunks(self, digest: Digest, content: bytes) -> None:
        """Keep the encoded chunk manifest of a model that is arriving."""
        self.files.write_whole(self._beside_partial(digest, _CHUNKS), content)

    def kept_chunks(self, digest: Digest) -> bytes | None:
        """What an earlier attempt kept; verify it before believing it."""
        return self.files.read(self._beside_partial(digest, _CHUNKS))

    def keep_delta(self, digest: Digest, delta: Digest, header: bytes) -> None:
        """Keep the header of the delta that a model arrives by."""
        self.files.write_whole(
            self._beside_partial(digest, _DELTA), delta.encode("ascii") + b"\n" + header
        )

    def kept_delta(self, digest: Digest, delta: Digest) -> bytes | None:
        """The header, if an earlier attempt kept this very delta's."""
        content = self.files.read(self._beside_partial(digest, _DELTA)) or b""
        name, _, header = content.partition(b"\n")
        return header if name == delta.encode("ascii") else None

    def forget_delta(self, digest: Digest) -> None:
        """Read the header of a delta anew."""
        self.files.remove(self._beside_partial(digest, _DELTA))

    def adopt(
        self, partial: PartialModel, digest: Digest, signed: SignedManifest, chunks: bytes
    ) -> None:
        """Take a complete partial in: verify, manifests, rename. Blocks for a read and an fsync.

        Raises DigestMismatchError when its bytes are not ``digest``; they are kept, in doubt.
        """
        found = partial.digest()
        if found != digest:
            partial.doubt()
            raise DigestMismatchError(
                f"{partial.size_bytes} bytes arrived for {digest} and they are {found}. "
                "Publish the model again, or look for what changes bytes on the way."
            )
        path = self.path(digest)
        with full_disk_named(f"the model {digest}"):
            self.files.write_whole(path.with_suffix(_CHUNKS), chunks)
            self.files.write_whole(path.with_suffix(_MANIFEST), encode(signed))
            self.files.move_whole(partial.path, path)
        self.forget_partial(digest)

    def forget_partial(self, digest: Digest) -> None:
        """Leave nothing of what was arriving."""
        if self._partial is not None and self._partial.path.name == _hex(digest):
            self._partial = None
        for path in self._arriving.glob(f"{_hex(digest)}*"):
            self.files.remove(path)

    def verify(self, digest: Digest) -> None:
        """Read a stored model again; one that rotted on disk is removed. Raises DigestMismatchError."""
        found = self.files.digest(self.path(digest))
        if found != digest:
            self.remove(digest)
            raise DigestMismatchError(
                f"the stored model {digest} reads as {found}: the disk changed it. It was removed "
                "and is fetched again."
            )

    def remove(self, digest: Digest) -> None:
        """Forget a model: the bytes first, so that a manifest never stands for missing bytes."""
        for suffix in (_MODEL, _MANIFEST, _CHUNKS):
            self.files.remove(self.path(digest).with_suffix(suffix))
        with full_disk_named(f"the model {digest}"):
            self.files.disk.sync_directory(self._directory)

    def make_room(self, digest: Digest, size_bytes: int, pinned: Iterable[Digest]) -> None:
        """Free what ``size_bytes`` more need, oldest unpinned models first; raises DiskFullError."""
        kept = {*pinned, digest}
        self._forget_partials(kept)
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
        """Remove all but the ``keep_unpinned`` newest of the models nothing needs.

        And what arrived of models that are not wanted any more: a newer target cut their fetch off.
        """
        kept = set(pinned)
        self._forget_partials(kept)
        spare = [digest for digest in self._oldest_first() if digest not in kept]
        for digest in spare[: max(0, len(spare) - keep_unpinned)]:
            self.remove(digest)

    def _beside_partial(self, digest: Digest, suffix: str) -> Path:
        return self._arriving / f"{_hex(digest)}{suffix}"

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

    def _forget_partials(self, kept: Set[Digest]) -> None:
        names = {_hex(digest) for digest in kept}
        if self._partial is not None and self._partial.path.name not in names:
            self._partial = None
        for path in self._arriving.iterdir():
            if path.stem not in names:
                self.files.remove(path)


def _hex(digest: Digest) -> str:
    return digest.partition(":")[2]
