"""A control loop of 100 Hz that writes down how late each of its turns was: python edge_control.py FILE."""

from __future__ import annotations

import sys
import time
from pathlib import Path

PERIOD_S = 0.01
FLUSHED = 50


def main(notes: Path) -> None:
    """Until it is killed."""
    with notes.open("a") as file:
        due_s, turn = time.monotonic(), 0
        while True:
            due_s, turn = due_s + PERIOD_S, turn + 1
            time.sleep(max(0.0, due_s - time.monotonic()))
            late_s = time.monotonic() - due_s
            file.write(f"{late_s:.6f}\n")
            due_s += PERIOD_S * int(late_s / PERIOD_S)
            if turn % FLUSHED == 0:
                file.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
