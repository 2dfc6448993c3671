"""A decision that gives as many targets as one may goes on at once; its robots look when all have theirs."""

from __future__ import annotations

from pathlib import Path

from fleetward.contracts.rollouts import MAX_TARGETS_PER_STEP, RobotPhase
from fleetward.contracts.rows import Principal
from fleetward.trust.signing import SigningKey, TrustedKeys
from rollout_coordinator.advance import begun
from rollout_coordinator.decisions import Decisions
from rollout_coordinator.interest import Interest
from rollout_coordinator.ledger import RolloutLedger
from rollout_coordinator.outcomes import Outcomes
from rollout_coordinator.settings import Settings
from rollout_coordinator.sites import Sites
from rollout_coordinator.turns import Turns
from testkit.servers import NatsSystem
from tests.integration.rollout_coordinator.coordinator_process import signing_key
from tests.unit.rollout_coordinator.scenes import HERE, START, planned

WRITES_BESIDE = 60
"""Requests, state and what is announced."""


async def test_nobody_looks_before_the_last_has_its_target_and_then_everybody_does(
    nats_system: NatsSystem, tmp_path: Path
) -> None:
    key = signing_key(tmp_path / "keys")
    connection = await nats_system.connect(Principal.COORDINATOR)
    trust = key.parent / "trust"
    ledger = RolloutLedger(connection, SigningKey.load(key), TrustedKeys.load(trust))
    settings = Settings(
        bus=nats_system.settings(Principal.COORDINATOR), signing_key=key, trust_dir=trust
    )
    outcomes = Outcomes(Interest(), lambda: START)
    sites = Sites(connection, ledger.open_rollouts, settings)
    decisions = Decisions(ledger, sites, Turns(), outcomes, settings, lambda: START)

    step = begun(planned(2 * MAX_TARGETS_PER_STEP), START)
    sent = connection.stats["out_msgs"]
    assert await ledger.begin(step, await ledger.opened(), START) == []
    outcomes.written(step)
    assert connection.stats["out_msgs"] - sent < MAX_TARGETS_PER_STEP + WRITES_BESIDE

    await decisions.go_on(HERE)
    kept = await ledger.load(HERE)
    assert kept is not None
    assert {held.phase for held in kept.event.robots.values()} == {RobotPhase.TARGETED}
    nudged = connection.stats["out_msgs"] - sent - 2 * MAX_TARGETS_PER_STEP
    assert 0 <= nudged - 2 * MAX_TARGETS_PER_STEP < 2 * WRITES_BESIDE
