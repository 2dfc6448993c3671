"""``fleetward model repair``: a version whose stored bytes were damaged is made whole again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fleetward.cli.session import DEFAULT_HOME, Home, Json, show_json, with_fleet
from fleetward.contracts.wording import how_many

if TYPE_CHECKING:
    from fleetward.cli.exits import Exit
    from fleetward.client import Fleet


def repair(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="name:version or name@alias.")],
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="[FILE]", help="The file that was published. Without: only look at the packs."
        ),
    ] = None,
    home: Home = DEFAULT_HOME,
    as_json: Json = False,
) -> None:
    """Read every pack of MODEL in the store, and replace damaged ones from FILE.

    Without FILE it ends with code 1 when a pack is damaged.
    """

    async def work(fleet: Fleet) -> Exit | None:
        from fleetward.cli.exits import Exit
        from fleetward.client import repairs

        wanted = (await fleet.model(model)).manifest.model
        if file is not None:
            repaired = await repairs.repair(fleet, wanted, file)
            if as_json:
                show_json({"model": str(wanted), "repaired": list(repaired)})
            else:
                print(f"{wanted} is whole; packs replaced: {len(repaired)}.")
            return None
        checked = await repairs.check(fleet, wanted)
        damaged = [each.digest for each in checked.damaged]
        if as_json:
            show_json({"model": str(wanted), "packs": checked.packs, "damaged": damaged})
        else:
            print(f"{wanted} has {how_many(checked.packs, 'pack')}; damaged: {len(damaged)}.")
        return Exit.FAILED if damaged else None

    with_fleet(home, work)
