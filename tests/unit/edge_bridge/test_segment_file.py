"""A segment is a whole MCAP file, and one that was cut anywhere is mended to its last whole chunk."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from mcap.reader import make_reader
from mcap_ros2.decoder import DecoderFactory

from edge_bridge.recorder.file import METADATA, Recorded, messages_in
from edge_bridge.recorder.mending import mend, scan
from edge_bridge.recorder.messages import FRAMES, raw_image
from edge_bridge.recorder.segment_file import LARGE_BYTES, SegmentFile
from edge_bridge.sources.ros_image import frame_of_image

ABOUT = {"robot_id": "arm"}
LARGE = 3
"""Every third message is a large one."""


def message(number: int) -> Recorded:
    """Every third large, on a topic of its own."""
    large = number % LARGE == 0
    content = f"{number}".encode().ljust(LARGE_BYTES if large else 90)
    topic = "/camera" if large else f"/imu/{number % LARGE}"
    return Recorded(
        topic=topic, at_ns=number * 1000, content=content, schema_name="a.B", schema=b"{}"
    )


def written(path: Path, count: int, flush_every: int = 5) -> SegmentFile:
    """A segment that was not finished."""
    segment = SegmentFile(path)
    for number in range(count):
        segment.add(message(number), number)
        if number % flush_every == flush_every - 1:
            segment.flush()
    return segment


def read(path: Path) -> list[tuple[int, bytes]]:
    """By the index at the end, with every checksum; the same as one after the other finds."""
    with path.open("rb") as file:
        reader = make_reader(file, validate_crcs=True)
        found = [(each.sequence, each.data) for _, _, each in reader.iter_messages()]
        summary = reader.get_summary()
        (about,) = [each.metadata for each in reader.iter_metadata() if each.name == METADATA]
    assert summary is not None
    assert summary.statistics is not None
    assert summary.statistics.message_count == len(found)
    assert about == ABOUT
    plain = sorted((each.at_ns, each.content) for each in messages_in(path))
    assert [content for _, content in plain] == [content for _, content in found]
    return found


def test_finished_segment_has_each_message_with_its_number(tmp_path: Path) -> None:
    segment = written(tmp_path / "s.mcap", 50)
    segment.finish(ABOUT)
    segment.close()
    assert read(tmp_path / "s.mcap") == [(n, message(n).content) for n in range(50)]
    assert (segment.index.messages, segment.index.last_sequence) == (50, 49)
    assert segment.index.topics == {"/camera": 17, "/imu/1": 17, "/imu/2": 16}
    assert (segment.index.first_ns, segment.index.last_ns) == (0, 49_000)
    assert segment.size_bytes == (tmp_path / "s.mcap").stat().st_size


def test_segment_that_is_whole_is_not_changed_by_mending(tmp_path: Path) -> None:
    path = tmp_path / "s.mcap"
    segment = written(path, 20)
    segment.finish(ABOUT)
    segment.close()
    before = path.read_bytes()
    with path.open("rb") as file:
        assert scan(file).is_ended
    mend(path, ABOUT)
    assert path.read_bytes() == before


def test_segment_cut_anywhere_keeps_its_whole_chunks_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "s.mcap"
    segment = written(path, 12)
    segment.close()
    whole, kept = path.read_bytes(), -1
    cuts = {*range(0, len(whole), 4999), *range(len(whole) - 300, len(whole) + 1)}
    for cut in sorted(cuts):
        path.write_bytes(whole[:cut])
        index = mend(path, ABOUT) if cut > 100 else scan(path.open("rb")).index
        assert index.messages >= kept
        kept = index.messages
        if kept > 0:
            found = read(path)
            assert len(found) == kept
            assert all(content == message(number).content for number, content in found)
    assert kept == 12 - segment.waiting == 10


@pytest.mark.parametrize("seed", range(20))
def test_damage_ends_the_whole_part_before_it(tmp_path: Path, seed: int) -> None:
    path = tmp_path / "s.mcap"
    written(path, 30).close()
    damaged = bytearray(path.read_bytes())
    at = 200 + (len(damaged) - 300) * seed // 20
    damaged[at : at + 64] = os.urandom(64)
    path.write_bytes(damaged)
    index = mend(path, ABOUT)
    assert index.messages < 30
    found = read(path) if index.messages else []
    assert all(content == message(number).content for number, content in found)


@pytest.mark.parametrize(("colours", "encoding"), [(3, "rgb8"), (4, "rgba8"), (1, "mono8")])
def test_raw_picture_is_read_as_one_of_ros_2(tmp_path: Path, colours: int, encoding: str) -> None:
    height, width = 5, 7
    shape = (height, width, colours) if colours > 1 else (height, width)
    pixels = bytes(number % 251 for number in range(height * width * colours))
    segment = SegmentFile(tmp_path / "s.mcap")
    segment.add(raw_image(pixels, shape, "uint8", 3_000_000_007), 0)
    segment.finish(ABOUT)
    segment.close()
    with (tmp_path / "s.mcap").open("rb") as file:
        reader = make_reader(file, decoder_factories=[DecoderFactory()])
        ((_, channel, _, image),) = list(reader.iter_decoded_messages())
    assert (channel.topic, image.encoding, bytes(image.data)) == (FRAMES, encoding, pixels)
    assert (image.height, image.width, image.step) == (height, width, width * colours)
    assert (image.header.stamp.sec, image.header.stamp.nanosec) == (3, 7)
    if colours == 3:
        assert frame_of_image(image, height, width).content == pixels


def test_frame_that_is_no_picture_is_kept_as_its_bytes() -> None:
    recorded = raw_image(b"12345678", (2, 1), "float32", 5)
    assert (recorded.content, recorded.encoding) == (b"12345678", "float32[2, 1]")
