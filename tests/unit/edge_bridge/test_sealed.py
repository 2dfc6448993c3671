"""A sealed file is opened whole and unchanged, by its own key and label, or not at all."""

from __future__ import annotations

import pytest

from edge_bridge.backends.sealed import SealError, opened, sealed

KEY = bytes(range(32))
LABEL, CONTENT = b"what it is for", b"an engine"
WHOLE = sealed(KEY, LABEL, CONTENT)


def test_what_was_sealed_is_opened() -> None:
    assert bytes(opened(KEY, LABEL, WHOLE)) == CONTENT
    assert bytes(opened(KEY, b"", sealed(KEY, b"", b""))) == b""


def test_any_bit_that_differs_is_refused() -> None:
    for position in range(len(WHOLE)):
        for bit in range(8):
            altered = bytearray(WHOLE)
            altered[position] ^= 1 << bit
            with pytest.raises(SealError):
                opened(KEY, LABEL, bytes(altered))


def test_any_part_of_it_and_anything_more_is_refused() -> None:
    for length in range(len(WHOLE)):
        with pytest.raises(SealError):
            opened(KEY, LABEL, WHOLE[:length])
    with pytest.raises(SealError):
        opened(KEY, LABEL, WHOLE + b"\0")


def test_another_key_and_another_label_are_refused() -> None:
    with pytest.raises(SealError, match="on another robot"):
        opened(bytes(32), LABEL, WHOLE)
    with pytest.raises(SealError, match="another model"):
        opened(KEY, LABEL + b"!", WHOLE)


def test_bytes_do_not_move_between_label_and_content() -> None:
    assert sealed(KEY, b"ab", b"c") != sealed(KEY, b"a", b"bc")
    with pytest.raises(SealError):
        opened(KEY, b"a", sealed(KEY, b"ab", b"c"))
