"""A disk on which a robot dies at the operation that a test names: killed, or without power."""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path

from msgspec import Struct

from tests.unit.edge_bridge_bus.fetch_rig import QuickDisk

BLOCK_BYTES = 4096
NEVER = 2**60


class Died(Exception):  # noqa: N818 - no error of ours: nothing may catch it by name
    """From here on nothing is done on this disk."""


class Death(Struct, frozen=True):
    """After so many operations; a power cut also takes what was not fsynced, or some of it."""

    point: int
    is_power_cut: bool = False


IMMORTAL = Death(NEVER)


class MortalDisk(QuickDisk):
    """``survive`` puts what a robot finds when it starts again in the place of what it left.

    A name that was made, moved or removed is durable once any directory was fsynced after it, in the
    order of a journal. Of a file that was not fsynced each block may be new, old or zeros.
    """

    def __init__(self, root: Path, death: Death = IMMORTAL) -> None:
        self.operations = 0
        self._root = root
        self._death = death
        self._chance = random.Random(death.point)
        self._journal: list[tuple[Path, int | None, Path | None]] = []
        """A name, the file it names from then on (None: no more), and which name that one had."""
        self._names = {path: _number(path) for path in _files(root)}
        self._durable = {_number(path): path.read_bytes() for path in _files(root)}
        self._removed: dict[int, bytes] = {}
        self._image: dict[Path, bytes] | None = None

    @property
    def is_dead(self) -> bool:
        """Whether the point was reached."""
        return self._image is not None

    def survive(self) -> None:
        """Have on the disk what outlives the death, if it died."""
        if self._image is None:
            return
        shutil.rmtree(self._root)
        for path, content in self._image.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)

    def open_to_read(self, path: Path) -> int:
        self._live()
        return super().open_to_read(path)

    def open_to_write(self, path: Path) -> int:
        self._live()
        is_new = not path.exists()
        descriptor = super().open_to_write(path)
        if is_new:
            self._journal.append((path, _number(path), None))
            self._durable[_number(path)] = b""
        return descriptor

    def read_at(self, descriptor: int, length: int, offset: int) -> bytes:
        self._live()
        return super().read_at(descriptor, length, offset)

    def write_at(self, descriptor: int, content: memoryview, offset: int) -> int:
        if self.operations == self._death.point:
            super().write_at(descriptor, content[: len(content) // 2], offset)
        self._live()
        return super().write_at(descriptor, content, offset)

    def truncate(self, descriptor: int, size_bytes: int) -> None:
        self._live()
        super().truncate(descriptor, size_bytes)

    def sync(self, descriptor: int) -> None:
        self._live()
        super().sync(descriptor)
        size_bytes = os.fstat(descriptor).st_size
        self._durable[os.fstat(descriptor).st_ino] = os.pread(descriptor, size_bytes, 0)

    def rename(self, source: Path, target: Path) -> None:
        self._live()
        self._keep_removed(target)
        self._journal.append((target, _number(source), source))
        super().rename(source, target)

    def unlink(self, path: Path) -> None:
        self._live()
        if path.exists():
            self._keep_removed(path)
            self._journal.append((path, None, None))
        super().unlink(path)

    def sync_directory(self, directory: Path) -> None:
        self._live()
        super().sync_directory(directory)
        self._names = self._named_after(len(self._journal))
        self._journal.clear()

    def _live(self) -> None:
        self.operations += 1
        if self.operations <= self._death.point:
            return
        if self._image is None:
            self._image = self._after_power_cut() if self._death.is_power_cut else self._as_it_is()
        raise Died

    def _as_it_is(self) -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in _files(self._root)}

    def _after_power_cut(self) -> dict[Path, bytes]:
        here = {_number(path): path.read_bytes() for path in _files(self._root)}
        names = self._named_after(self._chance.randint(0, len(self._journal)))
        return {
            path: self._torn(self._durable[number], {**self._removed, **here}[number])
            for path, number in names.items()
        }

    def _named_after(self, entries: int) -> dict[Path, int]:
        names = dict(self._names)
        for path, number, source in self._journal[:entries]:
            names.pop(path, None)
            if source is not None:
                names.pop(source, None)
            if number is not None:
                names[path] = number
        return names

    def _torn(self, durable: bytes, written: bytes) -> bytes:
        if written == durable:
            return written
        end = self._chance.choice([len(durable), len(written)])
        blocks = []
        for start in range(0, end, BLOCK_BYTES):
            part = slice(start, min(end, start + BLOCK_BYTES))
            block = self._chance.choice([durable[part], written[part], b""])
            blocks.append(block.ljust(part.stop - start, b"\0"))
        return b"".join(blocks)

    def _keep_removed(self, path: Path) -> None:
        if path.exists():
            self._removed[_number(path)] = path.read_bytes()


def _files(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if path.is_file()]


def _number(path: Path) -> int:
    return path.stat().st_ino
