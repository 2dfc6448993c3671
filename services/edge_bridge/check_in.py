"""What a robot says of itself in a check-in."""

from __future__ import annotations

import time
from datetime import datetime, timezone

from msgspec import Struct

from edge_bridge.converging.trust import Trust
from edge_bridge.credentials.renewing import Renewing
from edge_bridge.facts import Facts
from edge_bridge.onlookers import Onlookers
from edge_bridge.pipelines import Pipelines
from edge_bridge.store import ModelStore
from fleetward.contracts.ids import BootId, RobotId
from fleetward.contracts.robots import RobotCheckedIn, TargetMode

MODES = (TargetMode.STAGE, TargetMode.SHADOW)
"""What this bridge can do with a model beside serving it."""


MAX_TROUBLE_CHARACTERS = 512


class Speaker(Struct, frozen=True, kw_only=True):
    """Everything that a check-in tells of."""

    robot_id: RobotId
    boot_id: BootId
    pipelines: Pipelines
    store: ModelStore
    trust: Trust
    renewing: Renewing
    facts: Facts
    onlookers: Onlookers
    extras: tuple[str, ...]
    """Of the bridge, that the robot's settings need."""

    def check_in(self, sequence: int) -> RobotCheckedIn:
        """The truth of this moment."""
        own = self.pipelines.own
        slots, ledger = own.slots, own.slots.ledger
        return RobotCheckedIn(
            robot_id=self.robot_id,
            boot_id=self.boot_id,
            sequence=sequence,
            generation=own.converger.memory.generation,
            active_model=slots.active.model if slots.active else None,
            active_digest=slots.active.digest if slots.active else None,
            warm_digest=slots.warm.digest if slots.warm else None,
            staged_model=slots.staged.model if slots.staged else None,
            shadow_model=slots.shadow.model.model if slots.shadow.model else None,
            cached_digests=tuple(sorted(self.store.digests())),
            frames_captured=ledger.frames_captured,
            frames_served=ledger.frames_served,
            frames_failed=ledger.frames_failed,
            frames_dropped=ledger.frames_dropped,
            frames_reissued=ledger.frames_reissued,
            bytes_fetched=own.fetcher.received_bytes,
            fetching=own.fetcher.progress,
            modes=MODES,
            held_back=own.converger.held_back,
            pipelines=self.pipelines.standings(),
            facts={**self.facts.told()},
            records=self.onlookers.records,
            trust_version=self.trust.version,
            credential_trouble=self.renewing.trouble[:MAX_TROUBLE_CHARACTERS],
            rules=self.onlookers.rules,
            extras=self.extras,
            checked_in_at=datetime.fromtimestamp(time.time(), timezone.utc),
        )
