"""Loads rollouts and writes decisions: state, events and targets together, or nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from functools import partial

from msgspec.structs import replace
from nats.aio.client import Client

from fleetward.bus.batch import Write, write_atomically
from fleetward.bus.last_values import last_value, last_values
from fleetward.bus.publish import publish, publish_all
from fleetward.bus.stored_rollouts import KeptRollout, completed, read_row, read_rows
from fleetward.contracts.codec import decode
from fleetward.contracts.curation import SignedWithdrawals, Withdrawals
from fleetward.contracts.decisions import Given
from fleetward.contracts.ids import Digest, RobotId, RolloutId
from fleetward.contracts.robots import RobotNudged
from fleetward.contracts.rollout_index import OpenRollouts, RolloutRefused
from fleetward.contracts.rollouts import MAX_TARGETS_PER_STEP, Rollout, is_open
from fleetward.trust.signing import TARGET, SigningKey, TrustedKeys
from rollout_coordinator.giving import follows
from rollout_coordinator.known_digests import KnownDigests
from rollout_coordinator.opened import NOTHING_GIVEN, Opened, Other
from rollout_coordinator.prepared import Prepared, prepared, taken_in
from rollout_coordinator.returns import Returns
from rollout_coordinator.signed_targets import Signatory
from rollout_coordinator.step import RobotTaken, Step
from rollout_coordinator.stored_targets import Known, StoredTargets, last_of

Meanwhile = Callable[[Prepared], Awaitable[None]]
"""What is done while a decision is stored, and it is not known yet whether it will be."""


class RolloutLedger:
    """The coordinator's only way to the stream that holds rollouts and targets."""

    def __init__(
        self,
        connection: Client,
        key: SigningKey,
        trusted: TrustedKeys,
        returns: Returns | None = None,
    ) -> None:
        """Raises SignatureError when ``trusted`` would not believe what ``key`` signs."""
        probe = key.sign(TARGET, b"")
        trusted.verify(TARGET, b"", probe.key_id, probe.signature)
        self._connection = connection
        self._returns = returns or Returns(Signatory(key))
        self._targets = StoredTargets(connection, trusted)
        self._whole: dict[RolloutId, KeptRollout] = {}
        """Open rollouts with shards, as they stood when they were read or written last."""
        self._digests = KnownDigests()
        self._to_nudge: dict[RolloutId, list[RobotId]] = {}
        """Robots of decisions that go on at once: nudged when all of them have their targets."""

    async def load(self, rollout_id: RolloutId) -> KeptRollout | None:
        """The rollout as it stands; the shards of one that did not move are not read again."""
        row = await read_row(self._connection, rollout_id)
        return None if row is None else await self._completed(row)

    async def _completed(self, row: KeptRollout) -> KeptRollout:
        kept = self._whole.get(row.event.rollout_id)
        if kept is not None and kept.sequence == row.sequence:
            return kept
        return self._remembered(await completed(self._connection, row))

    def held(self, rollout_id: RolloutId) -> KeptRollout | None:
        """A large open rollout as it was read or written here last, without asking whether it moved.

        If it did, what is decided on this is refused.
        """
        return self._whole.get(rollout_id)

    def _remembered(self, kept: KeptRollout) -> KeptRollout:
        rollout = kept.event
        if rollout.sharding is not None and is_open(rollout):
            self._whole[rollout.rollout_id] = kept
        else:
            self._whole.pop(rollout.rollout_id, None)
        return kept

    async def is_answered(self, rollout_id: RolloutId, asked_at: int) -> bool:
        """Whether the request for ``rollout_id`` at sequence ``asked_at`` is decided already.

        A refusal answers what was asked before it: whoever asks again under the id of a refused
        request asks anew.
        """
        if await read_row(self._connection, rollout_id) is not None:
            return True
        refused = await last_value(self._connection, RolloutRefused, rollout_id=rollout_id)
        return refused is not None and refused.sequence > asked_at

    async def refuse(self, asked: RolloutId, asked_at: int, reason: str, now: datetime) -> None:
        """Answer the request at sequence ``asked_at``; asked again, it is answered again."""
        refused = RolloutRefused(rollout_id=asked, reason=reason, refused_at=now)
        await publish(self._connection, refused, message_id=f"refused:{asked}:{asked_at}")

    async def opened(self) -> Opened:
        """Every rollout that is not final, as the index of them stands."""
        ids, sequence = await self._index()
        kept = [await self._completed(row) for row in await read_rows(self._connection, ids)]
        return Opened(tuple(each for each in kept if is_open(each.event)), sequence)

    async def open_rollouts(self) -> tuple[Rollout, ...]:
        """Every rollout that is not final."""
        return (await self.opened()).rollouts

    async def index(self) -> int:
        """The sequence of the index: it moves when a rollout begins, ends or takes robots in."""
        return (await self._index())[1]

    async def _index(self) -> tuple[tuple[RolloutId, ...], int]:
        """The ids of open rollouts, and the sequence of the row that holds them."""
        index = await last_value(self._connection, OpenRollouts)
        if index is not None:
            return index.event.rollouts, index.sequence
        every = [value.event for value in await last_values(self._connection, Rollout)]
        return tuple(held.rollout_id for held in every if is_open(held)), 0

    async def targets(self, robots: Sequence[RobotId]) -> dict[RobotId, Known]:
        """The newest target of each robot that has one, as far as it is believed."""
        return await self._targets.newest(robots)

    async def begin(
        self,
        step: Step,
        opened: Opened,
        now: datetime,
        rows: Sequence[Write] = (),
        waited: KeptRollout | None = None,
        others: Sequence[Other] = (),
        *,
        on: Given = NOTHING_GIVEN,
    ) -> list[RobotTaken]:
        """Write a rollout's first step, if no other began or ended since ``opened`` was read.

        ``waited``: its row from when it was yet to begin. ``others`` are written with it, or nothing.
        Takes, returns and raises as ``write`` does.
        """
        after = {each.rollout_id: each for each in opened.rollouts}
        after |= {other.step.rollout.rollout_id: other.step.rollout for other in others}
        after[step.rollout.rollout_id] = step.rollout
        left = sorted(rollout_id for rollout_id, held in after.items() if is_open(held))
        beside = [Write(OpenRollouts(rollouts=tuple(left)), opened.sequence), *rows]
        for other in others:
            beside += self._writes(other, now)
        made = await self.made_ready(step, None, on, now)
        return await self._write(made, waited.sequence if waited else 0, beside)

    async def join(
        self, step: Step, current: KeptRollout, opened: Opened, now: datetime, on: Given
    ) -> list[RobotTaken]:
        """Write that robots joined, if no rollout began, ended or took robots in since ``opened``.

        Returns and raises as ``write`` does.
        """
        ids = tuple(sorted(each.rollout_id for each in opened.rollouts))
        index = Write(OpenRollouts(rollouts=ids), opened.sequence)
        made = await self.made_ready(step, current.event, on, now)
        return await self._write(made, current.sequence, [index])

    async def open_ids(self) -> tuple[RolloutId, ...]:
        """Every rollout that is not final, by id; read from the stream."""
        return (await self._index())[0]

    async def withdrawn(self) -> dict[Digest, str]:
        """Every digest that nobody may be given any more, and why."""
        signed = await last_value(self._connection, SignedWithdrawals)
        return decode(signed.event.payload, Withdrawals).reasons if signed else {}

    async def write(
        self,
        step: Step,
        current: KeptRollout,
        now: datetime,
        rows: Sequence[Write] = (),
        seen: Opened | None = None,
        *,
        on: Given = NOTHING_GIVEN,
        ready: Prepared | None = None,
        meanwhile: Meanwhile | None = None,
    ) -> list[RobotTaken]:
        """Write a decision on ``current`` if that still stands, then nudge its robots.

        Not those of one that sets as many targets as one may: ``nudge`` them when no more follow.

        ``rows``: what else changes with it, and must stand as it was when this was decided.
        ``on``: what it was made from, for the log.
        ``seen``: what was open when it was decided to open an ended rollout again.
        ``ready``: the step, if it was made ready before. ``meanwhile``: done while it is stored.
        Returns the robots that somebody else has given a newer target; when there are any,
        nothing was written, and they are facts to decide on. Raises ConflictError, PublishError.
        """
        moved = is_open(step.rollout) is not is_open(current.event)
        index = [await self._index_with(step.rollout, seen)] if moved else []
        made = ready or await self.made_ready(step, current.event, on, now)
        return await self._write(made, current.sequence, [*index, *rows], meanwhile)

    async def _index_with(self, rollout: Rollout, seen: Opened | None) -> Write:
        """The index once ``rollout`` has ended or is open again, as far as ``seen`` is still so."""
        ids, sequence = await self._index()
        left = {*ids, rollout.rollout_id} if is_open(rollout) else {*ids} - {rollout.rollout_id}
        return Write(
            OpenRollouts(rollouts=tuple(sorted(left))), seen.sequence if seen else sequence
        )

    async def made_ready(
        self,
        step: Step,
        before: Rollout | None,
        on: Given,
        now: datetime,
        following: Prepared | None = None,
    ) -> Prepared | list[RobotTaken]:
        """All that it takes to write ``step``, or the robots that somebody else gave something newer.

        following: what ``before`` is known from while it is not stored. Raises as ``write`` does.
        """
        known = await self._known(step)
        last = last_of(known)
        taken = taken_in(step, last)
        if taken:
            return taken
        made = prepared(step, before, on, now, self._digests, following)
        rollout = made.whole
        targets = [
            self._returns.given(rollout, order, last.get(order.robot_id), now)
            for order in step.targets
        ]
        return replace(
            made,
            targets=await self._returns.signed(targets, rollout.traceparent),
            over={robot: held.sequence for robot, held in known.items()},
        )

    async def _write(
        self,
        made: Prepared | list[RobotTaken],
        sequence: int,
        beside: Sequence[Write],
        meanwhile: Meanwhile | None = None,
    ) -> list[RobotTaken]:
        if not isinstance(made, Prepared):
            return made
        rollout, robots = made.whole, [each.target.robot_id for each in made.targets]
        writes, orders = [*made.writes(sequence), *beside], made.orders()
        self._targets.doubt(robots)  # until it is known how the write ended
        last = await write_atomically(
            self._connection,
            [*writes, *orders],
            meanwhile=None if meanwhile is None else partial(meanwhile, made),
        )
        self._remembered(KeptRollout(rollout, last - len(writes) - len(orders) + 1))
        self._digests.remember(rollout, made.digest)
        self._targets.wrote(made.targets, last - len(orders) + 1)
        if not is_open(rollout):
            self._targets.doubt(rollout.robots)
        self._returns.expect(rollout, [each.target for each in made.targets])
        self._to_nudge.setdefault(rollout.rollout_id, []).extend(robots)
        if len(robots) < MAX_TARGETS_PER_STEP:
            await self.nudge(rollout.rollout_id)
        return []

    async def nudge(self, rollout_id: RolloutId) -> None:
        """Have the robots look that were not told yet of what this rollout gave them.

        While the targets of thousands are written nobody reads them: whoever is last is not kept
        waiting by those who hurry.
        """
        robots = self._to_nudge.pop(rollout_id, ())
        await publish_all(self._connection, [RobotNudged(robot_id=robot) for robot in robots])
        self._returns.begin()

    def _writes(self, other: Other, now: datetime) -> list[Write]:
        """A decision without targets."""
        current = other.current
        made = prepared(other.step, current.event, other.given, now, self._digests)
        return made.writes(current.sequence)

    async def _known(self, step: Step) -> dict[RobotId, Known]:
        """What the robots of a step were given last; read, unless it is what we wrote ourselves."""
        robots = [order.robot_id for order in step.targets]
        known = await self._targets.known(robots)
        last = last_of(known)
        if all(follows(step.rollout, order, last.get(order.robot_id)) for order in step.targets):
            return known
        return await self._targets.newest(robots)
