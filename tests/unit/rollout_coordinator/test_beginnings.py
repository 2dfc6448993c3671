"""A rollout begins although those that it takes robots from move all the time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import cast

from msgspec.structs import replace
from nats.aio.client import Client

from fleetward.bus.batch import Write
from fleetward.bus.connection import BusSettings
from fleetward.bus.errors import ConflictError
from fleetward.bus.stored_rollouts import KeptRollout
from fleetward.contracts.control import OnConflict
from fleetward.contracts.decisions import Given
from fleetward.contracts.ids import Digest, RobotId, RolloutId
from fleetward.contracts.rollouts import RobotPhase, Rollout, RolloutPolicy, RolloutRequested
from rollout_coordinator.beginnings import Beginnings
from rollout_coordinator.interest import Interest
from rollout_coordinator.ledger import RolloutLedger
from rollout_coordinator.opened import Opened, Other
from rollout_coordinator.outcomes import Outcomes
from rollout_coordinator.planner import FleetRead, Planner
from rollout_coordinator.settings import Settings
from rollout_coordinator.sites import Around, Sites
from rollout_coordinator.step import RobotTaken, Step
from rollout_coordinator.stored_targets import Known
from rollout_coordinator.turns import Turns
from tests.unit.rollout_coordinator.scenes import ELSEWHERE, HERE, OLD, START, robot, started
from tests.unit.rollout_coordinator.test_plan import RECORD, fleet, request, target

SETTINGS = Settings(
    bus=BusSettings(url="nats://127.0.0.1:4222", name="coordinator", credentials=Path("unused")),
    signing_key=Path("unused"),
    trust_dir=Path("unused"),
)
FIRST = robot(1)


class BusyLedger:
    """One rollout is open and hears of its robots; it moves also ``beaten`` times before a write."""

    def __init__(self, beaten: int = 0) -> None:
        self.beaten = beaten
        self.sequence = 1
        self.index_sequence = 1
        self.busy = replace(started(1), rollout_id=ELSEWHERE, digest=OLD)
        self.generation = target(FIRST).generation
        self.written: list[tuple[Step, Sequence[Other]]] = []
        self.refused: list[str] = []

    def move(self) -> None:
        """It gives its robot a target once more."""
        self.sequence += 1
        self.generation += 1
        held = replace(self.busy.robots[FIRST], generation=self.generation)
        self.busy = replace(self.busy, robots={FIRST: held}, revision=self.busy.revision + 1)

    async def is_answered(self, rollout_id: RolloutId, asked_at: int) -> bool:
        return bool(self.written or self.refused)

    async def index(self) -> int:
        return self.index_sequence

    async def opened(self) -> Opened:
        return Opened((KeptRollout(self.busy, self.sequence),), self.index_sequence)

    async def targets(self, robots: Sequence[RobotId]) -> dict[RobotId, Known]:
        newest = replace(target(FIRST), generation=self.generation)
        return {FIRST: Known(newest, self.sequence)} if FIRST in robots else {}

    async def withdrawn(self) -> dict[Digest, str]:
        return {}

    async def begin(
        self,
        step: Step,
        opened: Opened,
        now: datetime,
        rows: Sequence[Write] = (),
        waited: KeptRollout | None = None,
        others: Sequence[Other] = (),
        *,
        on: Given,
    ) -> list[RobotTaken]:
        if self.beaten:
            self.beaten -= 1
            self.move()
        if opened.sequence != self.index_sequence:
            raise ConflictError("the index moved")
        if step.rollout.robots[FIRST].generation <= self.generation:
            return [RobotTaken(FIRST, "rollout elsewhere")]
        if any(other.current.sequence != self.sequence for other in others):
            raise ConflictError("elsewhere moved")
        self.written.append((step, others))
        return []

    async def refuse(self, asked: RolloutId, asked_at: int, reason: str, now: datetime) -> None:
        self.refused.append(reason)


class SlowPlanner(Planner):
    """While it reads the fleet, somebody else writes."""

    def __init__(self, ledger: BusyLedger) -> None:
        super().__init__(cast(Client, None), cast(RolloutLedger, ledger), OPEN, lambda: START)
        self.busy = ledger
        self.readings = 0
        self.begun_meanwhile = 0

    async def read(self, request: RolloutRequested, opened: Opened) -> FleetRead:
        self.readings += 1
        seen = fleet(2, {FIRST: target(FIRST)}, opened.rollouts)
        self.busy.move()
        if self.begun_meanwhile:
            self.begun_meanwhile -= 1
            self.busy.index_sequence += 1
        return FleetRead(RECORD, seen, opened.sequence)


class NoSites:
    """Nothing binds anybody."""

    async def around(self, rollout: Rollout, now: datetime) -> Around:
        return Around()


OPEN = cast(Sites, NoSites())


async def asked(ledger: BusyLedger, begun_meanwhile: int = 0) -> SlowPlanner:
    """A request that takes the busy rollout's robot over."""
    planner = SlowPlanner(ledger)
    planner.begun_meanwhile = begun_meanwhile
    beginnings = Beginnings(
        cast(RolloutLedger, ledger),
        OPEN,
        planner,
        Turns(),
        Outcomes(Interest(), lambda: START),
        SETTINGS,
        lambda: START,
    )
    policy = RolloutPolicy(on_conflict=OnConflict.SUPERSEDE)
    await beginnings.on_requested(request(policy=policy), 1)
    return planner


async def test_a_rollout_that_moves_while_the_fleet_is_read_is_taken_over_at_once() -> None:
    ledger = BusyLedger()
    planner = await asked(ledger)
    ((step, (other,)),) = ledger.written
    assert planner.readings == 1
    assert other.step.rollout.robots[FIRST].phase is RobotPhase.SUPERSEDED
    assert step.rollout.rollout_id == HERE
    assert step.rollout.robots[FIRST].generation == ledger.generation + 1


async def test_who_is_beaten_many_times_decides_anew_without_reading_the_fleet_again() -> None:
    ledger = BusyLedger(beaten=SETTINGS.max_conflicts - 1)
    planner = await asked(ledger)
    ((step, _),) = ledger.written
    assert planner.readings == 1
    assert step.rollout.robots[FIRST].generation == ledger.generation + 1


async def test_who_is_beaten_every_time_is_refused_and_told_by_whom() -> None:
    ledger = BusyLedger(beaten=SETTINGS.max_conflicts)
    await asked(ledger)
    assert ledger.written == []
    (reason,) = ledger.refused
    assert f"planned {SETTINGS.max_conflicts} times" in reason
    assert "r1 was just given another target by rollout elsewhere" in reason


async def test_the_fleet_is_read_again_once_another_rollout_began_meanwhile() -> None:
    ledger = BusyLedger()
    planner = await asked(ledger, begun_meanwhile=2)
    assert (planner.readings, len(ledger.written)) == (3, 1)
