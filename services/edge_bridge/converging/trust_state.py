"""Decides whether a robot may take a model: by what the registry lists, and what the robot served.

The signature says who asks; this says whether what is asked is allowed, also to somebody who stole
the coordinator's key: only versions the registry lists today, none older than what this robot
served unless the registry permits the way back, and always what the robot itself just left.
"""

from __future__ import annotations

from msgspec import Struct

from edge_bridge.converging.converge import Memory
from fleetward.contracts.robots import RobotTarget
from fleetward.trust.listing import Listed


class Word(Struct, frozen=True, kw_only=True):
    """What a robot keeps of the registry's word about the model that a target names.

    known: whether it has any word about the model at all. listed: None when it is not listed.
    """

    known: bool
    listed: Listed | None


def is_held(target: RobotTarget, memory: Memory) -> bool:
    """Whether the robot returns to what it serves, or served last and was told it may return to.

    That needs nobody: it works with the cable out and with metadata that expired.
    """
    if memory.active is not None and memory.active.digest == target.digest:
        return True
    left = memory.activated
    return (
        memory.previous is not None
        and memory.previous.digest == target.digest
        and left is not None
        and left.fallback_digest == target.digest
    )


def reason_against_return(target: RobotTarget, memory: Memory, word: Word) -> str | None:
    """Why a robot does not return to what it holds, or None: only a withdrawn model is refused."""
    serves_it = memory.active is not None and memory.active.digest == target.digest
    if serves_it or not word.known or word.listed is not None:
        return None
    return _unlisted(target)


def reason_against(target: RobotTarget, memory: Memory, word: Word) -> str | None:
    """Why a robot does not take a model, or None when it may. ``word`` is the registry's of now."""
    listed = word.listed
    if listed is None:
        return _unlisted(target)
    if listed.digest != target.digest:
        return (
            f"the target names {target.digest} for {target.model} and the registry lists "
            f"{listed.digest}. Roll it out again."
        )
    served = memory.releases.get(target.model.name, 0)
    if listed.release < served and not listed.fallback:
        return (
            f"{target.model} is release {listed.release}, this robot served release {served}, and "
            "the registry does not permit the way back. Give that version an alias to permit it."
        )
    return None


def _unlisted(target: RobotTarget) -> str:
    return (
        f"the registry does not list {target.model}: it was withdrawn, or never published. "
        "Roll another version out."
    )
