"""Applies one delta in a process of its own, and says what that took.

python -m tests.bench.distribution_apply BASE DELTA TARGET
"""

from __future__ import annotations

import hashlib
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
from msgspec import Struct

from fleetward.delivery.apply import Applier
from fleetward.delivery.delta import PREFIX_BYTES, decode_delta, header_length
from fleetward.delivery.frames import Content

ROUNDS = 3


class Applied(Struct, frozen=True):
    """CPU seconds of the quickest of ROUNDS, and the process's peak of resident memory.

    applying_s: to read base and delta and make every byte; hashing_s: to read the result and hash
    it; verified: whether both were the same bytes.
    """

    applying_s: float
    hashing_s: float
    peak_bytes: int
    idle_bytes: int
    verified: bool


def apply(base: Path, delta: Path, target: Path) -> Applied:
    """Apply, and hash the target as a robot hashes a result."""
    idle_bytes = _peak_bytes()
    digest, verified = _digest(target), True
    applying, hashing = [], []
    for round_number in range(ROUNDS):
        began = time.process_time()
        _digest(target)
        hashing.append(time.process_time() - began)
        began = time.process_time()
        _make(base, delta, target, lambda content: None)
        applying.append(time.process_time() - began)
        if round_number == 0:
            hashed = hashlib.sha256()
            _make(base, delta, target, hashed.update)
            verified = hashed.digest() == digest
    return Applied(min(applying), min(hashing), _peak_bytes(), idle_bytes, verified)


def _make(base: Path, delta: Path, target: Path, take: Callable[[Content], None]) -> None:
    with base.open("rb") as held, delta.open("rb") as stored, target.open("rb") as chunks:
        read_delta = _reader(stored.fileno())
        head = read_delta(0, header_length(read_delta(0, PREFIX_BYTES)))
        planned = decode_delta(head, delta.stat().st_size)
        applier = Applier(
            planned,
            read_base=_reader(held.fileno()),
            read_delta=read_delta,
            read_chunks=_reader(chunks.fileno()),
        )
        for placed in planned.placed():
            take(applier.bytes_of(placed))


def _reader(descriptor: int) -> Callable[[int, int], bytes]:
    return lambda start, length: os.pread(descriptor, length, start)


def _digest(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def _peak_bytes() -> int:
    """This program's own peak: ru_maxrss would begin with that of the process that started it."""
    status = Path("/proc/self/status").read_text("ascii")
    (kibibytes,) = (line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(kibibytes) * 1024


if __name__ == "__main__":
    sys.stdout.buffer.write(msgspec.json.encode(apply(*map(Path, sys.argv[1:4]))))
