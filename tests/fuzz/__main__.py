"""Fuzzes one parser in this process: python -m tests.fuzz PARSER FOUND CORPUS SECONDS.

By atheris and libFuzzer: begins with the seeds and with what is in CORPUS, writes what reaches new
code to FOUND, and what breaks the parser beside it; then it ends with another code than 0.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["fleetward.delivery"]):
    from tests.fuzz.parsers import PARSERS

from tests.fuzz.mutations import mutated
from tests.fuzz.seeds import seeds

MAX_INPUT_BYTES = 16 * 1024
MEMORY_MB = 2048
HANGS_S = 10
"""No parser may take so long over so few bytes."""


def main() -> None:
    """Fuzz until the time is over or something breaks."""
    name, found, corpus, seconds = sys.argv[1], Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])
    found.mkdir(parents=True, exist_ok=True)
    for content in seeds(name):
        (found / hashlib.sha256(content).hexdigest()[:16]).write_bytes(content)
    parser = PARSERS[name]

    def once(content: bytes) -> None:
        parser(content)

    def mutate(content: bytes, limit: int, seed: int) -> bytes:
        return mutated(content, seed, lambda part: bytes(atheris.Mutate(part, limit)))[:limit]

    options = [
        f"-max_total_time={seconds}",
        f"-max_len={MAX_INPUT_BYTES}",
        f"-rss_limit_mb={MEMORY_MB}",
        f"-timeout={HANGS_S}",
        f"-artifact_prefix={found.parent}/{name}-",
        "-print_final_stats=1",
    ]
    atheris.Setup([sys.argv[0], *options, str(found), corpus], once, custom_mutator=mutate)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
