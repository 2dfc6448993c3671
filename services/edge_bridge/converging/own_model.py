"""What a robot serves as soon as it boots: from its store, without the network."""

from __future__ import annotations

import asyncio
import logging

from msgspec import Struct

from edge_bridge.converging import converge
from edge_bridge.converging.converge import Memory, Placed
from edge_bridge.converging.remembering import Remembered
from edge_bridge.converging.steps import Steps
from edge_bridge.errors import ActivationError, DiskFailedError
from edge_bridge.store import ModelStore
from edge_bridge.workers.slots import FellBack
from fleetward.bus.logs import log

_logger = logging.getLogger(__name__)


class Started(Struct, frozen=True, kw_only=True):
    """``placed`` serves, None: nothing could be started. ``reason``: why not the first choice."""

    placed: Placed | None
    reason: str


async def start_own_model(memory: Memory, steps: Steps) -> Started:
    """Serve the proved model, else the one before it, unless that was withdrawn.

    Raises TrialFailedError when this is a release of the bridge on trial and the proved one does not serve.
    """
    started = await _started(memory, steps)
    own = memory.active
    if steps.launched is not None and own is not None and started.placed != own:
        steps.launched.refuse_without(str(own.model), started.reason)
    return started


async def _started(memory: Memory, steps: Steps) -> Started:
    own, reason = memory.active, "it is not in the store"
    for placed in (own, memory.previous):
        if placed is None or placed.digest not in steps.store.digests():
            continue
        if placed != own and placed.digest in steps.withdrawn.digests:
            continue
        try:
            await steps.place(placed)
        except ActivationError as problem:
            reason = str(problem)
            log(_logger, "bridge.start_failed", level=logging.ERROR, reason=reason)
            await _look_for_damage(placed, steps.store)
            continue
        return Started(placed=placed, reason=reason)
    return Started(placed=None, reason=reason)


async def _look_for_damage(placed: Placed, store: ModelStore) -> None:
    """Remove what rotted; a disk that refuses even that keeps no robot from the model before."""
    try:
        await asyncio.to_thread(store.verify, placed.digest)
    except (ActivationError, DiskFailedError, OSError) as problem:
        log(
            _logger,
            "bridge.own_model_damaged",
            level=logging.ERROR,
            model=str(placed.model),
            reason=str(problem),
        )


async def restore_own_model(remembered: Remembered, steps: Steps) -> None:
    """Serve the robot's own model instead of one that was left; where it does not load, that one stays its own.

    Raises JournalError.
    """
    own, left = remembered.memory.active, remembered.memory.activated
    assert own is not None, "only what was left for another is replaced"
    assert left is not None, "only what was activated is left"
    try:
        await steps.place(own)
    except ActivationError as problem:
        log(_logger, "bridge.restore_failed", level=logging.ERROR, reason=str(problem))
        stays = Placed(left.model, left.digest)
        await remembered.change(lambda memory: converge.return_to(memory, stays))


def fallen_to(placed: Placed, own: Placed, reason: str) -> FellBack:
    """That ``placed`` serves because ``own`` could not be started."""
    return FellBack(
        from_digest=own.digest,
        to_digest=placed.digest,
        reason=f"it could not be started: {reason}",
        frames_reissued=0,
    )
