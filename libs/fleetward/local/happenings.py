"""What a supervisor tells whoever started it; ``str()`` of each is a line for people."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Union

from msgspec import Struct

from fleetward.contracts.wording import how_many


class ProcessReady(Struct, frozen=True, kw_only=True):
    """A process is ready, ``after_s`` after it was started; ``restarts`` counts earlier ends."""

    name: str
    pid: int
    restarts: int
    after_s: float

    def __str__(self) -> str:
        again = f", restart {self.restarts}" if self.restarts else ""
        return f"{self.name} is ready (pid {self.pid}, {self.after_s:.2f} s{again})"


class ProcessExited(Struct, frozen=True, kw_only=True):
    """A process ended without being asked to, and is started again after ``retry_in_s``.

    short_lives: how often in a row it ended soon after it was started, this time included.
    """

    name: str
    pid: int
    exit: str
    restarts: int
    short_lives: int
    retry_in_s: float
    log: Path

    def __str__(self) -> str:
        again = f", as it ended soon {self.short_lives} times in a row" * (self.short_lives > 1)
        return (
            f"{self.name} ended with {self.exit} (pid {self.pid}); "
            f"restart {self.restarts} in {self.retry_in_s:.1f} s{again}. Its log: {self.log}"
        )


class ProcessFailed(Struct, frozen=True, kw_only=True):
    """A process is given up: it ended ``lives`` times in a row before it was ready."""

    name: str
    exit: str
    lives: int
    log: Path

    def __str__(self) -> str:
        return (
            f"{self.name} failed: it ended {self.lives} times in a row before it was ready, at last "
            f"with {self.exit}. The rest goes on without it. Its log: {self.log}"
        )


class StorageFailed(Struct, frozen=True, kw_only=True):
    """A server could not write; it is started again as soon as there is room."""

    name: str
    directory: Path

    def __str__(self) -> str:
        return (
            f"{self.name} could not write to {self.directory}: nothing is acknowledged until it "
            "can. Free space there; it is then started again by itself."
        )


class SystemReady(Struct, frozen=True, kw_only=True):
    """Every process is ready and connection.json is written."""

    home: Path
    nats_url: str
    s3_endpoint: str
    robots: tuple[str, ...]
    after_s: float

    def __str__(self) -> str:
        robots = how_many(len(self.robots), "robot")
        return (
            f"fleetward is up after {self.after_s:.1f} s: {robots}, "
            f"NATS at {self.nats_url}, S3 at {self.s3_endpoint}, state in {self.home}"
        )


class SystemStopping(Struct, frozen=True, kw_only=True):
    """Every process is asked to end, and ended if it does not; that takes seconds."""

    home: Path
    processes: int

    def __str__(self) -> str:
        count = "1 process" if self.processes == 1 else f"{self.processes} processes"
        return f"stopping {count} ..."


class SystemStopped(Struct, frozen=True, kw_only=True):
    """Every process has ended."""

    home: Path

    def __str__(self) -> str:
        return f"fleetward has stopped; its state stays in {self.home}"


# typing.Union: robots' Python 3.10 evaluates this at import.
Happening = Union[  # noqa: UP007
    ProcessReady,
    ProcessExited,
    ProcessFailed,
    StorageFailed,
    SystemReady,
    SystemStopping,
    SystemStopped,
]
Report = Callable[[Happening], None]
