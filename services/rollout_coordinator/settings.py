"""Everything the coordinator can be told, read once from the environment."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from fleetward.bus.connection import BusSettings
from fleetward.bus.environment import Environment
from fleetward.contracts.rows import Principal
from rollout_coordinator.gatekeeper import GatekeeperLimits


class Settings(Struct, frozen=True, kw_only=True):
    """Paths, addresses and bounds, each with its unit."""

    bus: BusSettings
    signing_key: Path
    trust_dir: Path
    """Public keys; a stored target that none of them signed is not believed."""
    traces_dir: Path | None = None
    tick_s: float = 1.0
    ticks_per_refresh: int = 10
    """How often the index of open rollouts is read anew from the stream."""
    ticks_per_matching: int = 3
    """How often it is looked who matches a continuous rollout by now."""
    max_conflicts: int = 20
    """How often a decision is made again when another replica moved the rollout first."""
    facts_at_once: int = 4000
    """Most facts that are taken at once, and told to a rollout shard by shard. How many of them go into one
    decision is bounded by what its log may hold."""
    gatekeeper: GatekeeperLimits = GatekeeperLimits()
    facts_wait_s: float = 0.1
    """How long facts are gathered before they are folded."""
    facts_wait_s_per_robot: float = 1e-4
    """How long for each robot of the largest open rollout, if that is longer: a decision looks at all
    of them. For the largest that there may be it is a second."""
    site_policy_age_s: float = 1.0
    """How old the policy of a site may be that is decided by, if nobody heard of a newer one."""
    check_in_age_s: float = 1.0
    """How old the check-ins may be by which robots of a site with a floor count as in service."""
    enrolled_age_s: float = 10.0
    """How old the list of a site's robots may be."""

    def gathering_s(self, robots: int) -> float:
        """How long facts are gathered while the largest open rollout has so many robots."""
        return max(self.facts_wait_s, robots * self.facts_wait_s_per_robot)


def settings_from(variables: Mapping[str, str]) -> Settings:
    """Settings from FLEETWARD_ variables; raises SettingsError."""
    environment = Environment(variables)
    return Settings(
        bus=environment.bus(Principal.COORDINATOR.value),
        signing_key=environment.path("FLEETWARD_SIGNING_KEY"),
        trust_dir=environment.path("FLEETWARD_TRUST_DIR"),
        traces_dir=environment.optional_path("FLEETWARD_TRACES_DIR"),
    )
