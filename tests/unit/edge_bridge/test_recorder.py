"""The flight recorder: bounded in bytes, seconds and memory; readable wherever a file was cut."""

from __future__ import annotations

import asyncio
import errno
import io
from pathlib import Path
from typing import NoReturn

import pytest
from mcap.reader import make_reader

from edge_bridge.fetching.throttle import BURST_S, Throttle
from edge_bridge.recorder.file import METADATA, Recorded, RecordingFile, cut, messages_in
from edge_bridge.recorder.frames import JpegFrames, PassingFrames
from edge_bridge.recorder.incidents import Incident, Incidents, Stage
from edge_bridge.recorder.limits import RecorderLimits
from edge_bridge.recorder.recorder import FlightRecorder
from edge_bridge.recorder.requests import Asked, refusal_reason
from edge_bridge.recorder.ring import SegmentRing
from edge_bridge.workers.pump import Loan
from fleetward.contracts.ids import AlertName, RecordingId

S = 1_000_000_000
KIB = 1024


class Clock:
    """Stands until it is moved; whoever sleeps by it moves it."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s

    async def sleep(self, duration_s: float) -> None:
        self.now_s += duration_s


def message(number: int, size_bytes: int = 100, topic: str = "/t") -> Recorded:
    """The one of second ``number``."""
    content = f"{number}".encode().ljust(size_bytes)
    return Recorded(topic=topic, at_ns=number * S, content=content, schema_name="a.B", schema=b"{}")


def numbers(path: Path) -> list[int]:
    return [each.at_ns // S for each in messages_in(path)]


def ring_of(directory: Path, clock: Clock, **limits: float) -> SegmentRing:
    fixed: dict[str, float] = {"segment_s": 1.0, "ring_s": 10.0}
    made = RecorderLimits(enabled=True, **{**fixed, **limits})  # type: ignore[arg-type]  # named by tests
    return SegmentRing(directory, made, reserve_bytes=0, free_bytes=lambda: 10**12, now_s=clock)


def held(ring: SegmentRing) -> list[int]:
    return [number for path in ring.segments() for number in numbers(path)]


def test_ring_forgets_what_is_older_than_its_seconds(tmp_path: Path) -> None:
    clock = Clock()
    ring = ring_of(tmp_path, clock)
    for second in range(60):
        clock.now_s = float(second)
        assert ring.write([message(second)]) == 1

    kept = held(ring)
    assert kept == list(range(kept[0], 60))
    assert 60 - 14 <= kept[0] <= 60 - 10


def test_ring_keeps_what_a_recording_wants_until_its_bytes_are_spent(tmp_path: Path) -> None:
    clock = Clock()
    ring = ring_of(tmp_path, clock, ring_bytes=256 * KIB, segment_bytes=16 * KIB)
    ring.wanted = True
    for second in range(30):
        clock.now_s = float(second)
        ring.write([message(second, 4 * KIB)])
    assert held(ring) == list(range(30))

    for second in range(30, 200):
        clock.now_s = float(second)
        ring.write([message(second, 4 * KIB)])
        assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 256 * KIB
    assert held(ring)[-1] == 199


def test_ring_goes_on_behind_what_an_earlier_one_left(tmp_path: Path) -> None:
    clock = Clock()
    for start in (0, 3):
        ring = ring_of(tmp_path, clock)
        ring.write([message(start + each) for each in range(3)])
        if start:
            ring.close()

    assert held(ring_of(tmp_path, clock)) == list(range(6))


def test_full_disk_thins_the_ring_and_raises_nothing(tmp_path: Path) -> None:
    clock, free = Clock(), [10**9]
    limits = RecorderLimits(segment_s=1.0, ring_s=100.0)
    ring = SegmentRing(
        tmp_path, limits, reserve_bytes=1000, free_bytes=lambda: free[0], now_s=clock
    )
    for second in range(10):
        clock.now_s = float(second)
        ring.write([message(second)])
    free[0] = 0

    assert ring.write([message(10)]) == 0
    assert ring.thinned > 0
    free[0] = 10**9
    assert ring.write([message(11)]) == 1
    assert held(ring)[-1] == 11


def test_disk_that_fails_in_the_middle_of_a_message_costs_only_messages(tmp_path: Path) -> None:
    """/dev/full takes nothing, as a disk without room."""
    clock = Clock()
    ring = ring_of(tmp_path, clock)
    ring.write([message(0)])
    ring.close()
    (tmp_path / "000000000002.mcap").symlink_to("/dev/full")

    assert ring.write([message(1)]) == 0
    assert ring.thinned > 0
    assert ring.write([message(2)]) == 1
    assert held(ring) == [2]


@pytest.mark.parametrize("compressed", [False, True], ids=["segment", "recording"])
def test_file_cut_at_any_byte_is_readable_as_far_as_it_goes(
    tmp_path: Path, *, compressed: bool
) -> None:
    written = io.BytesIO()
    file = RecordingFile(written, compressed=compressed)
    for number in range(5):
        file.write(message(number, 20))
    file.finish()
    whole, path, before = written.getvalue(), tmp_path / "cut.mcap", 0

    for length in range(len(whole) + 1):
        path.write_bytes(whole[:length])
        read = numbers(path)
        assert read == list(range(len(read)))
        assert len(read) >= before
        before = len(read)
    assert before == 5


def test_cut_holds_exactly_the_window_and_says_what_it_is(tmp_path: Path) -> None:
    ring = ring_of(tmp_path / "ring", Clock(), segment_bytes=1000)
    ring.write([message(second) for second in range(100)])
    assert len(ring.segments()) > 3

    path = tmp_path / "cut.mcap"
    with path.open("wb") as target:
        assert cut(ring.segments(), target, (40 * S, 70 * S), 10**9, {"robot_id": "r1"}) == 31

    with path.open("rb") as file:
        reader = make_reader(file)
        assert [each.log_time // S for _, _, each in reader.iter_messages()] == list(range(40, 71))
        assert [each.metadata for each in reader.iter_metadata() if each.name == METADATA] == [
            {"robot_id": "r1"}
        ]


def test_cut_stops_before_it_is_larger_than_there_is_room(tmp_path: Path) -> None:
    ring = ring_of(tmp_path / "ring", Clock())
    ring.write([message(second) for second in range(10)])
    with (tmp_path / "cut.mcap").open("wb") as target:
        assert cut(ring.segments(), target, (0, 100 * S), 350, {}) == 3


def test_recorder_that_is_behind_drops_and_counts_and_never_waits(tmp_path: Path) -> None:
    limits = RecorderLimits(queue_messages=3)
    recorder = FlightRecorder(ring_of(tmp_path, Clock()), limits)  # nobody writes: not started

    assert [recorder.put(message(each)) for each in range(5)] == [True, True, True, False, False]
    assert recorder.dropped == 2
    recorder.stop()
    assert [number for path in sorted(tmp_path.iterdir()) for number in numbers(path)] == [0, 1, 2]


def test_message_that_cannot_be_made_ends_nothing(tmp_path: Path) -> None:
    def broken() -> NoReturn:
        raise OSError(errno.EIO, "no such camera")

    recorder = FlightRecorder(ring_of(tmp_path, Clock()), RecorderLimits())
    recorder.later(broken)
    recorder.later(lambda: None)
    recorder.put(message(1))
    recorder.stop()

    assert recorder.dropped == 1
    assert [number for path in tmp_path.iterdir() for number in numbers(path)] == [1]


def loan_of(place: bytearray, told: list[str]) -> Loan:
    """Of ``place``, whose worker is ``told``."""
    return Loan(memoryview(place), lambda: 7, lambda: None, lambda: told.append("begun"))


def test_frame_of_a_lent_place_is_recorded_when_it_is_given(tmp_path: Path) -> None:
    told = list[str]()
    recorder = FlightRecorder(ring_of(tmp_path, Clock()), RecorderLimits())
    passing, place = PassingFrames([JpegFrames(recorder, every=2)]), bytearray(4)
    for number in range(4):
        loan = passing.lent(loan_of(place, told), (4,), "uint8")
        loan.begin()
        loan.memory[:] = bytes([number]) * 4
        assert loan.give() == 7
        place[:] = b"next"
    passing.lent(loan_of(place, told), (4,), "uint8").return_it()
    recorder.stop()

    (path,) = tmp_path.iterdir()
    assert [each.content for each in messages_in(path)] == [b"\1" * 4, b"\3" * 4]
    assert len(told) == 4


def incident(at_s: float, *, alert: str | None = None, name: str = "one") -> Incident:
    return Incident(
        recording_id=RecordingId(name),
        at_ns=int(at_s * S),
        before_s=60.0,
        after_s=30.0,
        alert=AlertName(alert) if alert else None,
    )


def test_incidents_outlive_the_process_at_every_stage(tmp_path: Path) -> None:
    incidents = Incidents(tmp_path, remembered=1)
    for number, stage in enumerate(Stage):
        made = incident(number, name=stage.value)
        incidents.keep(made)
        incidents.file_of(made).write_bytes(b"x")
        if stage is Stage.DONE:
            incidents.end(made)
    (tmp_path / "broken.json").write_bytes(b"{")
    (tmp_path / "cut.mcap.partial").write_bytes(b"half")

    again = Incidents(tmp_path, remembered=1)

    assert [each.recording_id for each in again.at(Stage.DONE)] == ["done"]
    assert len(again.at(Stage.WAITING)) == 2  # kept as it was: nobody moved it on
    assert not again.file_of(incident(0, name="done")).exists()
    assert not list(tmp_path.glob("*.partial"))
    again.end(incident(9, name="waiting"))
    assert [each.recording_id for each in again.at(Stage.DONE)] == ["waiting"]


@pytest.mark.parametrize(
    ("wanted", "unsent", "expected"),
    [
        (incident(1000), 0, None),
        (incident(1000, alert="Hot"), 0, None),
        (incident(1000), 8, "not sent yet"),
        (incident(100), 0, "forgotten"),
        (incident(5000), 0, "too far ahead"),
    ],
)
def test_robot_says_why_it_records_nothing(
    wanted: Incident, unsent: int, expected: str | None
) -> None:
    reason = refusal_reason(Asked(), wanted, unsent, RecorderLimits(), 1000 * S)
    assert reason is None if expected is None else expected in str(reason)


def test_storm_of_alerts_is_one_recording_and_a_person_is_always_heard() -> None:
    limits, asked = RecorderLimits(), Asked().with_one(incident(1000, alert="Hot"))

    assert refusal_reason(asked, incident(1100, alert="Cold"), 0, limits, 1100 * S) is not None
    assert refusal_reason(asked, incident(1100), 0, limits, 1100 * S) is None
    assert refusal_reason(asked, incident(1301, alert="Cold"), 0, limits, 1301 * S) is None


def test_no_more_bytes_pass_than_the_cap_allows_by_any_instant() -> None:
    clock, cap, block = Clock(), 50_000.0, 16 * KIB

    async def send() -> None:
        throttle, sent = Throttle(cap, now_s=clock, sleep=clock.sleep), 0
        for _ in range(100):
            await throttle.take(block)
            sent += block
            assert sent <= cap * (clock.now_s + BURST_S) + 1
        assert clock.now_s > 30

    asyncio.run(send())
