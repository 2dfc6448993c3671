"""``fleetward rollout quote``: what a rollout would move, and how long that takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from fleetward.cli.session import DEFAULT_HOME, Home, Json, show_json, with_fleet
from fleetward.contracts.wording import how_many, listed

if TYPE_CHECKING:
    from fleetward.client import Fleet
    from fleetward.client.quotes import Cohort, RolloutQuote

DEFAULT_LINK_MBPS = 10.0
ROBOTS_NAMED = 3

To = Annotated[str, typer.Option("--to", help="Which robots, as with `rollout start`.")]
Link = Annotated[
    float,
    typer.Option(
        "--link-mbps", min=0.001, help="The link of one robot, in megabits a second, for minutes."
    ),
]


def quote(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="name:version or name@alias.")],
    *,
    to: To,
    link_mbps: Link = DEFAULT_LINK_MBPS,
    home: Home = DEFAULT_HOME,
    as_json: Json = False,
) -> None:
    """What rolling MODEL out would cost each kind of robot, from what they hold; nothing moves."""

    async def work(fleet: Fleet) -> None:
        from fleetward.client import quotes

        found = await quotes.quote(fleet.connection, model, to)
        show_json(_plain(found, link_mbps)) if as_json else _show(found, link_mbps)

    with_fleet(home, work)


def _plain(found: RolloutQuote, link_mbps: float) -> dict[str, Any]:
    return {
        "model": str(found.model),
        "digest": found.digest,
        "size_bytes": found.size_bytes,
        "link_mbps": link_mbps,
        "total_bytes": found.total_bytes,
        "byte_cap": found.dearest_bytes,
        "cohorts": [
            {
                "robots": list(cohort.robots),
                "model": str(cohort.model or found.model),
                "labels": cohort.labels,
                "held": list(cohort.held),
                "fetch_bytes": cohort.quote.fetch_bytes,
                "minutes": round(cohort.minutes(link_mbps), 3),
                "total_bytes": cohort.total_bytes,
                "delta_base": cohort.quote.delta_base,
            }
            for cohort in found.cohorts
        ],
        "misfits": found.misfits,
    }


def _show(found: RolloutQuote, link_mbps: float) -> None:
    from fleetward.cli.tables import show_table

    given = ["GIVEN"] if _has_variants(found) else []
    show_table(
        ["ROBOTS", "LABELS", *given, "EACH FETCHES", "BY", "TAKES", "TOGETHER"],
        [_row(found, cohort, link_mbps) for cohort in found.cohorts],
        when_empty="No robot is selected.",
    )
    for robot, reason in found.misfits.items():
        print(f"Left out: {robot}: {reason}.")
    print(all_told(found, link_mbps))


def all_told(found: RolloutQuote, link_mbps: float) -> str:
    """What all robots fetch together, and the cap that lets the dearest of them through."""
    from fleetward.cli.sizes import spoken_size

    robots = sum(len(cohort.robots) for cohort in found.cohorts)
    fetches = f"{how_many(robots, 'robot')} {'fetches' if robots == 1 else 'fetch'}"
    cap = f" (--byte-cap {found.dearest_bytes}B)" if found.dearest_bytes else ""
    size = f"{'at most ' if _has_variants(found) else ''}{spoken_size(found.size_bytes)}"
    return (
        f"{found.model} is {size}; {fetches} "
        f"{spoken_size(found.total_bytes)} together, and no robot more than "
        f"{spoken_size(found.dearest_bytes)}{cap}. "
        f"Times are for {link_mbps:g} Mbit/s each."
    )


def _has_variants(found: RolloutQuote) -> bool:
    return any(cohort.model not in (None, found.model) for cohort in found.cohorts)


def _row(found: RolloutQuote, cohort: Cohort, link_mbps: float) -> list[str]:
    from fleetward.cli.durations import spoken
    from fleetward.cli.sizes import spoken_size

    return [
        listed(cohort.robots, ROBOTS_NAMED),
        " ".join(f"{name}={value}" for name, value in cohort.labels.items()),
        *([str(cohort.model)] if _has_variants(found) else []),
        spoken_size(cohort.quote.fetch_bytes),
        _way(cohort),
        spoken(cohort.minutes(link_mbps) * 60),
        spoken_size(cohort.total_bytes),
    ]


def _way(cohort: Cohort) -> str:
    if not cohort.quote.fetch_bytes:
        return "has it"
    return "delta" if cohort.quote.delta_base else "chunks"
