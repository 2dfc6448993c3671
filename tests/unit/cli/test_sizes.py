"""Sizes are read and written as people do."""

from __future__ import annotations

import pytest
import typer

from fleetward.cli.sizes import size_bytes, spoken_size


@pytest.mark.parametrize(
    ("text", "expected"),
    [("812", 812), ("812B", 812), ("500kB", 500_000), ("50 MB", 50_000_000), ("1.5GB", 1.5e9)],
)
def test_a_size_is_read(text: str, expected: float) -> None:
    assert size_bytes(text) == expected


@pytest.mark.parametrize("text", ["", "MB", "-1MB", "50 parsecs", "1e9", "5MiB"])
def test_what_is_no_size_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="50MB"):
        size_bytes(text)


def test_a_size_is_spoken() -> None:
    assert [spoken_size(length) for length in (812, 4200, 34_000_000)] == [
        "812 B",
        "4.2 kB",
        "34.0 MB",
    ]
