"""How the moment a rollout begins is written on the command line."""

from __future__ import annotations

import pytest
import typer

from fleetward.cli.rollout_begin import moment


@pytest.mark.parametrize("text", ["+99999999999999999999d", "+" + "9" * 400 + "d", "9998-01-01"])
def test_a_moment_beyond_any_calendar_is_too_far_ahead(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="is more than 366 days ahead"):
        moment(text)


@pytest.mark.parametrize("text", ["yesterday", "0001-01-01T00:00+14:00", "9999-12-31T23:59-12:00"])
def test_what_is_no_moment_in_utc_is_told_how_to_write_one(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="is not a time; write 2026-12-01T22:00"):
        moment(text)
