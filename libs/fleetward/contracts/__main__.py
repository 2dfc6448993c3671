"""``python -m fleetward.contracts [DIRECTORY]`` writes the generated documents (docs/)."""

from __future__ import annotations

import sys
from pathlib import Path

from fleetward.contracts.events_page import events_page
from fleetward.contracts.schema import asyncapi
from fleetward.contracts.validation import validation_report_schema

DOCS = "docs"


def write(directory: Path) -> None:
    """Write every document into an existing ``directory``."""
    (directory / "events.md").write_text(events_page(), encoding="utf-8")
    (directory / "asyncapi.json").write_text(asyncapi(), encoding="utf-8")
    (directory / "validation_report.schema.json").write_text(
        validation_report_schema(), encoding="utf-8"
    )


if __name__ == "__main__":
    write(Path(sys.argv[1] if len(sys.argv) > 1 else DOCS))
