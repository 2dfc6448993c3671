"""Decides what becomes of a published version: what is known of it and a request in, facts out."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct, structs

from fleetward.contracts.curation import (
    MAX_APPROVALS,
    MAX_NAME_CHARS,
    MAX_REASON_CHARS,
    MAX_WITHDRAWN,
    Approval,
    ModelCuration,
    Preflight,
    Standing,
    Withdrawals,
)
from fleetward.contracts.event import Event
from fleetward.contracts.ids import Digest
from fleetward.contracts.judgements import (
    ApproveModel,
    DeprecateModel,
    ModelApproved,
    ModelDeprecated,
    ModelPreflighted,
    ModelWithdrawn,
    WithdrawModel,
)
from model_registry.errors import JudgementRefusedError, WithdrawnError

LISTED_REASON_CHARS = 80
"""Of a reason, in the list that every robot reads; the whole one is a fact."""


class Known(Struct, frozen=True, kw_only=True):
    """What is said of one version, and which digests were ever withdrawn."""

    curation: ModelCuration
    withdrawals: Withdrawals


class Judgement(Struct, frozen=True, kw_only=True):
    """What is to be written together; no facts: it stands so already."""

    curation: ModelCuration
    withdrawals: Withdrawals | None = None
    facts: tuple[Event, ...] = ()


def refuse_withdrawn(withdrawals: Withdrawals, digest: Digest, what: object) -> None:
    """Raises WithdrawnError when ``what`` has bytes that must not be served any more."""
    reason = withdrawals.reasons.get(digest)
    if reason is not None:
        raise WithdrawnError(
            f"{what} ({digest[:19]}) was withdrawn: {reason}. Choose another version."
        )


def deprecate(known: Known, request: DeprecateModel, now: datetime) -> Judgement:
    """Mark a version as superseded; raises WithdrawnError, JudgementRefusedError."""
    curation = known.curation
    refuse_withdrawn(known.withdrawals, curation.digest, f"{request.name}:{request.version}")
    _refuse_words(request.reason, request.by)
    marked = _marked(curation, Standing.DEPRECATED, request, now)
    if marked == curation:
        return Judgement(curation=curation)
    return Judgement(curation=marked, facts=(deprecated(curation.digest, request, now),))


def deprecated(digest: Digest, request: DeprecateModel, now: datetime) -> ModelDeprecated:
    """The fact that ``request`` was granted."""
    return ModelDeprecated(
        name=request.name,
        version=request.version,
        digest=digest,
        reason=request.reason,
        by=request.by,
        deprecated_at=now,
    )


def withdraw(known: Known, request: WithdrawModel, now: datetime) -> Judgement:
    """Withdraw a version's bytes, under whatever name; raises JudgementRefusedError."""
    curation, withdrawals = known.curation, known.withdrawals
    _refuse_words(request.reason, request.by)
    if curation.standing is Standing.WITHDRAWN:
        return Judgement(curation=curation)
    if len(withdrawals.reasons) >= MAX_WITHDRAWN:
        raise JudgementRefusedError(
            f"{MAX_WITHDRAWN} digests are withdrawn, the most that robots can be told. "
            "Start a new fleet, or raise the limit in contracts/curation.py."
        )
    reasons = {curation.digest: request.reason[:LISTED_REASON_CHARS], **withdrawals.reasons}
    return Judgement(
        curation=_marked(curation, Standing.WITHDRAWN, request, now),
        withdrawals=Withdrawals(counter=withdrawals.counter + 1, reasons=reasons),
        facts=(withdrawn(curation.digest, request, now),),
    )


def withdrawn(digest: Digest, request: WithdrawModel, now: datetime) -> ModelWithdrawn:
    """The fact that ``request`` was granted."""
    return ModelWithdrawn(
        name=request.name,
        version=request.version,
        digest=digest,
        reason=request.reason,
        by=request.by,
        withdrawn_at=now,
    )


def approve(known: Known, request: ApproveModel, now: datetime) -> Judgement:
    """Count a yes to exactly these bytes; a second one by the same name changes nothing."""
    curation = known.curation
    refuse_withdrawn(known.withdrawals, curation.digest, f"{request.name}:{request.version}")
    _refuse_words(request.note or "-", request.by)
    if not request.by.strip():
        raise JudgementRefusedError("An approval needs a name. Say who approves.")
    if request.digest != curation.digest:
        raise JudgementRefusedError(
            f"{request.name}:{request.version} is {curation.digest}, the approval is for "
            f"{request.digest}. Look at the version again."
        )
    if any(_same_name(held.by, request.by) for held in curation.approvals):
        return Judgement(curation=curation)
    if len(curation.approvals) >= MAX_APPROVALS:
        raise JudgementRefusedError(
            f"{request.name}:{request.version} has {MAX_APPROVALS} approvals, the most it may have."
        )
    yes = Approval(by=request.by.strip(), note=request.note, at=now)
    grown = structs.replace(curation, approvals=(*curation.approvals, yes))
    return Judgement(curation=grown, facts=(approved(request, now),))


def approved(request: ApproveModel, now: datetime) -> ModelApproved:
    """The fact that ``request`` was granted."""
    return ModelApproved(
        name=request.name,
        version=request.version,
        digest=request.digest,
        by=request.by,
        note=request.note,
        approved_at=now,
    )


def preflighted(known: Known, preflight: Preflight) -> Judgement:
    """Keep the newest preflight; an older one is overtaken."""
    curation = known.curation
    if curation.preflight is not None and curation.preflight.at >= preflight.at:
        return Judgement(curation=curation)
    fact = ModelPreflighted(
        name=curation.name,
        version=curation.version,
        digest=curation.digest,
        preflight=preflight,
    )
    return Judgement(curation=structs.replace(curation, preflight=preflight), facts=(fact,))


def retired(curation: ModelCuration, now: datetime) -> ModelCuration:
    """What is said of a version whose bytes the retention policy lets go."""
    if curation.standing is Standing.WITHDRAWN:
        return curation
    return structs.replace(
        curation,
        standing=Standing.RETIRED,
        standing_reason="its model's retention policy",
        standing_by="",
        standing_at=now,
    )


def _marked(
    curation: ModelCuration,
    standing: Standing,
    request: DeprecateModel | WithdrawModel,
    now: datetime,
) -> ModelCuration:
    return structs.replace(
        curation,
        standing=standing,
        standing_reason=request.reason,
        standing_by=request.by,
        standing_at=now,
    )


def _same_name(one: str, other: str) -> bool:
    return one.strip().casefold() == other.strip().casefold()


def _refuse_words(reason: str, by: str) -> None:
    if not reason.strip() or len(reason) > MAX_REASON_CHARS or len(by) > MAX_NAME_CHARS:
        raise JudgementRefusedError(
            f"Give a reason of 1 to {MAX_REASON_CHARS} characters and a name of at most "
            f"{MAX_NAME_CHARS}."
        )
