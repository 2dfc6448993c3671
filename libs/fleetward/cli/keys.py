"""``fleetward keys``: the root that robots trust, made, signed, rotated and handed out.

All but ``publish-root`` and ``export-root`` work on files alone, on a machine without a network.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fleetward.cli.passphrases import (
    NoPassphrase,
    PassphraseFile,
    known_passphrase,
    new_passphrase,
)
from fleetward.cli.session import DEFAULT_HOME, Home, Json, end_with, show_json, with_fleet

if TYPE_CHECKING:
    from fleetward.cli.exits import Exit
    from fleetward.client import Fleet

app = typer.Typer(
    help="The root that robots trust: who signs for what, and how that changes.",
    no_args_is_help=True,
)

RootFile = Annotated[Path, typer.Argument(metavar="ROOT", help="A root file (root.json).")]
OptionalRootFile = Annotated[
    Path | None,
    typer.Argument(metavar="[ROOT]", help="A root file. Default: the system's newest."),
]
KeyFile = Annotated[Path, typer.Argument(metavar="FILE", help="Where the private key shall lie.")]
Previous = Annotated[
    Path | None, typer.Option("--previous", help="The root before it, whose keys must sign too.")
]


@app.command("create")
def create(
    file: KeyFile,
    passphrase_file: PassphraseFile = None,
    no_passphrase: NoPassphrase = False,
    as_json: Json = False,
) -> None:
    """Make one key: the private half into FILE, the public half beside it (.pub).

    A root key is sealed with a passphrase; services read keys that are not.
    """
    passphrase = new_passphrase(passphrase_file, no_passphrase)

    async def work() -> Exit | None:
        from fleetward.cli.key_files import create_key, public_file_of
        from fleetward.trust.rotation import shown_id

        key = create_key(file, passphrase)
        made = {"key_id": shown_id(key.public_bytes), "public": str(public_file_of(file))}
        if as_json:
            show_json(made)
        else:
            print(f"key {made['key_id']}: hand {made['public']} around, keep {file} to yourself.")
        return None

    end_with(work)


@app.command("init")
def init(
    directory: Annotated[Path, typer.Argument(metavar="DIRECTORY", help="Made if need be.")],
    root_keys: Annotated[
        int, typer.Option("--root-keys", min=1, max=16, help="How many root keys.")
    ] = 3,
    threshold: Annotated[
        int, typer.Option("--threshold", min=1, help="How many of them must sign.")
    ] = 2,
    passphrase_file: PassphraseFile = None,
    no_passphrase: NoPassphrase = False,
    as_json: Json = False,
) -> None:
    """Make every key of a new system and its first root, signed.

    The root keys are sealed with a passphrase, the others are not: services read them unattended.
    Then take root-*.key to places apart, give online/ to the registry, commands.key to the
    coordinator, rules.key to alerting, and root.json to the registry and to every robot.
    """
    passphrase = new_passphrase(passphrase_file, no_passphrase)

    async def work() -> Exit | None:
        from fleetward.cli.key_files import described, first_root_in

        _make_unless_rooted(directory)
        root = first_root_in(directory, root_keys, threshold, passphrase)
        _show(described(root), as_json)
        return None

    end_with(work)


def _make_unless_rooted(directory: Path) -> None:
    """The directory of a new root; two first roots of one system would each refuse the other."""
    from fleetward.trust.errors import RootRefusedError
    from fleetward.trust.private_files import make_private_dir

    first = directory / "root.json"
    if first.exists():
        raise RootRefusedError(
            f"{first} is a root already, and there is but one first. `fleetward keys rotate {first}` "
            "makes the next; to begin anew, name another directory."
        )
    make_private_dir(directory)


@app.command("sign-root")
def sign_root(
    root: RootFile,
    key: Annotated[list[Path], typer.Option("--key", help="A private root key; may repeat.")],
    previous: Previous = None,
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """Add signatures to a root, in place, and say which are missing."""
    passphrase = known_passphrase(passphrase_file)

    async def work() -> Exit | None:
        from fleetward.cli.key_files import described, read_root_file, write_root_file
        from fleetward.trust import roots
        from fleetward.trust.signing import SigningKey

        signed = read_root_file(root)
        for path in key:
            signed = roots.sign_root(signed, SigningKey.load(path, passphrase))
        write_root_file(root, signed)
        _show(described(signed, read_root_file(previous) if previous else None), as_json)
        return None

    end_with(work)


@app.command("rotate")
def rotate(
    root: RootFile,
    out: Annotated[Path, typer.Option("--out", help="Where the next root shall lie, unsigned.")],
    add: Annotated[
        list[str] | None,
        typer.Option(
            "--add", help="ROLE=FILE.pub: root, targets, snapshot, timestamp, commands, rules."
        ),
    ] = None,
    remove: Annotated[
        list[str] | None, typer.Option("--remove", help="A key, by the beginning of its id.")
    ] = None,
    threshold: Annotated[
        int | None, typer.Option("--threshold", min=1, help="How many root keys must sign.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Write the root after ROOT: with other keys, and valid for another year.

    It counts once enough keys of ROOT and enough of its own signed it (sign-root).
    """

    async def work() -> Exit | None:
        from datetime import datetime, timezone

        from fleetward.cli.key_files import addition, described, read_root_file, write_root_file
        from fleetward.trust.roots import expiry, next_root, plan_of
        from fleetward.trust.rotation import rotated

        current = read_root_file(root)
        plan = rotated(
            plan_of(current),
            add=[addition(text) for text in add or ()],
            remove=remove or (),
            threshold=threshold,
            expires=expiry(datetime.now(timezone.utc)),
        )
        following = next_root(current, plan)
        write_root_file(out, following)
        _show(described(following, current), as_json)
        return None

    end_with(work)


