"""Which release of the registry an enrolment installed: a file of the environment that it made.

Without it a robot's first bridge has no name that the hub knows, and nobody can send the robot back to it.
"""

from __future__ import annotations

import msgspec
from msgspec import Struct

from fleetward.contracts.ids import Digest, ModelRef

FILE = "identity.json"


class Identity(Struct, frozen=True, kw_only=True):
    """A published release. Fields may be added, with a default: bridges of any age read it."""

    model: ModelRef
    digest: Digest


def written(identity: Identity) -> str:
    """As it is put into an environment."""
    return msgspec.json.encode(identity).decode()


def identity_in(content: bytes) -> Identity | None:
    """None: that is not what ``written`` gave."""
    try:
        return msgspec.json.decode(content, type=Identity)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
