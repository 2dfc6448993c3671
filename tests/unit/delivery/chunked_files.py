"""Small models in chunks and packs, built by hand: what publishing would have made of them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from fleetward.contracts.ids import Digest
from fleetward.delivery.manifest import Chunk, ChunkManifest, ManifestHeader, PackRun


def digest_of(content: bytes) -> Digest:
    return Digest(f"sha256:{hashlib.sha256(content).hexdigest()}")


class Packs:
    """Stores each chunk once, a new pack for each model's new chunks of at most ``pack_bytes``."""

    def __init__(self, pack_bytes: int = 64 * 1024 * 1024) -> None:
        self.objects: dict[Digest, bytes] = {}
        self._pack_bytes = pack_bytes
        self._places: dict[bytes, tuple[Digest, int]] = {}

    def publish(self, pieces: Sequence[bytes]) -> ChunkManifest:
        """The manifest of the file that ``pieces`` make, each of them a chunk."""
        self._store([piece for piece in dict.fromkeys(pieces) if _sha(piece) not in self._places])
        content = b"".join(pieces)
        header = ManifestHeader(
            digest=digest_of(content),
            size_bytes=len(content),
            file_format="opaque",
            runs=tuple(self._runs(pieces)),
        )
        return ChunkManifest(header, chunks_of(pieces))

    def _store(self, pieces: Sequence[bytes]) -> None:
        pack: list[bytes] = []
        for piece in pieces:
            if sum(map(len, pack)) + len(piece) > self._pack_bytes:
                self._close(pack)
                pack = []
            pack.append(piece)
        self._close(pack)

    def _close(self, pack: Sequence[bytes]) -> None:
        if not pack:
            return
        content, offset = b"".join(pack), 0
        digest = digest_of(content)
        self.objects[digest] = content
        for piece in pack:
            self._places[_sha(piece)] = (digest, offset)
            offset += len(piece)

    def _runs(self, pieces: Sequence[bytes]) -> list[PackRun]:
        runs: list[PackRun] = []
        end: tuple[Digest, int] | None = None
        for number, piece in enumerate(pieces):
            pack, offset = self._places[_sha(piece)]
            if end == (pack, offset):
                last = runs.pop()
                runs.append(PackRun(last.first, last.chunks + 1, pack, last.offset))
            else:
                runs.append(PackRun(number, 1, pack, offset))
            end = (pack, offset + len(piece))
        return runs


def chunks_of(pieces: Sequence[bytes]) -> tuple[Chunk, ...]:
    """The chunk table of a file cut into ``pieces``."""
    chunks, start = [], 0
    for piece in pieces:
        chunks.append(Chunk(_sha(piece), start, len(piece)))
        start += len(piece)
    return tuple(chunks)


def _sha(piece: bytes) -> bytes:
    return hashlib.sha256(piece).digest()