@app.command("list")
def list_keys(
    root: OptionalRootFile = None,
    previous: Previous = None,
    home: Home = DEFAULT_HOME,
    as_json: Json = False,
) -> None:
    """Which keys a root names for what, who signed it, and until when it holds."""
    from fleetward.cli.key_files import described, read_root_file

    if root is not None:
        given = root

        async def from_file() -> Exit | None:
            before = read_root_file(previous) if previous else None
            _show(described(read_root_file(given), before), as_json)
            return None

        end_with(from_file)

    async def work(fleet: Fleet) -> Exit | None:
        from fleetward.client.anchors import current_anchor, published_roots

        roots = await published_roots(fleet.connection)
        anchor = await current_anchor(fleet.connection)
        versions = dict(anchor.floors) if anchor else {}
        if roots:
            before = roots[-2] if len(roots) > 1 else None
            _show({**described(roots[-1], before), "versions": versions}, as_json)
        return None

    with_fleet(home, work)


@app.command("publish-root")
def publish_root(root: RootFile, home: Home = DEFAULT_HOME, as_json: Json = False) -> None:
    """Hand the registry a new root; robots follow it at their next question."""

    async def work(fleet: Fleet) -> Exit | None:
        from fleetward.bus.requests import ask
        from fleetward.cli.key_files import described, read_root_file
        from fleetward.contracts.trust import PublishRoot

        metadata = read_root_file(root)
        await ask(fleet.connection, PublishRoot(metadata=metadata))
        _show(described(metadata), as_json)
        return None

    with_fleet(home, work)


@app.command("export-root")
def export_root(
    out: Annotated[Path, typer.Option("--out", help="A directory: a robot's trust directory.")],
    home: Home = DEFAULT_HOME,
    as_json: Json = False,
) -> None:
    """Write what a new robot is enrolled with: the newest root, and today's versions as floors."""

    async def work(fleet: Fleet) -> Exit | None:
        from fleetward.cli.key_files import described
        from fleetward.client.anchors import current_anchor
        from fleetward.trust.anchors import write_anchor
        from fleetward.trust.errors import RootRefusedError

        anchor = await current_anchor(fleet.connection)
        if anchor is None:
            raise RootRefusedError("this system has published no root yet. Start its registry.")
        out.mkdir(parents=True, exist_ok=True)
        write_anchor(out, anchor)
        _show({**described(anchor.root), "floors": dict(anchor.floors)}, as_json)
        return None

    with_fleet(home, work)


def _show(plain: dict[str, object], as_json: bool) -> None:
    """A root, for a machine or for a person."""
    if as_json:
        show_json(plain)
        return
    from fleetward.cli.tables import show_table

    keys = plain["keys"]
    assert isinstance(keys, dict)
    show_table(
        ["ROLE", "KEYS"],
        [[role, " ".join(ids)] for role, ids in keys.items()],
        when_empty="This root names no key.",
    )
    print(
        f"root v{plain['version']}, {plain['threshold']} of {plain['root_keys']} root keys must sign, "
        f"valid until {plain['expires']}."
    )
    if plain["missing"]:
        print(f"Not valid yet: {plain['missing']}")
    elif plain["previous_checked"]:
        print("It is signed.")
    else:
        print("It is signed by its own keys; --previous ROOT checks those of the root before.")
