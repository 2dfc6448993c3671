"""``fleetward site``: how many robots of a site must stay in service, and when models may change."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fleetward.cli.people import By, logged_in
from fleetward.cli.session import DEFAULT_HOME, Home, Json, show_json, with_fleet

if TYPE_CHECKING:
    from fleetward.client import Fleet
    from fleetward.client.sites import SiteStatus
    from fleetward.contracts.sites import SitePolicy

app = typer.Typer(
    name="site",
    help="What each site allows: a floor of robots in service, and maintenance windows.",
    no_args_is_help=True,
)
Site = Annotated[str, typer.Argument(metavar="SITE", help="The value of the robots' label site.")]


@app.command("list")
def list_sites(home: Home = DEFAULT_HOME, as_json: Json = False) -> None:
    """Show every site that has a policy."""

    async def work(fleet: Fleet) -> None:
        from fleetward.cli.tables import show_table

        sites, now = await fleet.sites.all(), datetime.now(timezone.utc)
        if as_json:
            show_json([_plain(site, now) for site in sites])
            return
        show_table(
            ("SITE", "ROBOTS", "FLOOR", "AWAY", "WINDOWS", "NOW"),
            [_cells(site, now) for site in sites],
            when_empty="No site has a policy: all are always open, and none has a floor.",
        )

    with_fleet(home, work)


@app.command()
def show(site: Site, home: Home = DEFAULT_HOME, as_json: Json = False) -> None:
    """Show one site's policy, and which rollout has which of its robots away."""

    async def work(fleet: Fleet) -> None:
        _say(await fleet.sites.one(site), as_json=as_json)

    with_fleet(home, work)


@app.command("set")
def set_policy(
    site: Site,
    floor: Annotated[
        int | None, typer.Option("--floor", min=0, help="Robots that must stay in service.")
    ] = None,
    floor_percent: Annotated[
        float | None,
        typer.Option("--floor-percent", help="The same as a share of the site; the larger binds."),
    ] = None,
    window: Annotated[
        list[str] | None,
        typer.Option("--window", help="'mon-fri 02:00+3h Europe/Berlin'; may be given again."),
    ] = None,
    blackout: Annotated[
        list[str] | None,
        typer.Option("--blackout", help="A local date on which no window opens: 2026-12-24."),
    ] = None,
    by: By = None,
    home: Home = DEFAULT_HOME,
    as_json: Json = False,
) -> None:
    """Let exactly this bind the site from now on. What is not given does not bind."""

    async def work(fleet: Fleet) -> None:
        from fleetward.cli.exits import tell

        wanted = _policy(site, floor, floor_percent, window or [], blackout or [])
        status = await fleet.sites.set(wanted, by=by or logged_in())
        if not status.robots:
            tell(f"No robot has the label site={site} yet.")
        _say(status, as_json=as_json)

    if floor is None and floor_percent is None and not window:
        raise typer.BadParameter(
            "nothing is set; give --floor, --floor-percent or --window. "
            "`fleetward site remove` takes a policy away."
        )
    with_fleet(home, work)


@app.command()
def remove(site: Site, by: By = None, home: Home = DEFAULT_HOME, as_json: Json = False) -> None:
    """Let the site be always open again, without a floor."""

    async def work(fleet: Fleet) -> None:
        await fleet.sites.remove(site, by=by or logged_in())
        if as_json:
            show_json({"site": site, "removed": True})
        else:
            print(f"Site {site} has no policy any more: it is always open and has no floor.")

    with_fleet(home, work)


def _policy(
    site: str, floor: int | None, percent: float | None, windows: list[str], blackouts: list[str]
) -> SitePolicy:
    """What was typed; raises a MalformedError that points at the wrong part."""
    from fleetward.contracts import ids
    from fleetward.contracts.sites import SitePolicy, parse_date
    from fleetward.contracts.windows import parse_window

    return SitePolicy(
        site=ids.site_name(site),
        floor=floor,
        floor_percent=percent,
        windows=tuple(parse_window(text) for text in windows),
        blackouts=tuple(parse_date(text) for text in blackouts),
    )


def _say(site: SiteStatus, *, as_json: bool) -> None:
    now = datetime.now(timezone.utc)
    if as_json:
        show_json(_plain(site, now))
        return
    robots = f"{site.robots} robot{'' if site.robots == 1 else 's'}"
    print(f"{site.policy.site}  {robots}  set by {site.set_by or 'somebody'}")
    print(f"  floor    {_floor(site)}")
    for window in site.policy.windows:
        print(f"  window   {window}")
    if site.policy.blackouts:
        print(f"  not on   {', '.join(day.isoformat() for day in site.policy.blackouts)}")
    print(f"  now      {_now(site, now)}")
    for rollout, robots_away in site.away.items():
        print(f"  away     {', '.join(robots_away)} (rollout {rollout})")


def _cells(site: SiteStatus, now: datetime) -> tuple[str, ...]:
    away = sum(len(robots) for robots in site.away.values())
    windows = "; ".join(str(window) for window in site.policy.windows)
    return (
        site.policy.site,
        str(site.robots),
        _floor(site),
        str(away),
        windows or "-",
        _now(site, now),
    )


def _floor(site: SiteStatus) -> str:
    if site.floor is None:
        return "none"
    percent = site.policy.floor_percent
    return str(site.floor) if percent is None else f"{site.floor} ({percent:g} %)"


def _now(site: SiteStatus, now: datetime) -> str:
    """Open, or when it opens: by the site's clock, and from now."""
    from zoneinfo import ZoneInfo

    from fleetward.cli.durations import spoken

    opening = site.opening(now)
    if opening is None:
        return "closed: no window opens within a year" if site.policy.windows else "open"
    until = opening.closes_at if opening.opens_at <= now else opening.opens_at
    local = until.astimezone(ZoneInfo(opening.window.zone))
    word = "open until" if opening.opens_at <= now else "opens"
    left = spoken((until - now).total_seconds())
    return f"{word} {local:%a %H:%M} {opening.window.zone} (in {left})"


def _plain(site: SiteStatus, now: datetime) -> dict[str, Any]:
    policy, opening = site.policy, site.opening(now)
    is_open = not policy.windows or (opening is not None and opening.opens_at <= now)
    return {
        "site": policy.site,
        "robots": site.robots,
        "floor": policy.floor,
        "floor_percent": policy.floor_percent,
        "floor_robots": site.floor,
        "windows": [
            {
                "days": [day.value for day in window.days],
                "start": window.start,
                "duration_s": window.duration_s,
                "zone": window.zone,
            }
            for window in policy.windows
        ],
        "blackouts": [day.isoformat() for day in policy.blackouts],
        "open": is_open,
        "opens_at": opening.opens_at.isoformat() if opening and not is_open else None,
        "closes_at": opening.closes_at.isoformat() if opening and is_open else None,
        "away": {rollout: list(robots) for rollout, robots in site.away.items()},
        "set_by": site.set_by or None,
        "set_at": site.set_at.isoformat(),
    }
