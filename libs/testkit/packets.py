"""Carries IP packets between two TUN devices, as slowly, as late and as unreliably as it is told."""

from __future__ import annotations

import heapq
import os
import random
import select
import threading
import time
from contextlib import suppress

from msgspec import Struct

_LONGEST_PACKET = 65_536
_IDLE_S = 0.2


class Conditions(Struct, frozen=True, kw_only=True):
    """Of a link, each way. queue_bytes: what waits for a slow link; what comes past it is dropped."""

    bytes_per_s: float | None = None
    queue_bytes: float = 32 * 1024
    delay_s: float = 0.0
    loss: float = 0.0
    """The share of packets that never arrive; 1: none does."""


class Lane:
    """One way. ``carried_bytes``: what it was given and did not lose."""

    def __init__(self, source: int, sink: int, chance: random.Random) -> None:
        self.source = source
        self.carried_bytes = 0
        self._sink = sink
        self._chance = chance
        self._free_s = 0.0
        """When the last packet that waits will have left."""
        self._flying: list[tuple[float, int, bytes]] = []
        self._taken = 0

    def take(self, packet: bytes, conditions: Conditions, now_s: float) -> None:
        """A packet was sent: say when it arrives, unless it is lost."""
        rate = conditions.bytes_per_s
        begins_s = max(now_s, self._free_s)
        if rate is not None:
            if (begins_s - now_s) * rate + len(packet) > conditions.queue_bytes:
                return
            self._free_s = begins_s + len(packet) / rate
        if self._chance.random() < conditions.loss:
            return
        self.carried_bytes += len(packet)
        self._taken += 1
        arrives_s = (self._free_s if rate is not None else now_s) + conditions.delay_s
        heapq.heappush(self._flying, (arrives_s, self._taken, packet))

    def deliver(self, now_s: float) -> float:
        """Hand over whatever arrived; return in how many seconds the next one will have."""
        while self._flying and self._flying[0][0] <= now_s:
            packet = heapq.heappop(self._flying)[2]
            with suppress(OSError):  # the device is down for an instant, or its queue is full: lost
                os.write(self._sink, packet)
        return self._flying[0][0] - now_s if self._flying else _IDLE_S


class Pump:
    """Both ways, in a thread, until ``stop``."""

    def __init__(self, robot: int, hub: int, seed: int) -> None:
        self.conditions = Conditions()
        chance = random.Random(seed)  # noqa: S311 (the same packets are lost each time)
        self._lanes = (Lane(robot, hub, chance), Lane(hub, robot, chance))
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="bad-link", daemon=True)
        self._thread.start()

    @property
    def carried_bytes(self) -> tuple[int, int]:
        """From the robot, and to it."""
        return self._lanes[0].carried_bytes, self._lanes[1].carried_bytes

    def stop(self) -> None:
        """Carry nothing any more."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        wait_s = _IDLE_S
        while not self._stopping.is_set():
            sources = [lane.source for lane in self._lanes]
            readable, _, _ = select.select(sources, [], [], max(0.0, min(wait_s, _IDLE_S)))
            for lane in self._lanes:
                if lane.source in readable:
                    self._take_all(lane)
            now_s = time.monotonic()
            wait_s = min(lane.deliver(now_s) for lane in self._lanes)

    def _take_all(self, lane: Lane) -> None:
        with suppress(BlockingIOError, OSError):  # nothing more, or a device that is down
            while True:
                lane.take(os.read(lane.source, _LONGEST_PACKET), self.conditions, time.monotonic())
