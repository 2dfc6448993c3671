"""Gates: who must agree before a rollout begins, widens, switches or ends."""

from __future__ import annotations

import enum

from msgspec import Struct

from fleetward.contracts.event import Event, UtcTime
from fleetward.contracts.ids import Digest, RolloutId

MAX_GATES = 16
MAX_APPROVALS = 8
MAX_COMMENT_CHARACTERS = 500
MAX_PERSON_CHARACTERS = 128


class GateKind(str, enum.Enum):
    """Who answers: people, a web service, or the absence of alerts."""

    APPROVAL = "approval"
    WEBHOOK = "webhook"
    ALERT_FREE = "alert-free"


class Checkpoint(str, enum.Enum):
    """Where a gate stands: before the first robot, each further wave, the switch, or success."""

    START = "start"
    WAVE = "wave"
    SWITCH = "switch"
    END = "end"


class Gate(Struct, frozen=True, kw_only=True):
    """One gate of a policy. ``name`` is unique there; the fields of other kinds keep their defaults.

    approvals: how many people must agree, none of them who asked for the rollout. url: POSTed to until
    it answers 2xx (go on) or 403 or 409 (no: its body says why). alert_free_s: for so long no alert of
    the rollout's robots may have fired for the new model.
    """

    name: str
    kind: GateKind
    before: Checkpoint
    approvals: int = 1
    url: str = ""
    alert_free_s: float = 0.0


class Verdict(str, enum.Enum):
    """A word on a gate."""

    PASSED = "passed"
    REFUSED = "refused"
    ERROR = "error"


class GateState(Struct, frozen=True, kw_only=True):
    """How one gate of the checkpoint that a rollout waits at stands. ``verdict``: None while it waits.

    ``reason``: what the last answer said, for people.
    """

    verdict: Verdict | None = None
    approved_by: tuple[str, ...] = ()
    reason: str = ""
    round: int = 0
    """How often it was asked anew after a no; an answer to an earlier round says nothing."""


class RolloutApproved(Event, frozen=True, kw_only=True):
    """Somebody said yes, or no, to a rollout at the checkpoint where it waits.

    The word holds for this ``digest`` and this ``plan`` (robots, waves and policy, by their SHA-256) at
    this ``checkpoint``, as ``rollout status`` shows them; a changed plan voids it. ``gate``: which of
    several; empty for every approval that waits.
    """

    rollout_id: RolloutId
    digest: Digest
    plan: str
    checkpoint: str
    gate: str = ""
    is_approved: bool = True
    comment: str = ""
    approved_by: str
    approved_at: UtcTime


class GateAnswered(Event, frozen=True, kw_only=True):
    """What a web service said when the coordinator asked it whether a rollout may go on."""

    rollout_id: RolloutId
    gate: str
    checkpoint: str
    verdict: Verdict
    reason: str
    round: int = 0
    answered_at: UtcTime
