"""Decides a robot's next step from what is desired and what is so; it never acts.

Level-triggered: nothing is remembered of the way here, so after a crash, a lost nudge or a
week in the dark the same function finds the same way. The commit point is explicit: a model
counts as the robot's own only once ``commit`` put it into ``Memory`` after its proof.
"""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from edge_bridge.converging.actions import (
    Action,
    AwaitSwap,
    Compare,
    DiscardStaged,
    EndShadow,
    Fetch,
    Prove,
    Refuse,
    ReportStaged,
    Rest,
    Restore,
    RetireWarm,
    Stage,
    StartShadow,
    Swap,
    SwapBack,
)
from fleetward.contracts.ids import Digest, ModelName, ModelRef, RobotId
from fleetward.contracts.robots import RobotTarget, TargetMode


class Placed(Struct, frozen=True):
    """A model and the digest of its bytes."""

    model: ModelRef
    digest: Digest


class Cost(Struct, frozen=True, kw_only=True):
    """What fetching a model cost with every attempt, and what its first plan said it would.

    ``remarks``: what went another way than planned, for people.
    """

    received_bytes: int
    planned_bytes: int
    remarks: tuple[str, ...] = ()


class Memory(Struct, frozen=True, kw_only=True):
    """What a robot must still know after a power cut.

    ``target`` is the newest accepted one, ``settled_generation`` the newest whose outcome was
    reported: it is never tried again. ``activated`` is the last target that was proved.
    ``bytes_fetched`` is what the newest target cost so far, ``bytes_planned`` what was planned and
    ``fetch_remarks`` what went another way; ``traceparent`` is the trace it came by, ``key_id`` the
    key that signed it. ``releases``: the newest release it served, by model name.
    ``held_generation`` is the newest whose model was reported staged or shadowed: it is held so until
    the next target, started again as often as need be, and not reported again.
    """

    target: RobotTarget | None = None
    settled_generation: int = 0
    activated: RobotTarget | None = None
    active: Placed | None = None
    previous: Placed | None = None
    bytes_fetched: int = 0
    bytes_planned: int = 0
    fetch_remarks: tuple[str, ...] = ()
    traceparent: str = ""
    key_id: str = ""
    releases: dict[ModelName, int] = {}
    held_generation: int = 0

    @property
    def generation(self) -> int:
        """The highest generation this robot ever accepted; 0 before the first."""
        return self.target.generation if self.target else 0


class Slotted(Struct, frozen=True, kw_only=True):
    """What is so right now: which digests the slots hold, are on disk, or must not be served.

    ``may_swap``: the target's agreed instant is here, and what must hold at a swap holds.
    """

    active: Digest | None = None
    warm: Digest | None = None
    staged: Digest | None = None
    shadow: Digest | None = None
    may_swap: bool = True
    stored: frozenset[Digest] = frozenset()
    withdrawn: frozenset[Digest] = frozenset()


def refusal_reason(robot_id: RobotId, target: RobotTarget, memory: Memory) -> str | None:
    """Why this robot does not take ``target``, or None when it does (or has it already)."""
    if target.robot_id != robot_id:
        return f"it is for {target.robot_id}, this robot is {robot_id}"
    if target.generation < 1:
        return f"generation {target.generation} is not positive"
    if target.generation < memory.generation:
        return f"generation {target.generation} is older than {memory.generation}"
    if target.generation == memory.generation and target != memory.target:
        return f"generation {target.generation} was already accepted with other contents"
    return None


def accept(memory: Memory, target: RobotTarget, traceparent: str, key_id: str = "") -> Memory:
    """Remember a target that was not refused. What is under way for an older one is void."""
    if target.generation == memory.generation:
        return memory
    return replace(
        memory,
        target=target,
        traceparent=traceparent,
        key_id=key_id,
        bytes_fetched=0,
        bytes_planned=0,
        fetch_remarks=(),
    )


def charge(memory: Memory, target: RobotTarget, cost: Cost) -> Memory:
    """Count a fetch towards ``target``, unless a newer one took its place meanwhile."""
    if memory.target != target:
        return memory
    return replace(
        memory,
        bytes_fetched=memory.bytes_fetched + cost.received_bytes,
        bytes_planned=memory.bytes_planned or cost.planned_bytes,
        fetch_remarks=tuple(dict.fromkeys((*memory.fetch_remarks, *cost.remarks))),
    )


def next_action(memory: Memory, slotted: Slotted) -> Action:
    """The one next step towards the accepted target; Rest when its outcome was reported.

    Withdrawn bytes are never a step's goal, wherever they lie. What serves already serves on
    until it is given something else: a robot is not left without a model from afar.
    """
    wanted, mode = _open_digest(memory), _mode(memory)
    serves = wanted is not None and mode is TargetMode.SERVE
    ending = _ending(wanted, mode, slotted)
    if ending is not None:
        return ending
    if serves and slotted.active == wanted:
        return Prove()
    if _is_unproved(memory, slotted):
        return SwapBack()
    if _is_left(memory, slotted):
        return Restore()
    if wanted is None:
        return Rest()
    if mode is TargetMode.SHADOW:
        return _to_shadow(wanted, memory, slotted)
    return _to_serve(wanted, slotted) if serves else _to_hold(wanted, memory, slotted)


