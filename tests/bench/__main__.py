"""Runs the benchmarks of one area or of all, prints a table, writes .fleetward/bench/<area>.json.

python -m tests.bench [--only core]
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Callable, Coroutine, Sequence

from rich.console import Console

from tests.bench import core, distribution, edge, rollout
from tests.bench.measurement import Measurement, table, write_results

AREAS: dict[str, Callable[[], Coroutine[None, None, Sequence[Measurement]]]] = {
    "core": core.measure,
    "distribution": distribution.measure,
    "rollout": rollout.measure,
    "edge": edge.measure,
}
EXIT_UNKNOWN_AREA = 2


def main() -> None:
    """Measure; a goal that is not met is shown, not an error: benchmarks are no tests."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--only", default="", help=f"one of: {', '.join(AREAS)}")
    only = parser.parse_args().only
    if only and only not in AREAS:
        print(f"no area is called {only!r}; there are: {', '.join(AREAS)}.", file=sys.stderr)
        sys.exit(EXIT_UNKNOWN_AREA)
    console = Console(width=None if sys.stdout.isatty() else 160)
    for area in [only] if only else AREAS:
        measurements = asyncio.run(AREAS[area]())
        path = write_results(area, measurements)
        console.print(table(area, measurements))
        console.print(f"written to {path}")


if __name__ == "__main__":
    main()
