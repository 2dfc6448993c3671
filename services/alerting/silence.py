"""Leases: who belongs to the fleet must be heard from, and silence is seen even without rules.

A robot that is silent for longer than its lease is called silent once. Time in which alerting
itself did not listen (a hub outage, a suspended process) does not count against any robot.
"""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from fleetward.contracts.ids import RobotId


class SilenceLimits(Struct, frozen=True, kw_only=True):
    """How patient the leases are, in seconds.

    ``reconnect_grace_s``: given to every robot after alerting starts or was cut off, because
    the robots need time to come back too. ``first_contact_s``: given to a robot never heard of,
    because it may still be on its way. ``look_gap_s``: if nobody looked for longer than this, the
    gap counts as an outage of our own.
    """

    reconnect_grace_s: float = 10.0
    first_contact_s: float = 60.0
    look_gap_s: float = 1.5


class Lease(Struct):
    """One robot's lease. ``expires_s`` is monotonic; ``frame_at`` is the server's clock.

    ``frame_at`` is when the newest frame heard was stored: a copy delivered again later is no
    sign of life.
    """

    lease_s: float
    expires_s: float
    heard_s: float
    frame_at: datetime | None = None
    silent: bool = False


class Leases:
    """Every robot's lease. ``now_s`` is a monotonic clock that the caller reads."""

    def __init__(self, limits: SilenceLimits, now_s: float) -> None:
        self._limits = limits
        self._looked_s = now_s
        self._leases: dict[RobotId, Lease] = {}

    def enrol(self, robot_id: RobotId, lease_s: float, now_s: float, *, known: bool) -> None:
        """Begin a lease, or change its length. ``known``: the robot was heard of before."""
        lease = self._leases.get(robot_id)
        if lease is None:
            grace_s = self._limits.reconnect_grace_s if known else self._limits.first_contact_s
            self._leases[robot_id] = Lease(lease_s, now_s + lease_s + grace_s, now_s)
        else:
            lease.lease_s = lease_s

    def forget(self, robot_id: RobotId) -> None:
        """It belongs to the fleet no more: nobody waits for it."""
        self._leases.pop(robot_id, None)

    def remember_silent(self, robot_id: RobotId, silent_since: datetime) -> None:
        """After a restart: this robot was silent already, and was announced."""
        lease = self._leases.get(robot_id)
        if lease is not None:
            lease.silent = True
            lease.frame_at = silent_since

    def heard_frame(self, robot_id: RobotId, stored_at: datetime, now_s: float) -> bool:
        """A frame came that the server stored at ``stored_at``; True when it ends a silence."""
        lease = self._leases.get(robot_id)
        if lease is None or (lease.frame_at is not None and stored_at <= lease.frame_at):
            return False
        lease.frame_at = stored_at
        return self._renew(lease, now_s)

    def heard_live(self, robot_id: RobotId, now_s: float) -> bool:
        """The robot was heard on a live subscription; True when it ends a silence."""
        lease = self._leases.get(robot_id)
        return lease is not None and self._renew(lease, now_s)

    def expired(self, now_s: float) -> list[RobotId]:
        """Robots to call silent now; excuses everyone first when nobody had looked for a while."""
        gap_s = now_s - self._looked_s
        self._looked_s = now_s
        if gap_s > self._limits.look_gap_s:
            self._extend(gap_s)
        return sorted(
            robot_id
            for robot_id, lease in self._leases.items()
            if not lease.silent and now_s >= lease.expires_s
        )

    def excuse(self, outage_s: float, now_s: float) -> None:
        """We were cut off for ``outage_s``: leases are longer by that and by the grace."""
        self._looked_s = now_s
        self._extend(outage_s + self._limits.reconnect_grace_s)

    def call_silent(self, robot_id: RobotId) -> Lease:
        """Mark an expired robot as silent; it is not called so again until it was heard."""
        lease = self._leases[robot_id]
        lease.silent = True
        return lease

    def _renew(self, lease: Lease, now_s: float) -> bool:
        returned = lease.silent
        lease.silent = False
        lease.heard_s = now_s
        lease.expires_s = now_s + lease.lease_s
        return returned

    def _extend(self, by_s: float) -> None:
        for lease in self._leases.values():
            if not lease.silent:
                lease.expires_s += by_s
