"""The demo as a newcomer runs it: every promise kept, the report complete, one trace throughout."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

DEMO_LIMIT_S = 240
pytestmark = [pytest.mark.slow, pytest.mark.timeout(DEMO_LIMIT_S + 30)]


class Demo:
    """One run of the demo and what it left behind."""

    def __init__(self, home: Path) -> None:
        command = [sys.executable, "-m", "examples.demo", "--plain", "--home", str(home)]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=DEMO_LIMIT_S, check=False
        )
        self.exit_code = done.returncode
        self.output = done.stdout + done.stderr
        self.home = home
        self.report: dict[str, Any] = json.loads((home / "report.json").read_text())

    def spans(self) -> list[dict[str, Any]]:
        """Every span that any process of the run recorded."""
        files = sorted((self.home / "traces").glob("*.jsonl"))
        return [json.loads(line) for file in files for line in file.read_text().splitlines()]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    return Demo(tmp_path_factory.mktemp("demo") / "home")


def test_everything_the_demo_promises_happens(demo: Demo) -> None:
    broken = [promise for promise in demo.report["promises"] if not promise["kept"]]
    assert not broken, demo.output
    assert demo.exit_code == 0, demo.output


def test_the_good_model_is_promoted_and_the_bad_one_taken_back(demo: Demo) -> None:
    ended = {line["rollout"]: (line["version"], line["state"]) for line in demo.report["rollouts"]}
    assert ended == {
        "first-model": ("v1", "succeeded"),
        "good-model": ("v2", "succeeded"),
        "bad-model": ("v3", "reverted"),
        "under-faults": ("v1", "succeeded"),
    }


def test_the_report_tells_of_every_robot(demo: Demo) -> None:
    robots = demo.report["robots"]
    assert [robot["id"] for robot in robots] == [f"robot-{n}" for n in range(1, 6)]
    assert {robot["active_version"] for robot in robots} == {"v1"}
    assert all(robot["frames_served"] > 100 for robot in robots)


def test_the_regression_raises_an_alert_within_seconds(demo: Demo) -> None:
    fired = [alert for alert in demo.report["alerts"] if alert["name"] == "InferenceOverBudget"]
    assert fired
    assert all(alert["fired_after_s"] < 30 for alert in fired)


def test_the_way_back_moves_no_byte(demo: Demo) -> None:
    promise = next(p for p in demo.report["promises"] if "without a byte" in p["promised"])
    assert promise["kept"], promise["seen"]


def test_one_trace_runs_from_rollout_start_to_the_first_frame_on_the_new_model(demo: Demo) -> None:
    spans = demo.spans()
    (root,) = [
        span
        for span in spans
        if span["name"] == "rollout.start" and span["attributes"]["rollout_id"] == "good-model"
    ]
    trace = [span for span in spans if span["trace_id"] == root["trace_id"]]
    by_id = {span["span_id"]: span for span in trace}
    first_frames = [span for span in trace if span["name"] == "bridge.first_frame"]
    assert len({span["service"] for span in first_frames}) == 5, "one for each robot"
    for span in first_frames:
        ancestors = {span["name"]}
        while span["parent_id"] is not None:
            span = by_id[span["parent_id"]]  # noqa: PLW2901 (walks up the tree)
            ancestors.add(span["name"])
        assert {"rollout.start", "coordinator.plan", "bridge.converge"} <= ancestors
