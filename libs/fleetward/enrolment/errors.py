"""What can keep a robot from being enrolled or removed."""

from __future__ import annotations

from fleetward.contracts.errors import FleetwardError, MalformedError


class EnrolmentError(FleetwardError):
    """Root of the errors of enrolment by SSH."""


class DestinationError(MalformedError):
    """A word that names no user and host was refused."""


class HostKeyRefusedError(EnrolmentError):
    """The host did not prove to be the one that is meant; nothing was sent to it."""


class HostUnreachableError(EnrolmentError):
    """No SSH session came about, or it broke."""


class GateClosedError(EnrolmentError):
    """The robot cannot run a bridge as it is; nothing was changed on it."""


class WheelMissingError(EnrolmentError):
    """The wheelhouse lacks a distribution for this robot; nothing was changed on it."""


class IdentityTakenError(EnrolmentError):
    """Another machine has this robot's id, or this machine has another."""


class RobotInUseError(EnrolmentError):
    """An open rollout counts on the robot that was to be removed; nothing was changed."""


class StepFailedError(EnrolmentError):
    """A step did not work on the robot; those before it stay, and doing it again goes on from there."""


class NoCheckInError(EnrolmentError):
    """Everything is in place, but the robot was not heard on the bus."""
