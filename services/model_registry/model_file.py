"""Reads one model file inside its own limited process, and says what it is or why it is refused.

Run as ``python -m model_registry.model_file PATH MEMORY_BYTES CPU_S``: a file from outside is
parsed by C++ code, so the parser gets little memory, little time, no file it could write, and
one answer: msgpack of Inspection or Refusal on standard output. Nothing is ever unpickled.
"""

from __future__ import annotations

import resource
import sys
from pathlib import Path

import msgspec

from fleetward.releases import archive
from model_registry import bridge_file, onnx_file, safetensors_file
from model_registry.verdicts import Inspection, Refusal

_RUNS_CODE = {
    b"\x80": "a Python pickle, which runs code when it is loaded",
    b"PK\x03\x04": "a ZIP archive, as PyTorch writes them around a pickle that runs code",
}


def inspect(path: Path) -> Inspection | Refusal:
    """What the file at ``path`` is; never follows a reference out of it, never runs any of it."""
    with path.open("rb") as file:
        start = file.read(4)
    for magic, what in _RUNS_CODE.items():
        if start.startswith(magic):
            return Refusal(
                reason=f"The file is {what}. Export the model to ONNX, or save its weights as "
                "safetensors"
            )
    if archive.is_archive(path):
        return bridge_file.inspect(path)
    return safetensors_file.inspect(path) or onnx_file.inspect(path)


def _limit_this_process(memory_bytes: int, cpu_s: int) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))


def main() -> None:
    """Limit this process, inspect the file named by the first argument, print the verdict."""
    path, memory_bytes, cpu_s = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    _limit_this_process(memory_bytes, cpu_s)
    sys.stdout.buffer.write(msgspec.msgpack.encode(inspect(path)))


if __name__ == "__main__":
    main()
