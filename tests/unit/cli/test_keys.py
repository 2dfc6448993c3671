"""The ceremony of the root keys, with files alone, as several people would go through it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from fleetward.cli.__main__ import app
from fleetward.cli.exits import Exit


def keys(*words: str | Path, code: Exit = Exit.OK) -> dict[str, Any]:
    """Run a command with --json, and new keys in plain text; what it printed."""
    plain = ("--no-passphrase",) if words[0] in ("init", "create") else ()
    return run(*words, *plain, code=code)


def run(*words: str | Path, code: Exit = Exit.OK) -> dict[str, Any]:
    result = CliRunner().invoke(app, ["keys", *map(str, words), "--json"])
    assert result.exit_code == code, result.output
    return json.loads(result.stdout) if code == Exit.OK else {"error": result.output}


def test_a_first_root_names_a_key_for_every_role_and_is_signed(tmp_path: Path) -> None:
    made = keys("init", tmp_path / "ceremony")
    assert (made["version"], made["threshold"], made["missing"]) == (1, 2, "")
    assert {role: len(ids) for role, ids in made["keys"].items()} == {
        "root": 3,
        "targets": 1,
        "snapshot": 1,
        "timestamp": 1,
        "commands": 1,
        "rules": 1,
    }
    assert keys("list", tmp_path / "ceremony" / "root.json") == made
    for private in (tmp_path / "ceremony").rglob("*.key"):
        assert private.stat().st_mode & 0o077 == 0
    (tmp_path / "ceremony" / "root.json").unlink()  # an init that was cut off before its end
    assert keys("init", tmp_path / "ceremony")["keys"] == made["keys"], "no key is made twice"


def test_a_root_key_is_replaced_by_two_people_and_counts_after_the_second(tmp_path: Path) -> None:
    home, heir = tmp_path / "ceremony", tmp_path / "heir.key"
    first, second = home / "root.json", tmp_path / "2.root.json"
    lost = keys("init", home)["keys"]["root"][2]
    keys("create", heir)
    added = f"root={heir.with_suffix('.pub')}"
    planned = keys("rotate", first, "--out", second, "--add", added, "--remove", lost)
    assert planned["version"] == 2
    assert lost not in planned["keys"]["root"]

    after_one = keys("sign-root", second, "--key", home / "root-1.key", "--previous", first)
    assert "the keys before" in after_one["missing"]
    after_heir = keys("sign-root", second, "--key", heir, "--previous", first)
    assert "its own keys" not in after_heir["missing"]
    assert "the keys before" in after_heir["missing"]
    after_two = keys("sign-root", second, "--key", home / "root-2.key", "--previous", first)
    assert after_two["missing"] == ""
    assert keys("list", second, "--previous", first)["previous_checked"]


def test_the_threshold_and_the_keys_of_services_change_by_the_same_command(tmp_path: Path) -> None:
    home, fresh = tmp_path / "ceremony", tmp_path / "timestamp.key"
    before = keys("init", home)
    made = keys("create", fresh)
    after = keys(
        *("rotate", home / "root.json", "--out", tmp_path / "2.root.json", "--threshold", "3"),
        *("--add", f"timestamp={fresh.with_suffix('.pub')}"),
        *("--remove", before["keys"]["timestamp"][0][:8]),
    )
    assert after["threshold"] == 3
    assert after["keys"]["timestamp"] == [made["key_id"]]


def test_what_cannot_be_is_refused_in_one_sentence(tmp_path: Path) -> None:
    home = tmp_path / "ceremony"
    root, out = home / "root.json", tmp_path / "2.root.json"
    made = keys("init", home)
    shared = f"targets={home / 'commands.pub'}"
    for words, reason in (
        (("--threshold", "4"), "4 of 3 root keys cannot sign"),
        (("--remove", made["keys"]["commands"][0]), "would name no key for commands"),
        (("--remove", "0000"), "0 keys of this root begin"),
        (("--add", shared), "one key is named for both"),
        (("--add", f"friends={home / 'commands.pub'}"), "there is no role 'friends'"),
        (("--add", f"root={tmp_path / 'none.pub'}"), "cannot be read"),
    ):
        refused = keys("rotate", root, "--out", out, *words, code=Exit.FAILED)
        assert reason in refused["error"]
        assert not out.exists()
    assert (
        "ROLE=FILE.pub"
        in keys("rotate", root, "--out", out, "--add", "x", code=Exit.USAGE)["error"]
    )
    (tmp_path / "no.json").write_text("{}")
    assert "no root" in keys("list", tmp_path / "no.json", code=Exit.FAILED)["error"]
    assert "is a root already" in keys("init", home, code=Exit.FAILED)["error"]
    nowhere = keys("create", tmp_path / "none" / "key", code=Exit.FAILED)["error"]
    assert nowhere.endswith("none/key cannot be used: No such file or directory.\n")
    assert "already holds" in keys("create", home / "commands.key", code=Exit.FAILED)["error"]


def test_root_keys_are_sealed_and_open_with_their_passphrase_alone(tmp_path: Path) -> None:
    home, secret, wrong = tmp_path / "ceremony", tmp_path / "secret", tmp_path / "wrong"
    secret.write_text("correct horse\n")
    wrong.write_text("battery staple\n")
    root = home / "root.json"
    run("init", home, "--root-keys", "2", "--threshold", "1", "--passphrase-file", secret)
    before = root.read_bytes()
    second = home / "root-2.key"

    assert second.read_text().startswith("fleetward-sealed-1 ")
    assert len((home / "online" / "targets.key").read_text().strip()) == 64
    refused = run("sign-root", root, "--key", second, "--passphrase-file", wrong, code=Exit.FAILED)
    assert "the passphrase is wrong" in refused["error"]
    assert root.read_bytes() == before
    signed = run("sign-root", root, "--key", second, "--passphrase-file", secret)
    assert len(signed["signed_by"]) == 2


def test_without_a_terminal_somebody_says_how_a_key_is_kept(tmp_path: Path) -> None:
    refused = run("create", tmp_path / "root.key", code=Exit.USAGE)
    assert "--passphrase-file" in refused["error"]
    assert list(tmp_path.iterdir()) == []
