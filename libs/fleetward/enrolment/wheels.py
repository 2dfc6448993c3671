"""Which wheels of a wheelhouse a robot needs: for its Python, its processor, and nothing more.

The rules are those of installers (PEP 425 tags, PEP 508 requirements): of each distribution the newest
wheel that fits the machine and everything that was asked of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct
from packaging.requirements import Requirement
from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.utils import canonicalize_name, parse_wheel_filename

from fleetward.enrolment.errors import WheelMissingError
from fleetward.enrolment.found import Found

BRIDGE = "edge-bridge"
OLDEST_GLIBC_MINOR = 5
_OLD_NAMES = {5: "manylinux1", 12: "manylinux2010", 17: "manylinux2014"}


class Wheel(Struct, frozen=True, kw_only=True):
    """One file. content: SHA-256 of its RECORD, which names the hash of everything in it. requires:
    its Requires-Dist lines. extras: those that it may be asked for with."""

    filename: str
    content: str
    size_bytes: int
    unpacked_bytes: int
    requires: tuple[str, ...] = ()
    extras: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The distribution's, normalized."""
        return str(parse_wheel_filename(self.filename)[0])

    @property
    def folder(self) -> str:
        """Where it lies on a robot: named by its content, so what is there is right."""
        return self.content[:16]


def wheels_for(
    wheels: Sequence[Wheel], found: Found, where: str, extras: Sequence[str] = ()
) -> tuple[Wheel, ...]:
    """The bridge with these extras and all it needs there, by name.

    Raises WheelMissingError, which names what lacks and the extra that needs it.
    """
    plain = _needed_for(Requirement(BRIDGE), wheels, found, where)
    bridge = next(wheel for wheel in plain if wheel.name == BRIDGE)
    for extra in extras:
        _refuse_unknown(extra, bridge)
        try:
            _needed_for(_with([extra]), wheels, found, where)
        except WheelMissingError as problem:
            raise WheelMissingError(
                f"The extra {extra} of {BRIDGE} cannot be had there: {problem} Or leave out that extra."
            ) from problem
    return _needed_for(_with(extras), wheels, found, where) if extras else plain


def _with(extras: Sequence[str]) -> Requirement:
    return Requirement(f"{BRIDGE}[{','.join(extras)}]")


def _refuse_unknown(extra: str, bridge: Wheel) -> None:
    if extra not in bridge.extras:
        known = ", ".join(sorted(bridge.extras)) or "none"
        raise WheelMissingError(
            f"{extra!r} is no extra of {bridge.filename}. It has: {known}. Correct the name or leave it out."
        )


def _needed_for(
    first: Requirement, wheels: Sequence[Wheel], found: Found, where: str
) -> tuple[Wheel, ...]:
    limits: dict[str, list[Requirement]] = {}
    while True:
        chosen, conflict = _chosen(first, wheels, found, where, limits)
        if conflict is None:
            return tuple(chosen[name] for name in sorted(chosen))
        limits.setdefault(canonicalize_name(conflict.name), []).append(conflict)


def _chosen(
    first: Requirement,
    wheels: Sequence[Wheel],
    found: Found,
    where: str,
    limits: Mapping[str, Sequence[Requirement]],
) -> tuple[dict[str, Wheel], Requirement | None]:
    """The newest of each that ``limits`` allow, and the first requirement that one of them breaks."""
    tags, environment = _tags(found), _environment(found)
    chosen: dict[str, Wheel] = {}
    asked: set[str] = set()
    waiting = [first]
    while waiting:
        wanted = waiting.pop()
        if str(wanted) in asked:
            continue
        asked.add(str(wanted))
        name = canonicalize_name(wanted.name)
        wheel = chosen.get(name) or _newest(wheels, [wanted, *limits.get(name, ())], tags)
        if wheel is None:
            raise WheelMissingError(_lacking(wanted, limits.get(name, ()), found, where))
        if not _satisfies(wheel, wanted):
            return chosen, wanted
        chosen[name] = wheel
        waiting.extend(_needed(wheel, wanted, environment))
    return chosen, None


