"""``fleetward model push``: a file becomes a version, with what its publisher says of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fleetward.cli.session import DEFAULT_HOME, Home, Json, show_json, with_fleet

if TYPE_CHECKING:
    from fleetward.client import Description, Fleet
    from fleetward.client.publishing import MergedFile
    from fleetward.client.uploads import Progress
    from fleetward.contracts.registry import ModelRegistered, ModelVersion

MEGABYTE = 1_000_000

File = Annotated[
    Path, typer.Argument(metavar="FILE", help="A model in one file: ONNX or safetensors.")
]
Name = Annotated[str, typer.Option("--name", help="The model's name, for example detector.")]
Version = Annotated[str, typer.Option("--version", help="This version, for example 1.2.0.")]
Metadata = Annotated[
    list[str] | None, typer.Option("--metadata", help="NAME=VALUE, as often as needed.")
]
Dataset = Annotated[str, typer.Option("--dataset", help="What it was trained on.")]
Commit = Annotated[str, typer.Option("--commit", help="The code that trained it.")]
TrainingRun = Annotated[str, typer.Option("--training-run", help="The run that trained it.")]
Lineage = Annotated[
    list[str] | None, typer.Option("--lineage", help="KEY=VALUE, whatever else it comes from.")
]
Licence = Annotated[
    str, typer.Option("--licence", help="SPDX expression. Default: what the file itself says.")
]
Card = Annotated[Path | None, typer.Option("--card", help="The model card, a Markdown file.")]

For = Annotated[
    str,
    typer.Option(
        "--for",
        help="A selector over labels: FILE is for these robots alone, and VERSION is written "
        "VERSION+VARIANT. The plain VERSION is for all others.",
    ),
]
MergedInto = Annotated[
    str, typer.Option("--base", help="The published version that --adapter was merged into.")
]
Adapter = Annotated[
    Path | None,
    typer.Option("--adapter", help="The LoRA safetensors file that was merged to make FILE."),
]
Scale = Annotated[
    float, typer.Option("--scale", help="PEFT's alpha over rank, by which it was merged.")
]


def push(
    file: File,
    *,
    name: Name,
    version: Version,
    metadata: Metadata = None,
    dataset: Dataset = "",
    commit: Commit = "",
    training_run: TrainingRun = "",
    lineage: Lineage = None,
    licence: Licence = "",
    card: Card = None,
    base: MergedInto = "",
    adapter: Adapter = None,
    scale: Scale = 1.0,
    fits: For = "",
    home: Home = DEFAULT_HOME,
    as_json: Json = False,
) -> None:
    """Upload FILE, have it verified and signed, and announce it as NAME:VERSION."""
    from fleetward.cli.pairs import pairs_of

    pairs = pairs_of("--metadata", metadata or [])
    description = _description((dataset, commit, training_run), lineage or [], licence, card)
    merged = _merged(base, adapter, scale)

    async def work(fleet: Fleet) -> None:
        with progress_bar(file) as progress:
            pushed = await fleet.push_model(
                file,
                name,
                version,
                metadata=pairs,
                progress=progress,
                description=description,
                merged=merged,
                fits=fits,
            )
        show_pushed(pushed, as_json=as_json)

    with_fleet(home, work)


def show_pushed(pushed: ModelRegistered, *, as_json: bool) -> None:
    from fleetward.cli import plain

    if as_json:
        already = {"already_published": pushed.already_published}
        show_json({**plain.model_version(pushed.version), **already})
    else:
        print(_pushed(pushed.version, already_published=pushed.already_published))


def _description(
    origins: tuple[str, str, str], lineage: Sequence[str], licence: str, card: Path | None
) -> Description:
    from fleetward.cli.pairs import pairs_of
    from fleetward.client import Description
    from fleetward.client.descriptions import COMMIT, DATASET, TRAINING_RUN

    named = zip((DATASET, COMMIT, TRAINING_RUN), origins, strict=True)
    given = {key: value for key, value in named if value}
    return Description(
        lineage={**given, **pairs_of("--lineage", lineage)},
        licence=licence,
        card=_text_of(card) if card is not None else "",
    )


def _merged(base: str, adapter: Path | None, scale: float) -> MergedFile | None:
    from fleetward.client.publishing import MergedFile
    from fleetward.contracts import ids

    if adapter is None and not base:
        return None
    if adapter is None or not base:
        raise typer.BadParameter("Give both --base and --adapter, or neither.")
    return MergedFile(base=ids.version(base), adapter=adapter, scale=scale)


def _text_of(card: Path) -> str:
    try:
        return card.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise typer.BadParameter(f"{card} cannot be read: {error}.", param_hint="--card") from None


@contextmanager
def progress_bar(file: Path) -> Iterator[Progress]:
    """A bar on standard error, where a terminal is; silent elsewhere."""
    from rich.progress import BarColumn, DownloadColumn, Progress, TransferSpeedColumn

    from fleetward.cli.tables import console_for_people

    console = console_for_people(stderr=True)
    columns = ("{task.description}", BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(file.name, total=None)

        def sent(sent_bytes: int, total_bytes: int) -> None:
            doing = "being verified" if sent_bytes == total_bytes else "upload"
            description = f"{file.name}: {doing}"
            bar.update(task, completed=sent_bytes, total=total_bytes, description=description)

        yield sent


def _pushed(version: ModelVersion, *, already_published: bool) -> str:
    manifest = version.manifest
    how = "was published already, with the same bytes" if already_published else "is published"
    fits = f" for {manifest.fits}" if manifest.fits else ""
    return (
        f"{manifest.model} {how}{fits}: release {manifest.release}, "
        f"{manifest.size_bytes / MEGABYTE:.1f} MB, {manifest.digest}."
    )
