"""Load, decide, save, publish: carries facts to the state machine and its decisions to the bus."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import datetime

from nats.aio.client import Client

from fleetward.bus.dead_letters import bury
from fleetward.bus.deliveries import Delivery
from fleetward.bus.listen import Kept
from fleetward.contracts.codec import UnreadableMessageError
from fleetward.contracts.control import RolloutControlRequested
from fleetward.contracts.event import Event
from fleetward.contracts.gates import GateAnswered, RolloutApproved
from fleetward.contracts.ids import RolloutId
from fleetward.contracts.judgements import ModelWithdrawn
from fleetward.contracts.rollouts import RolloutRequested
from rollout_coordinator.beginnings import Beginnings
from rollout_coordinator.control import NEEDS_FLEET
from rollout_coordinator.decisions import Decisions
from rollout_coordinator.fold import Told
from rollout_coordinator.interest import Interest
from rollout_coordinator.ledger import RolloutLedger
from rollout_coordinator.recall import recalled
from rollout_coordinator.step import Tick


class Handlers:
    """One coordinator replica; any number may run, the compare-and-set keeps them apart."""

    def __init__(
        self,
        connection: Client,
        ledger: RolloutLedger,
        interest: Interest,
        beginnings: Beginnings,
        decisions: Decisions,
        now: Callable[[], datetime],
    ) -> None:
        self._connection = connection
        self._ledger = ledger
        self._interest = interest
        self._beginnings = beginnings
        self._decisions = decisions
        self._now = now

    async def on_request(self, event: Event, kept: Kept) -> None:
        """A RolloutRequested, or a word to a rollout that exists."""
        if isinstance(event, RolloutRequested):
            await self._on_requested(event, kept.sequence)
        elif isinstance(event, RolloutControlRequested) and event.action in NEEDS_FLEET:
            await self._beginnings.reopen(event, kept.stored_at)
        elif isinstance(event, RolloutControlRequested | RolloutApproved | GateAnswered):
            await self._decisions.apply(event.rollout_id, [(event, kept.stored_at)])

    async def _on_requested(self, request: RolloutRequested, sequence: int) -> None:
        """One that is answered comes again when whoever answered it died before the end of this."""
        await self._beginnings.on_requested(request, sequence)
        await self._recall_if_withdrawn(request.rollout_id)
        await self._decisions.go_on(request.rollout_id)

    async def on_facts(self, deliveries: Sequence[Delivery]) -> None:
        """A batch of what robots, alerts and telemetry say, folded per rollout."""
        told: dict[RolloutId, list[Told]] = defaultdict(list)
        for delivery in deliveries:
            try:
                fact = delivery.decode()
            except UnreadableMessageError as error:
                await bury(self._connection, delivery, error)
                continue
            for rollout_id in await self._concerned(fact):
                told[rollout_id].append((fact, delivery.published_at))
        for rollout_id, facts in told.items():
            await self._decisions.apply(rollout_id, facts)
        for delivery in deliveries:
            if not delivery.answered:
                await delivery.ack()

    async def _concerned(self, fact: Event) -> Sequence[RolloutId]:
        """A withdrawal is rare, and must not miss a rollout that a peer has just begun."""
        if isinstance(fact, ModelWithdrawn):
            return await self._ledger.open_ids()
        return self._interest.of(fact)

    async def on_tick(self, rollout_id: RolloutId, tick: Tick) -> None:
        """Time passes for an open rollout; one that waits begins when it is due."""
        if self._interest.is_waiting(rollout_id):
            await self._beginnings.begin_if_due(rollout_id)
        else:
            await self._decisions.apply(rollout_id, [(tick, self._now())])

    async def _recall_if_withdrawn(self, rollout_id: RolloutId) -> None:
        """What was withdrawn between plan and write was told before the rollout was there."""
        kept, withdrawn = await self._ledger.load(rollout_id), await self._ledger.withdrawn()
        now = self._now()
        fact = recalled(kept.event, withdrawn, now) if kept is not None else None
        if fact is not None:
            await self._decisions.apply(rollout_id, [(fact, now)])
