"""Steps over a protobuf message in a file, field by field; contents are skipped, never loaded.

The wire format: https://protobuf.dev/programming-guides/encoding. Groups are not in use since
proto2's first years and end the walk.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5
MAX_FIELDS = 1_000_000
"""All fields of one walk together: some seconds of work, and more than any model has tensors."""

_WINDOW_BYTES = 16 * 1024
_MAX_VARINT_BYTES = 10


class WalkError(Exception):
    """The bytes are no message: cut off, over-long, or of a wire type that nobody writes."""


class Field(NamedTuple):
    """One field: its number and wire type; a varint's value, or where a content starts and ends."""

    number: int
    wire: int
    value: int
    start: int
    end: int


class Walk:
    """One walk over one file, with all of its work counted. Not for two threads at once."""

    def __init__(self, file: BinaryIO, size_bytes: int) -> None:
        self._file = file
        self._size_bytes = size_bytes
        self._fields_left = MAX_FIELDS
        self._window = b""
        self._window_start = 0

    def fields(self, start: int, end: int) -> Iterator[Field]:
        """The fields of the message at ``start`` to ``end``; raises WalkError."""
        position = start
        while position < end:
            self._fields_left -= 1
            if self._fields_left < 0:
                raise WalkError(f"more than {MAX_FIELDS} fields")
            key, position = self._varint(position, end)
            number, wire = key >> 3, key & 7
            if number == 0:
                raise WalkError(f"a field without a number at {position}")
            field = self._field(number, wire, position, end)
            yield field
            position = field.end

    def read(self, field: Field, limit_bytes: int) -> bytes:
        """The content of a field, or its first ``limit_bytes``."""
        length = min(field.end - field.start, limit_bytes)
        self._show(field.start, length)
        begin = field.start - self._window_start
        return self._window[begin : begin + length]

    def varints(self, field: Field, limit: int) -> list[int]:
        """A packed field's values; raises WalkError when they are more than ``limit``."""
        values: list[int] = []
        position = field.start
        while position < field.end:
            value, position = self._varint(position, field.end)
            values.append(value)
            if len(values) > limit:
                raise WalkError(f"more than {limit} packed values")
        return values

    def _field(self, number: int, wire: int, position: int, end: int) -> Field:
        value, start = 0, position
        if wire == VARINT:
            value, position = self._varint(position, end)
        elif wire == LENGTH:
            length, start = self._varint(position, end)
            position = start + length
        elif wire in (FIXED32, FIXED64):
            position += 4 if wire == FIXED32 else 8
        else:
            raise WalkError(f"wire type {wire} at {position}")
        if position > end:
            raise WalkError(f"a field ends at {position}, past its message's {end}")
        return Field(number, wire, value, start, position)

    def _varint(self, position: int, end: int) -> tuple[int, int]:
        self._show(position, _MAX_VARINT_BYTES)
        window, begin = self._window, position - self._window_start
        value = 0
        for index, byte in enumerate(
            window[begin : begin + min(_MAX_VARINT_BYTES, end - position)]
        ):
            value |= (byte & 0x7F) << (7 * index)
            if byte < 0x80:
                return value & 0xFFFF_FFFF_FFFF_FFFF, position + index + 1
        raise WalkError(f"a number at {position} has no end")

    def _show(self, start: int, length: int) -> None:
        """Have ``length`` bytes from ``start`` on in the window, as far as the file goes."""
        held = self._window_start + len(self._window)
        if self._window_start <= start and min(start + length, self._size_bytes) <= held:
            return
        self._file.seek(start)
        self._window = self._file.read(max(_WINDOW_BYTES, length))
        self._window_start = start
