"""The programs in examples/ do what their first line says, against a whole running system."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest

from testkit import command_line

ROOT = Path(__file__).parents[3]
EXAMPLES = ROOT / "examples"
RELEASE = ROOT / ".fleetward" / "releases" / "v1.onnx"
LINES_LIMIT = 66
"""A page as printers know it."""
TIMEOUT_S = 90.0


def run(command: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run one program to its end."""
    return subprocess.run(
        [sys.executable, *command],
        env=environment,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )


def fleetward(environment: dict[str, str], *arguments: str) -> str:
    """The output of a command that must succeed."""
    ran = asyncio.run(command_line.run(environment, *arguments))
    assert ran.code == 0, ran.complaint
    return ran.output


def example(name: str, home: Path, *arguments: str) -> list[str]:
    """The command line of one example."""
    return [str(EXAMPLES / name), *arguments, "--home", str(home)]


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.name)
def test_an_example_fits_on_a_page_and_says_how_to_run_it(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= LINES_LIMIT
    assert f"python examples/{path.name}" in text


@pytest.mark.slow
def test_a_pipeline_delivers_a_model_and_may_be_run_again(
    home: Path, environment: dict[str, str]
) -> None:
    job = example(
        "publish_rollout_from_ci.py",
        home,
        *(str(RELEASE), "detector", "1.0", "--to", "site=lab", "--bake", "1"),
    )

    first, again = run(job, environment), run(job, environment)

    assert (first.returncode, again.returncode) == (0, 0), first.stderr + again.stderr
    assert "robot-1 proved" in first.stdout
    rollouts = json.loads(fleetward(environment, "rollout", "list", "--json"))
    assert [(held["rollout_id"], held["state"]) for held in rollouts] == [
        ("ci-detector-1-0", "succeeded")
    ]


def test_a_pipeline_fails_in_one_line_when_nothing_can_be_delivered(
    home: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_text("not a model")

    ran = run(
        example("publish_rollout_from_ci.py", home, str(broken), "detector", "6.6.6"), environment
    )

    assert ran.returncode == 1
    assert ran.stderr.startswith(
        f"not delivered: {broken} is refused: The file is not an ONNX model"
    )


def test_a_bench_reports_and_the_alias_that_demands_it_moves(
    home: Path, environment: dict[str, str]
) -> None:
    pushed = ["--name", "benched", "--version", "1.0", "--dataset", "roads-7"]
    fleetward(environment, "model", "push", str(RELEASE), *pushed)
    fleetward(environment, "model", "gates", "benched@production", "--require", "report:bench")
    moving = ["-m", "fleetward.cli", "model", "alias", "benched@production", "1.0"]
    early = run(moving, environment)
    job = [str(RELEASE), "benched:1.0", "--limit-ms", "60000"]

    ran = run(example("report_validation.py", home, *job), environment)

    assert "the gate report:bench is missing" in early.stderr
    assert ran.returncode == 0, ran.stderr
    assert run(moving, environment).returncode == 0
    shown = json.loads(fleetward(environment, "model", "show", "benched@production", "--json"))
    assert [(each["kind"], each["passed"]) for each in shown["reports"]] == [("bench", True)]
    assert shown["lineage"] == {"dataset": "roads-7"}
    history = fleetward(environment, "model", "history", "benched")
    assert "1.0 bench report: passed" in history
    assert "from      dataset: roads-7" in fleetward(environment, "model", "show", "benched")


def test_an_own_alert_reaches_the_fleet(home: Path, environment: dict[str, str]) -> None:
    rule = ["--signal", "link.rtt", "--above", "0", "--for-samples", "2", "--robot", "robot-1"]

    ran = run(example("raise_own_alert.py", home, *rule), environment)

    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith("MyOwnAlert fired for robot-1: link.rtt > 0")
    alerts = json.loads(fleetward(environment, "alert", "list", "--json"))
    assert ("MyOwnAlert", "robot-1", "firing") in {
        (held["alert"], held["robot_id"], held["state"]) for held in alerts
    }


def test_an_embedded_bridge_that_gets_no_model_does_not_wait_for_ever(
    home: Path, environment: dict[str, str]
) -> None:
    fleetward(environment, "robot", "enrol", "arm-8")

    ran = run(example("embed_the_bridge.py", home, "arm-8", "--patience", "0.5"), environment)

    assert ran.returncode == 1
    assert "arm-8 got no model within 0.5 s: see its log above" in ran.stderr


@pytest.mark.slow
def test_an_embedded_bridge_receives_and_serves_a_model(
    home: Path, environment: dict[str, str]
) -> None:
    fleetward(environment, "robot", "enrol", "arm-7", "--label", "site=berlin")
    fleetward(environment, "model", "push", str(RELEASE), "--name", "detector", "--version", "1.0")
    beside = Path(home.name)  # as a person names it: from where they are
    with subprocess.Popen(
        [sys.executable, *example("embed_the_bridge.py", beside, "arm-7", "--results", "150")],
        env=environment,
        cwd=home.parent,
        stdout=subprocess.PIPE,
        text=True,
    ) as robot:
        try:
            assert robot.stdout is not None
            assert robot.stdout.readline() == "arm-7 waits for a model\n"
            target = ("detector:1.0", "--to", "robot=arm-7", "--bake", "1s")
            fleetward(environment, "rollout", "start", *target, "--wait", "--timeout", "60s")
            served, _ = robot.communicate(timeout=TIMEOUT_S)
        finally:
            robot.kill()

    assert robot.returncode == 0
    assert served.startswith("arm-7 serves detector:1.0: ")
