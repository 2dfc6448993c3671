"""A tiny process in a service's place: writes down what it was told, says READY, waits to be stopped.

In its environment: STAND_IN_EXIT=n ends it with that status at once; STAND_IN_GRANDCHILD starts a
process of its own.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from fleetward.bus.readiness import notify_ready


def main() -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    told = {name: value for name, value in os.environ.items() if name.startswith("FLEETWARD_")}
    Path("told.json").write_text(json.dumps(told), encoding="utf-8")
    if "STAND_IN_EXIT" in os.environ:
        sys.stderr.write("the stand-in was told to fail\n")
        return int(os.environ["STAND_IN_EXIT"])
    if "STAND_IN_GRANDCHILD" in os.environ:
        grandchild = subprocess.Popen(["sleep", "600"])
        Path("grandchild.pid").write_text(str(grandchild.pid), encoding="ascii")
    notify_ready()
    signal.pause()
    return 0


if __name__ == "__main__":
    sys.exit(main())
