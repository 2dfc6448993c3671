"""A site with a floor, two rollouts that share it, robots that die and return, and two replicas.

Decisions are the real ones, on what the coordinator would have read: check-ins up to ``READ_AGE_S``
old, and the row of who is away, which is compared and set as the server does.
"""

from __future__ import annotations

import random
from collections import Counter, deque
from collections.abc import Iterator

from msgspec import Struct
from msgspec.structs import replace

from fleetward.contracts.control import ControlAction
from fleetward.contracts.ids import Digest, RobotId, RolloutId, SiteName
from fleetward.contracts.robots import CHECK_IN_S
from fleetward.contracts.rollouts import (
    FINAL_STATES,
    RobotProgress,
    Rollout,
    RolloutPolicy,
    RolloutState,
    Strategy,
)
from fleetward.contracts.sites import SiteOccupancy, SitePolicy
from fleetward.contracts.surroundings import Surroundings
from rollout_coordinator.advance import Fact, begun
from rollout_coordinator.capacity import LastSign, SiteRobots, room_at
from rollout_coordinator.floors import away_at
from rollout_coordinator.fold import folded
from rollout_coordinator.sites import Around, KeptRow
from rollout_coordinator.step import Step, TargetOrder, Tick
from tests.unit.rollout_coordinator import scenes

SITE = SiteName("berlin")
ROBOTS_EACH = 4
LEASE_S = 3.0
PATIENCE_S = CHECK_IN_S + LEASE_S
STEP_S = 2
READ_AGE_S = 2
"""As old as what the replicas read may be, in steps of the simulation."""
CHAOS_S = 120
STRATEGIES = (Strategy.CANARY, Strategy.ROLLING, Strategy.ALL_AT_ONCE)
IDS = (RolloutId("one"), RolloutId("other"))


Facts = tuple[Fact, ...]
"""What a replica took of one rollout at once; nothing: it begins."""


class Decision(Struct, frozen=True):
    """Made on what was read, not written yet."""

    step: Step
    revision: int
    around: Around
    told: Facts
    used: int


class Robot(Struct):
    """A machine: what it serves, what it was last told to, and when it was last heard."""

    number: int
    owner: RolloutId
    serves: Digest | None = scenes.OLD
    generation: int = 4
    order: TargetOrder | None = None
    due_s: int = 0
    dead_until_s: int = 0
    is_called_silent: bool = False
    said: deque[tuple[int, bool]] = deque(((0, True),), maxlen=6)


