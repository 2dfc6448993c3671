"""One model in one process: it loads without disturbing, answers frames, and dies with its bridge.

The model loads and warms up in a thread under SCHED_IDLE, and the main thread, which was never
lowered, serves it; only a shadow, which serves nobody, is lowered for good. Lowering the whole process instead could not be undone: leaving SCHED_IDLE
needs RLIMIT_NICE or CAP_SYS_NICE, which a robot's service rarely has.

    python -m edge_bridge.workers.worker BACKEND SOCKET_FD RING_FD RING_BYTES WARM_UP_RUNS INLINE_BYTES
"""

from __future__ import annotations

import ctypes
import os
import queue
import select
import signal
import socket
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from edge_bridge.backends.choice import start_gpu
from edge_bridge.backends.twin_file import TwinFile
from edge_bridge.errors import LoadFailedError, WarmUpFailedError
from edge_bridge.workers import protocol
from edge_bridge.workers.protocol import (
    Answer,
    Hasten,
    Load,
    Offered,
    Ready,
    Refused,
    Wanted,
    WorkerArguments,
)
from edge_bridge.workers.ticket import Ticket
from fleetward.contracts.ids import RobotId

if TYPE_CHECKING:
    from edge_bridge.workers.serving import Served

_PR_SET_PDEATHSIG = 1
_M_ARENA_MAX = -8
_OOM_SCORE = 500
"""Of 1000, to be raised by anybody: a worker is replaced at once, the robot's own programs are not."""
_LIBRARIES = {
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    # From 1.29 on, ONNX Runtime's wheels report model names and hashes to their maker, and nothing
    # but this, set before the import, keeps them from it (microsoft/onnxruntime#27379).
    "ORT_DISABLE_TELEMETRY": "1",
}
"""Written for libraries that can be told no other way; the worker reads no environment."""


class Worker:
    """The loop: orders in, answers out, until the bridge closes its end."""

    def __init__(self, arguments: WorkerArguments) -> None:
        self._arguments = arguments
        self._connection = socket.socket(fileno=arguments.socket_fd)
        self._received = memoryview(bytearray(protocol.MESSAGE_LIMIT_BYTES))
        self._loader: threading.Thread | None = None
        self._load_ended = os.eventfd(0)
        self._offered: queue.SimpleQueue[Offered] = queue.SimpleQueue()
        self._outcome: Ready | Refused | None = None
        self._served: Served | None = None
        self._idle = False

    def run(self) -> None:
        watched = select.poll()
        watched.register(self._connection, select.POLLIN)
        watched.register(self._load_ended, select.POLLIN)
        while self._served is None or self._loader is not None:
            for descriptor, _ in watched.poll():
                if descriptor == self._load_ended:
                    self._report_load()
                elif not self._obey():
                    return
        while self._obey():  # a frame wakes the one call that reads it
            pass

    def _obey(self) -> bool:
        """Carry out one order; False at the end of the socket."""
        size_bytes = self._connection.recv_into(self._received)
        if not size_bytes:
            return False
        message = self._received[:size_bytes]
        order = protocol.decode_order(message)
        if isinstance(order, Ticket):
            assert self._served is not None, "the bridge sends frames only after Ready"
            self._send(self._served.answer(order))
            protocol.decode_order(message)  # for the next: inference drove this out of the caches
        elif isinstance(order, Load):
            self._idle = order.idle
            self._loader = threading.Thread(target=self._load, args=(order,), daemon=True)
            self._loader.start()
        elif isinstance(order, Offered):
            self._offered.put(order)
        elif isinstance(order, Hasten):
            self._hasten()
        return True

    def _load(self, order: Load) -> None:
        if order.gentle:
            start_gpu(self._arguments.backend)
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
        # Imported here: the runtime's own start is a good part of the load.
        from edge_bridge.workers.serving import load

        try:
            self._served, self._outcome = load(order, self._arguments, self._send, self._ask)
        except LoadFailedError as error:
            self._outcome = Refused(stage="load", reason=str(error))
        except WarmUpFailedError as error:
            self._outcome = Refused(stage="warm_up", reason=str(error))
        finally:
            os.eventfd_write(self._load_ended, 1)

    def _ask(self, engine: str) -> TwinFile | None:
        """In the loader's thread, until the bridge answers: it bounds how long that takes."""
        self._send(Wanted(engine=engine))
        found = self._offered.get()
        return TwinFile(path=found.path, builder=RobotId(found.builder)) if found.path else None

    def _report_load(self) -> None:
        """Answer once the loader is gone: while it ends under SCHED_IDLE it may hold Python's lock,
        and on a busy machine the first frames would wait for it."""
        os.eventfd_read(self._load_ended)
        assert self._loader is not None
        self._loader.join()
        self._loader = None
        if self._outcome is None:
            sys.exit("the loader failed as no model makes it fail; its traceback is above")
        if self._idle:
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
        self._send(self._outcome)

    def _hasten(self) -> None:
        if self._loader is None or self._loader.native_id is None or not self._loader.is_alive():
            return
        try:
            os.sched_setscheduler(self._loader.native_id, os.SCHED_OTHER, os.sched_param(0))
        except (PermissionError, ProcessLookupError):
            return  # not permitted here: it goes on gently, and load_timeout_s bounds it

    def _send(self, answer: Answer) -> None:
        """From either thread: a message is sent whole or not at all."""
        try:
            self._connection.send(protocol.encode(answer))
        except (BrokenPipeError, ConnectionResetError):
            os._exit(0)  # the bridge went away while an answer was on its way


def _settle() -> None:
    """Die with the bridge, and before it when memory ends; leave Ctrl-C to it; keep memory in one arena;
    tell nobody."""
    library = ctypes.CDLL(None)
    library.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    library.mallopt(_M_ARENA_MAX, 1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with suppress(OSError):  # where it is not allowed, the kernel chooses as it does
        score = Path("/proc/self/oom_score_adj")
        score.write_text(str(max(_OOM_SCORE, int(score.read_text("ascii")))), "ascii")
    os.environ.update(_LIBRARIES)


def main(argv: list[str]) -> None:
    """Serve until the bridge's end of the socket closes, whatever a loader thread is doing."""
    _settle()
    try:
        Worker(WorkerArguments.of(argv)).run()
    except ConnectionResetError:
        os._exit(0)  # the bridge went away with answers unread
    os._exit(0)  # a daemon thread inside the runtime must not hold the process up


if __name__ == "__main__":
    main(sys.argv[1:])
