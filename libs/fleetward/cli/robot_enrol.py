"""``fleetward robot enrol``: a robot joins the fleet, by a word to this machine or over SSH."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from fleetward.cli.pairs import pairs_of
from fleetward.cli.robot_hosts import (
    PINS_FILE,
    Account,
    AtOnce,
    DryRun,
    Fingerprint,
    Identity,
    Name,
    Prefix,
    Python,
    TrustFirst,
    asked_of,
    progress,
    show_results,
    ssh_settings,
)
from fleetward.cli.session import DEFAULT_HOME, Home, Json, end_with, show_json

if TYPE_CHECKING:
    from fleetward.cli.exits import Exit
    from fleetward.contracts.ids import RobotId
    from fleetward.enrolment.enrol import Asked
    from fleetward.enrolment.published import Published
    from fleetward.enrolment.wheelhouse import Wheelhouse

Robots = Annotated[
    list[str],
    typer.Argument(
        metavar="ROBOT|USER@HOST...",
        help="One id, for example arm-7; or any number of logins, as nvidia@10.0.0.7 or "
        "root@arm-7.local:2222.",
    ),
]
Labels = Annotated[
    list[str] | None, typer.Option("--label", help="NAME=VALUE, for selectors to match.")
]
House = Annotated[
    Path | None,
    typer.Option(
        "--wheelhouse",
        help="Wheels for the robot, made with `make wheelhouse`. Default: wheelhouse/ in the state "
        "directory.",
    ),
]
Url = Annotated[
    str,
    typer.Option(
        "--nats-url", help="How the robot reaches the bus. Default: as this machine does."
    ),
]
Frames = Annotated[
    str, typer.Option("--frames", help="The robot's directory of images to infer on.")
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--setting", help="FLEETWARD_NAME=VALUE for the bridge, as often as needed."),
]
Extras = Annotated[
    list[str] | None,
    typer.Option(
        "--extra",
        help="Of the bridge, as often as needed: rules, foxglove, video, mcap, tensorrt; `none` alone takes "
        "them away. Default: those that the robot has. What a --setting needs is added.",
    ),
]
Release = Annotated[
    str,
    typer.Option(
        "--release",
        help="Install this published release, as edge-bridge:VERSION, and not from a wheelhouse: a rollout "
        "can take the robot back to it.",
    ),
]
Replace = Annotated[
    bool,
    typer.Option(
        "--replace",
        help="This machine takes the place of another that had this id, whose key is void from then on.",
    ),
]


def enrol(
    robots: Robots,
    *,
    labels: Labels = None,
    name: Name = "",
    fingerprints: Fingerprint = None,
    trust_first: TrustFirst = False,
    identities: Identity = None,
    wheelhouse: House = None,
    nats_url: Url = "",
    account: Account = "fleetward",
    python: Python = "python3",
    frames: Frames = "",
    settings: Settings = None,
    extras: Extras = None,
    release: Release = "",
    prefix: Prefix = "",
    replace: Replace = False,
    at_once: AtOnce = 8,
    dry: DryRun = False,
    home: Home = DEFAULT_HOME,
    as_json: Json = False,
) -> None:
    """Take robots into the fleet. `enrol` and `enroll` are one command.

    USER@HOST is enrolled over SSH: its host key is checked and pinned, the machine is looked at, and
    whatever is missing is made: account, directories, an installed bridge from a wheelhouse (the robot
    needs no internet), credentials, a systemd unit with a watchdog. It is done when the robot was heard
    on the bus. A second run changes nothing and says so; --dry-run shows the steps. Only a host that
    is given with --fingerprint, was pinned before, or is trusted by --trust-first-use is logged in to.

    ROBOT alone, an id, issues credentials and what to trust into this machine's state directory and
    touches no other machine: for a robot that you set up yourself. A later run with USER@HOST and
    --name puts those same credentials on it. Enrolling again sets labels and keeps credentials, unless
    --replace asks for a new key: that is also what to do when a robot or its key was stolen.
    """
    given, source = pairs_of("--label", labels or []), _source_of(wheelhouse, release, extras)
    if not any("@" in robot for robot in robots):
        _check_here(
            robots, over_ssh=any((dry, name, fingerprints, prefix, settings, extras, release))
        )
        end_with(lambda: _enrol_here(robots[0], given, home, new_key=replace, as_json=as_json))
    machine = {"account": account, "python": python, "trust_first": trust_first, "dry": dry}
    robot = {"labels": given, "replaces": replace, "nats_url": nats_url}
    bridge = {"settings": _variables(settings, frames), "extras": _extras_of(extras)}
    asks = asked_of(robots, name, fingerprints, prefix=prefix, **machine, **robot, **bridge)
    end_with(lambda: _enrol_there(asks, home, source, identities, at_once, as_json=as_json))


def _check_here(robots: Sequence[str], *, over_ssh: bool) -> None:
    if len(robots) != 1:
        raise typer.BadParameter(
            "give one id, or logins as user@host.", param_hint="ROBOT|USER@HOST..."
        )
    if over_ssh:
        raise typer.BadParameter(
            f"{robots[0]!r} is an id, and the options given are for enrolling over SSH; write user@host.",
            param_hint="ROBOT|USER@HOST...",
        )


def _variables(settings: Sequence[str] | None, frames: str) -> Mapping[str, str]:
    told = pairs_of("--setting", settings or [])
    for name, value in (*told.items(), ("FLEETWARD_FRAMES_DIR", frames)):
        if not name.startswith("FLEETWARD_") or not value.isprintable():
            raise typer.BadParameter(
                f"{name}={value!r} is no FLEETWARD_ variable on one line.", param_hint="--setting"
            )
    return {**told, **({"FLEETWARD_FRAMES_DIR": frames} if frames else {})}


def _extras_of(named: Sequence[str] | None) -> tuple[str, ...] | None:
    if not named:
        return None
    if "none" in named and len(named) > 1:
        raise typer.BadParameter("none stands alone.", param_hint="--extra")
    return () if "none" in named else tuple(named)


class _Source(NamedTuple):
    """Where the bridge comes from: a published release where one is named, else a directory of wheels."""

    wheelhouse: Path | None
    release: str


def _source_of(wheelhouse: Path | None, release: str, extras: Sequence[str] | None) -> _Source:
    if release and (wheelhouse or extras):
        raise typer.BadParameter(
            "a release has its own wheels and extras: leave out --wheelhouse and --extra.",
            param_hint="--release",
        )
    return _Source(wheelhouse, release)


async def _enrol_here(
    robot: str, labels: Mapping[str, str], home: Path, *, new_key: bool, as_json: bool
) -> Exit | None:
    from fleetward.contracts.ids import robot_id

    name = robot_id(robot)
    credentials = await _issued(home, name, labels, new_key=new_key)
    trust = _trust_of(credentials)
    if as_json:
        issued = {"credentials": str(credentials), "trust": str(trust)}
        show_json({"robot_id": name, "labels": labels, **issued})
    else:
        print(f"{name} is enrolled. Start its bridge with these two:")
        print(f"  credentials  {credentials}")
        print(f"  trust        {trust}")
    return None


async def _enrol_there(
    asks: Sequence[Asked],
    home: Path,
    source: _Source,
    identities: Sequence[Path] | None,
    at_once: int,
    *,
    as_json: bool,
) -> Exit:
    from fleetward.enrolment.enrol import Enroller
    from fleetward.enrolment.hub import opened
    from fleetward.enrolment.many import each

    async with opened(home) as hub, _wheels(source, home) as (published, wheels):
        enroller = Enroller(hub, wheels, home / PINS_FILE, ssh_settings(identities), published)
        with progress([asked.host for asked in asks]) as told:
            results = await each(
                asks, enroller.enrol, host_of=lambda asked: asked.host, told=told, at_once=at_once
            )
    return show_results(results, as_json=as_json, dry=any(asked.dry for asked in asks))


@asynccontextmanager
async def _wheels(
    source: _Source, home: Path
) -> AsyncIterator[tuple[Published | None, Wheelhouse]]:
    from fleetward.client import Fleet
    from fleetward.enrolment.published import fetched
    from fleetward.enrolment.wheelhouse import Wheelhouse

    if not source.release:
        yield None, Wheelhouse(source.wheelhouse or home / "wheelhouse")
        return
    async with Fleet.connect(home) as fleet, fetched(fleet, source.release) as found:
        yield found


async def _issued(home: Path, name: RobotId, labels: Mapping[str, str], *, new_key: bool) -> Path:
    """Announce a robot and give the file of its credentials; the issuer's keys must lie in home."""
    from fleetward.enrolment.hub import opened
    from fleetward.trust.anchors import write_anchor
    from fleetward.trust.private_files import make_private_dir

    async with opened(home) as hub:
        if new_key or (await hub.known(name)).has_stray_key:
            await hub.void(name)
        hub.issue(name)
        await hub.announce(name, labels)
        credentials = hub.credentials_path(name)
        make_private_dir(_trust_of(credentials))
        write_anchor(_trust_of(credentials), await hub.anchor())
    return credentials


def _trust_of(credentials: Path) -> Path:
    """The trust directory that a robot is to be started with."""
    return credentials.with_suffix(".trust")
