"""The root of every error Fleetward raises, and the errors of the contracts themselves."""

from __future__ import annotations


class FleetwardError(Exception):
    """Something Fleetward promised was broken; the message says what, which, and what to do."""


class MalformedError(FleetwardError):
    """What somebody wrote breaks a rule that can be told without asking anybody."""


class InvalidIdError(MalformedError):
    """A name that would be unsafe inside a subject, a path or a credential was refused."""

    def __init__(self, kind: str, text: str, rule: str) -> None:
        super().__init__(f"{kind} {text!r} is not valid: {rule}. Choose another {kind}.")
        self.kind = kind
        self.text = text


class UnknownEventError(FleetwardError):
    """A Struct without a row in the catalog was about to be published or read."""
