"""What follows on a decision is decided while that one is stored, and only counts if it was."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import datetime, timezone
from pathlib import Path

from msgspec.structs import replace

from fleetward.contracts.codec import decode, encode
from fleetward.contracts.control import ControlAction, RolloutControlRequested
from fleetward.contracts.decisions import Given
from fleetward.contracts.rollouts import MAX_TARGETS_PER_STEP, RobotPhase, Rollout
from fleetward.contracts.rows import Principal, StreamName
from fleetward.trust.signing import SigningKey, TrustedKeys
from rollout_coordinator.advance import begun
from rollout_coordinator.decisions import Decisions
from rollout_coordinator.interest import Interest
from rollout_coordinator.ledger import RolloutLedger
from rollout_coordinator.outcomes import Outcomes
from rollout_coordinator.prepared import Prepared
from rollout_coordinator.returns import LATER, Returns
from rollout_coordinator.settings import Settings
from rollout_coordinator.signed_targets import Signatory
from rollout_coordinator.signing_process import SigningProcess
from rollout_coordinator.sites import Around, Sites
from rollout_coordinator.step import RobotTaken, Step
from rollout_coordinator.turns import Turns
from testkit.servers import NatsSystem
from tests.integration.rollout_coordinator.coordinator_process import signing_key
from tests.integration.rollout_coordinator.stored import (
    assert_decisions_are_reproduced,
    assert_nothing_happened_twice,
    stored_in,
    targets_in,
)
from tests.unit.rollout_coordinator.scenes import HERE, activated, planned

STEPS = 3
ROBOTS = STEPS * MAX_TARGETS_PER_STEP


class Watched(RolloutLedger):
    """Counts what was made ready while another decision was stored, and what of it was written."""

    made_ahead = 0
    written_ahead = 0

    async def made_ready(
        self,
        step: Step,
        before: Rollout | None,
        on: Given,
        now: datetime,
        following: Prepared | None = None,
    ) -> Prepared | list[RobotTaken]:
        made = await super().made_ready(step, before, on, now, following)
        self.made_ahead += following is not None
        return made

    async def write(self, *written: object, **how: object) -> list[RobotTaken]:
        taken = await super().write(*written, **how)  # type: ignore[arg-type]  # handed on as it is
        self.written_ahead += how["ready"] is not None
        return taken


class Crossed(Sites):
    """Has something else done once, when a decision has been begun."""

    crossing: Callable[[], Awaitable[None]] | None = None

    async def around(self, rollout: Rollout, now: datetime) -> Around:
        crossing, self.crossing = self.crossing, None
        if crossing is not None:
            await crossing()
        return await super().around(rollout, now)


class Replica:
    """One that decides on a real server; nobody answers its robots' part."""

    def __init__(self, ledger: Watched, settings: Settings, sites: Crossed) -> None:
        self.ledger = ledger
        self.sites = sites
        self.outcomes = Outcomes(Interest(), now)
        self.decisions = Decisions(ledger, sites, Turns(), self.outcomes, settings, now)

    @classmethod
    async def on(cls, system: NatsSystem, key: Path, returns: Returns | None = None) -> Replica:
        connection, trust = await system.connect(Principal.COORDINATOR), key.parent / "trust"
        ledger = Watched(connection, SigningKey.load(key), TrustedKeys.load(trust), returns)
        bus = system.settings(Principal.COORDINATOR)
        settings = Settings(bus=bus, signing_key=key, trust_dir=trust)
        return cls(ledger, settings, Crossed(connection, ledger.open_rollouts, settings))

    async def begin(self) -> None:
        """A rollout of which everybody has been given the model."""
        at = now()
        plan = encode(replace(planned(ROBOTS), wave_started_at=at, started_at=at))
        step, on = begun(decode(plan, Rollout), at), Given(planned=plan)
        assert await self.ledger.begin(step, await self.ledger.opened(), at, on=on) == []
        self.outcomes.written(step)
        await self.decisions.go_on(HERE)

    async def abort(self) -> None:
        asked = RolloutControlRequested(
            rollout_id=HERE, action=ControlAction.ABORT, requested_by="ann", requested_at=now()
        )
        await self.decisions.apply(HERE, [(asked, now())])

    async def phases(self) -> Counter[RobotPhase]:
        kept = await self.ledger.load(HERE)
        assert kept is not None
        return Counter(held.phase for held in kept.event.robots.values())


def now() -> datetime:
    return datetime.now(timezone.utc)


async def assert_each_robot_was_given_one_target_and_another_back(system: NatsSystem) -> None:
    facts = await stored_in(system, StreamName.ROLLOUTS)
    assert_nothing_happened_twice(facts)
    assert_decisions_are_reproduced(facts)
    targets = targets_in(facts)
    assert len(targets) == ROBOTS
    for given in targets.values():
        assert [target.generation for target in given] == [5, 6]


async def test_each_further_step_is_decided_while_the_one_before_is_stored(
    nats_system: NatsSystem, tmp_path: Path
) -> None:
    replica = await Replica.on(nats_system, signing_key(tmp_path / "keys"))
    await replica.begin()
    assert await replica.phases() == {RobotPhase.TARGETED: ROBOTS}
    replica.ledger.made_ahead = replica.ledger.written_ahead = 0

    await replica.abort()

    assert await replica.phases() == {RobotPhase.REVERTING: ROBOTS}
    assert (replica.ledger.made_ahead, replica.ledger.written_ahead) == (STEPS - 1, STEPS - 1)
    await assert_each_robot_was_given_one_target_and_another_back(nats_system)


async def test_nothing_is_written_of_what_follows_on_a_decision_that_was_refused(
    nats_system: NatsSystem, tmp_path: Path
) -> None:
    key = signing_key(tmp_path / "keys")
    replica, other = [await Replica.on(nats_system, key) for _ in range(2)]
    await replica.begin()
    replica.ledger.made_ahead = replica.ledger.written_ahead = 0
    replica.sites.crossing = lambda: other.decisions.apply(HERE, [(activated(1), now())])

    await replica.abort()

    assert await replica.phases() == {RobotPhase.REVERTING: ROBOTS}
    assert replica.ledger.made_ahead == replica.ledger.written_ahead + 1 == STEPS
    await assert_each_robot_was_given_one_target_and_another_back(nats_system)


async def test_ways_back_are_signed_before_anybody_asks_for_them(
    nats_system: NatsSystem, tmp_path: Path
) -> None:
    path = signing_key(tmp_path / "keys")
    key = SigningKey.load(path)
    returns = Returns(Signatory(key, SigningProcess(path, key)))
    replica = await Replica.on(nats_system, path, returns)
    await replica.begin()
    await returns.ready()

    await replica.abort()

    assert await replica.phases() == {RobotPhase.REVERTING: ROBOTS}
    await assert_each_robot_was_given_one_target_and_another_back(nats_system)
    for there, back in targets_in(await stored_in(nats_system, StreamName.ROLLOUTS)).values():
        assert back.issued_at == there.issued_at + LATER
    await returns.close()
