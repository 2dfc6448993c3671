"""Lines that belong together are one record, however they arrive; no program can make one without bound."""

from __future__ import annotations

import random

import pytest

from edge_bridge.logs.assembling import LineStream
from edge_bridge.logs.limits import LogSettings

LIMITS = LogSettings(line_bytes=100, record_bytes=400, record_lines=10, gather_s=0.5)
CHAINED = """\
Traceback (most recent call last):
  File "a.py", line 1, in <module>
    one()
KeyError: 'x'

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "a.py", line 3, in <module>
    two()
ValueError: no"""


def records(text: str, limits: LogSettings = LIMITS) -> list[str]:
    stream = LineStream(limits)
    return [each.decode() for each in (*stream.feed(text.encode(), 0.0), *stream.end())]


@pytest.mark.parametrize(
    "together",
    [
        "one\n  more\n\tof it",
        "ERROR it failed\nTraceback (most recent call last):\n  File\nValueError: no",
        CHAINED,
        '{"a":1}',
    ],
)
def test_lines_that_belong_together_are_one_record(together: str) -> None:
    limits = LogSettings()
    assert records(f"before\n{together}\nafter\n", limits) == ["before", together, "after"]
    assert records(f"{together}\n{{}}\n", limits) == [together, "{}"]


def test_crash_is_not_the_fault_of_whoever_spoke_last() -> None:
    crash = "Traceback (most recent call last):\n  File\nValueError: no"
    assert records(f"INFO all is well\n{crash}\n") == ["INFO all is well", crash]


@pytest.mark.parametrize("seed", range(20))
def test_it_does_not_matter_in_which_pieces_bytes_arrive(seed: int) -> None:
    chance, limits = random.Random(seed), LogSettings()
    text = f'one\n{CHAINED}\n{{"a":1}}\n\ntwo\n  more\n'.encode() * 3
    stream, found, at = LineStream(limits), [], 0
    while at < len(text):
        length = chance.randint(1, 40)
        found += stream.feed(text[at : at + length], 0.0)
        at += length
    assert [*found, *stream.end()] == [each.encode() for each in records(text.decode(), limits)]


def test_record_waits_for_its_next_line_and_not_for_ever() -> None:
    stream = LineStream(LIMITS)
    assert stream.feed(b"one\n", 10.0) == []
    assert stream.rest(10.4) == []
    assert stream.rest(10.5) == [b"one"]
    assert stream.rest(20.0) == []


def test_bytes_that_are_in_no_record_yet_are_told() -> None:
    stream = LineStream(LIMITS)
    stream.feed(b"{}\none\n  two\nthr", 0.0)
    assert stream.held_bytes == len(b"one\n  two\nthr")
    stream.end()
    assert stream.held_bytes == 0


def test_line_that_is_too_long_is_cut_and_the_next_one_is_not() -> None:
    stream = LineStream(LIMITS)
    found = [
        record for _ in range(5) for record in (*stream.feed(b"x" * 90, 0.0), *stream.rest(1.0))
    ]
    found += [*stream.feed(b"the end of it\nnext\n", 1.0), *stream.rest(2.0)]
    assert found == [b"x" * 100, b"next"]
    assert stream.lines_cut == 1


def test_record_of_too_many_lines_or_bytes_is_ended() -> None:
    assert [len(each.split("\n")) for each in records("one\n" + "  more\n" * 25)] == [10, 10, 6]
    assert max(map(len, records("one\n" + f"  {'x' * 90}\n" * 12))) <= LIMITS.record_bytes
