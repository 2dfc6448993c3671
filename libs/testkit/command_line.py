"""``fleetward`` as a process of its own, as pipelines run it: its exit code and what it wrote."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from testkit import forked


class Ran(Struct, frozen=True):
    """How one command ended."""

    code: int
    output: str
    complaint: str


async def run(environment: Mapping[str, str], *words: str, directory: Path | None = None) -> Ran:
    """``fleetward <words>`` with ``environment`` added to ours; an AssertionError shows a traceback."""
    with tempfile.TemporaryDirectory() as kept:
        output, errors = Path(kept, "output"), Path(kept, "errors")
        child = forked.start(
            forked.Program(
                module="fleetward.cli",
                arguments=words,
                environment={**os.environ, **environment},
                directory=directory or Path.cwd(),
                output=output,
                errors=errors,
            )
        )
        code = (await child.wait()).status
        ran = Ran(code, output.read_text(), errors.read_text())
    assert "Traceback" not in ran.complaint, ran.complaint
    return ran
