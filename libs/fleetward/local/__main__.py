"""``python -m fleetward.local --robots N --home DIR``: the system without the command line tool."""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

from fleetward.contracts.errors import FleetwardError
from fleetward.local.happenings import Happening
from fleetward.local.up import run_up


def main() -> int:
    """Run until Ctrl-C; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m fleetward.local", description=__doc__)
    parser.add_argument("--robots", type=int, default=3, help="how many robots to run")
    parser.add_argument("--home", type=Path, default=Path(".fleetward"), help="state directory")
    wanted = parser.parse_args()
    try:
        asyncio.run(run_up(wanted.home, wanted.robots, report=_print))
    except FleetwardError as error:
        sys.stderr.write(f"fleetward: {error}\n")
        return 1
    return 0


def _print(happening: Happening) -> None:
    sys.stdout.write(f"{happening}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
