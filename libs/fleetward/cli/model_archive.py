"""``fleetward model export``, ``import`` and ``prune``: what leaves a registry, and what enters it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fleetward.cli.session import DEFAULT_HOME, Home, Json, show_json, with_fleet
from fleetward.contracts.wording import how_many

if TYPE_CHECKING:
    from fleetward.client import Fleet

MEGABYTE = 1_000_000


def export(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="name:version or name@alias.")],
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The archive to write, a tar.")],
    home: Home = DEFAULT_HOME,
    as_json: Json = False,
) -> None:
    """Write MODEL with its lineage, licence and card to FILE, for another registry to import."""

    async def work(fleet: Fleet) -> None:
        from fleetward.client.archives import export_version

        wanted = (await fleet.model(model)).manifest.model
        about = await export_version(fleet.connection, wanted, file)
        if as_json:
            show_json({"model": str(wanted), "digest": about.digest, "file": str(file)})
        else:
            print(f"{wanted} is in {file}: {about.size_bytes / MEGABYTE:.1f} MB, {about.digest}.")

    with_fleet(home, work)


def import_version(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What `model export` wrote.")],
    name: Annotated[str | None, typer.Option("--name", help="Default: as it was there.")] = None,
    version: Annotated[
        str | None, typer.Option("--version", help="Default: as it was there.")
    ] = None,
    home: Home = DEFAULT_HOME,
    as_json: Json = False,
) -> None:
    """Publish the version in FILE here: verified, inspected and signed anew."""

    async def work(fleet: Fleet) -> None:
        from fleetward.cli import plain
        from fleetward.client import archives

        pushed = await archives.import_version(fleet, file, name=name, version=version)
        manifest = pushed.version.manifest
        if as_json:
            already = {"already_published": pushed.already_published}
            show_json({**plain.model_version(pushed.version), **already})
        else:
            print(f"{manifest.model} is published: release {manifest.release}, {manifest.digest}.")

    with_fleet(home, work)


def prune(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be removed.")
    ] = False,
    home: Home = DEFAULT_HOME,
    as_json: Json = False,
) -> None:
    """Remove versions beyond the retention policy, and bytes that no version names.

    Never what an alias names, what any robot has or could fall back to, or what is young.
    """

    async def work(fleet: Fleet) -> None:
        pruned = await fleet.curation.prune(dry_run=dry_run)
        if as_json:
            show_json(
                {
                    "versions": list(pruned.versions),
                    "objects": pruned.objects,
                    "bytes": pruned.bytes,
                    "uploads": pruned.uploads,
                    "dry_run": pruned.dry_run,
                }
            )
            return
        would = "would be" if pruned.dry_run else "are"
        print(
            f"{how_many(len(pruned.versions), 'version')} and {how_many(pruned.objects, 'object')} "
            f"({pruned.bytes / MEGABYTE:.1f} MB) {would} removed."
        )
        for each in pruned.versions:
            print(f"  {each}")

    with_fleet(home, work)
