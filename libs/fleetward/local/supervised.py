"""One process is kept running until it is told to stop or is found hopeless."""

from __future__ import annotations

import asyncio
import enum
import signal
import time
from subprocess import SubprocessError

from msgspec import Struct
from msgspec.structs import replace

from fleetward.bus.waiting import happens
from fleetward.local.child import Child, Command, Launch
from fleetward.local.errors import NotReadyError
from fleetward.local.happenings import ProcessExited, ProcessFailed, ProcessReady, Report
from fleetward.local.readiness import Readiness
from fleetward.local.restarts import Life, RestartHistory

READY_TIMEOUT_S = 60.0
STOP_GRACE_S = 10.0
LOG_TAIL_LINES = 15


class Part(Struct, frozen=True, kw_only=True):
    """One process of a system and how it is known to be ready."""

    command: Command
    readiness: Readiness
    launch: Launch = Child.start
    ready_timeout_s: float = READY_TIMEOUT_S
    stop_grace_s: float = STOP_GRACE_S


class ProcessState(enum.Enum):
    """Where in its life a supervised process stands."""

    STARTING = "starting"
    READY = "ready"
    WAITING = "waiting"
    FAILED = "failed"
    STOPPED = "stopped"


class ProcessView(Struct, frozen=True, kw_only=True):
    """A supervised process as others see it. pid 0: not running now."""

    name: str
    pid: int
    restarts: int
    state: ProcessState


class Supervised:
    """Starts a process, starts it again when it ends, and tells about both."""

    def __init__(self, part: Part, report: Report) -> None:
        self.name = part.command.name
        self._part = part
        self._report = report
        self._child: Child | None = None
        self._restarts = 0
        self._state = ProcessState.STARTING
        self._last_exit = ""
        self._changed = asyncio.Condition()
        self._stopping = asyncio.Event()
        self._life: asyncio.Task[None] | None = None

    def view(self) -> ProcessView:
        """The process as it stands now."""
        pid = self._child.pid if self._child and self._child.running else 0
        return ProcessView(name=self.name, pid=pid, restarts=self._restarts, state=self._state)

    def start(self) -> None:
        """Begin; ``ready`` tells when it is up."""
        self._life = asyncio.get_running_loop().create_task(self._live(), name=self.name)

    async def ready(self, *, after_pid: int = 0) -> ProcessView:
        """Wait until the process is ready under another pid than ``after_pid``; raises NotReadyError."""

        def settled() -> bool:
            if self._state in {ProcessState.FAILED, ProcessState.STOPPED}:
                return True
            view = self.view()
            return view.state is ProcessState.READY and view.pid not in {0, after_pid}

        async with self._changed:
            await self._changed.wait_for(settled)
        if self._state is not ProcessState.READY:
            raise NotReadyError(self._failure())
        return self.view()

    def send(self, number: signal.Signals) -> int:
        """Send a signal to the process; returns the pid it went to, 0 if it is not running."""
        view = self.view()
        if view.pid and self._child is not None:
            self._child.send(number)
        return view.pid

    async def stop(self) -> None:
        """End the process and keep it ended."""
        self._stopping.set()
        if self._child is not None and self._child.running:
            await self._child.stop(self._part.stop_grace_s)
        if self._life is not None:
            await self._life

    async def _live(self) -> None:
        history = RestartHistory()
        while not self._stopping.is_set():
            life = await self._one_life()
            self._last_exit = life.exit
            if self._stopping.is_set():
                break
            history = history.after_life(life)
            if history.is_hopeless():
                await self._fail(history)
                return
            await self._wait_to_restart(history)
        await self._enter(ProcessState.STOPPED)

    async def _one_life(self) -> Life:
        """Start the process and wait for its end."""
        began = time.monotonic()
        ended, was_ready = await self._started_and_ended()
        return Life(exit=ended, was_ready=was_ready, lasted_s=time.monotonic() - began)

    async def _started_and_ended(self) -> tuple[str, bool]:
        """How the process ended, and whether it was ready before."""
        command = self._part.command
        environment = {**command.environment, **self._part.readiness.environment()}
        await self._enter(ProcessState.STARTING)
        if self._stopping.is_set():
            return "a request to stop", False
        try:
            self._child = child = self._part.launch(replace(command, environment=environment))
        except (OSError, SubprocessError) as error:
            return f"{error!r} on starting {command.arguments[0]}", False
        began = time.monotonic()
        if await self._came_up(child):
            await self._enter(ProcessState.READY)
            self._report_ready(child, time.monotonic() - began)
            return str(await child.wait()), True
        return f"{await child.wait()} before it was ready", False

    def _report_ready(self, child: Child, after_s: float) -> None:
        self._report(
            ProcessReady(name=self.name, pid=child.pid, restarts=self._restarts, after_s=after_s)
        )

    async def _came_up(self, child: Child) -> bool:
        """Whether it got ready; one that is silent for too long is ended."""
        loop = asyncio.get_running_loop()
        ready = loop.create_task(self._part.readiness.ready())
        ended = loop.create_task(child.wait())
        await asyncio.wait(
            {ready, ended},
            timeout=self._part.ready_timeout_s,
            return_when=asyncio.FIRST_COMPLETED,
        )
        came_up = ready.done() and ready.exception() is None and not ended.done()
        for task in (ready, ended):
            task.cancel()
        await asyncio.gather(ready, ended, return_exceptions=True)
        if not came_up:
            await child.stop(self._part.stop_grace_s)
        return came_up

    async def _wait_to_restart(self, history: RestartHistory) -> None:
        delay_s = history.delay_s()
        self._restarts += 1
        self._report(
            ProcessExited(
                name=self.name,
                pid=self._child.pid if self._child else 0,
                exit=self._last_exit,
                restarts=self._restarts,
                short_lives=history.short_lives,
                retry_in_s=delay_s,
                log=self._part.command.log,
            )
        )
        await self._enter(ProcessState.WAITING)
        await happens(self._stopping, delay_s)

    async def _fail(self, history: RestartHistory) -> None:
        self._report(
            ProcessFailed(
                name=self.name,
                exit=self._last_exit,
                lives=history.unready_lives,
                log=self._part.command.log,
            )
        )
        await self._enter(ProcessState.FAILED)

    async def _enter(self, state: ProcessState) -> None:
        async with self._changed:
            self._state = state
            self._changed.notify_all()

    def _failure(self) -> str:
        log = self._part.command.log
        written = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
        return (
            f"{self.name} {self._state.value}, at last with {self._last_exit}. "
            f"The end of its log {log}:\n{tail_of(written)}"
        )


def tail_of(text: str, lines: int = LOG_TAIL_LINES) -> str:
    """The last lines of a log, as they are."""
    return "\n".join(text.splitlines()[-lines:])
