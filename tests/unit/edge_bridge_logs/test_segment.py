"""A log segment is read up to wherever it was cut; only blocks that may have what is wanted are unpacked."""

from __future__ import annotations

import io
import random
from pathlib import Path

import pytest
import zstandard
from msgspec.structs import replace

from edge_bridge.logs.limits import LogSettings
from edge_bridge.logs.writing import SegmentWriter
from fleetward.logs.choosing import Found, Wanted, found_in
from fleetward.logs.record import Severity
from fleetward.logs.segment import (
    MAX_BLOCK_BYTES,
    BlockWriter,
    Header,
    SegmentError,
    blocks_in,
)
from tests.unit.edge_bridge_logs.records import AT_NS, found, record

LIMITS = LogSettings(reserve_bytes=0)
PER_BLOCK, BLOCKS = 20, 5


@pytest.fixture
def segment(tmp_path: Path) -> Path:
    """Five blocks of twenty records; one record of each block is an error of ``arm``."""
    writer = SegmentWriter(tmp_path, LIMITS)
    for start in range(0, PER_BLOCK * BLOCKS, PER_BLOCK):
        writer.add([record(number) for number in range(start, start + PER_BLOCK - 1)])
        writer.add([record(start + PER_BLOCK - 1, Severity.ERROR, "arm")])
        writer.write(b"{}")
    writer.seal()
    (sealed,) = writer.sealed
    return writer.path_of(sealed)


def numbers(shown: list[Found]) -> list[int]:
    return [each.number for each in shown]


def test_any_zstd_program_reads_the_same_lines(segment: Path) -> None:
    reader = zstandard.ZstdDecompressor().stream_reader(segment.open("rb"), read_across_frames=True)
    lines = reader.read().splitlines()
    assert lines == [each.line for each in found(segment)]
    assert len(lines) == PER_BLOCK * BLOCKS


def test_segment_that_was_cut_anywhere_is_read_up_to_the_cut(segment: Path) -> None:
    content, before = segment.read_bytes(), 0
    for length in range(len(content) + 1):
        shown = numbers(list(found_in(io.BytesIO(content[:length]), Wanted())))
        assert shown == list(range(len(shown)))
        assert len(shown) >= before
        before = len(shown)
    assert before == PER_BLOCK * BLOCKS


@pytest.mark.parametrize("seed", range(30))
def test_damage_shows_less_and_nothing_else(segment: Path, seed: int) -> None:
    chance, content = random.Random(seed), bytearray(segment.read_bytes())
    whole = found(segment)
    for _ in range(chance.randint(1, 5)):
        content[chance.randrange(len(content))] = chance.randrange(256)
    shown = list(found_in(io.BytesIO(bytes(content)), Wanted()))
    assert {each.line for each in shown} <= {each.line for each in whole}


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (Wanted(severity=Severity.WARN), [19, 39, 59, 79, 99]),
        (Wanted(units=frozenset({"arm"})), [19, 39, 59, 79, 99]),
        (Wanted(units=frozenset({"nobody"})), []),
        (Wanted(since_ns=AT_NS + 98 * 10**9), [98, 99]),
        (Wanted(until_ns=AT_NS + 10**9), [0, 1]),
        (Wanted(since_ns=AT_NS + 5 * 10**9, until_ns=AT_NS + 6 * 10**9), [5, 6]),
        (Wanted(since_ns=AT_NS + 100 * 10**9).by(2 * 10**9), [98, 99]),
    ],
)
def test_what_is_wanted_is_found(segment: Path, wanted: Wanted, expected: list[int]) -> None:
    assert numbers(found(segment, wanted)) == expected


def test_blocks_without_what_is_wanted_are_passed_over(segment: Path) -> None:
    """Broken ones would end the reading."""
    content = bytearray(segment.read_bytes())
    first = next(iter(blocks_in(io.BytesIO(bytes(content)))))
    content[first.ends_at - 1] ^= 0xFF  # of its checksum
    late = Wanted(since_ns=AT_NS + 99 * 10**9)
    assert numbers(list(found_in(io.BytesIO(bytes(content)), late))) == [99]
    assert numbers(list(found_in(io.BytesIO(bytes(content)), Wanted()))) == []


def test_block_that_unpacks_to_more_than_it_may_is_refused() -> None:
    bomb = BlockWriter().block(b"\n" * (MAX_BLOCK_BYTES + 1), Header(first=0, records=1))
    (block,) = blocks_in(io.BytesIO(bomb))
    with pytest.raises(SegmentError, match="larger than"):
        block.lines()


@pytest.mark.parametrize("content", [b"no segment at all", b"\x28\xb5\x2f\xfd" + bytes(20)])
def test_other_files_are_no_segments(content: bytes) -> None:
    with pytest.raises(SegmentError):
        list(blocks_in(io.BytesIO(content)))


def test_sources_that_a_header_does_not_tell_are_looked_for(segment: Path) -> None:
    (header, *_) = [block.header for block in blocks_in(io.BytesIO(segment.read_bytes()))]
    told_some = replace(header, units={"nav": 3})
    wanted = Wanted(units=frozenset({"arm"}))
    assert wanted.may_be_in(told_some)
    assert not wanted.may_be_in(replace(header, units={"nav": header.records}))
