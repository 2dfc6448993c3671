"""``fleetward apply``, ``diff`` and ``schema``: the fleet as files in a repository."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fleetward.cli.exits import Exit
from fleetward.cli.session import DEFAULT_HOME, Home, Json, show_json, with_fleet

if TYPE_CHECKING:
    from fleetward.cli.document_files import Written
    from fleetward.client import Fleet
    from fleetward.client.documents import Difference

Files = Annotated[
    list[Path],
    typer.Option("--file", "-f", help="A YAML file, or a directory of them. May be repeated."),
]


def diff(files: Files, home: Home = DEFAULT_HOME, as_json: Json = False) -> None:
    """Show what applying documents would change: 0 nothing, 1 something, and nothing is changed."""
    from fleetward.cli.document_files import read_documents

    written = read_documents(files)

    async def work(fleet: Fleet) -> Exit:
        from fleetward.client.documents import Change, difference

        found = [(each, await difference(fleet, each.document)) for each in written]
        _show(found, as_json=as_json)
        same = all(known.change is Change.UNCHANGED for _, known in found)
        return Exit.OK if same else Exit.FAILED

    with_fleet(home, work)


def apply(
    files: Files,
    wait: Annotated[bool, typer.Option("--wait", help="Return when its rollouts ended.")] = False,
    home: Home = DEFAULT_HOME,
    as_json: Json = False,
) -> None:
    """Make the fleet what documents say: rollouts, sites, labels. Applying twice changes nothing.

    Every document is compared before the first is applied: one that may not be refuses all. With
    --wait the exit code is that of the worst rollout: 0 succeeded, 4 reverted, 5 aborted.
    """
    from fleetward.cli.document_files import read_documents

    written = read_documents(files)

    async def work(fleet: Fleet) -> Exit:
        from fleetward.cli.people import asking
        from fleetward.client.documents import apply as made_so

        _refuse_all_if_one_may_not([(e, await _difference(fleet, e)) for e in written])
        async with AsyncExitStack() as stack:
            enroller = await _enroller(stack, home, written)
            found = [
                (each, await made_so(fleet, enroller, each.document, asking())) for each in written
            ]
        _show(found, as_json=as_json)
        return await _ended(fleet, written) if wait else Exit.OK

    with_fleet(home, work)


def schema() -> None:
    """Print the JSON Schema of a document, for editors and CI."""
    from fleetward.contracts.documents import documents_schema

    show_json(documents_schema())


async def _difference(fleet: Fleet, written: Written) -> Difference:
    from fleetward.client.documents import difference

    return await difference(fleet, written.document)


def _refuse_all_if_one_may_not(found: list[tuple[Written, Difference]]) -> None:
    from fleetward.client.documents import Change
    from fleetward.client.errors import ClientError

    for written, known in found:
        if known.change is Change.REFUSED:
            raise ClientError(f"{written.place}: {known.reason} Nothing was applied.")


async def _enroller(stack: AsyncExitStack, home: Path, written: list[Written]) -> Fleet | None:
    """Whoever may label robots, if there are labels to set."""
    from fleetward.client import Fleet
    from fleetward.contracts.documents import RobotLabelsDocument
    from fleetward.contracts.rows import Principal

    if not any(isinstance(each.document, RobotLabelsDocument) for each in written):
        return None
    return await stack.enter_async_context(Fleet.connect(home, principal=Principal.ENROLLER))


async def _ended(fleet: Fleet, written: list[Written]) -> Exit:
    """The worst end of the rollouts among the documents."""
    from fleetward.cli.exits import exit_of_rollout
    from fleetward.contracts.documents import RolloutDocument

    worst = Exit.OK
    for each in written:
        if isinstance(each.document, RolloutDocument):
            ended = await fleet.wait_rollout(each.document.name)
            worst = max(worst, exit_of_rollout(ended))
    return worst


def _show(found: list[tuple[Written, Difference]], *, as_json: bool) -> None:
    if as_json:
        show_json(
            [
                {
                    "document": written.title,
                    "place": written.place,
                    "change": known.change.value,
                    "fields": {name: list(pair) for name, pair in known.fields.items()},
                    "reason": known.reason or None,
                }
                for written, known in found
            ]
        )
        return
    for written, known in found:
        print(f"{written.title}: {known.change.value}")
        for name, (now, then) in known.fields.items():
            print(f"  {name}: {now} -> {then}")
        if known.reason:
            print(f"  {known.reason}")
