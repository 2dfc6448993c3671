"""What is missing on a robot, in the order it is to be done: the plan, the dry run and the proof.

Done once, the same plan is empty: that is what idempotent means here, and it is checked after every run.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping

from msgspec import Struct
from msgspec.structs import replace

from fleetward.enrolment.errors import IdentityTakenError
from fleetward.enrolment.found import Found
from fleetward.enrolment.layout import UNIT, Layout
from fleetward.enrolment.steps import (
    Announce,
    AwaitCheckIn,
    EnableUnit,
    Install,
    IssueCredentials,
    MakeAccount,
    MakeDirectory,
    PointLink,
    PushWheel,
    PushWheels,
    PutFile,
    ReloadUnits,
    RemoveTree,
    RestartUnit,
    Step,
    VoidKey,
)
from fleetward.enrolment.unit import robot_in, settings_text, unit_text
from fleetward.enrolment.wheels import Wheel, release_of
from fleetward.releases.identity import Identity

STARTED = b"the bridge was started with what lies here\n"
OPEN_MODE, PRIVATE_MODE, FILE_MODE, SECRET_MODE = "755", "700", "644", "600"


class Known(Struct, frozen=True, kw_only=True):
    """What the hub knows of a robot's id. labels None: it is not enrolled."""

    labels: Mapping[str, str] | None = None
    was_heard: bool = False
    """Some machine has checked in under this id."""
    credentials: bytes | None = None
    """As they lie here; None: there are none that are good."""
    is_renewed: bool = False
    """The robot put others in their place, which lie on it alone."""
    is_announced: bool = False
    """The fleet believes what these credentials sign."""
    has_stray_key: bool = False
    """A key of this id may still get in that is not the one in ``credentials``."""


class Wanted(Struct, frozen=True, kw_only=True):
    """What a robot shall be. owner: of what the bridge only reads; root on an ordinary robot."""

    robot: str
    nats_url: str
    labels: Mapping[str, str]
    layout: Layout
    account: str
    owner: str
    python: str
    wheels: tuple[Wheel, ...]
    root: bytes
    """The root that the robot is to begin with."""
    floors: bytes
    """What was newest when it was enrolled."""
    extras: tuple[str, ...] = ()
    """Of the bridge, that ``wheels`` were chosen for."""
    identity: Identity | None = None
    """Of the published release that ``wheels`` are."""
    launcher: bytes = b""
    """The program that starts the bridge."""
    settings: Mapping[str, str] = {}
    replaces: bool = False
    """It takes the place of another machine of this id."""


def plan(wanted: Wanted, found: Found, known: Known) -> list[Step]:
    """Every step that changes something; none: all is as wanted. Raises IdentityTakenError."""
    check_identity(wanted, found, known)
    is_lost = known.is_renewed and wanted.layout.renewed not in found.entries
    is_moved = wanted.replaces and _is_elsewhere(wanted, found, known)
    voids = known.has_stray_key or is_lost or is_moved
    if voids:
        known = replace(known, credentials=None, is_announced=False)
    files = [*_extras(wanted, found), *_programs(wanted, found), *_files(wanted, found, known)]
    changed = any(_is_read_at_start(step, wanted.layout) for step in files)
    started = list(_service(wanted, found, changed=changed))
    hub = [*([VoidKey(robot=wanted.robot)] if voids else []), *_hub(wanted, known)]
    proof = [AwaitCheckIn(robot=wanted.robot)] if started else []
    if changed and wanted.layout.started in found.entries:
        hub.append(RemoveTree(path=wanted.layout.started))
    return [*hub, *_places(wanted, found), *files, *started, *proof, *_leftovers(wanted, found)]


def check_identity(wanted: Wanted, found: Found, known: Known) -> None:
    """A machine has one id and an id has one machine; raises IdentityTakenError."""
    robot, held = wanted.robot, robot_in(found.settings)
    if held and held != robot:
        raise IdentityTakenError(
            f"this machine is enrolled as {held}, not {robot}. Leave out --name, or take it out of the "
            "fleet first: fleetward robot remove"
        )
    if wanted.replaces:
        return
    if held and wanted.layout.credentials in found.entries and _is_elsewhere(wanted, found, known):
        raise IdentityTakenError(
            f"this machine holds another key than {robot} has now: another took its place, or the file was "
            f"damaged. Pass --replace to make this one {robot}; the key issued last is then void."
        )
    if not held and known.was_heard:
        raise IdentityTakenError(
            f"{robot} is another machine, which has been heard before. Choose a --name for this one, or "
            "pass --replace if it took the other's place."
        )


def _is_elsewhere(wanted: Wanted, found: Found, known: Known) -> bool:
    """Whether the key was issued, and this machine does not hold it: then another may."""
    if known.credentials is None:
        return False
    entry = found.entries.get(wanted.layout.credentials)
    return entry is None or entry.sha256 != hashlib.sha256(known.credentials).hexdigest()


def _hub(wanted: Wanted, known: Known) -> Iterator[Step]:
    if known.credentials is None:
        yield IssueCredentials(robot=wanted.robot)
    labels = {**(known.labels or {}), **wanted.labels}
    if labels != known.labels or not known.is_announced:
        yield Announce(robot=wanted.robot, labels=labels)


def _places(wanted: Wanted, found: Found) -> Iterator[Step]:
    layout = wanted.layout
    if not found.account_exists:
        yield MakeAccount(name=wanted.account, home=layout.state, groups=found.groups)
    for path, mode, owner in (
        (layout.install, OPEN_MODE, wanted.owner),
        (layout.wheels, OPEN_MODE, wanted.owner),
        (layout.releases, OPEN_MODE, wanted.owner),
        (layout.config, OPEN_MODE, wanted.owner),
        (layout.trust, OPEN_MODE, wanted.owner),
        (layout.state, PRIVATE_MODE, wanted.account),
    ):
        entry = found.entries.get(path)
        if entry is None or (entry.kind, entry.mode, entry.owner) != ("directory", mode, owner):
            yield MakeDirectory(path=path, mode=mode, owner=owner)


