"""A continuous pull: batches of a durable consumer in order, across server restarts.

nats-py's ``fetch`` costs a task and a timer per message; pipelined pull requests on one inbox
(NATS ADR-37) cost what a push costs.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from fleetward.bus.dead_letters import bury
from fleetward.bus.deliveries import NANOSECONDS, Delivery
from fleetward.bus.errors import BusError
from fleetward.bus.logs import Said, log
from fleetward.bus.waiting import cancelled
from fleetward.contracts.rows import ConsumerRow

_logger = logging.getLogger(__name__)

EXPIRES_S = 30.0
HEARTBEAT_S = 2.0
REARM_CHECK_S = 0.5
RETRY_DELAY_S = 1.0
MAX_WAIT_S = 0.25
"""How late a batch is, unless its puller says otherwise."""
PENDING_BYTES = 64 * 1024 * 1024
_STATUS_HEARTBEAT = "100"
_STATUS_EXPIRED = "408"

Handler = Callable[[Sequence[Delivery]], Awaitable[None]]


class Pull:
    """Feeds a handler batches of at most ``batch`` messages, at most ``max_wait_s()`` late.

    max_wait_s: asked when the first message of a batch has come.
    """

    def __init__(
        self,
        connection: Client,
        consumer: ConsumerRow,
        handler: Handler,
        *,
        batch: int = 500,
        max_wait_s: Callable[[], float] = lambda: MAX_WAIT_S,
    ) -> None:
        self._connection = connection
        self._consumer = consumer
        self._handler = handler
        self._batch = batch
        self._max_wait_s = max_wait_s
        self._arrived: asyncio.Queue[Msg] = asyncio.Queue()
        self._outstanding = 0
        self._last_heard = 0.0
        self._reconnects = 0
        self._subscription: Subscription | None = None
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Begin to pull; returns once the first request is sent."""
        self._inbox = self._connection.new_inbox()
        self._reconnects = self._connection.stats["reconnects"]
        self._subscription = await self._connection.subscribe(
            self._inbox,
            cb=self._received,
            pending_msgs_limit=8 * self._batch,
            pending_bytes_limit=PENDING_BYTES,
        )
        await self._request()
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._feed()), loop.create_task(self._rearm())]

    async def stop(self) -> None:
        """Stop asking; what was not answered is delivered again to whoever comes next."""
        await cancelled(self._tasks)
        if self._subscription is not None and self._connection.is_connected:
            await self._subscription.unsubscribe()

    async def _request(self) -> None:
        self._outstanding += self._batch
        self._last_heard = asyncio.get_running_loop().time()
        wanted = {
            "batch": self._batch,
            "expires": int(EXPIRES_S * NANOSECONDS),
            "idle_heartbeat": int(HEARTBEAT_S * NANOSECONDS),
        }
        await self._connection.publish(
            f"$JS.API.CONSUMER.MSG.NEXT.{self._consumer.stream.value}.{self._consumer.durable}",
            json.dumps(wanted).encode(),
            reply=self._inbox,
        )

    async def _received(self, message: Msg) -> None:
        self._last_heard = asyncio.get_running_loop().time()
        status = (message.headers or {}).get("Status")
        if status == _STATUS_HEARTBEAT:
            return
        if status is None:
            self._outstanding -= 1
            self._arrived.put_nowait(message)
        else:
            unused = int((message.headers or {}).get("Nats-Pending-Messages", self._batch))
            self._outstanding = max(0, self._outstanding - unused)
            if status != _STATUS_EXPIRED:  # asking again at once would only spin: _rearm does
                log(_logger, "pull.refused", level=logging.WARNING, status=status)
                return
        if self._outstanding <= self._batch // 2 and self._arrived.qsize() < 4 * self._batch:
            await self._request()

    async def _feed(self) -> None:
        while True:
            messages = await self._gather()
            for deliveries in self._portions(messages):
                try:
                    await self._handler(deliveries)
                except (
                    Exception
                ) as error:  # it comes again; a failing handler must not end the feed
                    _logger.exception(Said("pull.handler_failed", self._fields()))
                    await self._give_back(deliveries, error)
            if self._outstanding == 0 and self._arrived.empty():
                await self._ask_again()

    def _portions(self, messages: Sequence[Msg]) -> Iterator[Sequence[Delivery]]:
        """What was never refused goes together; a last chance goes alone.

        So a message that breaks its handler takes no neighbour along to the dead letters.
        """
        deliveries = [Delivery(self._connection, message) for message in messages]
        together = [delivery for delivery in deliveries if not self._is_last_chance(delivery)]
        if together:
            yield together
        yield from ([delivery] for delivery in deliveries if self._is_last_chance(delivery))

    def _is_last_chance(self, delivery: Delivery) -> bool:
        return 0 < self._consumer.max_deliver <= delivery.deliveries

    async def _gather(self) -> list[Msg]:
        messages = [await self._arrived.get()]
        deadline = asyncio.get_running_loop().time() + self._max_wait_s()
        while len(messages) < self._batch:
            try:
                messages.append(self._arrived.get_nowait())
            except asyncio.QueueEmpty:
                left_s = deadline - asyncio.get_running_loop().time()
                following = await self._next_within(left_s) if left_s > 0 else None
                if following is None:
                    break
                messages.append(following)
        return messages

    async def _next_within(self, wait_s: float) -> Msg | None:
        """The next message or None; unlike ``wait_for``, ``wait`` never swallows a cancellation."""
        getting = asyncio.ensure_future(self._arrived.get())
        try:
            done, _ = await asyncio.wait({getting}, timeout=wait_s)
            return getting.result() if done else None
        finally:
            getting.cancel()

    async def _give_back(self, deliveries: Sequence[Delivery], error: Exception) -> None:
        """Have it delivered again; what had its last chance is dead-lettered, never dropped."""
        try:
            for delivery in deliveries:
                if delivery.answered:
                    continue
                if self._is_last_chance(delivery):
                    await bury(self._connection, delivery, error)
                else:
                    await delivery.nak(RETRY_DELAY_S)
        except (nats.errors.Error, BusError) as problem:
            log(_logger, "pull.give_back_failed", level=logging.WARNING, error=repr(problem))

    async def _ask_again(self) -> None:
        try:
            await self._request()
        except nats.errors.Error as problem:
            log(_logger, "pull.request_failed", level=logging.WARNING, error=repr(problem))

    async def _rearm(self) -> None:
        """A request is lost with its connection, or with a server that was killed: ask again."""
        while True:
            await asyncio.sleep(REARM_CHECK_S)
            reconnects = self._connection.stats["reconnects"]
            quiet_s = asyncio.get_running_loop().time() - self._last_heard
            if not self._connection.is_connected:
                continue
            if reconnects != self._reconnects or quiet_s > 2 * HEARTBEAT_S + 1:
                self._reconnects = reconnects
                self._outstanding = 0
                log(_logger, "pull.rearmed", consumer=self._consumer.durable)
                await self._ask_again()

    def _fields(self) -> dict[str, object]:
        return {"consumer": self._consumer.durable, "stream": self._consumer.stream.value}
