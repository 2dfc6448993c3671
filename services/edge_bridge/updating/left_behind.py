"""What is said, and remembered, of a release that the launcher left for another."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from msgspec.structs import replace

from edge_bridge.converging import converge, outcome
from edge_bridge.converging.converge import Memory, Placed
from edge_bridge.updating.launched import digest_of
from edge_bridge.workers.slots import FellBack
from fleetward.contracts.event import Event
from fleetward.contracts.ids import Digest, ModelRef
from fleetward.contracts.robots import ActivationStage, TargetMode
from fleetward.releases.launch import Choice

Change = Callable[[Memory], Memory]


def report_of(
    choice: Choice, running: Digest | None, memory: Memory, now: datetime
) -> tuple[Change, list[Event]]:
    """How the memory changes and what is reported. running: None, the release of the enrolment.

    A report that was written down before is not made again.
    """
    left = digest_of(choice.left)
    if choice.was_own:
        return _fell_back(choice, left, running, memory, now)
    target = memory.target
    is_open = target is not None and target.generation > memory.settled_generation
    if target is None or not is_open or target.digest != left:
        return _as_it_is, []
    reason = f"{choice.reason}; the release before runs again"
    return converge.give_up, [outcome.failed(target, ActivationStage.PROOF, reason, now)]


def is_uncommitted(choice: Choice, running: Digest | None, memory: Memory) -> bool:
    """Whether the release that runs was proved for the open target, and the journal does not know yet."""
    target, own = memory.target, memory.active
    if running is None or target is None or target.generation <= memory.settled_generation:
        return False
    is_wanted = target.digest == running and target.mode is TargetMode.SERVE
    is_proved = not choice.trial and digest_of(choice.own) == running
    return is_wanted and is_proved and (own is None or own.digest != running)


def is_unknown(choice: Choice, running: Digest | None, memory: Memory) -> bool:
    """Whether the release that runs was proved, and the journal has another for the robot's own.

    Bridges took a newer target between what they told the launcher and what they told the journal. Each
    start then made way for the release that it was.
    """
    own = memory.active
    is_proved = running is not None and not choice.trial and digest_of(choice.own) == running
    return is_proved and own is not None and own.digest != running


def made_known(memory: Memory, running: Digest, model: ModelRef | None) -> Memory:
    """The release that runs is the robot's own; without a name, none is that the journal knows.

    Which target had brought it is not known any more. ``model``: what the release is called, where
    anything on the robot still says so.
    """
    target, before = memory.target, memory.previous
    if before is not None and before.digest == running:
        model = before.model
    if target is not None and target.fallback_digest == running:
        model = target.fallback
    if model is None:
        return replace(memory, active=None, previous=None, activated=None)
    own = Placed(model, running)
    return replace(memory, active=own, previous=memory.active, activated=None)


def _fell_back(
    choice: Choice, left: Digest | None, running: Digest | None, memory: Memory, now: datetime
) -> tuple[Change, list[Event]]:
    if memory.active is None or memory.active.digest != left:
        return _as_it_is, []
    brought, previous = memory.activated, memory.previous
    is_previous = previous is not None and previous.digest == running

    def change(memory: Memory) -> Memory:
        if previous is not None and is_previous:
            return converge.return_to(memory, previous)
        return replace(memory, active=None, previous=None)

    if brought is None:
        return change, []
    if running is None:
        reason = f"{choice.reason}; the release that the robot was enrolled with runs again"
        return change, [outcome.failed(brought, ActivationStage.PROOF, reason, now)]
    fall = FellBack(
        from_digest=memory.active.digest,
        to_digest=running,
        reason=choice.reason,
        frames_reissued=0,
    )
    return change, [outcome.fell_back(brought, fall, now)]


def _as_it_is(memory: Memory) -> Memory:
    return memory
