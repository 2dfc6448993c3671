"""How what was reported is written down: into a copy each time, or into one copy for a whole batch. Pure.

A rollout is never changed, so each robot's word would cost a copy of what is held of all of them. Of
the words of one batch nobody sees but the last result, so one copy serves them all.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, TypeVar

_Key = TypeVar("_Key")
_Held = TypeVar("_Held")


class WriteDown(Protocol):
    """What is held, with something else held of some."""

    def __call__(
        self, held: dict[_Key, _Held], changed: Mapping[_Key, _Held]
    ) -> dict[_Key, _Held]: ...


def in_a_copy(held: dict[_Key, _Held], changed: Mapping[_Key, _Held]) -> dict[_Key, _Held]:
    """``held`` stays as it is."""
    return {**held, **changed}


class OneCopy:
    """``held`` stays as it is; what this returned is written into when it is given again.

    So whoever keeps one of those sees it change: let go of this before the last one is handed out.
    """

    def __init__(self) -> None:
        self._own: dict[int, object] = {}
        """By identity, which nothing else takes as long as they are held here."""

    def __call__(self, held: dict[_Key, _Held], changed: Mapping[_Key, _Held]) -> dict[_Key, _Held]:
        """Copied the first time."""
        if id(held) not in self._own:
            held = dict(held)
            self._own[id(held)] = held
        held.update(changed)
        return held