def _ending(wanted: Digest | None, mode: TargetMode, slotted: Slotted) -> Action | None:
    """What must end before anything begins."""
    if _has_needless_green(wanted, mode, slotted):
        return DiscardStaged()
    if slotted.shadow is not None and (slotted.shadow != wanted or mode is not TargetMode.SHADOW):
        return EndShadow()
    if wanted in slotted.withdrawn:
        return Refuse()
    return RetireWarm() if slotted.warm in slotted.withdrawn else None


def _has_needless_green(wanted: Digest | None, mode: TargetMode, slotted: Slotted) -> bool:
    """Whether a green worker waits that no step leads to; a shadow's is one of another kind."""
    if slotted.staged is None:
        return False
    is_other = slotted.staged != wanted or mode is TargetMode.SHADOW
    return is_other or _is_served(wanted, slotted)


def _to_serve(wanted: Digest, slotted: Slotted) -> Action:
    if wanted in {slotted.warm, slotted.staged} and not slotted.may_swap:
        return AwaitSwap()
    if slotted.warm == wanted:
        return SwapBack()
    if slotted.staged == wanted:
        return Swap()
    return Stage() if wanted in slotted.stored else Fetch()


def _to_hold(wanted: Digest, memory: Memory, slotted: Slotted) -> Action:
    """Green is warm, in whatever slot; when its worker died it is staged again."""
    if slotted.staged == wanted or _is_served(wanted, slotted):
        return Rest() if memory.held_generation == memory.generation else ReportStaged()
    return Stage() if wanted in slotted.stored else Fetch()


def _to_shadow(wanted: Digest, memory: Memory, slotted: Slotted) -> Action:
    """What serves already has nothing to be compared with, and ``Compare`` says so."""
    if slotted.warm == wanted:
        return RetireWarm()
    if wanted in {slotted.shadow, slotted.active}:
        return Rest() if memory.held_generation == memory.generation else Compare()
    return StartShadow() if wanted in slotted.stored else Fetch()


def _mode(memory: Memory) -> TargetMode:
    return memory.target.mode if memory.target is not None else TargetMode.SERVE


def _open_digest(memory: Memory) -> Digest | None:
    """The digest still to be reached; None when the newest target's outcome was reported."""
    target = memory.target
    if target is None or target.generation <= memory.settled_generation:
        return None
    return target.digest


def _is_served(digest: Digest | None, slotted: Slotted) -> bool:
    return digest in {slotted.active, slotted.warm}


def _is_unproved(memory: Memory, slotted: Slotted) -> bool:
    """Whether something serves that never passed its proof while the robot's own model is warm."""
    own = memory.active
    return own is not None and slotted.active != own.digest and slotted.warm == own.digest


def _is_left(memory: Memory, slotted: Slotted) -> bool:
    """Whether what a set brought serves on, although the robot returned from it to a model that is stored."""
    own, left = memory.active, memory.activated
    return (
        own is not None
        and left is not None
        and bool(left.together)
        and slotted.active == left.digest != own.digest
        and own.digest in slotted.stored - slotted.withdrawn
    )


def commit(memory: Memory, release: int = 0) -> Memory:
    """The commit point: the proved target is the robot's own model from here on.

    Written in one transaction with the report. A crash before it starts the model before, a
    crash after it starts this one. ``release`` of the model is from here on the least it takes
    without the registry's leave; 0 where nobody says which it is.
    """
    target = memory.target
    assert target is not None, "only an accepted target can be proved"
    proved = Placed(target.model, target.digest)
    kept = memory.previous if memory.active == proved else memory.active
    name = target.model.name
    return replace(
        memory,
        active=proved,
        previous=kept,
        activated=target,
        settled_generation=target.generation,
        releases={**memory.releases, name: max(release, memory.releases.get(name, 0))},
    )


def hold(memory: Memory) -> Memory:
    """The target's model was reported to be held as it asks; it stays open until a newer one."""
    return replace(memory, held_generation=memory.generation)


def give_up(memory: Memory) -> Memory:
    """This generation failed for good; the robot serves on what it served before."""
    return replace(memory, settled_generation=memory.generation)


def is_own(memory: Memory, digest: Digest) -> bool:
    """Whether a robot that leaves ``digest`` falls back; green that dies unproved is the proof's."""
    return memory.active is not None and memory.active.digest == digest


def return_to(memory: Memory, placed: Placed) -> Memory:
    """The robot fell back: ``placed`` is its own model again. A newer target stays open."""
    if memory.active == placed:
        return memory
    return replace(memory, active=placed, previous=memory.active)


def forget_own(memory: Memory) -> Memory:
    """Neither of the robot's own models starts any more: its target is open again."""
    settled = max(0, memory.generation - 1)
    return replace(memory, active=None, previous=None, activated=None, settled_generation=settled)


def pinned(memory: Memory) -> frozenset[Digest]:
    """The digests that must stay on disk: served, wanted, or needed to return to."""
    target = memory.target
    wanted = (target.digest, target.fallback_digest) if target else ()
    placed = tuple(place.digest for place in (memory.active, memory.previous) if place)
    return frozenset(digest for digest in (*wanted, *placed) if digest is not None)
