"""``fleetward alert``: what fires, what no longer does, what nobody knows; and the rules of robots."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from fleetward.cli.session import DEFAULT_HOME, Home, Json, show_json, with_fleet

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fleetward.cli.plain import Plain
    from fleetward.client import AlertStatus, Fleet, RobotStatus
    from fleetward.client.rules import SentRules

app = typer.Typer(
    help="What fires, what no longer does, what nobody knows; and the rules of robots.",
    no_args_is_help=True,
)

_NONE_NOW = "No alert fires. `fleetward alert list --all` shows those that did."
_NONE_EVER = "No alert ever fired."
_NONE_SENT = "The hub has sent robots no rules. Alerting needs a key for it: docs/adr/0023."


@app.command("list")
def list_alerts(
    everything: Annotated[bool, typer.Option("--all", help="Resolved alerts too.")] = False,
    home: Home = DEFAULT_HOME,
    as_json: Json = False,
) -> None:
    """The newest incident of every alert that fires or is unknown, the newest first."""
    from fleetward.cli import plain
    from fleetward.cli.tables import show_table

    async def work(fleet: Fleet) -> None:
        from fleetward.client import AlertState

        alerts = [
            status
            for status in await fleet.alerts()
            if everything or status.state is not AlertState.RESOLVED
        ]
        if as_json:
            show_json([plain.alert(status) for status in alerts])
            return
        show_table(
            ["ALERT", "ROBOT", "STATE", "SEVERITY", "VALUE", "FIRED", "SUMMARY"],
            [_row(status) for status in alerts],
            when_empty=_NONE_EVER if everything else _NONE_NOW,
        )

    with_fleet(home, work)


@app.command("rules")
def rules(home: Home = DEFAULT_HOME, as_json: Json = False) -> None:
    """The critical rules that the hub sent, by which robots judge themselves, and how many do."""
    from fleetward.cli.tables import show_table

    async def work(fleet: Fleet) -> None:
        from fleetward.client.rules import sent_rules

        sent, robots = await sent_rules(fleet.connection), await fleet.robots()
        if as_json:
            show_json(_plain(sent, robots))
            return
        if sent is not None:
            _show_set(sent, robots)
        show_table(
            ["ALERT", "EXPRESSION"],
            [[each.alert, each.expression] for each in sent.rules] if sent else [],
            when_empty="It holds no critical rule." if sent else _NONE_SENT,
        )

    with_fleet(home, work)


def _show_set(sent: SentRules, robots: Sequence[RobotStatus]) -> None:
    from fleetward.client.rules import shown_digest
    from fleetward.client.timeline import with_its_zone

    counted = _counted(sent, robots)
    print(f"digest  {shown_digest(sent.digest)}, sent {with_its_zone(sent.issued_at)}")
    print(f"signed  {'✗ robots refuse it: ' + sent.refused if sent.refused else '✓'}")
    if sent.gave_way is not None:
        theirs, since = sent.gave_way, with_its_zone(sent.gave_way.found_at)
        print(
            f"others  ✗ another alerting judges by {shown_digest(theirs.digest)} and robots do not, since {since}. "
            "Run one alerting, or give each the same rule files"
        )
    print(f"robots  {', '.join(f'{count} {how}' for how, count in counted.items())}\n")


def _counted(sent: SentRules | None, robots: Sequence[RobotStatus]) -> dict[str, int]:
    """How many robots judge themselves by what."""
    said = [robot.last.rules for robot in robots if robot.last and robot.last.rules]
    digests = [each.digest for each in said if each.digest is not None]
    by_these = digests.count(sent.digest) if sent else 0
    return {
        "by these": by_these,
        "by others": len(digests) - by_these,
        "by none": len(robots) - len(digests),
    }


def _plain(sent: SentRules | None, robots: Sequence[RobotStatus]) -> Plain:
    from msgspec import to_builtins

    return {
        "sent": None if sent is None else to_builtins(sent),
        "robots": {how.replace(" ", "_"): count for how, count in _counted(sent, robots).items()},
    }


def _row(status: AlertStatus) -> list[str]:
    from fleetward.client.timeline import with_its_zone

    fired = status.fired
    return [
        fired.alert,
        fired.robot_id,
        status.state.value,
        fired.severity.value,
        f"{fired.value:.4g}",
        with_its_zone(fired.fired_at),
        fired.summary or fired.expression,
    ]
