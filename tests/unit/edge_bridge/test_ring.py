"""Shared memory: places are lent once, frames arrive unchanged, readers cannot write."""

from __future__ import annotations

import array
import fcntl
import mmap
import os
from collections.abc import Iterator

import pytest

from edge_bridge.errors import FrameRefusedError
from edge_bridge.frames import Frame, frame_of
from edge_bridge.workers.ring import FrameRing

PLACE_BYTES = 12


@pytest.fixture
def ring() -> Iterator[FrameRing]:
    ring = FrameRing(3, PLACE_BYTES)
    yield ring
    ring.close()


def test_a_place_is_free_when_everybody_who_reads_it_is_done() -> None:
    ring = FrameRing(1, PLACE_BYTES)
    offset = ring.claim()
    assert offset is not None
    ring.retain(offset)
    ring.release(offset)
    assert ring.claim() is None
    ring.release(offset)
    assert ring.claim() == offset
    ring.close()


def test_every_place_is_lent_once_until_it_is_released(ring: FrameRing) -> None:
    lent = {ring.claim() for _ in range(3)}
    assert lent == {0, PLACE_BYTES, 2 * PLACE_BYTES}
    assert ring.claim() is None
    ring.release(PLACE_BYTES)
    assert ring.claim() == PLACE_BYTES


def test_reader_sees_the_frame_and_cannot_write_or_resize(ring: FrameRing) -> None:
    ring.write(PLACE_BYTES, Frame(bytes(range(12)), (2, 2, 3)))
    with mmap.mmap(ring.read_only, ring.size_bytes, prot=mmap.PROT_READ) as view:
        assert view[PLACE_BYTES : 2 * PLACE_BYTES] == bytes(range(12))
    with pytest.raises(PermissionError):
        mmap.mmap(ring.read_only, ring.size_bytes)
    with pytest.raises(OSError, match="Invalid argument"):
        os.ftruncate(ring.read_only, 1)
    assert fcntl.fcntl(ring.read_only, fcntl.F_GET_SEALS) & fcntl.F_SEAL_SHRINK


@pytest.mark.parametrize(
    "frame",
    [
        Frame(bytes(15), (5, 1, 3)),
        Frame(bytes(11), (2, 2, 3)),
        Frame(bytes(3), (2, 2, 3)),
        Frame(bytes(3), (3,), "float32"),
    ],
    ids=["larger than a place", "one byte short", "far too short", "bytes for floats"],
)
def test_frame_that_does_not_fit_is_refused(ring: FrameRing, frame: Frame) -> None:
    with pytest.raises(FrameRefusedError, match="was refused"):
        ring.write(0, frame)


def test_audio_samples_cross_as_they_are(ring: FrameRing) -> None:
    samples = array.array("f", [0.5, -1.0, 0.25])
    frame = frame_of(samples)
    assert (frame.shape, frame.dtype) == ((3,), "float32")
    ring.write(0, frame)
    with mmap.mmap(ring.read_only, ring.size_bytes, prot=mmap.PROT_READ) as view:
        assert view[:12] == samples.tobytes()


@pytest.mark.parametrize("refused", [b"", array.array("d", [1.0]), array.array("i", [1])])
def test_array_of_another_type_is_refused_and_says_what_to_give(
    refused: bytes | array.array[float],
) -> None:
    with pytest.raises(FrameRefusedError, match="uint8"):
        frame_of(refused)
