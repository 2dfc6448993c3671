"""What a person may ask of a rollout that exists, and what became of the newest word."""

from __future__ import annotations

import enum

from msgspec import Struct

from fleetward.contracts.event import Event, UtcTime
from fleetward.contracts.ids import RolloutId


class AbortMode(str, enum.Enum):
    """What an abort does with robots that already have the new model."""

    KEEP = "keep"
    REVERT = "revert"


class ControlAction(str, enum.Enum):
    """What an operator may ask of a rollout.

    promote: skip the rest of the bake or hold. retry: robots that failed or are unknown get the model
    again. finish: nobody joins a continuous rollout any more, and it ends once all it has are
    through. rollback: robots of a rollout that succeeded return to what they served before.
    """

    PAUSE = "pause"
    RESUME = "resume"
    ABORT = "abort"
    PROMOTE = "promote"
    RETRY = "retry"
    FINISH = "finish"
    ROLLBACK = "rollback"


class OnConflict(str, enum.Enum):
    """What a rollout does when robots it wants belong to another that has not ended."""

    REFUSE = "refuse"
    WAIT = "wait"
    SUPERSEDE = "supersede"


class RolloutControlRequested(Event, frozen=True, kw_only=True):
    """An operator asked something of a rollout; ``word`` names this very asking."""

    rollout_id: RolloutId
    action: ControlAction
    abort: AbortMode = AbortMode.REVERT
    to_all: bool = False
    """Promote: all further waves become one."""
    skip: bool = False
    """Rollback: leave robots alone that were given something newer."""
    word: str = ""
    requested_by: str = ""
    requested_at: UtcTime


class HeardWord(Struct, frozen=True, kw_only=True):
    """The newest word that a rollout heard, from whom, and why it was not obeyed, if it was not."""

    word: str
    action: ControlAction
    by: str
    refused: str = ""
