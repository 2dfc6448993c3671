"""What others move for an update: blocks, content-defined chunks, and a general binary delta.

Each takes the file that a robot holds and the one it shall get, and gives the bytes that move: the
list of chunks too, where a robot needs one, as ours counts its manifest.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from pyfastcdc import FastCDC

FIXED_BYTES = 4 * 1024 * 1024
CHUNK_BYTES = 64 * 1024
ENTRY_BYTES = 36
"""A chunk in a list of them: SHA-256 and length, as in our manifest."""

Peer = Callable[[Path, Path], int]


class MissingPeerError(Exception):
    """A tool is not on this machine; the message says how to get it."""


def fixed_blocks(base: Path, target: Path) -> int:
    """Blocks of 4 MiB that the base lacks, from wherever in it, and the list of all."""
    return _new_bytes(_blocks(base), _blocks(target))


def fastcdc(base: Path, target: Path) -> int:
    """Chunks of 64 KiB on average, cut by content, that the base lacks, and the list of all."""
    return _new_bytes(_cdc(base), _cdc(target))


def zstd_patch(base: Path, target: Path) -> int:
    """The size of ``zstd --patch-from``, with the base as one long dictionary."""
    _demand("zstd")
    with TemporaryDirectory(dir=target.parent) as scratch:
        patch = Path(scratch) / "patch"
        _run(
            "zstd", "-q", "-T1", "--long=30", f"--patch-from={base}", str(target), "-o", str(patch)
        )
        return patch.stat().st_size


def casync(base: Path, target: Path) -> int:
    """What its chunk store grows by, compressed as it is, and the target's index."""
    _demand("casync")
    with TemporaryDirectory(dir=target.parent) as scratch:
        store, index = Path(scratch) / "store", Path(scratch) / "target.caibx"
        store.mkdir()
        _run("casync", "make", f"--store={store}", str(Path(scratch) / "base.caibx"), str(base))
        before = _size_of(store)
        _run("casync", "make", f"--store={store}", str(index), str(target))
        return _size_of(store) - before + index.stat().st_size


def hf_xet(base: Path, target: Path) -> int:
    """What Hugging Face's client sends to an empty local store after the base: data and shards."""
    with TemporaryDirectory(dir=target.parent) as scratch:
        os.environ["HF_XET_CACHE"] = scratch  # or it learns of chunks of other runs
        try:
            import hf_xet as xet  # type: ignore[import-not-found]  # no dependency of ours
        except ImportError as error:
            raise MissingPeerError("python -m pip install hf-xet") from error
        session, sent = xet.XetSession(), 0
        for path in (base, target):
            commit = session.new_upload_commit(endpoint=f"local://{scratch}/store")
            commit.start_upload_file(str(path))
            sent = int(commit.wait_to_finish().dedup_metrics.total_bytes_uploaded)
        return sent


PEERS: dict[str, Peer] = {
    "fixed 4 MiB": fixed_blocks,
    "pyfastcdc 64 KiB": fastcdc,
    "zstd --patch-from": zstd_patch,
    "casync": casync,
    "hf-xet": hf_xet,
}


def _blocks(path: Path) -> Iterator[tuple[bytes, int]]:
    with path.open("rb") as file:
        while block := file.read(FIXED_BYTES):
            yield hashlib.sha256(block).digest(), len(block)


def _cdc(path: Path) -> Iterator[tuple[bytes, int]]:
    with path.open("rb") as file:
        for chunk in FastCDC(CHUNK_BYTES).cut_stream(file):
            yield hashlib.sha256(chunk.data).digest(), chunk.length


def _new_bytes(base: Iterator[tuple[bytes, int]], target: Iterator[tuple[bytes, int]]) -> int:
    held, listed = {name for name, _ in base}, list(target)
    new = {name: length for name, length in listed if name not in held}
    return sum(new.values()) + ENTRY_BYTES * len(listed)


def _demand(tool: str) -> None:
    if shutil.which(tool) is None:
        raise MissingPeerError(f"apt-get install {tool}")


def _run(*command: str) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def _size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
