"""Believes of a robot's stored targets the newest that a trusted key signed for that very robot.

The stream holds what anybody with the coordinator's credentials wrote; the key lies elsewhere.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct
from nats.aio.client import Client

from fleetward.bus.last_values import Stored, last_stored_before, last_stored_of
from fleetward.bus.logs import log
from fleetward.contracts.catalog import STREAMS, row_of
from fleetward.contracts.codec import UnreadableMessageError, decode
from fleetward.contracts.ids import RobotId
from fleetward.contracts.robots import RobotTarget, SignedTarget
from fleetward.contracts.rollouts import MAX_ROBOTS_PER_ROLLOUT
from fleetward.trust.signing import TARGET, SignatureError, TrustedKeys
from rollout_coordinator.signed_targets import Signed

_logger = logging.getLogger(__name__)

MAX_LOOKS_BACK = next(
    row.max_msgs_per_subject for row in STREAMS if row.name is row_of(SignedTarget).stream
)
"""The stream keeps no more targets of one robot."""
MAX_HELD = 2 * MAX_ROBOTS_PER_ROLLOUT
"""Robots whose target is remembered: those that were read or written last."""


class Known(Struct, frozen=True):
    """A robot's newest target that is believed, if any, and the sequence to compare and set by.

    The sequence is that of the newest stored one, believed or not: the next is written over it.
    """

    target: RobotTarget | None
    sequence: int


def last_of(known: Mapping[RobotId, Known]) -> dict[RobotId, RobotTarget | None]:
    """What each of the robots was given last, as far as it is believed."""
    return {robot: held.target for robot, held in known.items()}


class _Held(Struct):
    """What was read or written here last: ``known`` until it is doubted, ``verified`` in any case."""

    verified: Signed | None
    known: Known | None


class StoredTargets:
    """Reads robots' targets; what nobody trusted has signed is as if it were not there."""

    def __init__(self, connection: Client, trusted: TrustedKeys) -> None:
        self._connection = connection
        self._trusted = trusted
        self._held: dict[RobotId, _Held] = {}

    async def known(self, robots: Sequence[RobotId]) -> dict[RobotId, Known]:
        """As ``newest``, without asking for those that were read or written here last.

        Somebody else may have written since: then what is written on top of it is refused, and
        whoever ``doubt``s reads.
        """
        found = ((robot, self._held.get(robot)) for robot in robots)
        held = {robot: one.known for robot, one in found if one is not None and one.known}
        unread = [robot for robot in robots if robot not in held]
        return {**held, **(await self.newest(unread) if unread else {})}

    def wrote(self, targets: Sequence[Signed], first_sequence: int) -> None:
        """Remember what was just written, one message after the other."""
        for sequence, written in enumerate(targets, first_sequence):
            self._hold(written.target.robot_id, written, Known(written.target, sequence))

    def doubt(self, robots: Iterable[RobotId]) -> None:
        """Read what these robots were given the next time it is asked for."""
        for robot in robots:
            held = self._held.get(robot)
            if held is not None:
                held.known = None

    async def newest(self, robots: Sequence[RobotId]) -> dict[RobotId, Known]:
        """What is known of each of ``robots`` that has a target; raises BusError."""
        self.doubt(robots)
        stored = await last_stored_of(self._connection, SignedTarget, "robot_id", robots)
        # Thousands of signatures take a second or so: others are served meanwhile.
        believed = await asyncio.to_thread(self._all_believed, stored)
        known: dict[RobotId, Known] = {}
        for robot, one in believed.items():
            newest = stored[robot]
            target = one.target if one is not None else await self._earlier(robot, newest)
            known[robot] = Known(target, newest.sequence)
            self._hold(robot, one, known[robot])
        return known

    def _hold(self, robot: RobotId, verified: Signed | None, known: Known) -> None:
        """Unless something newer was written here while this was read."""
        held = self._held.pop(robot, None)
        if held is not None and held.known is not None and held.known.sequence > known.sequence:
            self._held[robot] = held
            return
        self._held[robot] = _Held(verified, known)
        if len(self._held) > MAX_HELD:
            del self._held[next(iter(self._held))]

    def _all_believed(self, stored: Mapping[str, Stored]) -> dict[RobotId, Signed | None]:
        return {RobotId(robot): self._believed(robot, held) for robot, held in stored.items()}

    async def _earlier(self, robot: RobotId, forged: Stored) -> RobotTarget | None:
        """The newest believed one before ``forged``."""
        for _ in range(MAX_LOOKS_BACK):
            before = await last_stored_before(self._connection, SignedTarget, forged)
            if before is None:
                return None
            believed = self._believed(robot, before)
            if believed is not None:
                return believed.target
            forged = before
        return None

    def _believed(self, robot: str, stored: Stored) -> Signed | None:
        """A signature that was verified before, or made here, is not verified again."""
        held = self._held.get(RobotId(robot))
        try:
            signed = decode(stored.payload, SignedTarget)
            if held is not None and held.verified is not None and held.verified.signed == signed:
                return held.verified
            self._trusted.verify(TARGET, signed.payload, signed.key_id, signed.signature)
            target = decode(signed.payload, RobotTarget)
        except (SignatureError, UnreadableMessageError) as problem:
            _tell_forged(robot, stored, str(problem))
            return None
        if target.robot_id != robot:
            _tell_forged(robot, stored, f"it was signed for {target.robot_id}.")
            return None
        return Signed(target, signed)


def _tell_forged(robot: str, stored: Stored, reason: str) -> None:
    log(
        _logger,
        "target.forged",
        level=logging.ERROR,
        robot=robot,
        sequence=stored.sequence,
        reason=reason,
    )
