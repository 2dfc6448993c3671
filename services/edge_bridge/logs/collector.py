"""Takes lines from everywhere on the robot and gives them to the intake.

One thread that waits for whatever comes; a process of its own, so that no line of any program costs the
bridge's event loop a moment.
"""

from __future__ import annotations

import os
import selectors
import socket
import time
from collections.abc import Callable
from contextlib import suppress

import msgspec
from msgspec import Struct

from edge_bridge.logs.assembling import LineStream
from edge_bridge.logs.files import Files
from edge_bridge.logs.following import FollowedFile, Position
from edge_bridge.logs.intake import Intake
from edge_bridge.logs.journal import Follower
from edge_bridge.logs.limits import LogSettings
from edge_bridge.logs.notes import Notes
from edge_bridge.logs.programs import BRIDGE, WORKERS, Program, piped
from edge_bridge.logs.wire import MESSAGE_BYTES
from edge_bridge.logs.writing import SegmentWriter
from fleetward.logs.record import Resource

_STDERR = 2
_SCAN_SHARE = 20
_POSITIONS_BYTES = 256 * 1024
"""Of a header, which is bounded."""


class Positions(Struct, frozen=True, kw_only=True):
    """How far everything was read that can be read again."""

    files: tuple[Position, ...] = ()
    cursor: str = ""


class Ends(Struct, frozen=True, kw_only=True):
    """What the bridge gave: its socket, the pipe that its workers' stderr is and that goes on to ours, and
    where other programs connect."""

    tap: socket.socket
    workers_fd: int
    listener: socket.socket | None = None


