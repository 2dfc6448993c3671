"""A robot in the dark writes its telemetry and its events: ``python -m tests.faults.outage_writer``.

Arguments: its state directory, its boot, the first second of the outage that it lives through and the last.
It says each second that is on its disk, as ``kill -9`` finds it.
"""

from __future__ import annotations

import sys
from pathlib import Path

from edge_bridge.journal import Journal
from edge_bridge.telemetry.spool import Spool
from tests.unit.edge_bridge_bus.test_journal import activated
from tests.unit.edge_bridge_bus.test_spool import frame

SPOOL_BYTES = 1_000_000
FRAME_BYTES = 300
FRAME_EVERY_S = 10
EVENT_EVERY_S = 10_000


def main(state: str, boot: str, first_s: int, last_s: int) -> None:
    """Write without end, for whoever kills it."""
    spool = Spool(Path(state, "spool.db"), SPOOL_BYTES)
    journal = Journal(Path(state, "journal.db"))
    for at_s in range(first_s, last_s, FRAME_EVERY_S):
        spool.append(frame(at_s * 1_000_000_000, boot, FRAME_BYTES))
        if at_s % EVENT_EVERY_S == 0:
            journal.write({}, [activated(1 + at_s // EVENT_EVERY_S)])
        sys.stdout.write(f"{at_s}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
