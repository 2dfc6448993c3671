"""The collector's process: started by the bridge, ends with it.

python -m edge_bridge.logs DIRECTORY TAP_FD WORKERS_FD SETTINGS_JSON
"""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path

from edge_bridge.logs.collector import Collector, Ends
from edge_bridge.logs.limits import from_argument
from edge_bridge.logs.writing import SegmentWriter
from fleetward.bus.process import exit_status

NAME = "fleetward-logs"
_NICENESS = 10
"""A log may wait for the robot's work."""
_OOM_SCORE = 500
"""As of workers: when memory ends, a collector is the smaller loss."""


def _run() -> None:
    directory, limits = Path(sys.argv[1]), from_argument(sys.argv[5])
    tap_fd, workers_fd, listener_fd = map(int, sys.argv[2:5])
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the bridge, whose end ends us
    with suppress(OSError):
        os.nice(_NICENESS)
        Path("/proc/self/oom_score_adj").write_text(str(_OOM_SCORE))
    ends = Ends(
        tap=socket.socket(fileno=tap_fd),
        workers_fd=workers_fd,
        listener=socket.socket(fileno=listener_fd) if listener_fd >= 0 else None,
    )
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # one that a killed bridge left keeps what it has first
        Collector(SegmentWriter(directory, limits), limits, ends).run()


def main() -> int:
    """The process's exit status."""
    return exit_status(NAME, _run)


if __name__ == "__main__":
    sys.exit(main())
