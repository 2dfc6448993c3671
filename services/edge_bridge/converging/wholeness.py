"""What older releases of the bridge wrote for one model of a set and not for the other is made whole. Pure.

They committed, and left, each model of a set in a write of its own, and may have died between two.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import datetime

from msgspec import Struct

from edge_bridge.converging import converge, outcome
from edge_bridge.converging.converge import Memory, Placed
from edge_bridge.converging.outcome import Proof
from edge_bridge.converging.together import are_one_set
from edge_bridge.workers.slots import FellBack
from fleetward.contracts.event import Event
from fleetward.contracts.ids import Digest, ModelName
from fleetward.contracts.robots import RobotTarget, TargetMode


class Mended(Struct, frozen=True, kw_only=True):
    """What pipelines remember instead, and what is reported of that."""

    memories: dict[ModelName | None, Memory]
    facts: list[Event]


def mended(
    memories: Mapping[ModelName | None, Memory],
    usable: Collection[Digest],
    release_of: Callable[[RobotTarget], int],
    now: datetime,
) -> Mended:
    """``usable``: digests that are stored and were not withdrawn; nothing else becomes a robot's own.

    ``release_of``: which the registry last said that a target's model is.
    Whatever one model of a set was proved for, all had been: so all become the robot's own. Where one was
    left again, so are the others.
    """
    changed: dict[ModelName | None, Memory] = {}
    facts: list[Event] = []
    for pipeline, memory in memories.items():
        target, brought = _open_of(memory), _own_of(memory)
        if target is not None and target.digest in usable and _stands(target, memories):
            changed[pipeline] = converge.commit(memory, release_of(target))
            facts.append(_activated(target, memory, now))
        elif brought is not None and False in _kept(brought, memories):
            previous = memory.previous
            if previous is not None and previous.digest in usable:
                changed[pipeline] = converge.return_to(memory, previous)
                facts.append(_fell_back(brought, previous, now))
    return Mended(memories=changed, facts=facts)


def _open_of(memory: Memory) -> RobotTarget | None:
    """What a pipeline is to serve, and does not yet as far as it remembers."""
    target = memory.target
    if target is None or target.mode is not TargetMode.SERVE:
        return None
    return target if target.generation > memory.settled_generation else None


def _own_of(memory: Memory) -> RobotTarget | None:
    """What brought the model that a pipeline serves."""
    brought = memory.activated
    return brought if brought is not None and converge.is_own(memory, brought.digest) else None


def _kept(target: RobotTarget, memories: Mapping[ModelName | None, Memory]) -> list[bool]:
    """Of each other model that was proved together with ``target``: whether its pipeline kept it."""
    return [
        _own_of(memory) is not None
        for memory in memories.values()
        if memory.activated is not None
        and memory.active is not None
        and are_one_set(target, memory.activated)
    ]


def _stands(target: RobotTarget, memories: Mapping[ModelName | None, Memory]) -> bool:
    """Whether the set was proved, and none of it was left."""
    kept = _kept(target, memories)
    return bool(kept) and all(kept)


def _activated(target: RobotTarget, memory: Memory, now: datetime) -> Event:
    proof = Proof(inferences=target.proof_inferences, swap_ms=0.0, warm_up=None)
    return outcome.activated(target, proof, memory, now)


def _fell_back(brought: RobotTarget, previous: Placed, now: datetime) -> Event:
    fall = FellBack(
        from_digest=brought.digest,
        to_digest=previous.digest,
        reason="another model was left that it switched together with",
        frames_reissued=0,
    )
    return outcome.fell_back(brought, fall, now)
