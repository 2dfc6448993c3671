"""A machine in memory that steps change, and what a robot on it is wanted to be."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from fleetward.enrolment.found import Entry, Found
from fleetward.enrolment.layout import ACCOUNT, Layout
from fleetward.enrolment.plan import Known, Wanted
from fleetward.enrolment.steps import (
    Announce,
    AwaitCheckIn,
    EnableUnit,
    Install,
    IssueCredentials,
    MakeAccount,
    MakeDirectory,
    PointLink,
    PushWheels,
    PutFile,
    ReloadUnits,
    RemoveAccount,
    RemoveTree,
    RestartUnit,
    Step,
    StopUnit,
    VoidKey,
)
from fleetward.enrolment.wheels import Wheel

LAYOUT = Layout()
CREDENTIALS = b"-----BEGIN NATS USER JWT-----"
BARE = Found(
    hostname="arm-7",
    arch="aarch64",
    python=(3, 10),
    python_full="3.10.12",
    glibc=(2, 35),
    l4t="# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic",
    groups=("video", "render"),
    has_service_manager=True,
)
WANTED = Wanted(
    robot="arm-7",
    nats_url="tls://hub:4222",
    labels={"site": "berlin"},
    layout=LAYOUT,
    account=ACCOUNT,
    owner="root",
    python="python3",
    wheels=tuple(
        Wheel(
            filename=f"{name}-1.0-py3-none-any.whl",
            content=hashlib.sha256(name.encode()).hexdigest(),
            size_bytes=1,
            unpacked_bytes=2,
        )
        for name in ("edge_bridge", "fleetward")
    ),
    root=b"root",
    floors=b"floors",
)


class Machine:
    """Holds ``found`` and ``known``, as they are after the steps done so far."""

    def __init__(self, found: Found = BARE, known: Known = Known()) -> None:  # noqa: B008 (frozen)
        self.found = found
        self.known = known
        self.issued = 0
        self.running: Mapping[str, Entry] = {}
        """What the bridge read when it was started."""

    def do(self, steps: Sequence[Step]) -> Machine:
        for step in steps:
            self._do(step)
        return self

    def _do(self, step: Step) -> None:
        match step:
            case IssueCredentials():
                self.issued += 1
                held = CREDENTIALS + str(self.issued).encode()
                self.known = replace(self.known, credentials=held, is_announced=False)
            case VoidKey():
                self.known = replace(
                    self.known,
                    credentials=None,
                    is_renewed=False,
                    is_announced=False,
                    has_stray_key=False,
                )
            case Announce(labels=labels):
                self.known = replace(self.known, labels=labels, is_announced=True)
            case MakeDirectory(path=path, mode=mode, owner=owner):
                self._put(path, Entry(kind="directory", mode=mode, owner=owner))
            case PutFile(path=path):
                self._write(step)
            case PointLink(path=path, target=target):
                self._put(path, Entry(kind="link", target=target))
            case Install(release=release, marker=marker):
                self._put(marker, Entry(kind="file", mode="644", owner="root"))
                name = release.rpartition("/")[2]
                self.found = replace(self.found, releases=(*self.found.releases, name))
            case PushWheels(pushes=pushes):
                folders = (push.wheel.folder for push in pushes)
                self.found = replace(self.found, wheels=(*self.found.wheels, *folders))
            case RemoveTree(path=path):
                self._remove(path)
            case _:
                self._serve(step)

    def _serve(self, step: Step) -> None:
        match step:
            case MakeAccount():
                self.found = replace(self.found, account_exists=True)
            case RemoveAccount():
                self.found = replace(self.found, account_exists=False)
            case ReloadUnits():
                self.found = replace(self.found, stale_unit=False)
            case EnableUnit():
                self.found = replace(self.found, enabled=True)
            case RestartUnit():
                self.found = replace(self.found, active=True)
                self.running = self.read_at_start()
            case StopUnit():
                self.found = replace(self.found, enabled=False, active=False)
            case AwaitCheckIn():
                self.known = replace(self.known, was_heard=True)
            case _:
                raise AssertionError(f"the model machine cannot {step}")

    def renew(self) -> None:
        """Its bridge puts other credentials in the place of the first."""
        self._put(LAYOUT.renewals, Entry(kind="directory", mode="700", owner=ACCOUNT))
        self._put(LAYOUT.renewed, Entry(kind="file", mode="600", owner=ACCOUNT))
        self.known = replace(self.known, is_renewed=True)

    def read_at_start(self) -> dict[str, Entry]:
        """What a bridge would read that is started now."""
        paths = (LAYOUT.current, LAYOUT.settings, LAYOUT.credentials, LAYOUT.unit)
        return {path: self.found.entries[path] for path in paths if path in self.found.entries}

    def _write(self, step: PutFile) -> None:
        content = step.content if step.content is not None else self.known.credentials or b""
        digest = hashlib.sha256(content).hexdigest()
        self._put(step.path, Entry(kind="file", mode=step.mode, owner=step.owner, sha256=digest))
        if step.path == LAYOUT.extras:
            self.found = replace(self.found, extras=tuple(content.decode().split()))
        if step.path == LAYOUT.settings:
            self.found = replace(self.found, settings=content.decode())
        if step.path == LAYOUT.unit:
            self.found = replace(self.found, stale_unit=True)

    def _put(self, path: str, entry: Entry) -> None:
        self.found = replace(self.found, entries={**self.found.entries, path: entry})

    def _remove(self, gone: str) -> None:
        entries = {
            path: entry
            for path, entry in self.found.entries.items()
            if path != gone and not path.startswith(f"{gone}/")
        }
        name = gone.rpartition("/")[2]
        self.found = replace(
            self.found,
            entries=entries,
            releases=() if gone == LAYOUT.install else _without(self.found.releases, name),
            wheels=() if gone == LAYOUT.install else _without(self.found.wheels, name),
            settings=self.found.settings if LAYOUT.settings in entries else "",
            extras=self.found.extras if LAYOUT.extras in entries else (),
        )


def _without(names: tuple[str, ...], gone: str) -> tuple[str, ...]:
    return tuple(name for name in names if name != gone)
