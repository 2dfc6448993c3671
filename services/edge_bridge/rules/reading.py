"""Reads rule files in a process of its own: parsers of foreign text, and 4 MiB that judging does not need.

``python -m edge_bridge.rules.reading PATH`` writes the critical rules as a pickle, or says why not.
"""

from __future__ import annotations

import asyncio
import pickle
import sys
from asyncio.subprocess import DEVNULL, PIPE
from pathlib import Path

from edge_bridge.errors import BridgeError
from fleetward.contracts.errors import FleetwardError
from fleetward.rules.rulebook import Rulebook

READ_LIMIT_S = 60.0


class RulesUnreadError(BridgeError):
    """Why the rule files could not be read."""


async def read_apart(path: Path) -> Rulebook:
    """The critical rules of a file or directory; raises RulesUnreadError."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "edge_bridge.rules.reading", str(path)),
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=PIPE,
    )
    try:
        written, said = await asyncio.wait_for(process.communicate(), READ_LIMIT_S)
    except asyncio.TimeoutError:
        raise RulesUnreadError(f"{path} was not read within {READ_LIMIT_S:g} s") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        reason = said.decode(errors="replace").strip()
        raise RulesUnreadError(reason or f"{path}: its reader ended with {process.returncode}")
    rulebook: Rulebook = pickle.loads(written)  # noqa: S301 (this very program wrote it)
    return rulebook


def critical_rules(path: Path) -> Rulebook:
    """The rules that may take a model back; raises RuleFileError, and ImportError without the extra."""
    from fleetward.rules.compilation import compile_rulebook, load_rulebook
    from fleetward.rules.rule_files import content_of
    from fleetward.rules.rule_sets import critical

    every = (
        load_rulebook(path) if path.is_dir() else compile_rulebook([(path.name, content_of(path))])
    )
    return critical(every)


def main() -> None:
    """Write the rules to standard output."""
    try:
        rulebook = critical_rules(Path(sys.argv[1]))
    except ImportError as error:
        sys.exit(
            f"{error}: rule files need edge-bridge[rules]. Install it, or unset FLEETWARD_RULES."
        )
    except FleetwardError as error:
        sys.exit(str(error))
    sys.stdout.buffer.write(pickle.dumps(rulebook))


if __name__ == "__main__":
    main()
