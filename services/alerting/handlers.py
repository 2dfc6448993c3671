"""Frames, enrolments, check-ins and time: decided by the fleet, published, then acknowledged.

A frame is acknowledged only after everything it caused was, so a crash anywhere repeats work
instead of losing an alert.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import nats.errors
from nats.aio.client import Client

from alerting.announcer import Announcer
from alerting.clock import Clock
from alerting.fleet import Fleet
from alerting.inventory import read_enrolled, read_known
from fleetward.bus.dead_letters import bury
from fleetward.bus.deliveries import Delivery
from fleetward.bus.errors import BusError
from fleetward.bus.logs import log
from fleetward.contracts.codec import UnreadableMessageError
from fleetward.contracts.robots import RobotCheckedIn, RobotEnrolled
from fleetward.rules.rulebook import Rulebook
from fleetward.rules.samples import FrameSamples, MalformedFrameError, decode_samples

_logger = logging.getLogger(__name__)


class Handlers:
    """The shell around one fleet: what each message and each tick does."""

    def __init__(
        self,
        connection: Client,
        fleet: Fleet,
        announcer: Announcer,
        clock: Clock,
    ) -> None:
        self._connection = connection
        self._fleet = fleet
        self._announcer = announcer
        self._clock = clock
        self._reported: set[tuple[str, str, str]] = set()

    async def frames(self, deliveries: Sequence[Delivery]) -> None:
        """Judge frames, publish what follows, acknowledge."""
        for delivery in deliveries:
            arrived = await self._decoded(delivery)
            if arrived is not None:
                self._announcer.add(
                    self._fleet.take(
                        arrived,
                        delivery.published_at,
                        self._clock.now(),
                        self._clock.monotonic_s(),
                    )
                )
        await self._announcer.flush()
        for delivery in deliveries:
            if not delivery.answered:
                await delivery.ack()

    def enrolled(self, event: RobotEnrolled) -> None:
        """A robot joined or its labels changed, heard live."""
        self._fleet.enrol(event, self._clock.monotonic_s(), known=False)

    def checked_in(self, event: RobotCheckedIn) -> None:
        """A robot is alive, heard live; what follows is published at the next tick."""
        self._announcer.add(
            self._fleet.heard_live(event.robot_id, self._clock.now(), self._clock.monotonic_s())
        )

    async def read_inventory(self) -> None:
        """Learn of every robot that is enrolled; raises BusError."""
        known = await read_known(self._connection)
        for event in await read_enrolled(self._connection):
            self._fleet.enrol(event, self._clock.monotonic_s(), known=event.robot_id in known)

    async def call_silent(self, hub_check_s: float) -> None:
        """Announce robots whose lease ran out, once the hub proved that it is not us."""
        if not self._fleet.leases.expired(self._clock.monotonic_s()):
            return
        asked_s = self._clock.monotonic_s()
        if not await self._hub_answers(hub_check_s):
            self._fleet.leases.excuse(
                self._clock.monotonic_s() - asked_s, self._clock.monotonic_s()
            )
            return
        now_s = self._clock.monotonic_s()
        for robot_id in self._fleet.leases.expired(now_s):
            self._announcer.add(self._fleet.fall_silent(robot_id, self._clock.now(), now_s))

    async def settle(self) -> None:
        """Judge frames that waited for long enough, and publish all that is queued."""
        self._announcer.add(self._fleet.release_late(self._clock.monotonic_s()))
        self._report_failures()
        try:
            await self._announcer.flush()
        except BusError as error:
            log(_logger, "alert.postponed", level=logging.WARNING, error=str(error))

    def excuse(self, outage_s: float) -> None:
        """We did not hear anybody for ``outage_s``: no robot is to blame for that."""
        self._fleet.leases.excuse(outage_s, self._clock.monotonic_s())
        log(_logger, "leases.extended", level=logging.WARNING, outage_s=round(outage_s, 3))

    def replace_rules(self, rulebook: Rulebook) -> None:
        """Judge by other rules from now on."""
        self._announcer.add(self._fleet.replace_rules(rulebook, self._clock.now()))
        self._reported.clear()

    async def _decoded(self, delivery: Delivery) -> FrameSamples | None:
        try:
            return decode_samples(delivery.decode())
        except (UnreadableMessageError, MalformedFrameError) as error:
            await bury(self._connection, delivery, error)
            return None

    async def _hub_answers(self, timeout_s: float) -> bool:
        try:
            await self._connection.flush(timeout_s)  # type: ignore[arg-type]  # nats-py says int, takes seconds
        except (TimeoutError, nats.errors.Error):
            return False
        return True

    def _report_failures(self) -> None:
        """Once per robot and rule, not once per frame."""
        for failure in self._fleet.failures():
            if failure not in self._reported:
                self._reported.add(failure)
                robot_id, alert, reason = failure
                log(
                    _logger,
                    "rule.not_judged",
                    level=logging.ERROR,
                    robot_id=robot_id,
                    alert=alert,
                    error=reason,
                )
