"""What a selector can ask of a robot: its labels, and what it said of itself last.

Labels are given by whoever enrols it. Live facts:

=============  ==================================================================================
``robot``      its own id
``online``     ``true`` while it was heard within its lease, ``false`` otherwise
``model``      what it serves, as ``detector`` and as ``detector:1.3``; with pipelines: each model
``version``    of what it serves; with pipelines: what its own one does
``digest``     of what it serves; with pipelines: each
``generation`` of the newest target it accepted; with pipelines: its own one
``mode``       what its bridge can do with a target: ``serve``, ``stage``, ``shadow``
anything else  what its own program reports of it, as ``battery`` or ``docked``
=============  ==================================================================================

A robot cannot report a fact that a label gives or that stands above: it does not choose its site.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from fleetward.contracts.errors import MalformedError
from fleetward.contracts.robots import CHECK_IN_S, RobotCheckedIn, RobotEnrolled, TargetMode
from fleetward.contracts.selector_terms import KEYWORDS, Fact

LIVE_FACTS = frozenset({"robot", "online", "model", "version", "digest", "generation", "mode"})
MAX_LABELS = 64
MAX_LABEL_CHARACTERS = 200
_LABEL_NAME = re.compile(r"\A[A-Za-z0-9][A-Za-z0-9_.\-/]{0,62}\Z")
_LABEL_VALUE = re.compile(r'\A[^"\x00-\x1f]*\Z')


class LabelError(MalformedError):
    """A label that no selector could name, or that would hide a live fact."""


def facts_of(
    enrolled: RobotEnrolled,
    said: RobotCheckedIn | None,
    heard_at: datetime | None,
    now: datetime,
) -> dict[str, Fact]:
    """Everything known of a robot; ``heard_at`` is when the server stored what it ``said`` last."""
    reported = {} if said is None else {name: _fact(told) for name, told in said.facts.items()}
    live: dict[str, Fact] = {
        "robot": enrolled.robot_id,
        "online": _spoken(is_online(enrolled, heard_at, now)),
    }
    if said is not None:
        live["generation"] = float(said.generation)
        live["mode"] = ",".join(mode.value for mode in (TargetMode.SERVE, *said.modes))
        if said.active_model is not None:
            live["version"] = said.active_model.version
        served = [each.active_model for each in said.standings if each.active_model]
        if served:
            live["model"] = ",".join(f"{each.name},{each}" for each in served)
        digests = [each.active_digest for each in said.standings if each.active_digest]
        if digests:
            live["digest"] = ",".join(digests)
    known = {name: told for name, told in reported.items() if name not in LIVE_FACTS}
    return {**known, **enrolled.labels, **live}


def is_online(enrolled: RobotEnrolled, heard_at: datetime | None, now: datetime) -> bool:
    """Whether its next check-in is overdue by no more than its lease, by the server's clock."""
    patience = timedelta(seconds=CHECK_IN_S + enrolled.lease_s)
    return heard_at is not None and now - heard_at <= patience


def check_labels(labels: dict[str, str]) -> None:
    """Raise LabelError naming the first label that no selector could ask for."""
    if len(labels) > MAX_LABELS:
        raise LabelError(f"{len(labels)} labels are more than the {MAX_LABELS} of one robot.")
    for name, value in labels.items():
        if name in LIVE_FACTS or name in KEYWORDS:
            raise LabelError(
                f"no label may be called {name!r}: selectors mean something else by it. Choose "
                "another name."
            )
        if not _LABEL_NAME.match(name):
            raise LabelError(
                f"label {name!r} is not valid: use up to 63 letters, digits, '_', '.', '-' and '/', "
                "beginning with a letter or digit."
            )
        if len(value) > MAX_LABEL_CHARACTERS or not _LABEL_VALUE.match(value):
            raise LabelError(
                f"the value of label {name!r} is not valid: use up to {MAX_LABEL_CHARACTERS} "
                "characters, no double quotes and no control characters."
            )


def _fact(told: bool | float | str) -> Fact:
    return _spoken(told) if isinstance(told, bool) else told


def _spoken(truth: bool) -> str:
    return "true" if truth else "false"