def _extras(wanted: Wanted, found: Found) -> Iterator[Step]:
    """Remembered before they are installed: the next enrolment goes on to what was asked for last."""
    path = wanted.layout.extras
    if wanted.extras:
        content = f"{' '.join(wanted.extras)}\n".encode()
        yield from _file(found, path, content, FILE_MODE, wanted.owner)
    elif path in found.entries:
        yield RemoveTree(path=path)


def _programs(wanted: Wanted, found: Found) -> Iterator[Step]:
    layout, release = wanted.layout, _release(wanted, found)
    if layout.complete(release) not in found.entries:
        missing = tuple(
            PushWheel(path=_place(layout, wheel), wheel=wheel)
            for wheel in wanted.wheels
            if wheel.folder not in found.wheels
        )
        if missing:
            yield PushWheels(pushes=missing)
        yield Install(
            release=layout.release(release),
            marker=layout.complete(release),
            python=wanted.python,
            wheels=tuple(_place(layout, wheel) for wheel in wanted.wheels),
            system_packages=_uses_system_packages(found),
            extras=wanted.extras,
            identity=wanted.identity,
        )
    link = found.entries.get(layout.current)
    if link is None or (link.kind, link.target) != ("link", layout.release(release)):
        yield PointLink(path=layout.current, target=layout.release(release))


def _files(wanted: Wanted, found: Found, known: Known) -> Iterator[Step]:
    layout, owner = wanted.layout, wanted.owner
    credentials = known.credentials
    yield from _file(found, layout.credentials, credentials, SECRET_MODE, wanted.account)
    root = f"{layout.trust}/root.json"
    floors = f"{layout.trust}/floors.json"
    renewed = [*_file(found, root, wanted.root, FILE_MODE, owner)]
    if renewed or floors not in found.entries:  # what was newest then stays, as its root does
        yield from renewed
        yield from _file(found, floors, wanted.floors, FILE_MODE, owner)
    yield from _file(found, layout.launcher, wanted.launcher, FILE_MODE, owner)
    settings = settings_text(layout, wanted.robot, wanted.nats_url, wanted.settings).encode()
    yield from _file(found, layout.settings, settings, FILE_MODE, owner)
    unit = unit_text(layout, wanted.account).encode()
    yield from _file(found, layout.unit, unit, FILE_MODE, owner)


def _file(
    found: Found, path: str, content: bytes | None, mode: str, owner: str
) -> Iterator[PutFile]:
    entry = found.entries.get(path)
    digest = hashlib.sha256(content).hexdigest() if content is not None else ""
    is_so = entry is not None and (entry.kind, entry.mode, entry.owner, entry.sha256) == (
        "file",
        mode,
        owner,
        digest,
    )
    if not is_so:
        yield PutFile(path=path, content=content, mode=mode, owner=owner)


def _service(wanted: Wanted, found: Found, *, changed: bool) -> Iterator[Step]:
    unit = unit_text(wanted.layout, wanted.account).encode()
    if found.stale_unit or [*_file(found, wanted.layout.unit, unit, FILE_MODE, wanted.owner)]:
        yield ReloadUnits()
    if not found.enabled:
        yield EnableUnit(unit=UNIT)
    is_marked = wanted.layout.started in found.entries
    if changed or not is_marked or not found.active:
        yield RestartUnit(unit=UNIT, running=found.active)
    if changed or not is_marked:
        mode, owner = FILE_MODE, wanted.owner
        yield PutFile(path=wanted.layout.started, content=STARTED, mode=mode, owner=owner)


def _leftovers(wanted: Wanted, found: Found) -> Iterator[Step]:
    """What an earlier enrolment brought and nothing needs any more; last, when the new one is heard."""
    layout, release = wanted.layout, _release(wanted, found)
    needed = {wheel.folder for wheel in wanted.wheels}
    for name in found.releases:
        if name != release:
            yield RemoveTree(path=layout.release(name))
    for folder in found.wheels:
        if folder not in needed:
            yield RemoveTree(path=f"{layout.wheels}/{folder}")


def looked_at(layout: Layout) -> list[str]:
    """Every path that a plan asks about; what marks a release as complete is looked at anyway."""
    return [
        layout.install,
        layout.wheels,
        layout.releases,
        layout.current,
        layout.config,
        layout.trust,
        layout.state,
        layout.extras,
        layout.launcher,
        layout.credentials,
        layout.renewals,
        layout.renewed,
        layout.settings,
        f"{layout.trust}/root.json",
        f"{layout.trust}/floors.json",
        layout.unit,
        layout.started,
    ]


def _is_read_at_start(step: Step, layout: Layout) -> bool:
    if isinstance(step, PutFile):
        return step.path != layout.extras
    return isinstance(step, (PointLink, Install))


def _release(wanted: Wanted, found: Found) -> str:
    digest = wanted.identity.digest if wanted.identity else ""
    system = _uses_system_packages(found)
    return release_of(wanted.wheels, found, system_packages=system, digest=digest)


def _uses_system_packages(found: Found) -> bool:
    """On a Jetson: TensorRT comes with the system, not as a wheel."""
    return bool(found.l4t)


def _place(layout: Layout, wheel: Wheel) -> str:
    return f"{layout.wheels}/{wheel.folder}/{wheel.filename}"
