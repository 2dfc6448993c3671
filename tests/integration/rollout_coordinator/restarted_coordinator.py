"""A coordinator that is started again whenever it is killed; what it imports, it imports once.

SIGUSR1 kills the one that runs, SIGTERM stops it for good.
"""

from __future__ import annotations

import os
import signal
import sys

from fleetward.local.child import die_with_parent
from rollout_coordinator.__main__ import main


def supervise() -> int:
    """The exit status of the one that was not killed."""
    while True:
        child = os.fork()
        if child == 0:
            return _coordinate()
        signal.signal(signal.SIGUSR1, lambda *_: os.kill(child, signal.SIGKILL))  # noqa: B023
        signal.signal(signal.SIGTERM, lambda *_: os.kill(child, signal.SIGTERM))  # noqa: B023
        os.environ.pop("NOTIFY_SOCKET", None)  # whoever started this heard that it is ready
        _, status = os.waitpid(child, 0)
        if not os.WIFSIGNALED(status):
            return os.waitstatus_to_exitcode(status)


def _coordinate() -> int:
    die_with_parent()
    return main()


if __name__ == "__main__":
    sys.exit(supervise())
