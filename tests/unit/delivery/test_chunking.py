"""A file's digest and its chunks' are those of its bytes, and are found about as fast as the first."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from fleetward.delivery import chunking
from fleetward.delivery.chunking import BLOCK_BYTES, chunk_file
from fleetward.delivery.errors import LayoutError
from fleetward.delivery.manifest import MAX_CHUNK_BYTES
from tests.unit.delivery.model_files import safetensors, saved, tensors

MIB = 1024 * 1024


@pytest.mark.parametrize(
    "content",
    [
        b"x",
        bytes(3 * MIB + 1),
        safetensors(tensors(3, 1000)),
        safetensors(tensors(3, BLOCK_BYTES)),
        safetensors(tensors(7, 999_999)),
    ],
    ids=["one byte", "zeros", "small", "blocks", "odd"],
)
def test_digests_are_those_of_the_bytes(content: bytes, tmp_path: Path) -> None:
    file = chunk_file(saved(content, tmp_path / "m"))

    assert file.digest == f"sha256:{hashlib.sha256(content).hexdigest()}"
    assert b"".join(content[c.start : c.start + c.length] for c in file.chunks) == content
    for chunk in file.chunks:
        assert 0 < chunk.length <= MAX_CHUNK_BYTES
        part = content[chunk.start : chunk.start + chunk.length]
        assert chunk.sha256 == hashlib.sha256(part).digest()


def test_progress_reaches_the_whole_file(tmp_path: Path) -> None:
    content, seen = safetensors(tensors(3, BLOCK_BYTES)), list[int]()

    chunk_file(saved(content, tmp_path / "m"), seen.append)

    assert seen == sorted(seen)
    assert seen[-1] == len(content)


@pytest.mark.parametrize("change_bytes", [-1, 1, -BLOCK_BYTES])
def test_a_file_that_changes_while_it_is_read_is_refused(change_bytes: int, tmp_path: Path) -> None:
    content = safetensors(tensors(3, BLOCK_BYTES))
    path = saved(content, tmp_path / "m")

    def change(hashed: int) -> None:
        path.write_bytes((content + b"x")[: len(content) + change_bytes])

    with pytest.raises(LayoutError, match="changed while it was read"):
        chunk_file(path, change)


def test_an_empty_file_has_no_chunks(tmp_path: Path) -> None:
    assert chunk_file(saved(b"", tmp_path / "m")).chunks == ()


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    import tracemalloc

    path = saved(safetensors(tensors(4, 16 * MIB)), tmp_path / "m")
    tracemalloc.start()
    chunk_file(path)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak_bytes < (chunking.BLOCKS + 4) * chunking.BLOCK_BYTES
