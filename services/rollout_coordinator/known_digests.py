"""Digests of open rollouts as they were written last, so that a decision hashes what it changed."""

from __future__ import annotations

from fleetward.contracts.ids import RolloutId
from fleetward.contracts.rollout_rows import Stored
from fleetward.contracts.rollouts import Rollout, is_open
from rollout_coordinator.state_digest import StateDigest, digest_after, digest_of


class KnownDigests:
    """One replica's; what another has written since is hashed whole, once."""

    def __init__(self) -> None:
        self._known: dict[RolloutId, StateDigest] = {}

    def of(self, before: Rollout | None, stored: Stored) -> tuple[StateDigest | None, StateDigest]:
        """Of what a decision was made on, if anything, and of what it leads to."""
        if before is None:
            return None, digest_after(stored, None)
        known = self._known.get(before.rollout_id)
        if known is None or known.revision != before.revision:
            known = digest_of(before)
        return known, digest_after(stored, known)

    def remember(self, rollout: Rollout, digest: StateDigest) -> None:
        """``rollout`` was written and has this digest."""
        if is_open(rollout):
            self._known[rollout.rollout_id] = digest
        else:
            self._known.pop(rollout.rollout_id, None)
