"""Wires the coordinator together and runs it until it is told to stop."""

from __future__ import annotations

import asyncio
import gc
import os
import sys

from faststream.nats import NatsBroker

from fleetward.bus.connection import close
from fleetward.bus.listen import connect_broker, listen
from fleetward.bus.process import exit_status, stop_signal, unless_stopped
from fleetward.bus.pull import Pull
from fleetward.bus.readiness import notify_ready
from fleetward.bus.requests import answer
from fleetward.bus.tracing import setup_tracing
from fleetward.contracts.alerts import AlertFired
from fleetward.contracts.catalog import consumers_of
from fleetward.contracts.decisions import ExplainRollout
from fleetward.contracts.judgements import ModelWithdrawn
from fleetward.contracts.rollout_plans import PlanRollout
from fleetward.contracts.rollouts import RolloutRequested
from fleetward.contracts.rows import Principal
from fleetward.trust.signing import SigningKey, TrustedKeys
from rollout_coordinator.beginnings import Beginnings
from rollout_coordinator.decisions import Decisions
from rollout_coordinator.explaining import Explainer
from rollout_coordinator.gatekeeper import Gatekeeper
from rollout_coordinator.handlers import Handlers
from rollout_coordinator.interest import Interest
from rollout_coordinator.joiners import Joiners
from rollout_coordinator.ledger import RolloutLedger
from rollout_coordinator.outcomes import Outcomes
from rollout_coordinator.planner import Planner
from rollout_coordinator.returns import Returns
from rollout_coordinator.settings import Settings, settings_from
from rollout_coordinator.signed_targets import Signatory
from rollout_coordinator.signing_process import SigningProcess
from rollout_coordinator.sites import Sites
from rollout_coordinator.turns import Turns
from rollout_coordinator.watch import keep_time, utc_now, watch_rollouts

NAME = Principal.COORDINATOR.value
URGENT = frozenset({AlertFired, ModelWithdrawn})
"""Facts that stop a rollout, and are rare."""
COLLECTED_AT = (20_000, 20, 20)
"""Python's thresholds for looking for garbage: objects more than before, and how often the young ones
come before older ones. What a decision makes is freed without that; to look is to walk all robots."""


async def serve(settings: Settings) -> None:
    """Coordinate rollouts until SIGTERM or SIGINT."""
    stopping = stop_signal()
    broker = await unless_stopped(stopping, connect_broker(settings.bus))
    if broker is None:
        return
    connection = broker.connection
    key, trusted = SigningKey.load(settings.signing_key), TrustedKeys.load(settings.trust_dir)
    returns = Returns(Signatory(key, SigningProcess(settings.signing_key, key)))
    ledger = RolloutLedger(connection, key, trusted, returns)
    interest = Interest()
    sites = Sites(connection, ledger.open_rollouts, settings)
    planner = Planner(connection, ledger, sites, utc_now)
    turns, outcomes = Turns(), Outcomes(interest, utc_now)
    beginnings = Beginnings(ledger, sites, planner, turns, outcomes, settings, utc_now)
    decisions = Decisions(ledger, sites, turns, outcomes, settings, utc_now)
    handlers = Handlers(connection, ledger, interest, beginnings, decisions, utc_now)
    await sites.listen()
    await watch_rollouts(connection, ledger, interest)
    pulls = _consumers(broker, handlers, settings, interest)
    await broker.start()
    await answer(connection, PlanRollout, planner.previewed)
    for pull in pulls:
        await pull.start()
    await answer(connection, ExplainRollout, Explainer(connection, ledger, sites, utc_now).explain)
    _collect_less()
    notify_ready()
    # A coordinator without a clock must not linger: what breaks it is raised, and it is restarted.
    gatekeeper = Gatekeeper(connection, settings.gatekeeper, utc_now)
    joiners = Joiners(ledger, planner, interest, turns, settings.max_conflicts, utc_now)
    time_goes_by = keep_time(connection, handlers, ledger, interest, settings, gatekeeper, joiners)
    await unless_stopped(stopping, time_goes_by)
    await gatekeeper.close()
    for pull in pulls:
        await pull.stop()
    await returns.close()
    await broker.stop()
    await close(connection)


def _collect_less() -> None:
    """From now on garbage is rarely looked for, and never among what was there from the beginning."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECTED_AT)


def _consumers(
    broker: NatsBroker, handlers: Handlers, settings: Settings, interest: Interest
) -> list[Pull]:
    """Requests are listened to one by one; what comes in bulk is pulled, and not started yet.

    In a large fleet bulk is gathered for longer, but for what is to stop a rollout.
    """

    def bulk_wait_s() -> float:
        return settings.gathering_s(interest.most_robots())

    def urgent_wait_s() -> float:
        return settings.facts_wait_s

    pulls: list[Pull] = []
    for consumer in consumers_of(Principal.COORDINATOR):
        if RolloutRequested in consumer.events:
            listen(broker, consumer, handlers.on_request)
        else:
            pulls.append(
                Pull(
                    broker.connection,
                    consumer,
                    handlers.on_facts,
                    batch=settings.facts_at_once,
                    max_wait_s=bulk_wait_s if URGENT.isdisjoint(consumer.events) else urgent_wait_s,
                )
            )
    return pulls


def main() -> int:
    """The process's exit status."""
    return exit_status(NAME, _run)


def _run() -> None:
    settings = settings_from(os.environ)
    setup_tracing(NAME, settings.traces_dir)
    asyncio.run(serve(settings))


if __name__ == "__main__":
    sys.exit(main())