def release_of(
    wheels: Iterable[Wheel], found: Found, *, system_packages: bool, digest: str = ""
) -> str:
    """The name of the environment that these wheels make: the same wheels, the same name.

    digest: of the published release that they are, which the environment then says of itself.
    """
    told = [wheel.content for wheel in wheels]
    told += [found.python_full, str(system_packages), *([digest] if digest else [])]
    return hashlib.sha256("\n".join(told).encode()).hexdigest()[:16]


def _newest(
    wheels: Sequence[Wheel], wanted: Sequence[Requirement], tags: Sequence[Tag]
) -> Wheel | None:
    rank = {tag: place for place, tag in enumerate(tags)}
    fitting = []
    for wheel in wheels:
        name, version, build, its_tags = parse_wheel_filename(wheel.filename)
        places = [rank[tag] for tag in its_tags if tag in rank]
        if name == canonicalize_name(wanted[0].name) and places:
            fitting.append((version, -min(places), build, wheel))
    fitting.sort(key=lambda each: each[:3], reverse=True)
    newest_first = (wheel for *_, wheel in fitting)
    return next(
        (one for one in newest_first if all(_satisfies(one, each) for each in wanted)), None
    )


def _satisfies(wheel: Wheel, wanted: Requirement) -> bool:
    version = parse_wheel_filename(wheel.filename)[1]
    return wanted.specifier.contains(version, prereleases=True)


def _needed(wheel: Wheel, wanted: Requirement, environment: dict[str, str]) -> list[Requirement]:
    """What ``wheel`` requires there, with the extras that it was wanted with."""
    needed = []
    for line in wheel.requires:
        requirement = Requirement(line)
        if requirement.marker is None or any(
            requirement.marker.evaluate({**environment, "extra": extra})
            for extra in ("", *wanted.extras)
        ):
            needed.append(requirement)
    return needed


def _tags(found: Found) -> list[Tag]:
    python = found.python or (0, 0)
    interpreter = f"cp{python[0]}{python[1]}"
    platforms = list(_platforms(found))
    return [
        *cpython_tags(python, abis=[interpreter], platforms=platforms),
        *compatible_tags(python, interpreter=interpreter, platforms=platforms),
    ]


def _platforms(found: Found) -> Iterable[str]:
    for minor in range(found.glibc[1], OLDEST_GLIBC_MINOR - 1, -1):
        yield f"manylinux_2_{minor}_{found.arch}"
        if minor in _OLD_NAMES:
            yield f"{_OLD_NAMES[minor]}_{found.arch}"
    yield f"linux_{found.arch}"


def _environment(found: Found) -> dict[str, str]:
    """What markers are asked of."""
    python = found.python or (0, 0)
    return {
        "implementation_name": "cpython",
        "implementation_version": found.python_full,
        "os_name": "posix",
        "platform_machine": found.arch,
        "platform_python_implementation": "CPython",
        "platform_release": found.kernel,
        "platform_system": "Linux",
        "platform_version": "",
        "python_full_version": found.python_full,
        "python_version": f"{python[0]}.{python[1]}",
        "sys_platform": "linux",
    }


def _lacking(wanted: Requirement, limits: Sequence[Requirement], found: Found, where: str) -> str:
    told = " and ".join(sorted({_bare(each) for each in (wanted, *limits)}))
    return (
        f"{where} has no wheel of {told} for Python {found.python_full}, {found.arch} and glibc "
        f"{found.glibc[0]}.{found.glibc[1]}. Fill it on a machine with internet, in a checkout with: "
        f"make wheelhouse FOR={found.arch} PYTHON_VERSION={_short(found)}"
    )


def _bare(wanted: Requirement) -> str:
    """Without the marker, which holds there."""
    return str(wanted).partition(";")[0].strip()


def _short(found: Found) -> str:
    python = found.python or (0, 0)
    return f"{python[0]}.{python[1]}"
