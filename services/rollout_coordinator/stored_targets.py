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
from fleetward.trust.signing import TARGET, SignatureError, TrustedKeys

_logger = logging.getLogger(__name__)

MAX_LOOKS_BACK = next(
    row.max_msgs_per_subject for row in STREAMS if row.name is row_of(SignedTarget).stream
)
"""The stream keeps no more targets of one robot."""


class Known(Struct, frozen=True):
    """A robot's newest target that is believed, if any, and the sequence to compare and set by.

    The sequence is that of the newest stored one, believed or not: the next is written over it.
    """

    target: RobotTarget | None
    sequence: int


class StoredTargets:
    """Reads robots' targets; what nobody trusted has signed is as if it were not there."""

    def __init__(self, connection: Client, trusted: TrustedKeys) -> None:
        self._connection = connection
        self._trusted = trusted
        self._written: dict[RobotId, Known] = {}

    async def known(self, robots: Sequence[RobotId]) -> dict[RobotId, Known]:
        """As ``newest``, without asking for those that were written here last.

        Somebody else may have written since: then what is written on top of it is refused, and
        whoever ``doubt``s reads.
        """
        written = {robot: self._written[robot] for robot in robots if robot in self._written}
        unread = [robot for robot in robots if robot not in written]
        return {**written, **(await self.newest(unread) if unread else {})}

    def wrote(self, targets: Sequence[RobotTarget], first_sequence: int) -> None:
        """Remember what was just written, one message after the other."""
        for sequence, target in enumerate(targets, first_sequence):
            self._written[target.robot_id] = Known(target, sequence)

    def doubt(self, robots: Iterable[RobotId]) -> None:
        """Read what these robots were given the next time it is asked for."""
        for robot in robots:
            self._written.pop(robot, None)

    async def newest(self, robots: Sequence[RobotId]) -> dict[RobotId, Known]:
        """What is known of each of ``robots`` that has a target; raises BusError."""
        self.doubt(robots)
        stored = await last_stored_of(self._connection, SignedTarget, "robot_id", robots)
        # Thousands of signatures take a second or so: others are served meanwhile.
        believed = await asyncio.to_thread(self._all_believed, stored)
        known: dict[RobotId, Known] = {}
        for robot, target in believed.items():
            newest = stored[robot]
            known[robot] = Known(target or await self._earlier(robot, newest), newest.sequence)
        return known

    def _all_believed(self, stored: Mapping[str, Stored]) -> dict[RobotId, RobotTarget | None]:
        return {RobotId(robot): self._believed(robot, held) for robot, held in stored.items()}

    async def _earlier(self, robot: RobotId, forged: Stored) -> RobotTarget | None:
        """The newest believed one before ``forged``."""
        for _ in range(MAX_LOOKS_BACK):
            before = await last_stored_before(self._connection, SignedTarget, forged)
            if before is None:
                return None
            target = self._believed(robot, before)
            if target is not None:
                return target
            forged = before
        return None

    def _believed(self, robot: str, stored: Stored) -> RobotTarget | None:
        try:
            signed = decode(stored.payload, SignedTarget)
            self._trusted.verify(TARGET, signed.payload, signed.key_id, signed.signature)
            target = decode(signed.payload, RobotTarget)
        except (SignatureError, UnreadableMessageError) as problem:
            _tell_forged(robot, stored, str(problem))
            return None
        if target.robot_id != robot:
            _tell_forged(robot, stored, f"it was signed for {target.robot_id}.")
            return None
        return target


def _tell_forged(robot: str, stored: Stored, reason: str) -> None:
    log(
        _logger,
        "target.forged",
        level=logging.ERROR,
        robot=robot,
        sequence=stored.sequence,
        reason=reason,
    )
