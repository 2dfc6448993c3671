"""The command line explains itself, refuses nonsense with code 2, and loads little to start."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from fleetward.cli.__main__ import app
from fleetward.cli.exits import Exit

HEAVY = ("aioboto3", "botocore", "nats", "opentelemetry", "rich.live", "asyncio.subprocess")


def commands(
    group: Any,  # noqa: ANN401 (typer's own click, which it does not export)
    path: tuple[str, ...] = (),
) -> Iterator[tuple[str, ...]]:
    """The words of every command."""
    if not hasattr(group, "commands"):
        yield path
        return
    for name, command in group.commands.items():
        yield from commands(command, (*path, name))


WHOLE: Any = typer.main.get_command(app)  # built once: that takes typer some 50 ms
EVERY_COMMAND = sorted(commands(WHOLE))


def test_every_promised_command_is_there() -> None:
    promised = {
        *("up", "provision", "events", "apply", "diff", "schema"),
        *("alert list", "alert rules", "telemetry query"),
        "bridge push",
        *("model push", "model list", "model show", "model alias", "model diff"),
        *(f"model {verb}" for verb in ("deprecate", "withdraw", "approve")),
        *(
            f"model {verb}"
            for verb in (
                "preflight",
                "report",
                "gates",
                "history",
                "export",
                "import",
                "prune",
                "repair",
            )
        ),
        *(f"robot {verb}" for verb in ("history", "list", "show", "enrol", "enroll")),
        *("robot label", "robot remove"),
        *("robot record", "robot recordings", "robot logs"),
        *(f"keys {verb}" for verb in ("create", "init", "list", "sign-root", "rotate")),
        *("keys publish-root", "keys export-root"),
        *(
            f"rollout {verb}"
            for verb in ("quote", "plan", "start", "watch", "status", "list", "wait")
        ),
        *(
            f"rollout {verb}"
            for verb in ("promote", "retry", "rollback", "finish", "explain", "replay")
        ),
        *(f"rollout {verb}" for verb in ("pause", "resume", "abort", "approve", "reject")),
        *(f"site {verb}" for verb in ("list", "show", "set", "remove")),
    }
    assert {" ".join(words) for words in EVERY_COMMAND} == promised


@pytest.mark.parametrize("words", EVERY_COMMAND, ids=" ".join)
def test_every_command_explains_itself_and_each_of_its_options(words: tuple[str, ...]) -> None:
    result = CliRunner().invoke(app, [*words, "--help"])
    assert result.exit_code == Exit.OK

    command = WHOLE
    for word in words:
        command = command.commands[word]
    assert command.help
    unexplained = [held.name for held in command.params if not getattr(held, "help", "")]
    assert unexplained == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["rollout", "start", "detector:1.0"],
        ["rollout", "start", "detector:1.0", "--to", "all", "--bake", "soon"],
        ["rollout", "start", "detector:1.0", "--to", "all", "--waves", "20,half"],
        ["rollout", "start", "detector:1.0", "--to", "all", "--set", "courage=1"],
        ["rollout", "start", "detector:1.0", "--to", "all", "--set", "alpha=high"],
        ["rollout", "start", "detector:1.0", "--to", "all", "--strategy", "hope"],
        ["rollout", "abort", "r-1", "--mode", "maybe"],
        ["model", "push", "m.onnx", "--name", "m", "--version", "1", "--metadata", "team"],
        ["telemetry", "query", "link.rtt", "--last", "forever"],
        ["up", "--robots", "99999"],
        ["robot", "enroll", "arm-1", "arm-2"],
        ["robot", "enroll", "arm-1", "--dry-run"],
        ["robot", "enroll", "arm-1", "root@arm-2"],
        ["robot", "enroll", "root@arm-1", "root@arm-1"],
        ["robot", "enroll", "root@arm-1", "root@arm-2", "--name", "arm"],
        ["robot", "enroll", "root@arm-1", "root@arm-2", "--fingerprint", "SHA256:x"],
        ["robot", "enroll", "root@arm-1", "--setting", "PATH=/tmp"],
        ["robot", "remove", "arm-1", "--dry-run"],
        ["robot", "remove", "arm-1", "root@arm-2"],
        ["dance"],
    ],
    ids=" ".join,
)
def test_a_wrong_command_line_ends_with_code_2(arguments: list[str]) -> None:
    assert CliRunner().invoke(app, arguments).exit_code == Exit.USAGE


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (
            ["rollout", "start", "detector:1.0", "--to", "all", "--strategy", "hope"],
            "'--strategy': 'hope' is none of them; write canary, rolling, blue-green, shadow, a-b or "
            "all-at-once.",
        ),
        (
            ["rollout", "abort", "r-1", "--mode", "maybe"],
            "'--mode': 'maybe' is none of them; write keep or revert.",
        ),
        (
            ["rollout", "approve", "r-1", "--as", "x" * 200],
            "a name has at most 128 characters, this one has 200.",
        ),
        (["site", "remove", "lab", "--by", "two\nlines"], "write a name, in one line"),
        (
            ["robot", "label", "arm-1", "tier"],
            "'tier' sets and removes nothing; write NAME=VALUE or NAME-.",
        ),
    ],
    ids=lambda value: value[-1],
)
def test_a_word_that_is_no_choice_is_answered_with_the_choices(
    arguments: list[str], told: str
) -> None:
    complaint = CliRunner().invoke(app, arguments).stderr

    assert told in complaint
    assert "Value error" not in complaint


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (
            ["rollout", "start", "detector:1.0"],
            "fleetward: Missing option '--to'. `fleetward rollout start --help` says more.\n",
        ),
        (["dance"], "fleetward: No such command 'dance'. `fleetward --help` says more.\n"),
        (
            ["diff", "--file", "/nowhere.yaml"],
            "fleetward: /nowhere.yaml: it cannot be read: No such file or directory.\n",
        ),
    ],
    ids=lambda value: value[0],
)
def test_where_no_terminal_is_a_complaint_is_one_line_that_can_be_searched_for(
    arguments: list[str], told: str
) -> None:
    result = CliRunner().invoke(app, arguments, prog_name="fleetward", env={"COLUMNS": "30"})

    assert (result.exit_code, result.stdout, result.stderr) == (Exit.USAGE, "", told)


def test_a_group_without_a_command_shows_its_help_and_nothing_else() -> None:
    result = CliRunner().invoke(app, ["model"])

    assert (result.exit_code, result.stderr) == (Exit.USAGE, "")
    assert "Publish models" in result.stdout


@pytest.mark.parametrize("words", [["model", "list"], ["rollout", "watch", "r-1"]], ids=" ".join)
def test_without_a_system_one_line_says_how_to_start_one(tmp_path: Path, words: list[str]) -> None:
    result = CliRunner(env={"FLEETWARD_NATS_URL": ""}).invoke(
        app, [*words, "--home", str(tmp_path)]
    )

    assert result.exit_code == Exit.UNREACHABLE
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1
    assert f"fleetward up --home {tmp_path}" in result.stderr


def test_every_exit_code_is_told_where_help_is_asked_for() -> None:
    told = " ".join(CliRunner().invoke(app, ["--help"], env={"COLUMNS": "200"}).stdout.split())

    assert all(f" {code.value} " in told for code in Exit)


def test_the_version_is_told() -> None:
    ran = CliRunner().invoke(app, ["--version"])

    assert (ran.exit_code, ran.stdout.split()[0]) == (Exit.OK, "fleetward")


def test_a_damaged_connection_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "connection.json").write_text("{")

    result = CliRunner().invoke(app, ["model", "list", "--home", str(tmp_path)])

    assert result.exit_code == Exit.UNREACHABLE
    assert f"{tmp_path}/connection.json cannot be used" in result.stderr


def test_the_catalog_is_shown_whole() -> None:
    from fleetward.contracts.catalog import EVENTS

    as_json = json.loads(CliRunner().invoke(app, ["events", "--json"]).stdout)
    as_table = CliRunner().invoke(app, ["events"]).stdout

    assert [row["subject"] for row in as_json] == [row.subject for row in EVENTS]
    assert all(row.subject in as_table for row in EVENTS)


def test_help_loads_nothing_heavy() -> None:
    script = (
        "import sys\nfrom fleetward.cli import __main__\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
