"""When a rollout begins, and what it does about robots that belong to others."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Annotated

import typer

from fleetward.cli.choices import one_of, words_of
from fleetward.cli.durations import seconds
from fleetward.contracts.control import OnConflict

MAX_AHEAD = timedelta(days=366)


def moment(text: str | datetime) -> datetime:
    """A moment to come, as 2026-12-01T22:00 (by this machine's clock) or +30m; raises BadParameter."""
    if isinstance(text, datetime):
        return text
    now = datetime.now(timezone.utc)
    if text.startswith("+"):
        ahead_s = min(seconds(text[1:]), 2 * MAX_AHEAD.total_seconds())  # a timedelta has an end
        return _to_come(text, now + timedelta(seconds=ahead_s), now)
    try:
        written = datetime.fromisoformat(text[:-1] + "+00:00" if text.endswith("Z") else text)
        meant = written.astimezone(timezone.utc)
    except (ValueError, OverflowError):  # the first and the last day have no UTC everywhere
        raise typer.BadParameter(
            f"{text!r} is not a time; write 2026-12-01T22:00, 2026-12-01T22:00Z or +30m."
        ) from None
    return _to_come(text, meant, now)


def _to_come(text: str, meant: datetime, now: datetime) -> datetime:
    if meant <= now:
        raise typer.BadParameter(
            f"{text} is in the past: it is {now:%Y-%m-%dT%H:%M:%SZ}. Leave --at out to begin at once."
        )
    if meant - now > MAX_AHEAD:
        raise typer.BadParameter(f"{text} is more than {MAX_AHEAD.days} days ahead.")
    return meant


At = Annotated[
    datetime | None,
    typer.Option(
        "--at",
        parser=moment,
        metavar="TIME",
        help="Begin then, planned on the fleet of that time: 2026-12-01T22:00, or +30m. Until then "
        "`rollout abort` takes it off.",
    ),
]
WhenTaken = Annotated[
    OnConflict,
    typer.Option(
        "--on-conflict",
        parser=one_of(OnConflict),
        metavar=words_of(OnConflict),
        show_default=OnConflict.REFUSE.value,
        help="When robots belong to another rollout: be refused, wait until they are free, or take "
        "them over, so that the other never touches them again.",
    ),
]