class Collector:
    """Runs until the bridge closes its end of ``tap``."""

    def __init__(self, writer: SegmentWriter, limits: LogSettings, ends: Ends) -> None:
        ends.tap.setblocking(False)
        self._limits = limits
        self._tap = ends.tap
        self._workers_fd = ends.workers_fd
        self._listener = ends.listener
        before = _positions_in(writer.positions)
        self._notes = Notes(limits.told_every_s)
        self._files = Files(limits, None if before is None else before.files, self._notes.refused)
        self._journal = Follower(limits, before.cursor if before is not None else "")
        self._intake = Intake(writer, limits, self._notes, ends.tap, self._positions)
        self._bridge, self._workers = LineStream(limits), LineStream(limits)
        self._programs: dict[int, Program] = {}
        self._watched = selectors.DefaultSelector()
        self._scan_at_s = self._read_s = float("-inf")
        self._ended = False
        self._cut = 0

    def run(self) -> None:
        """Raises what the disk cannot be blamed for."""
        self._watch(self._tap.fileno(), self._hear_bridge)
        self._watch(self._workers_fd, self._hear_workers)
        if self._listener is not None:
            self._watch(self._listener.fileno(), self._accept)
        busy = False
        try:
            while not self._ended:
                timeout_s = 0.0 if busy else self._limits.read_every_s
                for key, _ in self._watched.select(timeout_s):
                    key.data()
                busy = self._turn(time.monotonic(), again=busy)
        finally:
            self._stop()

    def _turn(self, now_s: float, *, again: bool) -> bool:
        """Everything that is not told by a descriptor; True: there is more in files already."""
        if now_s >= self._scan_at_s:
            self._scan(now_s)
            self._start_journal(now_s)
        if again or now_s - self._read_s >= self._limits.read_every_s:
            self._read_s = now_s
            busy = [self._read_file(file, now_s) for file in self._files.every()]
        else:
            busy = []
        for stream, unit in (
            (self._bridge, BRIDGE),
            (self._workers, WORKERS),
            *((program.stream, program.unit) for program in self._programs.values()),
        ):
            self._intake.lines(stream.rest(now_s), unit)
        self._intake.turn(now_s)
        return any(busy)

    def _read_file(self, file: FollowedFile, now_s: float) -> bool:
        """True when there may be more."""
        try:
            content, anew = file.read(now_s)
        except OSError as problem:
            self._notes.refused(problem.strerror or repr(problem), str(file.path))
            return False
        if anew:
            self._intake.lines(file.stream.end(), file.unit)
        if content:
            self._feed(file.stream, content, now_s, file.unit)
        else:
            self._intake.lines(file.stream.rest(now_s), file.unit)
        return len(content) == self._limits.read_bytes

    def _scan(self, now_s: float) -> None:
        """A large tree is looked through less often: that costs a twentieth of the time at most."""
        for left in self._files.scan(now_s):
            self._intake.lines(left.stream.end(), left.unit)
            left.close()
        took_s = time.monotonic() - now_s
        self._scan_at_s = now_s + max(self._limits.scan_s, took_s * _SCAN_SHARE)

    def _feed(self, stream: LineStream, content: bytes, now_s: float, unit: Resource) -> None:
        self._intake.lines(stream.feed(content, now_s), unit)
        if stream.lines_cut:
            self._cut += stream.lines_cut
            stream.lines_cut = 0
            self._notes.count("logs.cut", self._cut)

    def _hear_bridge(self) -> None:
        try:
            content = self._tap.recv(MESSAGE_BYTES)
        except BlockingIOError:
            return
        except OSError:
            content = b""
        if content:
            self._feed(self._bridge, content, time.monotonic(), BRIDGE)
        else:
            self._ended = True

    def _hear_workers(self) -> None:
        content = piped(self._workers_fd, self._limits)
        if content is None:
            self._watched.unregister(self._workers_fd)
        elif content:
            self._take_workers(content)

    def _take_workers(self, content: bytes) -> None:
        with suppress(OSError):  # whoever kept our stderr is gone; here it is kept
            os.write(_STDERR, content)
        self._feed(self._workers, content, time.monotonic(), WORKERS)

    def _accept(self) -> None:
        assert self._listener is not None
        try:
            connection, _ = self._listener.accept()
        except OSError:
            return
        if len(self._programs) >= self._limits.connections:
            self._notes.refused("too many programs", str(self._limits.socket))
            connection.close()
            return
        program = Program(connection, self._limits)
        self._programs[connection.fileno()] = program
        self._watch(connection.fileno(), lambda: self._hear_program(program))

    def _hear_program(self, program: Program) -> None:
        content = program.read()
        if content is not None:
            self._feed(program.stream, content, time.monotonic(), program.unit)
            return
        self._intake.lines(program.stream.end(), program.unit)
        del self._programs[program.connection.fileno()]
        self._watched.unregister(program.connection.fileno())
        program.connection.close()

    def _start_journal(self, now_s: float) -> None:
        try:
            descriptor = self._journal.start(now_s)
        except OSError as problem:
            self._notes.refused(problem.strerror or repr(problem), "journalctl")
            return
        if descriptor is not None:
            self._watch(descriptor, lambda: self._hear_journal(descriptor))

    def _hear_journal(self, descriptor: int) -> None:
        records = self._journal.read(time.monotonic(), time.time_ns())
        if records is not None:
            self._intake.records(records)
            return
        self._watched.unregister(descriptor)
        self._journal.stop()
        self._notes.refused("it ended", "journalctl")

    def _stop(self) -> None:
        """Keep what came; what stands in files and in the journal is read by the next one."""
        while content := piped(self._workers_fd, self._limits):
            self._take_workers(content)
        self._intake.lines(self._workers.end(), WORKERS)
        self._intake.lines(self._bridge.end(), BRIDGE)
        for program in self._programs.values():
            self._intake.lines(program.stream.end(), program.unit)
        self._intake.end()
        self._journal.stop()

    def _watch(self, descriptor: int, hear: Callable[[], None]) -> None:
        self._watched.register(descriptor, selectors.EVENT_READ, hear)

    def _positions(self) -> bytes:
        files = tuple(self._files.positions())
        while True:
            told = msgspec.json.encode(Positions(files=files, cursor=self._journal.cursor))
            if len(told) <= _POSITIONS_BYTES or not files:
                return told
            files = files[: len(files) // 2]  # the rest would be read again: better than no header


def _positions_in(content: bytes) -> Positions | None:
    """None when there never was a collector, or it was one of another time."""
    try:
        return msgspec.json.decode(content, type=Positions)
    except msgspec.MsgspecError:
        return None
