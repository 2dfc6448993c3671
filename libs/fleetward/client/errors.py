"""What can keep a program from getting what it asked of the fleet."""

from __future__ import annotations

from fleetward.contracts.errors import FleetwardError


class ClientError(FleetwardError):
    """Root of the errors that the client itself raises."""


class NoSystemError(ClientError):
    """No running system was found, or it cannot be reached."""


class UnknownModelError(ClientError):
    """No published model answers to this selector."""


class UnknownRolloutError(ClientError):
    """No rollout has this id."""


class NothingSelectedError(ClientError):
    """A selector that no robot answers to."""


class UnknownRobotError(ClientError):
    """A robot that is not enrolled."""


class RolloutRefusedError(ClientError):
    """The coordinator refused to make a rollout of the request; nothing was changed."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class RolloutIdTakenError(ClientError):
    """The chosen id is that of a rollout that was asked for otherwise; nothing was changed."""


class RolloutTimeoutError(ClientError):
    """A rollout did not get where it was waited for; it goes on without us."""


class FileRefusedError(ClientError):
    """A file that cannot be a model was refused before a byte was sent."""


class DownloadError(ClientError):
    """The object store did not give what the registry granted."""


class UploadError(ClientError):
    """The object store did not take the file."""


class UpdateUnreadableError(ClientError):
    """What an update is made of could not be read from the store."""


class NotRecordingError(ClientError):
    """The robot's flight recorder is off, or nobody heard of the robot."""


class RecordingRefusedError(ClientError):
    """The robot makes no such recording, and said why."""


class RecordingTimeoutError(ClientError):
    """The recording did not arrive in time; it may yet."""
