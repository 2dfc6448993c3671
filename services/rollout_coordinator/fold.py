"""Several facts of one rollout as one decision, and as one write. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import get_args

from msgspec import Struct

from fleetward.contracts.rollouts import FINAL_STATES, Rollout
from fleetward.contracts.surroundings import NOTHING_AROUND, Surroundings
from rollout_coordinator.advance import Fact, Report, advance, judged, reported
from rollout_coordinator.step import Step
from rollout_coordinator.waiting import is_waiting
from rollout_coordinator.written_down import OneCopy

Told = tuple[Fact, datetime]
"""A fact, and when the server stored it: the same for every copy and every replica."""

_REPORTS = get_args(Report)


class Folded(Struct, frozen=True):
    """One decision: what it does, how many facts it took in, and those it is made again from.

    ``mattered``: all but gathered reports that changed nothing. The same rollout object: no fact
    changed anything.
    """

    step: Step
    used: int
    mattered: tuple[Told, ...]


def folded(
    rollout: Rollout,
    told: Sequence[Told],
    now: datetime,
    around: Surroundings = NOTHING_AROUND,
) -> tuple[Step, int]:
    """The facts as one step, and how many of them it took in."""
    made = decided(rollout, told, now, around)
    return made.step, made.used


def decided(
    rollout: Rollout,
    told: Sequence[Told],
    now: datetime,
    around: Surroundings = NOTHING_AROUND,
) -> Folded:
    """The facts as one decision.

    Reports that follow each other are all written down before they are judged, once: a thousand
    robots that speak in the same moment cost one look at the rollout, and each look of a comparison
    gets its own. The step ends with the first judgement that sets targets: one write gives a robot one
    target at most, and a bounded number of them.
    """
    step, heard, mattered = Step(rollout=rollout), rollout, list[Told]()
    write_down = OneCopy()
    for count, (fact, stored_at) in enumerate(told):
        if isinstance(fact, _REPORTS) and _is_under_way(step.rollout):
            noted = reported(heard, fact, stored_at, write_down)
            if noted is heard:
                continue
            heard = noted
            mattered.append((fact, stored_at))
            if not heard.evidence.is_look or heard.evidence is step.rollout.evidence:
                continue
            step = _with_judgement(step, heard, now, around)
            if step.targets:
                return Folded(step, count + 1, tuple(mattered))
        else:
            step = _with_judgement(step, heard, now, around)
            if step.targets:
                return Folded(step, count, tuple(mattered))
            following = advance(step.rollout, fact, stored_at, now, around)
            mattered.append((fact, stored_at))
            if following.rollout is not step.rollout:
                step = step.then(following)
            if step.targets:
                return Folded(step, count + 1, tuple(mattered))
        heard = step.rollout
    return Folded(_with_judgement(step, heard, now, around), len(told), tuple(mattered))


def _is_under_way(rollout: Rollout) -> bool:
    """Whether reports may be gathered; one that waits, or is watched, answers each by itself."""
    return rollout.state not in FINAL_STATES and not is_waiting(rollout)


def _with_judgement(step: Step, heard: Rollout, now: datetime, around: Surroundings) -> Step:
    """The step with what was reported since, and what that demands."""
    return step if heard is step.rollout else step.then(judged(heard, now, around))
