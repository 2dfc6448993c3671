"""What a person may ask of a rollout, and the one sentence that says why not."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
import typer
from msgspec.structs import replace
from typer.testing import CliRunner

from fleetward.cli.__main__ import app
from fleetward.cli.exits import Exit
from fleetward.cli.rollout_begin import moment
from fleetward.contracts.control import AbortMode, ControlAction
from fleetward.contracts.rollouts import RobotPhase, Rollout, RolloutState, Strategy
from fleetward.contracts.steering import why_not
from tests.unit.rollout_coordinator.scenes import activated, after, robot, started

HERE = started(1, 1)
PROVED = after(started(1), (activated(1), 1))


@pytest.mark.parametrize("time", ["2001-01-01T00:00", "2001-01-01T00:00Z", "soon", "+1.5y"])
def test_time_that_is_past_or_none_is_refused_before_anything_is_asked(time: str) -> None:
    ran = CliRunner().invoke(app, ["rollout", "start", "m:1", "--to", "all", "--at", time])
    assert ran.exit_code == Exit.USAGE


def test_time_is_of_this_machine_unless_it_says_otherwise() -> None:
    tomorrow = datetime.now(timezone.utc) + timedelta(days=1)
    assert moment(tomorrow.isoformat()) == tomorrow
    assert moment(tomorrow.astimezone().replace(tzinfo=None).isoformat()) == tomorrow
    with pytest.raises(typer.BadParameter, match="366 days"):
        moment("+367d")


@pytest.mark.parametrize(
    ("rollout", "action", "said"),
    [
        (
            replace(HERE, state=RolloutState.SUCCEEDED),
            ControlAction.PROMOTE,
            "has ended, succeeded",
        ),
        (replace(HERE, state=RolloutState.PAUSED), ControlAction.PROMOTE, "resume here` first"),
        (replace(HERE, checkpoint="wave 2"), ControlAction.PROMOTE, "waits at its gates"),
        (HERE, ControlAction.RETRY, "nothing to retry"),
        (HERE, ControlAction.ROLLBACK, "has not ended, it is running"),
        (replace(HERE, state=RolloutState.REVERTED), ControlAction.ROLLBACK, "did not succeed"),
        (replace(HERE, state=RolloutState.QUEUED), ControlAction.PAUSE, "has not begun"),
        (replace(HERE, state=RolloutState.SUCCEEDED), ControlAction.ABORT, "nothing left to abort"),
        (HERE, ControlAction.RESUME, "is running already"),
        (replace(HERE, state=RolloutState.PAUSED), ControlAction.PAUSE, "is paused already"),
        (
            replace(HERE, state=RolloutState.REVERTING, reason="2 failed"),
            ControlAction.ABORT,
            "taken back already (2 failed); `fleetward rollout abort here --mode keep` ends it now",
        ),
    ],
)
def test_what_cannot_be_is_said_in_one_sentence(
    rollout: Rollout, action: ControlAction, said: str
) -> None:
    reason = why_not(rollout, action)
    assert said in reason
    assert "\n" not in reason


def test_what_can_be_is_not_refused() -> None:
    failed = replace(PROVED.robots[robot(1)], phase=RobotPhase.FAILED)
    assert why_not(replace(PROVED, state=RolloutState.SUCCEEDED), ControlAction.ROLLBACK) == ""
    assert why_not(replace(PROVED, robots={robot(1): failed}), ControlAction.RETRY) == ""
    assert why_not(HERE, ControlAction.PROMOTE, to_all=True) == ""
    reverting = replace(HERE, state=RolloutState.REVERTING)
    assert why_not(reverting, ControlAction.ABORT, AbortMode.KEEP) == ""
    ab = replace(HERE, strategy=Strategy.A_B)
    assert why_not(ab, ControlAction.PROMOTE) == ""
    assert "start another rollout" in why_not(ab, ControlAction.PROMOTE, to_all=True)
