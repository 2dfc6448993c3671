"""Why a machine cannot run a bridge: reasons for people, before anything is changed on it."""

from __future__ import annotations

from collections.abc import Iterator

from fleetward.enrolment.found import Found

MIB = 1024 * 1024
OLDEST_PYTHON = (3, 10)
OLDEST_L4T = 36
"""JetPack 6: what came before has Python 3.8 and a TensorRT that builds other engines."""
ROOM_FOR_MODELS_BYTES = 1024 * MIB
"""Must be free beside the bridge: two models of some size, telemetry of an outage."""
MEMORY_BYTES = 900 * MIB
ARCHITECTURES = ("aarch64", "x86_64")


def reasons_against(found: Found, needed_bytes: int) -> list[str]:
    """Each with what to do about it; none: the gate is open. needed_bytes: of the bridge itself."""
    return [*_of_software(found), *_of_hardware(found, needed_bytes)]


def _of_software(found: Found) -> Iterator[str]:
    release = found.l4t_release
    if found.l4t and release is None:
        yield f"its L4T release cannot be read from {found.l4t!r}."
    if release is not None and release[0] < OLDEST_L4T:
        yield (
            f"it runs L4T {release[0]}.{release[1]}, the bridge needs {OLDEST_L4T} or later. Install "
            "JetPack 6 or 7 on it."
        )
    if found.python is None:
        yield "it has no python3. Install it there with: apt-get install python3"
    elif found.python < OLDEST_PYTHON:
        yield (
            f"its python3 is {found.python_full}, the bridge needs 3.10 or later. Name another with "
            "--python."
        )
    if not found.has_service_manager:
        yield "it has no systemctl: the bridge is kept alive by systemd."


def _of_hardware(found: Found, needed_bytes: int) -> Iterator[str]:
    if found.arch not in ARCHITECTURES:
        yield f"its processor is {found.arch or 'unknown'}, not {' or '.join(ARCHITECTURES)}."
    if found.memory_bytes < MEMORY_BYTES:
        yield f"it has {_mib(found.memory_bytes)} of memory, at least {_mib(MEMORY_BYTES)} are needed."
    wanted = needed_bytes + ROOM_FOR_MODELS_BYTES
    if found.disk_free_bytes < wanted:
        yield (
            f"{_mib(found.disk_free_bytes)} of its disk are free, {_mib(wanted)} are needed "
            f"({_mib(needed_bytes)} for the bridge). Make room on it."
        )


def _mib(size_bytes: int) -> str:
    return f"{size_bytes // MIB} MiB"
