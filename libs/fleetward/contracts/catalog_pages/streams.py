"""Every stream: what it holds, how long, and how it keeps it."""

from __future__ import annotations

from fleetward.contracts.rows import DAY_S, GIB, MIB, StreamName, StreamRow

_S = StreamName

STREAMS: tuple[StreamRow, ...] = (
    StreamRow(
        name=_S.MODELS,
        meaning="what exists and may be trusted, and all that was ever decided about it",
        max_age_s=0,
        max_bytes=1 * GIB,
        max_msgs_per_subject=-1,
        atomic=True,
        refuse_when_full=True,
    ),
    StreamRow(
        name=_S.ROLLOUTS,
        meaning="rollouts, their events and every robot's target, written together",
        max_age_s=0,
        max_bytes=4 * GIB,
        max_msgs_per_subject=64,
        atomic=True,
    ),
    StreamRow(
        name=_S.ROBOTS,
        meaning="who belongs to the fleet and what each robot reports",
        max_age_s=0,
        max_bytes=2 * GIB,
        max_msgs_per_subject=64,
    ),
    StreamRow(
        name=_S.TELEMETRY,
        meaning="columnar samples on their way to disk",
        max_age_s=1 * DAY_S,
        max_bytes=8 * GIB,
        max_msgs_per_subject=-1,
        persist_async=True,
    ),
    StreamRow(
        name=_S.HEALTH,
        meaning="summaries of telemetry that rollouts are judged by",
        max_age_s=7 * DAY_S,
        max_bytes=1 * GIB,
        max_msgs_per_subject=-1,
    ),
    StreamRow(
        name=_S.ALERTS,
        meaning="alerts fired, resolved, unknown",
        max_age_s=90 * DAY_S,
        max_bytes=1 * GIB,
        max_msgs_per_subject=64,
    ),
    StreamRow(
        name=_S.DEAD_LETTERS,
        meaning="messages no handler could take",
        max_age_s=90 * DAY_S,
        max_bytes=1 * GIB,
        max_msgs_per_subject=-1,
    ),
    StreamRow(
        name=_S.HISTORY,
        meaning="what served on which robot, copied by the server and kept for years",
        max_age_s=0,
        max_bytes=2 * GIB,
        max_msgs_per_subject=10_000,
        copies_from=_S.ROBOTS,
    ),
    StreamRow(
        name=_S.RECORDINGS,
        meaning="which robots shall send what they recorded, and what of it is stored",
        max_age_s=90 * DAY_S,
        max_bytes=256 * MIB,
        max_msgs_per_subject=1,
    ),
    StreamRow(
        name=_S.SEGMENTS,
        meaning="the newest segment of each robot and kind; which are stored, the store says",
        max_age_s=90 * DAY_S,
        max_bytes=1 * GIB,
        max_msgs_per_subject=1,
    ),
    StreamRow(
        name=_S.ENGINES,
        meaning="which engines robots built and offer to those of the same hardware",
        max_age_s=0,
        max_bytes=64 * MIB,
        max_msgs_per_subject=1,
    ),
    StreamRow(
        name=_S.RULES,
        meaning="the alert rules by which robots judge themselves, now and before",
        max_age_s=0,
        max_bytes=16 * MIB,
        max_msgs_per_subject=16,
    ),
)
