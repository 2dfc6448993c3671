"""A client hears what became of its rollout: live, after a reconnect, and when asked again."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from uuid import uuid4

import pytest
from msgspec.structs import replace
from nats.aio.client import Client

from fleetward.bus.batch import Write, write_atomically
from fleetward.bus.deliveries import Delivery
from fleetward.bus.errors import ConflictError, NoAnswerError
from fleetward.bus.publish import publish
from fleetward.bus.pull import Pull
from fleetward.client import (
    Fleet,
    RolloutRefusedError,
    RolloutTimeoutError,
    UnknownRolloutError,
)
from fleetward.client.access import Access
from fleetward.contracts.catalog import CONSUMERS
from fleetward.contracts.control import ControlAction, RolloutControlRequested
from fleetward.contracts.event import Event
from fleetward.contracts.ids import RolloutId
from fleetward.contracts.rollout_index import RolloutRefused
from fleetward.contracts.rollouts import RolloutPolicy, RolloutRequested, RolloutState
from fleetward.contracts.rows import Principal
from testkit.servers import NatsSystem
from tests.integration.client.rollouts import rollout

REQUESTS = next(row for row in CONSUMERS if row.durable == "coordinator-requests")


@pytest.fixture
def wanted() -> str:
    """A rollout id that no other test uses."""
    return f"r-{uuid4().hex[:10]}"


class Coordinator:
    """Plays the coordinator: answers each request with the fact that ``decide`` makes of it."""

    def __init__(self, connection: Client, decide: Callable[[Event], Event | None]) -> None:
        self.heard: list[Event] = []
        self.traceparents: dict[str, str] = {}
        self._connection = connection
        self._decide = decide
        self._pull = Pull(connection, REQUESTS, self._handle)

    async def __aenter__(self) -> Coordinator:
        await self._pull.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._pull.stop()

    async def _handle(self, deliveries: Sequence[Delivery]) -> None:
        for delivery in deliveries:
            request = delivery.decode()
            self.heard.append(request)
            self.traceparents[request.rollout_id] = delivery.traceparent
            decision = self._decide(request)
            if decision is not None:
                await publish(self._connection, decision)
            await delivery.ack()


def started(request: Event) -> Event | None:
    """Every request becomes the rollout that it asks for."""
    if not isinstance(request, RolloutRequested):
        return None
    made = rollout(request.rollout_id)
    return replace(
        made, selector=request.selector, strategy=request.strategy, policy=request.policy
    )


def refused(request: Event) -> Event | None:
    """No request becomes a rollout."""
    if not isinstance(request, RolloutRequested):
        return None
    reason = f"{request.model} is not published. Push it first."
    return RolloutRefused(
        rollout_id=request.rollout_id, reason=reason, refused_at=datetime.now(timezone.utc)
    )


async def test_start_returns_the_rollout_the_coordinator_made(
    fleet: Fleet, coordinator: Client, wanted: str
) -> None:
    policy = RolloutPolicy(bake_s=3.0)
    async with Coordinator(coordinator, started) as played:
        begun = await fleet.start_rollout(
            "detector:2.0", "site=berlin", policy=policy, rollout=wanted
        )

    assert begun.rollout_id == wanted
    request = played.heard[-1]
    assert isinstance(request, RolloutRequested)
    assert (request.selector, request.policy.bake_s) == ("site=berlin", 3.0)


async def test_a_refusal_carries_the_coordinators_reason(
    fleet: Fleet, coordinator: Client, wanted: str
) -> None:
    async with Coordinator(coordinator, refused):
        with pytest.raises(RolloutRefusedError, match=r"detector:2\.0 is not published\. Push it"):
            await fleet.start_rollout("detector:2.0", "all", rollout=wanted)


async def test_asking_twice_starts_one_rollout(
    fleet: Fleet, coordinator: Client, wanted: str
) -> None:
    async with Coordinator(coordinator, started) as played:
        first = await fleet.start_rollout("detector:2.0", "all", rollout=wanted)
        second = await fleet.start_rollout("detector:2.0", "all", rollout=wanted)

    assert second == first
    asked = [held for held in played.heard if isinstance(held, RolloutRequested)]
    assert [held.rollout_id for held in asked].count(RolloutId(wanted)) == 1


async def test_without_a_coordinator_the_error_says_which_part_is_missing(
    fleet: Fleet, wanted: str
) -> None:
    with pytest.raises(NoAnswerError, match="Is rollout-coordinator running"):
        await fleet.start_rollout("detector:2.0", "all", rollout=wanted, timeout_s=0.5)


async def test_the_trace_begins_at_start(fleet: Fleet, coordinator: Client, wanted: str) -> None:
    async with Coordinator(coordinator, started) as played:
        await fleet.start_rollout("detector:2.0", "all", rollout=wanted)

    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-0[13]", played.traceparents[wanted])


async def test_a_refused_request_may_be_made_again_once_its_cause_is_gone(
    fleet: Fleet, coordinator: Client, wanted: str
) -> None:
    async with Coordinator(coordinator, refused):
        with pytest.raises(RolloutRefusedError):
            await fleet.start_rollout("detector:2.0", "all", rollout=wanted)
    async with Coordinator(coordinator, started):
        begun = await fleet.start_rollout("detector:2.0", "all", rollout=wanted)

    assert begun.state is RolloutState.RUNNING


async def test_watch_shows_no_state_twice_and_ends_with_the_last(
    fleet: Fleet, coordinator: Client, wanted: str
) -> None:
    await publish(coordinator, rollout(wanted, revision=1))
    shown: list[int] = []

    async for change in fleet.watch_rollout(wanted):
        shown.append(change.revision)
        if change.revision == 1:
            await publish(coordinator, rollout(wanted, revision=2))
            await publish(coordinator, rollout(wanted, revision=2))
        if change.revision == 2:
            await publish(coordinator, rollout(wanted, 3, RolloutState.SUCCEEDED))

    assert shown == [1, 2, 3]


async def test_watch_never_shows_a_state_that_the_stream_refused(
    fleet: Fleet, coordinator: Client, wanted: str
) -> None:
    """The server hands a batch to live subscribers before it refuses it."""
    await publish(coordinator, rollout(wanted, revision=1))
    changes = fleet.watch_rollout(wanted)
    await anext(changes)

    with pytest.raises(ConflictError):
        lost = rollout(wanted, 2, RolloutState.REVERTED)
        await write_atomically(coordinator, [Write(lost, expected_last_sequence=999_999)])
    await publish(coordinator, rollout(wanted, 3, RolloutState.SUCCEEDED))

    assert [(change.revision, change.state) async for change in changes] == [
        (3, RolloutState.SUCCEEDED)
    ]


async def test_watch_goes_on_after_the_server_was_killed(nats_system: NatsSystem) -> None:
    coordinator = await nats_system.connect(Principal.COORDINATOR)
    await publish(coordinator, rollout("r-1", revision=1))
    access = Access(bus=nats_system.settings(Principal.OPERATOR))
    async with Fleet.connect(access=access) as fleet:
        changes = fleet.watch_rollout("r-1")
        assert (await anext(changes)).revision == 1
        await nats_system.kill()
        await nats_system.restart()
        again = await nats_system.connect(Principal.COORDINATOR)
        await publish(again, rollout("r-1", 2, RolloutState.SUCCEEDED))

        last = await asyncio.wait_for(anext(changes), 60.0)

    assert (last.revision, last.state) == (2, RolloutState.SUCCEEDED)


async def test_wait_returns_the_final_state(fleet: Fleet, coordinator: Client, wanted: str) -> None:
    await publish(coordinator, rollout(wanted))
    waiting = asyncio.ensure_future(fleet.wait_rollout(wanted, timeout_s=60.0))
    await publish(coordinator, rollout(wanted, 2, RolloutState.REVERTED))

    assert (await waiting).state is RolloutState.REVERTED


async def test_waiting_too_long_leaves_the_rollout_running(
    fleet: Fleet, coordinator: Client, wanted: str
) -> None:
    await publish(coordinator, rollout(wanted))

    with pytest.raises(RolloutTimeoutError, match="it goes on"):
        await fleet.wait_rollout(wanted, timeout_s=0.2)


async def test_an_unknown_rollout_is_named(fleet: Fleet) -> None:
    for ask in (fleet.rollout, fleet.wait_rollout):
        with pytest.raises(UnknownRolloutError, match="No rollout has the id r-nobody"):
            await ask("r-nobody")
    with pytest.raises(UnknownRolloutError):
        await fleet.control_rollout("r-nobody", ControlAction.PAUSE)


async def test_a_control_reaches_the_coordinator(
    fleet: Fleet, coordinator: Client, wanted: str
) -> None:
    await publish(coordinator, rollout(wanted))
    arrived = asyncio.Event()

    def note(request: Event) -> None:
        if isinstance(request, RolloutControlRequested) and request.rollout_id == wanted:
            arrived.set()

    async with Coordinator(coordinator, note) as played:
        await fleet.control_rollout(wanted, ControlAction.PAUSE, requested_by="ann")
        await asyncio.wait_for(arrived.wait(), 60.0)

    request = played.heard[-1]
    assert isinstance(request, RolloutControlRequested)
    assert (request.rollout_id, request.action, request.requested_by) == (
        RolloutId(wanted),
        ControlAction.PAUSE,
        "ann",
    )
