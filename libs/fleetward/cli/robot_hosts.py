"""What enrolling and removing over SSH have in common on the command line: options, progress, table."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fleetward.cli.exits import Exit, tell
from fleetward.cli.session import show_json

if TYPE_CHECKING:
    from fleetward.enrolment.destination import Destination
    from fleetward.enrolment.enrol import Asked
    from fleetward.enrolment.found import Found
    from fleetward.enrolment.result import Result
    from fleetward.enrolment.ssh import SshSettings

Fingerprint = Annotated[
    list[str] | None,
    typer.Option(
        "--fingerprint",
        help="SHA256:... of the host key, as `ssh-keygen -l` writes it; for several hosts one each, in "
        "their order.",
    ),
]
TrustFirst = Annotated[
    bool,
    typer.Option(
        "--trust-first-use",
        help="Believe and pin whatever host key a host shows the first time.",
    ),
]
Identity = Annotated[
    list[Path] | None,
    typer.Option(
        "--identity", help="Private key to log in with. Default: the agent's and those in ~/.ssh."
    ),
]
Name = Annotated[
    str, typer.Option("--name", help="The robot's id. Default: made from its host name.")
]
Account = Annotated[
    str, typer.Option("--account", help="The account that the bridge runs under, made if need be.")
]
Python = Annotated[str, typer.Option("--python", help="The robot's Python, 3.10 or later.")]
Prefix = Annotated[
    str,
    typer.Option(
        "--prefix",
        help="To try it out without root: every file goes below this directory of the robot, whose "
        "systemctl must know units there.",
    ),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Show each step that would change something; do none.")
]
AtOnce = Annotated[
    int, typer.Option("--parallel", min=1, max=64, help="How many robots at a time.")
]

PINS_FILE = "known_hosts"
"""In the state directory; OpenSSH's own format."""

Follow = Callable[["Destination", int, int, str], None]


def ssh_settings(identities: Sequence[Path] | None) -> SshSettings:
    """How to log in."""
    from fleetward.enrolment.ssh import SshSettings

    return SshSettings(identities=tuple(str(path.expanduser()) for path in identities or ()))


def asked_of(
    robots: Sequence[str],
    name: str,
    fingerprints: Sequence[str] | None,
    *,
    prefix: str = "",
    **common: Any,  # noqa: ANN401 (the other fields of Asked)
) -> list[Asked]:
    """What is asked for each host; raises typer.BadParameter."""
    from fleetward.enrolment.enrol import Asked
    from fleetward.enrolment.layout import Layout

    hosts = _hosts_of(robots)
    if name and len(hosts) > 1:
        raise typer.BadParameter("one id is for one host.", param_hint="--name")
    vouched = _vouched_of(fingerprints, robots)
    return [
        Asked(host=host, name=name, vouched=each, layout=Layout(prefix=prefix), **common)
        for host, each in zip(hosts, vouched, strict=True)
    ]


def _hosts_of(robots: Sequence[str]) -> list[Destination]:
    from fleetward.enrolment.destination import destination
    from fleetward.enrolment.errors import DestinationError

    try:
        hosts = [destination(robot) for robot in robots]
    except DestinationError as error:
        raise typer.BadParameter(str(error), param_hint="USER@HOST...") from error
    for host in hosts:
        if hosts.count(host) > 1:
            raise typer.BadParameter(f"{host} is named twice.", param_hint="USER@HOST...")
    return hosts


def _vouched_of(fingerprints: Sequence[str] | None, hosts: Sequence[str]) -> list[str | None]:
    """The fingerprint of each host; raises typer.BadParameter."""
    if not fingerprints:
        return [None] * len(hosts)
    if len(fingerprints) != len(hosts):
        raise typer.BadParameter(
            f"{len(fingerprints)} fingerprints for {len(hosts)} hosts; give one each, in their order.",
            param_hint="--fingerprint",
        )
    return list(fingerprints)


@contextmanager
def progress(hosts: Sequence[Destination]) -> Iterator[Follow]:
    """A bar for each host where a person looks, else a line for each step; on standard error."""
    if not sys.stderr.isatty():
        yield lambda host, _done, _total, step: tell(f"{host}: {step}")
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (
        TextColumn("{task.fields[host]}"),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TextColumn("{task.description}", markup=False),
    )
    with Progress(*columns, console=Console(stderr=True)) as bars:
        tasks = {host: bars.add_task("waiting", total=None, host=str(host)) for host in hosts}
        yield lambda host, done, total, step: bars.update(
            tasks[host], completed=done, total=total or None, description=step
        )


def show_results(results: Sequence[Result], *, as_json: bool, dry: bool) -> Exit:
    """One line per host, in a dry run each step too; FAILED when one of them failed."""
    if as_json:
        show_json([_plain(result) for result in results])
    else:
        _show_table(results)
        if dry:
            _show_steps(results)
    failed = [result for result in results if result.outcome.value == "failed"]
    return Exit.FAILED if failed else Exit.OK


def _show_table(results: Sequence[Result]) -> None:
    from fleetward.cli.tables import show_table

    rows = [
        [
            result.robot,
            str(result.host),
            result.outcome.value,
            str(len(result.changes)),
            result.found.described,
            result.reason,
        ]
        for result in results
    ]
    columns = ["ROBOT", "HOST", "RESULT", "CHANGES", "MACHINE", "REASON"]
    show_table(columns, rows, when_empty="No host was named.")


def _show_steps(results: Sequence[Result]) -> None:
    for result in results:
        for change in result.changes:
            print(f"{result.host}: would {change}")


def _plain(result: Result) -> dict[str, Any]:
    return {
        "host": str(result.host),
        "robot_id": result.robot or None,
        "result": result.outcome.value,
        "changes": list(result.changes),
        "host_key": result.host_key or None,
        "reason": result.reason or None,
        "machine": _machine(result.found),
    }


def _machine(found: Found) -> dict[str, Any]:
    release = found.l4t_release
    return {
        "board": found.board or None,
        "l4t": f"{release[0]}.{release[1]}" if release else None,
        "system": found.system or None,
        "kernel": found.kernel or None,
        "arch": found.arch or None,
        "python": found.python_full or None,
        "memory_bytes": found.memory_bytes,
        "disk_free_bytes": found.disk_free_bytes,
    }
