"""Everything that enrolment and removal can do to a robot, one Struct each, and how people read it."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from fleetward.enrolment.wheels import Wheel
from fleetward.releases.identity import Identity


class IssueCredentials(Struct, frozen=True, kw_only=True):
    """Here, by the issuer: the robot's key and who it is on the bus."""

    robot: str

    def __str__(self) -> str:
        return f"issue credentials of {self.robot}"


class VoidKey(Struct, frozen=True, kw_only=True):
    """Here and on the bus: no key that this robot had gets in any more, nor is anything it signs believed."""

    robot: str

    def __str__(self) -> str:
        return f"void the key that {self.robot} had"


class Announce(Struct, frozen=True, kw_only=True):
    """On the bus: this robot belongs to the fleet under these labels."""

    robot: str
    labels: Mapping[str, str]

    def __str__(self) -> str:
        told = " ".join(f"{name}={value}" for name, value in sorted(self.labels.items()))
        return f"announce {self.robot} to the fleet" + (f" with {told}" if told else "")


class MakeAccount(Struct, frozen=True, kw_only=True):
    """A system account without a login, in ``groups``."""

    name: str
    home: str
    groups: tuple[str, ...]

    def __str__(self) -> str:
        return f"create account {self.name}"


class MakeDirectory(Struct, frozen=True, kw_only=True):
    """A directory with this mode and owner."""

    path: str
    mode: str
    owner: str

    def __str__(self) -> str:
        return f"make directory {self.path} ({self.mode}, {self.owner})"


class PutFile(Struct, frozen=True, kw_only=True):
    """A file with this content, whole or not there. content None: the credentials issued here."""

    path: str
    content: bytes | None
    mode: str
    owner: str

    def __str__(self) -> str:
        return f"write {self.path} ({self.mode}, {self.owner})"


class PushWheel(Struct, frozen=True, kw_only=True):
    """A wheel, in a directory named by its content."""

    path: str
    wheel: Wheel

    def __str__(self) -> str:
        return f"push {self.wheel.filename}"


class PushWheels(Struct, frozen=True, kw_only=True):
    """Every wheel that is not there yet; one that arrived stays when the next does not."""

    pushes: tuple[PushWheel, ...]

    def __str__(self) -> str:
        size_mb = sum(push.wheel.size_bytes for push in self.pushes) / 1e6
        return f"push {len(self.pushes)} wheels ({size_mb:.1f} MB)"


class Install(Struct, frozen=True, kw_only=True):
    """A virtual environment from wheels on the robot, without internet; marked when complete."""

    release: str
    marker: str
    python: str
    wheels: tuple[str, ...]
    system_packages: bool
    extras: tuple[str, ...] = ()
    identity: Identity | None = None
    """Of the published release that these wheels are."""

    def __str__(self) -> str:
        told = f", with {', '.join(self.extras)}," if self.extras else ""
        what = f" of {self.identity.model}" if self.identity else ""
        return f"install {len(self.wheels)} wheels{what}{told} into {self.release}"


class PointLink(Struct, frozen=True, kw_only=True):
    """A link that changes at once."""

    path: str
    target: str

    def __str__(self) -> str:
        return f"point {self.path} at {self.target}"


class ReloadUnits(Struct, frozen=True, kw_only=True):
    """The service manager reads its unit files again."""

    def __str__(self) -> str:
        return "let systemd read its units again"


class EnableUnit(Struct, frozen=True, kw_only=True):
    """It starts with the machine."""

    unit: str

    def __str__(self) -> str:
        return f"enable {self.unit}"


class RestartUnit(Struct, frozen=True, kw_only=True):
    """It starts, or starts again; done when the bridge said that it is ready."""

    unit: str
    running: bool

    def __str__(self) -> str:
        return f"{'restart' if self.running else 'start'} {self.unit}"


class AwaitCheckIn(Struct, frozen=True, kw_only=True):
    """The robot is heard on the bus, by the bridge that was started last."""

    robot: str

    def __str__(self) -> str:
        return f"hear the first check-in of {self.robot}"


class StopUnit(Struct, frozen=True, kw_only=True):
    """It stops, and starts no more with the machine."""

    unit: str

    def __str__(self) -> str:
        return f"stop and disable {self.unit}"


class RemoveTree(Struct, frozen=True, kw_only=True):
    """A file, link or directory goes, with all that is in it."""

    path: str

    def __str__(self) -> str:
        return f"remove {self.path}"


class RemoveAccount(Struct, frozen=True, kw_only=True):
    """The account goes."""

    name: str

    def __str__(self) -> str:
        return f"remove account {self.name}"


class Revoke(Struct, frozen=True, kw_only=True):
    """On the bus: the credentials are void, and the robot belongs to the fleet no more."""

    robot: str

    def __str__(self) -> str:
        return f"revoke the credentials of {self.robot} and take it out of the fleet"


HubStep = VoidKey | IssueCredentials | Announce | AwaitCheckIn | Revoke
"""Done here or on the bus."""
RobotStep = (
    MakeAccount
    | MakeDirectory
    | PutFile
    | PushWheels
    | Install
    | PointLink
    | ReloadUnits
    | EnableUnit
    | RestartUnit
    | StopUnit
    | RemoveTree
    | RemoveAccount
)
"""Done on the robot, by a script."""
Step = HubStep | RobotStep
