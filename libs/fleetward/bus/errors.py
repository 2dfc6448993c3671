"""What can go wrong between a fact and the server that keeps it."""

from __future__ import annotations

from fleetward.contracts.errors import FleetwardError


class BusError(FleetwardError):
    """The bus did not do what was asked."""


class PublishError(BusError):
    """Not acknowledged in time: the fact may or may not be stored; publish it again."""


class ConflictError(BusError):
    """Somebody else moved the state first: load it again and decide again."""


class RefusedError(BusError):
    """The answer was no; the message says why and what to do."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class NoAnswerError(BusError):
    """Nobody answered a request in time."""