class World:
    """One history, all of it from its seed."""

    def __init__(self, seed: int, *, compares: bool = True) -> None:
        self.chance = random.Random(seed)
        self.compares = compares
        self.now_s = 0
        robots = range(1, 2 * ROBOTS_EACH + 1)
        self.robots = {
            scenes.robot(number): Robot(
                number, IDS[(number - 1) // ROBOTS_EACH], said=deque(((0, True),), maxlen=6)
            )
            for number in robots
        }
        self.floor = self.chance.randint(3, 2 * ROBOTS_EACH - 1)
        self.policy = SitePolicy(site=SITE, floor=self.floor)
        self.rollouts: dict[RolloutId, Rollout] = {}
        self.row, self.sequence = SiteOccupancy(site=SITE), 0
        self.read: tuple[int, int, dict[RobotId, LastSign]] | None = None
        self.counted: Counter[str] = Counter()

    def run(self, limit_s: int) -> None:
        """Until both rollouts have ended, or for so long."""
        self._settle([(rollout, ()) for rollout in IDS])
        while not self.has_ended and self.now_s < limit_s:
            self.now_s += STEP_S
            facts = list(self._reports())
            facts += [(rollout, fact) for rollout in IDS for fact in self._others(rollout)]
            self.chance.shuffle(facts)
            self._settle(self._batched(facts))

    @property
    def has_ended(self) -> bool:
        """Whether both have."""
        return all(rollout.state in FINAL_STATES for rollout in self.rollouts.values())

    def _batched(self, facts: list[tuple[RolloutId, Fact]]) -> list[tuple[RolloutId, Facts]]:
        """Some facts at a time of each rollout, as they are pulled."""
        of = {rollout: [fact for about, fact in facts if about == rollout] for rollout in IDS}
        batches: list[tuple[RolloutId, Facts]] = []
        while any(of.values()):
            for rollout in self.chance.sample(IDS, len(IDS)):
                size = self.chance.randint(1, 6)
                taken, of[rollout] = of[rollout][:size], of[rollout][size:]
                batches += [(rollout, tuple(taken))] if taken else []
        return batches

    def _settle(self, batches: list[tuple[RolloutId, Facts]]) -> None:
        """Two replicas take facts in turn; often both decide before either writes."""
        while batches:
            decisions = [self._decided(*batches.pop())]
            about = decisions[0].step.rollout.rollout_id
            if batches and batches[-1][0] != about and self.chance.random() < 0.7:
                decisions.append(self._decided(*batches.pop()))
            for decision in decisions:
                self._write(decision)

    # --- one decision

    def _decided(self, rollout_id: RolloutId, told: Facts) -> Decision:
        held = self.rollouts.get(rollout_id)
        before = held if held is not None else self._planned(rollout_id)
        around = self._around(before)
        now = scenes.at(self.now_s)
        if not told:
            return Decision(begun(before, now, around.surroundings), 0, around, told, 0)
        step, used = folded(before, [(fact, now) for fact in told], now, around.surroundings)
        return Decision(step, before.revision, around, told, used)

    def _around(self, rollout: Rollout) -> Around:
        if self.read is None or self.read[0] < self.now_s - self.chance.choice((0, READ_AGE_S)):
            said = {robot: of.said[-1] for robot, of in self.robots.items()}
            heard = {
                robot: LastSign(scenes.at(at_s), serves) for robot, (at_s, serves) in said.items()
            }
            self.read = self.now_s, self.sequence, heard
        _, sequence, heard = self.read
        leases_s = dict.fromkeys(self.robots, LEASE_S)
        known = SiteRobots(leases_s, heard, is_current=sequence == self.sequence)
        now = scenes.at(self.now_s)
        room = room_at(self.policy, known, self.row.away, rollout.rollout_id, now)
        return Around(Surroundings(sites={SITE: room}), (KeptRow(self.row, self.sequence),))

    def _write(self, decision: Decision) -> None:
        """All or nothing, if what it was decided on stands; else it is decided again."""
        after = decision.step.rollout
        held = self.rollouts.get(after.rollout_id)
        rows = decision.around.moved_by(after)
        if after is held and not rows:
            return
        is_stale = (held.revision if held else 0) != decision.revision or any(
            row.expected_last_sequence != self.sequence for row in rows
        )
        if is_stale and self.compares:
            self.counted["conflicts"] += 1
            self._write(self._decided(after.rollout_id, decision.told))
            return
        was = self.capable(surely=True)
        self.rollouts[after.rollout_id] = replace(after, revision=decision.revision + 1)
        for row in rows:
            assert isinstance(row.event, SiteOccupancy)
            self.row, self.sequence = row.event, self.sequence + 1
        self._check(was & {order.robot_id for order in decision.step.targets})
        self.counted["withheld"] += "must keep" in after.withheld
        for order in decision.step.targets:
            robot = self.robots[order.robot_id]
            robot.order, robot.due_s = order, self.now_s + self.chance.randint(0, 6)
        if decision.told[decision.used :]:
            self._write(self._decided(after.rollout_id, decision.told[decision.used :]))

    def _check(self, ordered: set[RobotId]) -> None:
        """We took nobody out of service unless the floor is kept without them."""
        capable = self.capable()
        if ordered - capable:
            self.counted["taken"] += 1
            kept = f"{len(capable)} capable, floor {self.floor}"
            assert len(capable) >= self.floor, f"{kept}, without {ordered - capable}"

    def capable(self, *, surely: bool = False) -> set[RobotId]:
        """Who served and was heard, by what anybody could have read, and is on its way nowhere.

        ``surely``: by all that could have been read since it may be ``READ_AGE_S`` old.
        """
        away = {robot for rollout in self.rollouts.values() for robot in away_at(rollout, SITE)}
        served = {robot for robot, of in self.robots.items() if self._served(of, surely=surely)}
        return served - away

    def _served(self, robot: Robot, *, surely: bool) -> bool:
        oldest_s = self.now_s - READ_AGE_S
        before = [serves for at_s, serves in robot.said if at_s < oldest_s]
        known = before[-1:] + [serves for at_s, serves in robot.said if at_s >= oldest_s]
        if surely:
            return all(known) and robot.said[-1][0] >= self.now_s - PATIENCE_S
        return any(known) and robot.said[-1][0] >= oldest_s - PATIENCE_S

    # --- what happens

    def _planned(self, rollout_id: RolloutId) -> Rollout:
        names = [robot for robot, of in self.robots.items() if of.owner == rollout_id]
        strategy = self.chance.choice(STRATEGIES)
        first = self.chance.randint(1, 2) if strategy is Strategy.CANARY else ROBOTS_EACH
        waves = tuple(tuple(wave) for wave in (names[:first], names[first:]) if wave)
        policy = RolloutPolicy(
            bake_s=self.chance.choice((0, 4)),
            silent_after_s=self.chance.choice((12, 30)),
            min_inferences=1,
            min_success_percent=self.chance.choice((0, 60, 95)),
            max_error_percent=self.chance.choice((0, 50, 100)),
            max_unavailable=self.chance.randint(1, 3),
            max_unavailable_per_site=self.chance.randint(1, 3),
            stalled_after_s=40,
        )
        progress = RobotProgress(
            generation=4, previous=scenes.OLD_MODEL, previous_digest=scenes.OLD, site=SITE
        )
        plan = scenes.planned(1, policy=policy, strategy=strategy)
        return replace(
            plan, rollout_id=rollout_id, waves=waves, robots=dict.fromkeys(names, progress)
        )

    def _others(self, rollout_id: RolloutId) -> Iterator[Fact]:
        """The clock, telemetry, and people: they abort some, and never leave one paused."""
        rollout = self.rollouts[rollout_id]
        yield Tick()
        if not rollout.evidence.canary.inferences:
            first = rollout.waves[rollout.wave][0]
            yield scenes.summary(self.robots[first].number, self.now_s)
        is_paused = rollout.state is RolloutState.PAUSED
        if self.chance.random() < (0.1 if is_paused else 0.004):
            yield scenes.asked(ControlAction.ABORT)
        elif is_paused and self.chance.random() < 0.3:
            yield scenes.asked(ControlAction.RESUME)

    def _reports(self) -> Iterator[tuple[RolloutId, Fact]]:
        for robot in self.robots.values():
            for fact in self._lived(robot):
                yield robot.owner, fact

    def _lived(self, robot: Robot) -> Iterator[Fact]:
        """One step of a robot's life, as the coordinator is told of it."""
        if self.now_s < CHAOS_S and self.chance.random() < 0.02:
            robot.dead_until_s = self.now_s + self.chance.randint(2, 40)
        if self.now_s < robot.dead_until_s:
            if self.now_s - robot.said[-1][0] > PATIENCE_S and not robot.is_called_silent:
                robot.is_called_silent = True
                yield scenes.silent(robot.number)
            return
        was, robot.is_called_silent = robot.serves, False
        if robot.serves is None and self.chance.random() < 0.2:
            robot.serves = scenes.OLD
        facts = list(self._obeyed(robot))
        if robot.serves != was or facts or self.now_s - robot.said[-1][0] >= CHECK_IN_S - STEP_S:
            robot.said.append((self.now_s, robot.serves is not None))
            yield scenes.checked_in(robot.number, robot.generation, robot.serves)
        yield from facts
        if robot.serves == scenes.NEW and self.chance.random() < 0.01:
            yield scenes.alert(robot.number)

    def _obeyed(self, robot: Robot) -> Iterator[Fact]:
        """It does what its newest target says, or fails at it, and tells how that went."""
        order = robot.order
        if order is None or self.now_s < robot.due_s:
            return
        robot.order, robot.generation = None, order.generation
        luck = self.chance.random()
        if order.digest == scenes.NEW and luck < 0.2:
            robot.serves = robot.serves if luck < 0.1 else None
            yield scenes.failed(robot.number, order.generation, robot.owner)
        else:
            robot.serves = order.digest
            yield scenes.activated(robot.number, order.generation, order.digest, robot.owner)
