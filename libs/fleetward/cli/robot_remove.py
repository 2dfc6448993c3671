"""``fleetward robot remove``: what enrolment brought to a machine goes, and its key is void."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fleetward.cli.robot_hosts import (
    PINS_FILE,
    AtOnce,
    DryRun,
    Fingerprint,
    Identity,
    Name,
    Prefix,
    TrustFirst,
    asked_of,
    progress,
    show_results,
    ssh_settings,
)
from fleetward.cli.session import DEFAULT_HOME, Home, Json, end_with, show_json

if TYPE_CHECKING:
    from fleetward.cli.exits import Exit
    from fleetward.enrolment.enrol import Asked
    from fleetward.enrolment.remove import Unseen

Hosts = Annotated[
    list[str],
    typer.Argument(
        metavar="ROBOT...|USER@HOST...",
        help="Ids; or logins, as they were enrolled over SSH.",
    ),
]
KeepState = Annotated[
    bool,
    typer.Option("--keep-state", help="Leave models and telemetry that was not sent yet."),
]


def remove(
    hosts: Hosts,
    *,
    name: Name = "",
    fingerprints: Fingerprint = None,
    trust_first: TrustFirst = False,
    identities: Identity = None,
    prefix: Prefix = "",
    keep_state: KeepState = False,
    at_once: AtOnce = 8,
    dry: DryRun = False,
    home: Home = DEFAULT_HOME,
    as_json: Json = False,
) -> None:
    """Undo `robot enrol`: revoke its credentials; of USER@HOST also stop the bridge and remove all of it.

    ROBOT, an id, is for a machine that is lost, stolen or was set up by hand: its key is void at once, it
    belongs to the fleet no more, and no machine is touched. Of several each has its own outcome: exit code 1
    says that one of them failed, as one does that a rollout counts on. With USER@HOST the robot's own programs are
    not touched. What is gone already is passed over, so a removal that was cut off is finished by the
    same command; --name says which robot it was where the machine no longer does.
    """
    if not any("@" in host for host in hosts):
        _check_unseen(hosts, over_ssh=bool(dry or name or fingerprints or prefix or keep_state))
        end_with(lambda: _remove_unseen(hosts, home, as_json=as_json))
    asks = asked_of(hosts, name, fingerprints, prefix=prefix, trust_first=trust_first, dry=dry)
    end_with(
        lambda: _remove(asks, home, identities, at_once, keeps_state=keep_state, as_json=as_json)
    )


def _check_unseen(robots: Sequence[str], *, over_ssh: bool) -> None:
    if over_ssh:
        raise typer.BadParameter(
            f"{robots[0]!r} is an id, and the options given are for removing over SSH; write user@host.",
            param_hint="ROBOT...|USER@HOST...",
        )


async def _remove_unseen(robots: Sequence[str], home: Path, *, as_json: bool) -> Exit:
    """FAILED when one of them failed; the others are gone all the same."""
    from fleetward.cli.exits import Exit
    from fleetward.contracts.ids import robot_id
    from fleetward.enrolment.hub import opened
    from fleetward.enrolment.remove import remove_each_unseen
    from fleetward.enrolment.result import Outcome

    names = [robot_id(robot) for robot in robots]
    async with opened(home) as hub:
        ended = await remove_each_unseen(hub, names)
    show_unseen(ended, as_json=as_json)
    return Exit.FAILED if any(each.outcome is Outcome.FAILED for each in ended) else Exit.OK


def show_unseen(ended: Sequence[Unseen], *, as_json: bool) -> None:
    """One line per robot, in the order in which they were named."""
    if as_json:
        show_json(
            [
                {"robot_id": each.robot, "result": each.outcome.value, "reason": each.reason}
                for each in ended
            ]
        )
        return
    told = {
        "done": "its key is void and it is out of the fleet",
        "unchanged": "was not in the fleet",
    }
    for each in ended:
        print(f"{each.robot}  {told.get(each.outcome.value) or f'not removed: {each.reason}'}")


async def _remove(
    asks: Sequence[Asked],
    home: Path,
    identities: Sequence[Path] | None,
    at_once: int,
    *,
    keeps_state: bool,
    as_json: bool,
) -> Exit:
    from fleetward.enrolment.hub import opened
    from fleetward.enrolment.many import each
    from fleetward.enrolment.remove import Remover

    async with opened(home) as hub:
        pins = home / PINS_FILE
        remover = Remover(hub, pins, ssh_settings(identities), keeps_state=keeps_state)
        with progress([asked.host for asked in asks]) as told:
            results = await each(
                asks, remover.remove, host_of=lambda asked: asked.host, told=told, at_once=at_once
            )
    return show_results(results, as_json=as_json, dry=any(asked.dry for asked in asks))
