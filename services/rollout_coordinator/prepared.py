"""A decision as it is written: all of it but the sequences that the stream alone knows."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace

from fleetward.bus.batch import Write
from fleetward.bus.errors import ConflictError
from fleetward.contracts.decisions import Given, RolloutDecided
from fleetward.contracts.ids import RobotId
from fleetward.contracts.rollout_rows import RolloutProgress, Shard, Stored, split
from fleetward.contracts.rollouts import Rollout
from rollout_coordinator.decision_log import logged
from rollout_coordinator.giving import Last, overtaken_by
from rollout_coordinator.known_digests import KnownDigests
from rollout_coordinator.signed_targets import Signed
from rollout_coordinator.state_digest import StateDigest, digest_after
from rollout_coordinator.step import RobotTaken, Step


class Prepared(Struct, frozen=True, kw_only=True):
    """What a step becomes: the rollout with its shards, the entry of the log, and signed targets.

    ``over``: the sequence of each robot's target before, which must still be its newest; none: its first.
    """

    step: Step
    stored: Stored
    decision: RolloutDecided
    digest: StateDigest
    targets: tuple[Signed, ...] = ()
    over: Mapping[RobotId, int] = {}

    @property
    def whole(self) -> Rollout:
        """The rollout once this is written."""
        return self.stored.whole

    def writes(self, sequence: int) -> list[Write]:
        """All but the targets; the row first, which alone is compared and set. 0: it is the first."""
        row = Write(self.stored.row, sequence)
        facts = (*self.stored.shards, self.decision, *self.step.events)
        return [row, *(Write(fact) for fact in facts)]

    def orders(self) -> list[Write]:
        """The targets."""
        return [Write(each.signed, self.over.get(each.target.robot_id, 0)) for each in self.targets]


def prepared(
    step: Step,
    before: Rollout | None,
    on: Given,
    now: datetime,
    digests: KnownDigests,
    following: Prepared | None = None,
) -> Prepared:
    """The step without its targets. following: what ``before`` is known from while it is not stored."""
    rollout = replace(step.rollout, revision=step.rollout.revision + 1)
    stored = split(rollout, before)
    stored = replace(stored, shards=tuple(map(_encoded_within, stored.shards)))
    if following is None:
        known = digests.of(before, stored)
    else:
        known = (following.digest, digest_after(stored, following.digest))
    decision = logged(before, on, now, step, known)
    return Prepared(step=step, stored=stored, decision=decision, digest=known[1])


def _encoded_within(shard: Shard) -> Shard:
    """To be encoded as a message and for its digest: what it says of robots is only copied then."""
    is_progress = isinstance(shard, RolloutProgress)
    names = ("robots",) if is_progress else ("counted_until", "observed")
    encoded = {name: Raw(msgspec.msgpack.encode(getattr(shard, name))) for name in names}
    return replace(shard, **encoded)


def taken_in(step: Step, last: Last) -> list[RobotTaken]:
    """Robots of the step that another rollout gave something newer; raises ConflictError.

    A ConflictError: this very rollout did, as another replica decided the same before us.
    """
    lost: list[RobotTaken] = []
    for order in step.targets:
        newer = overtaken_by(step.rollout, order, last.get(order.robot_id))
        if newer is not None and newer == step.rollout.rollout_id:
            raise ConflictError(f"another replica already gave {order.robot_id} its target.")
        if newer is not None:
            lost.append(RobotTaken(order.robot_id, f"rollout {newer}"))
    return lost
