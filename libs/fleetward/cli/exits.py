"""How a command ends: codes a pipeline can act on, and one line that says why."""

from __future__ import annotations

import enum
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fleetward.contracts.errors import FleetwardError
    from fleetward.contracts.rollouts import Rollout


class Exit(enum.IntEnum):
    """Every exit code of the command line."""

    OK = 0
    FAILED = 1
    """It was understood and refused, or did not work."""
    USAGE = 2
    """The command line itself was wrong."""
    UNREACHABLE = 3
    """No system, or not the part of it that would have answered."""
    REVERTED = 4
    ABORTED = 5
    TIMED_OUT = 6
    INTERRUPTED = 130


def exit_of_error(error: FleetwardError) -> Exit:
    """The code for an expected error."""
    from fleetward.bus.errors import NoAnswerError, PublishError
    from fleetward.client.errors import (
        NoSystemError,
        RecordingTimeoutError,
        RolloutTimeoutError,
        UploadError,
    )
    from fleetward.contracts.errors import MalformedError

    if isinstance(error, (NoSystemError, NoAnswerError, PublishError, UploadError)):
        return Exit.UNREACHABLE
    if isinstance(error, MalformedError):
        return Exit.USAGE
    if isinstance(error, (RolloutTimeoutError, RecordingTimeoutError)):
        return Exit.TIMED_OUT
    return Exit.FAILED


def exit_of_rollout(rollout: Rollout) -> Exit:
    """The code for a rollout in its final state."""
    from fleetward.contracts.rollouts import RolloutState

    ends = {
        RolloutState.SUCCEEDED: Exit.OK,
        RolloutState.REVERTED: Exit.REVERTED,
        RolloutState.ABORTED: Exit.ABORTED,
    }
    return ends.get(rollout.state, Exit.FAILED)


def complain(message: str) -> None:
    """What, which, what to do, on standard error: in one line, or in the message's own lines.

    Lines are kept because a caret under the wrong character is no help anywhere else.
    """
    print(f"fleetward: {message.strip()}", file=sys.stderr)


def tell(message: str) -> None:
    """What a person likes to know on the way, where it disturbs no output."""
    print(message, file=sys.stderr, flush=True)
