"""A fact that a decision was told, in words: who said what, and when. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import assert_never

from fleetward.contracts.alerts import AlertFired
from fleetward.contracts.control import RolloutControlRequested
from fleetward.contracts.gates import GateAnswered, RolloutApproved
from fleetward.contracts.judgements import ModelWithdrawn
from fleetward.contracts.robots import (
    ActivationFailed,
    ModelActivated,
    ModelFellBack,
    ModelShadowed,
    ModelStaged,
    RobotCheckedIn,
)
from fleetward.contracts.telemetry import InferenceSummarized
from fleetward.contracts.wording import how_many
from rollout_coordinator.advance import Fact
from rollout_coordinator.joining import RobotsMatched
from rollout_coordinator.robot_facts import RobotFact
from rollout_coordinator.step import RobotTaken, Superseded, Tick


def said(fact: Fact, stored_at: datetime) -> str:  # noqa: PLR0911 (one arm per kind of fact)
    """Who said what, when the server stored it."""
    when = moment(stored_at)
    match fact:
        case Tick():
            return f"time went by until {when}"
        case RobotTaken():
            return f"{fact.by} gave {fact.robot_id} another target"
        case RobotsMatched():
            return f"the selector named {how_many(len(fact.robots), 'further robot')} at {when}"
        case Superseded():
            return f"rollout {fact.by} took over {len(fact.robots)} of its robots"
        case RolloutControlRequested():
            return f"{fact.requested_by or 'somebody'} asked at {when} to {fact.action.value} it"
        case ModelWithdrawn():
            return f"{fact.name}:{fact.version} was withdrawn at {when}: {fact.reason}"
        case InferenceSummarized():
            return f"telemetry told at {when} of {how_many(fact.inferences, 'inference')} on {fact.robot_id}"
        case RolloutApproved():
            word = "yes" if fact.is_approved else "no"
            comment = f": {fact.comment}" if fact.comment else ""
            return f"{fact.approved_by} said {word} at {when}{comment}"
        case GateAnswered():
            return f"gate {fact.gate} answered {fact.verdict.value} at {when}: {fact.reason}"
        case _:
            return f"{_robot_said(fact)} at {when}"


def moment(at: datetime) -> str:
    """An instant, for people."""
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


def _robot_said(fact: RobotFact) -> str:
    match fact:
        case ModelActivated():
            return (
                f"{fact.robot_id} proved {fact.model} with {how_many(fact.inferences, 'inference')}"
            )
        case ModelStaged():
            return f"{fact.robot_id} held {fact.model} warm"
        case ModelShadowed():
            return f"{fact.robot_id} compared {fact.model} on {how_many(fact.frames, 'frame')}"
        case ActivationFailed():
            return (
                f"{fact.robot_id} failed to {fact.stage.value.replace('_', ' ')} {fact.model} "
                f"({fact.reason})"
            )
        case ModelFellBack():
            return f"{fact.robot_id} fell back to its model before ({fact.reason})"
        case RobotCheckedIn():
            return f"{fact.robot_id} checked in with {fact.active_model or 'no model'}"
        case AlertFired():
            return f"alert {fact.alert} fired on {fact.robot_id}"
        case _:
            assert_never(fact)
